//! `sitta mirror`: the destination becomes the source.

use sitta_tree::Policy;

use super::moving::{self, Around};
use crate::args::MirrorArgs;
use crate::context::Context;
use crate::exit::Outcome;

pub fn run(context: &Context, args: MirrorArgs, around: &Around) -> Outcome {
    moving::run(context, args.way, "mirror", Policy::Mirror, around)
}
