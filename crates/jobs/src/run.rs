//! A job's run: what it was for, what it did, how it ended.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sitta_ops::archive::{StepState, StepTold, Told};

use crate::words;

/// How a job's run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// Everything was done.
    Success,
    /// Done, but some files could not be processed.
    Partial,
    /// A guard held something back.
    Held,
    /// Conflicts are left for the user.
    Conflicts,
    /// It could not be done.
    Failed,
    /// It was stopped, or killed.
    Interrupted,
}

impl Ended {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Success, Self::Partial, Self::Held, Self::Conflicts, Self::Failed, Self::Interrupted];

    /// The stable name, as in JSON, the history and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Held => "held",
            Self::Conflicts => "conflicts",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// From its stable name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ended| ended.name() == name)
    }
}

/// Why a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Somebody said so.
    Hand,
    /// It was time.
    Schedule,
    /// It was time while the machine, or the daemon, was off.
    CatchUp,
    /// It is a sync that goes on until it is stopped.
    Watch,
}

impl Cause {
    /// The stable name, as in JSON and the history.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hand => "hand",
            Self::Schedule => "schedule",
            Self::CatchUp => "catch-up",
            Self::Watch => "watch",
        }
    }

    /// From its stable name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Hand, Self::Schedule, Self::CatchUp, Self::Watch].into_iter().find(|cause| cause.name() == name)
    }
}

/// What became of files and links, all steps together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// New on a side.
    pub copied: u64,
    /// Replaced another version.
    pub updated: u64,
    /// Removed.
    pub deleted: u64,
    /// Renamed.
    pub moved: u64,
    /// The same from the start.
    pub unchanged: u64,
    /// Changed on both sides of a sync.
    pub conflicts: u64,
    /// What could not be processed.
    pub problems: u64,
    /// File bytes sent.
    pub bytes: u64,
    /// Requests made to servers.
    pub requests: u64,
}

/// One problem, as far as the history keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Where, safe to print.
    pub path: String,
    /// Which kind, as in JSON reports.
    pub kind: String,
    /// Why.
    pub message: String,
}

/// One pair of places that a run worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The id under which the state and the trash know it.
    pub run: String,
    /// The source's location, or the left side's.
    pub from: String,
    /// The destination's location, or the right side's.
    pub to: String,
}

/// A named step of an archive, as it stands in JSON, in the history, and in what people are told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedStep {
    /// `DOWNLOAD`, `EXTRACT`, …
    pub step: String,
    /// `begun`, `done`, `failed` or `skipped`.
    pub state: String,
    /// What it has to tell, or why it failed or was left out; empty if it has only begun.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// How long it took.
    pub seconds: f64,
    /// The same as `text`, for programs.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
}

impl NamedStep {
    /// What is told of a step.
    pub fn of(told: &StepTold) -> Self {
        let (text, facts) = match &told.state {
            StepState::Begun => (String::new(), json!({})),
            StepState::Done(done) => (words::told(done), facts(done)),
            StepState::Failed(why) | StepState::Skipped(why) => (why.clone(), json!({"reason": why})),
        };
        let facts = match facts {
            Value::Object(facts) => facts,
            _ => Map::new(),
        };
        let (step, state) = (told.step.name().to_owned(), told.state.name().to_owned());
        Self { step, state, text, seconds: told.took.as_secs_f64(), facts }
    }

    /// Whether the run came to nothing here.
    pub fn has_failed(&self) -> bool {
        self.state == StepState::Failed(String::new()).name()
    }

    /// `done: the newest file is 2 h 10 min old`
    pub fn line(&self) -> String {
        format!("{}: {}", self.state, self.text)
    }
}

/// What a step that ended well has to tell programs.
fn facts(told: &Told) -> Value {
    match told {
        Told::Source { files, bytes } => json!({"files": files, "bytes": bytes}),
        Told::Newest { at, age } => {
            json!({"newest": at.and_then(words::utc_time), "age": age.map(|age| age.as_secs_f64())})
        }
        Told::Packed { files, bytes, into } => json!({"files": files, "bytes": bytes, "packed": into}),
        Told::Stored { name, bytes, verified, replaced } => {
            json!({"name": name, "bytes": bytes, "verified": verified, "replaced": replaced})
        }
        Told::Cleaned { deleted, kept } => json!({"deleted": deleted, "kept": kept}),
    }
}

/// How a run ended, and what it did.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// How.
    pub ended: Ended,
    /// The exit code of design.md.
    pub exit: u8,
    /// What it did.
    pub counts: Counts,
    /// The first problems; `counts.problems` says how many there were.
    pub problems: Vec<Note>,
    /// What could not be done, why, and a hint: a line each.
    pub message: Option<String>,
    /// The pairs it worked on.
    pub steps: Vec<Step>,
    /// The named steps of an archive, in order.
    pub named: Vec<NamedStep>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl Ending {
    /// The named step at which it came to nothing, if that is known.
    pub fn failed_step(&self) -> Option<&str> {
        self.named.iter().find(|named| named.has_failed()).map(|named| named.step.as_str())
    }

    /// The end of a run that did nothing.
    pub fn of(ended: Ended, exit: u8) -> Self {
        let (counts, problems, steps) = (Counts::default(), Vec::new(), Vec::new());
        Self { ended, exit, counts, problems, message: None, steps, named: Vec::new(), seconds: 0.0 }
    }
}

/// A run in the history.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its id: when it began, then the job.
    pub id: String,
    /// The job.
    pub job: String,
    /// `copy`, `mirror`, …
    pub verb: String,
    /// Why it ran.
    pub cause: Cause,
    /// The process.
    pub pid: u32,
    /// When it began.
    pub started: jiff::Timestamp,
    /// When it ended, and how; none while it goes on, or if nobody has noticed yet that it was killed.
    pub end: Option<(jiff::Timestamp, Ending)>,
}
