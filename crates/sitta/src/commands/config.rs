//! stub
use crate::args::ConfigVerb;
use crate::context::Context;
use crate::exit::Outcome;
pub fn run(_: &Context, _: ConfigVerb) -> Outcome {
    todo!()
}
