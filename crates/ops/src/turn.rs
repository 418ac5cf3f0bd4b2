//! A two-way pair is the same one whichever side is named first: inside, the sides stand in the order of their locations;
//! outside, as the user named them.

use std::sync::Arc;

use sitta_store::Store;
use sitta_tree::{Conflict, OnConflict, Outcome, Policy, Side};

use crate::event::{Event, Held, Sink};
use crate::{Options, Report, RunError};

/// Whether the sides stand the other way round inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn(bool);

impl Turn {
    pub fn of(policy: Policy, left: &str, right: &str) -> Self {
        Self(matches!(policy, Policy::Sync(_)) && left > right)
    }

    pub fn stores(self, left: Arc<dyn Store>, right: Arc<dyn Store>) -> [Arc<dyn Store>; 2] {
        if self.0 { [right, left] } else { [left, right] }
    }

    pub fn side(self, side: Side) -> Side {
        if self.0 { side.other() } else { side }
    }

    pub fn options(self, options: &Options) -> Options {
        let policy = match options.policy {
            Policy::Sync(OnConflict::Left) if self.0 => Policy::Sync(OnConflict::Right),
            Policy::Sync(OnConflict::Right) if self.0 => Policy::Sync(OnConflict::Left),
            policy => policy,
        };
        Options { policy, ..options.clone() }
    }

    pub fn sink(self, sink: &dyn Sink) -> Turned<'_> {
        Turned { turn: self, sink }
    }

    pub fn report(self, mut report: Report) -> Report {
        if self.0 {
            report.trash.reverse();
            report.changed.reverse();
            report.conflicts = report.conflicts.into_iter().map(|conflict| self.conflict(conflict)).collect();
            report.held = report.held.into_iter().map(|held| self.held(held)).collect();
        }
        report
    }

    pub fn error(self, error: RunError) -> RunError {
        match error {
            RunError::Held(held) => RunError::Held(self.held(held)),
            error => error,
        }
    }

    fn conflict(self, conflict: Conflict) -> Conflict {
        if !self.0 {
            return conflict;
        }
        let outcome = match conflict.outcome {
            Outcome::KeptBoth(side, path) => Outcome::KeptBoth(side.other(), path),
            Outcome::Won(side) => Outcome::Won(side.other()),
            Outcome::Left => Outcome::Left,
        };
        Conflict { path: conflict.path, left: conflict.right, right: conflict.left, outcome }
    }

    fn held(self, held: Held) -> Held {
        match held {
            Held::Deletes { side, planned, limit, of } => {
                Held::Deletes { side: self.side(side), planned, limit, of }
            }
            Held::Emptied { side, held } => Held::Emptied { side: self.side(side), held },
            Held::Missing { side } => Held::Missing { side: self.side(side) },
            Held::Replaced { side } => Held::Replaced { side: self.side(side) },
            held @ (Held::Empty | Held::Stale { .. } | Held::Exists { .. }) => held,
        }
    }

    fn event(self, event: Event) -> Event {
        match event {
            Event::Started { verb, run, left, right } if self.0 => {
                Event::Started { verb, run, left: right, right: left }
            }
            Event::Scanned { side, location, files, bytes, took } => {
                Event::Scanned { side: self.side(side), location, files, bytes, took }
            }
            Event::Would(mut step) => {
                step.side = self.side(step.side);
                Event::Would(step)
            }
            Event::Done(mut step) => {
                step.side = self.side(step.side);
                Event::Done(step)
            }
            Event::Conflict(conflict) => Event::Conflict(self.conflict(conflict)),
            Event::Held(held) => Event::Held(self.held(held)),
            Event::Watching { side, location, every } => Event::Watching { side: self.side(side), location, every },
            Event::Away { side, why, again_in } => Event::Away { side: self.side(side), why, again_in },
            Event::Expired { side, emptied } => Event::Expired { side: self.side(side), emptied },
            Event::Back { side } => Event::Back { side: self.side(side) },
            event => event,
        }
    }
}

/// Tells of the sides as the user named them.
pub(crate) struct Turned<'a> {
    turn: Turn,
    sink: &'a dyn Sink,
}

impl Turned<'_> {
    /// The last event, of a report that is turned already.
    pub fn finished(&self, report: &Report) {
        self.sink.event(Event::Finished(Box::new(report.clone())));
    }
}

impl Sink for Turned<'_> {
    fn event(&self, event: Event) {
        self.sink.event(self.turn.event(event));
    }
}
