//! `sitta unpack`: what is in an archive goes into a folder, as `sitta copy ARCHIVE!/ DST` brings it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use sitta_tree::{Existing, Policy};

use super::moving::{self, Around};
use crate::args::{MovingArgs, OneWayArgs, UnpackArgs};
use crate::context::Context;
use crate::exit::Outcome;

pub fn run(context: &Context, args: UnpackArgs) -> Outcome {
    let existing = match (args.update, args.no_overwrite) {
        (true, _) => Existing::IfNewer,
        (_, true) => Existing::Keep,
        _ => Existing::Replace,
    };
    let mut source = args.archive.into_vec();
    if !source.windows(2).any(|two| two == b"!/") {
        source.extend_from_slice(b"!/");
    }
    let source = OsString::from_vec(source);
    // It deletes nothing: a folder that was emptied or is gone since may be filled again.
    let moving = MovingArgs { xattrs: true, force_empty: true, ..args.moving };
    let way = OneWayArgs { source, destination: args.destination, moving, hard_links: true };
    moving::run(context, way, "unpack", Policy::Copy { existing }, &Around::new(context, false))
}
