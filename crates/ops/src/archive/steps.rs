//! The named steps that an archive is made in, told as they begin and end.

use std::time::{Duration, Instant};

use sitta_tree::Time;

use crate::event::{Event, Sink};

/// A step. The names are stable: they appear in logs, mails and JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StepName {
    /// The source is reached and looked at, where it is not on this machine.
    Download,
    /// What is meant is found inside an archive, where the source is in one.
    Extract,
    /// There is something to pack, and it is fresh enough.
    Check,
    /// It is packed.
    Compress,
    /// The archive arrives, is whole, and stands under its name.
    Upload,
    /// Old archives of the same job go.
    Clean,
}

impl StepName {
    /// All of them, in order.
    pub const ALL: [Self; 6] =
        [Self::Download, Self::Extract, Self::Check, Self::Compress, Self::Upload, Self::Clean];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Download => "DOWNLOAD",
            Self::Extract => "EXTRACT",
            Self::Check => "CHECK",
            Self::Compress => "COMPRESS",
            Self::Upload => "UPLOAD",
            Self::Clean => "CLEAN",
        }
    }
}

/// Why nothing is downloaded.
pub(super) const HERE: &str = "the source is on this machine";
/// Why nothing is extracted.
pub(super) const NOT_INSIDE: &str = "the source is not inside an archive";

/// Where a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// It has begun.
    Begun,
    /// It ended well.
    Done(Told),
    /// It did not; why.
    Failed(String),
    /// It was not for this run, or came to nothing; why.
    Skipped(String),
}

impl StepState {
    /// The stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
        }
    }
}

/// What a step that ended well has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The source holds so many files and links, of so many bytes.
    Source {
        /// Files and links.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The newest of the source's files is of that time; none where the source tells no times.
    Newest {
        /// When it was modified.
        at: Option<Time>,
        /// How long ago that was.
        age: Option<Duration>,
    },
    /// So much was packed.
    Packed {
        /// Files and links.
        files: u64,
        /// Their bytes.
        bytes: u64,
        /// What became of them.
        into: u64,
    },
    /// The archive stands under its name.
    Stored {
        /// Its name.
        name: String,
        /// Its size.
        bytes: u64,
        /// It was read back, or its store has compared its sum with ours.
        verified: bool,
        /// It took the place of one of the same name.
        replaced: bool,
    },
    /// What became of old archives.
    Cleaned {
        /// The names of those that are gone.
        deleted: Vec<String>,
        /// How many of this job there are now.
        kept: u64,
    },
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepTold {
    /// Which.
    pub step: StepName,
    /// Where it is.
    pub state: StepState,
    /// How long it took so far.
    pub took: Duration,
}

/// Tells that a run came to nothing before [`super::archive`] was called: this step failed, and why. The source is
/// elsewhere (`is_remote`) or in an archive (`is_inside`): the steps that this takes went well, if they come before.
pub fn tell_failed(
    sink: &dyn Sink,
    step: StepName,
    why: impl Into<String>,
    is_remote: bool,
    is_inside: bool,
) -> Vec<StepTold> {
    let mut steps = Steps::new(sink);
    let reached = Told::Source { files: 0, bytes: 0 };
    for before in StepName::ALL.into_iter().filter(|before| *before < step) {
        match before {
            StepName::Download if is_remote => steps.done(before, reached.clone()),
            StepName::Extract if is_inside => steps.done(before, reached.clone()),
            StepName::Download => steps.skipped(before, HERE),
            StepName::Extract => steps.skipped(before, NOT_INSIDE),
            _ => steps.skipped(before, format!("{} failed", step.name())),
        }
    }
    steps.failed(step, why);
    steps.all()
}

/// Tells the steps of a run, and remembers how each ended.
pub(super) struct Steps<'s> {
    sink: &'s dyn Sink,
    begun: [Option<Instant>; StepName::ALL.len()],
    ended: Vec<StepTold>,
}

impl<'s> Steps<'s> {
    pub fn new(sink: &'s dyn Sink) -> Self {
        Self { sink, begun: [None; StepName::ALL.len()], ended: Vec::new() }
    }

    pub fn begin(&mut self, step: StepName) {
        self.begun[step as usize] = Some(Instant::now());
        self.tell(step, StepState::Begun);
    }

    pub fn done(&mut self, step: StepName, told: Told) {
        self.tell(step, StepState::Done(told));
    }

    /// It failed; the steps that would have come are not taken.
    pub fn failed(&mut self, step: StepName, why: impl Into<String>) {
        self.tell(step, StepState::Failed(why.into()));
        for later in StepName::ALL.into_iter().filter(|later| *later > step) {
            if !self.ended.iter().any(|told| told.step == later) {
                self.skipped(later, format!("{} failed", step.name()));
            }
        }
    }

    pub fn skipped(&mut self, step: StepName, why: impl Into<String>) {
        self.tell(step, StepState::Skipped(why.into()));
    }

    fn tell(&mut self, step: StepName, state: StepState) {
        let took = self.begun[step as usize].map_or(Duration::ZERO, |begun| begun.elapsed());
        let told = StepTold { step, state, took };
        if told.state != StepState::Begun {
            self.ended.retain(|told| told.step != step);
            self.ended.push(told.clone());
        }
        self.sink.event(Event::Step(told));
    }

    /// How each of them ended, in order.
    pub fn all(mut self) -> Vec<StepTold> {
        self.ended.sort_by_key(|told| told.step);
        self.ended
    }
}
