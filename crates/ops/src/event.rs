//! What a run tells while it goes on. Everything that shows, logs or sends the course of a run reads this one stream.

use std::time::Duration;

use sitta_tree::{Conflict, Problem, RelPath, Side, Summary, Time};

use crate::Report;
use crate::archive::StepTold;
use crate::trash::Emptied;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The run began.
    Started {
        /// `copy`, `mirror`, …
        verb: &'static str,
        /// The run's id, unique on this machine.
        run: String,
        /// The source, or the left side.
        left: String,
        /// The destination, or the right side.
        right: String,
    },
    /// An earlier run was interrupted; what it left half done was finished or undone.
    Recovered {
        /// How many temporaries were removed.
        temporaries: u64,
    },
    /// A side was looked at.
    Scanned {
        /// Which.
        side: Side,
        /// Its location.
        location: String,
        /// Files and links.
        files: u64,
        /// Their bytes.
        bytes: u64,
        /// How long it took.
        took: Duration,
    },
    /// It is decided what to do.
    Planned(Summary),
    /// Dry run: what would be done, in order.
    Would(Step),
    /// A file is about to be sent.
    Sending {
        /// Which.
        path: RelPath,
        /// Its size in bytes.
        size: u64,
    },
    /// Something was done.
    Done(Step),
    /// All is in place; it is being made safe from a power cut, which may take a while.
    Syncing,
    /// Both sides had changed the same thing, and this became of it.
    Conflict(Conflict),
    /// Something was not done; the run goes on.
    Problem(Problem),
    /// A guard held something back.
    Held(Held),
    /// A side's trash let go of what it has kept long enough, or could not.
    Expired {
        /// Which side.
        side: Side,
        /// What is gone, and what could not be removed.
        emptied: Emptied,
    },
    /// From now on, changes on a side are taken up as they happen.
    Watching {
        /// Which side.
        side: Side,
        /// Its location.
        location: String,
        /// How often it is looked at; none if it tells of changes by itself.
        every: Option<Duration>,
    },
    /// A side cannot be worked on at the moment; it is tried again.
    Away {
        /// Which side.
        side: Side,
        /// Why, in the place's own words.
        why: String,
        /// When it is tried again.
        again_in: Duration,
    },
    /// A side that was away is back.
    Back {
        /// Which.
        side: Side,
    },
    /// A named step of `archive` began or ended.
    Step(StepTold),
    /// The run ended; always the last event.
    Finished(Box<Report>),
}

/// One change to one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The side that is changed.
    pub side: Side,
    /// What is done.
    pub what: StepKind,
    /// Where.
    pub path: RelPath,
    /// A move's old path.
    pub from: Option<RelPath>,
    /// File bytes that are sent.
    pub bytes: u64,
}

/// What a [`Step`] does. The names are stable: they appear in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// A new file or link.
    Copy,
    /// A file or link in the place of another version.
    Update,
    /// New metadata only.
    Meta,
    /// A new directory.
    MakeDir,
    /// A rename.
    Move,
    /// A removed file or link.
    Delete,
    /// A removed directory.
    RemoveDir,
}

impl StepKind {
    /// The stable name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Update => "update",
            Self::Meta => "meta",
            Self::MakeDir => "make_dir",
            Self::Move => "move",
            Self::Delete => "delete",
            Self::RemoveDir => "remove_dir",
        }
    }
}

/// What a guard held back, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// More deletes than allowed: they were not done, everything else was.
    Deletes {
        /// On which side.
        side: Side,
        /// How many there are.
        planned: u64,
        /// How many are allowed.
        limit: u64,
        /// Of how many files on that side.
        of: u64,
    },
    /// A side that held files at the last run is empty now: nothing was done.
    Emptied {
        /// Which side.
        side: Side,
        /// How many files it held.
        held: u64,
    },
    /// A side's root is not there: nothing was done.
    Missing {
        /// Which side.
        side: Side,
    },
    /// There is nothing to pack: nothing was done.
    Empty,
    /// The source's newest file is older than allowed, or tells no time: nothing was done.
    Stale {
        /// When it was modified.
        newest: Option<Time>,
        /// How long ago that was.
        age: Duration,
        /// How long ago it may have been.
        max_age: Duration,
    },
    /// An archive of this name is there already, and shall not be replaced: nothing was done.
    Exists {
        /// Its name.
        name: String,
    },
    /// A side's root is another directory or another file system than at the last run, and lacks most of what it held:
    /// nothing was done.
    Replaced {
        /// Which side.
        side: Side,
    },
}

/// Reads the stream. Called from many threads at once; must be quick.
pub trait Sink: Send + Sync {
    /// Takes one event.
    fn event(&self, event: Event);
}

/// Reads nothing.
impl Sink for () {
    fn event(&self, _: Event) {}
}
