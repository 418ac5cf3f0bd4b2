//! `archive`: packs a folder or one file into one dated file, and keeps so many of those.
//!
//! The archive is made while it is sent: what is read goes through the compressors to the destination, and no copy of it
//! stands anywhere in between. Nothing is seen under its name before all of it has arrived.
//!
//! **A file that cannot be read** is a problem, and the archive holds the rest; it never holds a part of a file. Where a
//! part was sent already, the archive is made again without that file. **A source that cannot be read on** (its server is
//! gone) makes no archive. **Old archives** are removed only after the new one has arrived and holds everything.

mod clean;
mod deliver;
mod feed;
mod format;
mod look;
mod members;
mod packer;
mod run;
mod squeeze;
mod steps;
mod tar;
mod write;
mod zip;

use std::sync::Arc;
use std::time::Duration;

use sitta_store::Store;
use sitta_tree::retention::Keep;
use sitta_tree::template::Template;
use sitta_tree::{Civil, Entry, Filter, RelPath, Time};

pub use self::format::Format;
pub use self::run::archive;
pub use self::steps::{StepName, StepState, StepTold, Told, tell_failed};

/// What is packed.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Its store.
    pub store: Arc<dyn Store>,
    /// The one file that is meant; else all that the store holds.
    pub file: Option<(RelPath, Box<Entry>)>,
    /// It is not on this machine: reaching it is the step DOWNLOAD.
    pub is_remote: bool,
    /// It is inside an archive: finding it there is the step EXTRACT.
    pub is_inside: bool,
}

/// How it is packed, and what is kept of what was packed before.
#[derive(Debug, Clone)]
pub struct ArchiveOptions {
    /// How the archives of this job are named.
    pub template: Template,
    /// What they are.
    pub format: Format,
    /// How much is done to make them small; see [`Format::levels`].
    pub level: i32,
    /// What of a folder takes part.
    pub filter: Option<Arc<Filter>>,
    /// A source whose newest file is older is held back (`--max-age`).
    pub max_age: Option<Duration>,
    /// Which archives stay; none: all of them.
    pub keep: Keep,
    /// An archive of the same name is replaced; else it is held back (`--no-overwrite`).
    pub replace: bool,
    /// Read back what was sent, unless its store has checked it already.
    pub verify: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Go on though there is nothing to pack, or the one file that is meant is empty.
    pub force_empty: bool,
    /// The time now, in UTC.
    pub now: Time,
    /// The time now, on the clock that names are made by.
    pub local: Civil,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Its name in its folder.
    pub name: String,
    /// Its size in bytes; 0 if it was not made.
    pub size: u64,
    /// The size of what is in it.
    pub content: u64,
}
