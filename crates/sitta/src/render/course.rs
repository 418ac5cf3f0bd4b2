//! How far a run is, gathered from its events.

use std::time::{Duration, Instant};

use sitta_ops::{Event, Step, StepKind};
use sitta_tree::{RelPath, Side, Summary};

/// A side that was looked at.
#[derive(Debug, Clone)]
pub struct Look {
    pub side: Side,
    pub files: u64,
    pub bytes: u64,
    pub took: Duration,
}

/// How far a run is.
#[derive(Debug, Default)]
pub struct Course {
    pub looks: Vec<Look>,
    pub plan: Option<Summary>,
    /// What flowed before anything was sent: looking counts too.
    pub flowed_before: u64,
    pub sending_since: Option<Instant>,
    /// What is being sent.
    pub moving: Option<RelPath>,
    /// It comes here; otherwise it goes somewhere.
    pub receiving: bool,
    /// All is in place and is being made safe from a power cut.
    pub syncing: bool,
    /// Files and links done, of whichever sort.
    pub done: u64,
    pub overwritten: u64,
    pub dirs_made: u64,
    pub dirs_removed: u64,
    /// Dry run: what would be done.
    pub would: Vec<Step>,
}

impl Course {
    /// Takes notice of an event; `flowed` is what flowed so far.
    pub fn note(&mut self, event: &Event, flowed: u64) {
        match event {
            Event::Scanned { side, files, bytes, took, .. } => {
                self.looks.push(Look { side: *side, files: *files, bytes: *bytes, took: *took });
                self.looks.sort_by_key(|look| look.side as u8);
            }
            Event::Planned(summary) => {
                self.plan = Some(*summary);
                self.flowed_before = flowed;
                self.sending_since = Some(Instant::now());
            }
            Event::Sending { path, .. } => self.moving = Some(path.clone()),
            Event::Syncing => self.syncing = true,
            Event::Would(step) => self.would.push(step.clone()),
            Event::Done(step) => self.count(step.what),
            _ => {}
        }
    }

    fn count(&mut self, what: StepKind) {
        match what {
            StepKind::MakeDir => self.dirs_made += 1,
            StepKind::RemoveDir => self.dirs_removed += 1,
            StepKind::Update => self.overwritten += 1,
            StepKind::Copy | StepKind::Meta | StepKind::Move | StepKind::Delete => {}
        }
        if !matches!(what, StepKind::MakeDir | StepKind::RemoveDir) {
            self.done += 1;
        }
    }

    /// Whether anything is planned for files.
    pub fn has_work(&self) -> bool {
        self.plan.is_some_and(|plan| steps(&plan) > 0)
    }
}

/// How many files and links a plan touches.
pub fn steps(plan: &Summary) -> u64 {
    plan.new + plan.changed + plan.moved + plan.deleted
}
