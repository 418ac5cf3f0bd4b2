//! Reads a run's events: for its log, and for what the history keeps of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard};

use jiff::Timestamp;
use sitta_ops::archive::{StepName, StepState};
use sitta_ops::{Event, Report, Sink};
use sitta_tree::Side;

use crate::{Counts, Ended, Ending, NamedStep, Note, RunLog, Step};

/// So many problems are kept in the history; the log has all.
const KEPT: usize = 100;

/// Takes down at once what a run that is killed could not tell at its end.
pub trait Notes: Send + Sync {
    /// A pair of places is worked on.
    fn step(&self, step: &Step);
    /// A watched sync is in step, or one of its places is away.
    fn watched(&self, in_step: bool);
}

/// Reads the events of all that one job's run does.
pub struct Recorder {
    inner: Mutex<Inner>,
    notes: Box<dyn Notes>,
    now: fn() -> Timestamp,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("steps", &self.inner().steps).finish_non_exhaustive()
    }
}

struct Inner {
    log: Option<RunLog>,
    steps: Vec<Step>,
    named: BTreeMap<StepName, NamedStep>,
    counts: Counts,
    /// What stands open, of each pair: a later round on the same pair replaces it.
    problems: BTreeMap<[String; 2], (u64, Vec<Note>)>,
    pair: [String; 2],
    said: Option<String>,
}

impl Recorder {
    /// Reads into `log`, if there is one. `now` is the clock that its lines are stamped by.
    pub fn new(log: Option<RunLog>, notes: Box<dyn Notes>, now: fn() -> Timestamp) -> Self {
        let inner = Inner {
            log,
            steps: Vec::new(),
            named: BTreeMap::new(),
            counts: Counts::default(),
            problems: BTreeMap::new(),
            pair: Default::default(),
            said: None,
        };
        Self { inner: Mutex::new(inner), notes, now }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Writes a line of its own into the log.
    pub fn line(&self, word: &str, text: &str) {
        if let Some(log) = &mut self.inner().log {
            log.line((self.now)(), word, text);
        }
    }

    /// Notes what could not be done, why, and a hint, where the run goes on all the same.
    pub fn say(&self, what: String) {
        self.inner().said = Some(what);
    }

    /// All that was done, and closes the log with it. The second value says why the log is not whole, if it is not.
    pub fn finish(
        &self,
        ended: Ended,
        exit: u8,
        message: Option<String>,
        seconds: f64,
    ) -> (Ending, Option<io::Error>) {
        let mut inner = self.inner();
        let mut counts = inner.counts;
        counts.problems = inner.problems.values().map(|(n, _)| n).sum();
        let problems = inner.problems.values().flat_map(|(_, notes)| notes).take(KEPT).cloned().collect();
        let (steps, named) = (std::mem::take(&mut inner.steps), std::mem::take(&mut inner.named));
        let named = named.into_values().collect();
        let message = message.or_else(|| inner.said.take());
        let ending = Ending { ended, exit, counts, problems, message, steps, named, seconds };
        let broken = match &mut inner.log {
            Some(log) => {
                log.line((self.now)(), "Ended", &crate::notify::sum_up(&ending));
                if let Some(message) = &ending.message {
                    log.line((self.now)(), "", message);
                }
                log.flush().map(|error| io::Error::new(error.kind(), error.to_string()))
            }
            None => None,
        };
        (ending, broken)
    }
}

impl Inner {
    fn add(&mut self, report: &Report) {
        let counts = &mut self.counts;
        counts.copied += report.copied;
        counts.updated += report.updated;
        counts.deleted += report.deleted;
        counts.moved += report.moved;
        counts.unchanged += report.unchanged;
        counts.conflicts += report.conflicts.len() as u64;
        counts.bytes += report.bytes;
        counts.requests += report.requests;
        let notes = report.problems.iter().take(KEPT).map(|problem| Note {
            path: problem.path.to_string(),
            kind: problem.kind.name().to_owned(),
            message: problem.message.clone(),
        });
        self.problems.insert(self.pair.clone(), (report.problems.len() as u64, notes.collect()));
    }
}

impl Sink for Recorder {
    fn event(&self, event: Event) {
        let mut inner = self.inner();
        match &event {
            Event::Started { run, left, right, .. } => {
                inner.pair = [left.clone(), right.clone()];
                inner.steps.push(Step { run: run.clone(), from: left.clone(), to: right.clone() });
            }
            // One that seemed to have gone well may fail later: what is in an archive is seen to be damaged only when it is read.
            Event::Step(told) if told.state != StepState::Begun => {
                inner.named.insert(told.step, NamedStep::of(told));
            }
            Event::Finished(report) => inner.add(report),
            _ => {}
        }
        if let Some(log) = &mut inner.log {
            log.event((self.now)(), &event);
        }
        drop(inner);
        match event {
            Event::Watching { side: Side::Right, .. } | Event::Back { .. } => self.notes.watched(true),
            Event::Started { run, left, right, .. } => self.notes.step(&Step { run, from: left, to: right }),
            Event::Away { .. } => self.notes.watched(false),
            _ => {}
        }
    }
}
