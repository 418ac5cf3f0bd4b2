//! stub
use crate::args::HashArgs;
use crate::context::Context;
use crate::exit::Outcome;
pub fn run(_: &Context, _: &HashArgs) -> Outcome {
    todo!()
}
