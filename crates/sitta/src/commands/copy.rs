//! `sitta copy`: adds and updates, never deletes.

use sitta_tree::{Existing, Policy};

use super::moving::{self, Around};
use crate::args::CopyArgs;
use crate::context::Context;
use crate::exit::Outcome;

pub fn run(context: &Context, args: CopyArgs, around: &Around) -> Outcome {
    let existing = match (args.update, args.no_overwrite) {
        (true, _) => Existing::IfNewer,
        (_, true) => Existing::Keep,
        _ => Existing::Replace,
    };
    moving::run(context, args.way, "copy", Policy::Copy { existing }, around)
}
