//! What a run did, all told.

use std::time::Duration;

use sitta_tree::{Conflict, Problem};

use crate::archive::{Packed, StepTold};
use crate::event::Held;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was done.
    Success,
    /// Done, but some entries could not be processed.
    Partial,
    /// A guard held something back.
    Held,
    /// It could not be done.
    Failed,
    /// The user stopped it.
    Interrupted,
}

impl Outcome {
    /// The stable name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What a run did. Files and links are counted; directories are not.
#[derive(Debug, Clone)]
pub struct Report {
    /// `copy`, `mirror`, …
    pub verb: &'static str,
    /// The run's id.
    pub run: String,
    /// How it ended.
    pub outcome: Outcome,
    /// New on a side.
    pub copied: u64,
    /// Replaced another version, or got new metadata.
    pub updated: u64,
    /// Removed.
    pub deleted: u64,
    /// Renamed.
    pub moved: u64,
    /// The same on both sides from the start.
    pub unchanged: u64,
    /// File bytes sent.
    pub bytes: u64,
    /// Requests made to remote stores; 0 for local ones.
    pub requests: u64,
    /// How long it took.
    pub took: Duration,
    /// What was not done, sorted by path.
    pub problems: Vec<Problem>,
    /// Conflicts and what became of them.
    pub conflicts: Vec<Conflict>,
    /// What guards held back.
    pub held: Vec<Held>,
    /// Where old versions of either side went, as printable locations; none if they are gone or there were none.
    pub trash: [Option<String>; 2],
    /// On which sides anything was done.
    pub changed: [bool; 2],
    /// Whether this only says what would be done.
    pub dry_run: bool,
    /// Of `archive`: its named steps, and how each ended.
    pub steps: Vec<StepTold>,
    /// Of `archive`: what was made.
    pub archive: Option<Packed>,
}

impl Report {
    /// Takes in what a later round of the same session did. What stands open is what stands open now.
    pub fn add(&mut self, later: Self) {
        self.outcome = later.outcome;
        self.copied += later.copied;
        self.updated += later.updated;
        self.deleted += later.deleted;
        self.moved += later.moved;
        self.unchanged = later.unchanged.max(self.unchanged);
        self.bytes += later.bytes;
        self.requests = later.requests;
        self.took += later.took;
        self.problems = later.problems;
        self.conflicts.extend(later.conflicts);
        self.held = later.held;
        self.changed = [0, 1].map(|side: usize| self.changed[side] || later.changed[side]);
        for (own, later) in self.trash.iter_mut().zip(later.trash) {
            *own = later.or(own.take());
        }
    }

    /// The report of a session that was stopped, which is how it ends: nothing was left half done.
    #[must_use]
    pub fn stopped(mut self) -> Self {
        if self.outcome == Outcome::Interrupted {
            self.outcome = if self.problems.is_empty() { Outcome::Success } else { Outcome::Partial };
        }
        self
    }

    /// Whether anything was done or has to be told.
    pub fn is_idle(&self) -> bool {
        self.copied + self.updated + self.deleted + self.moved == 0
            && self.problems.is_empty()
            && self.conflicts.is_empty()
            && self.held.is_empty()
    }
}
