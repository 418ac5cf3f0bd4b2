//! How the program ends: exit codes, and errors as a person reads them.

use std::fmt;
use std::process::ExitCode;

use sitta_store::ErrorKind;

/// The exit codes of design.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// Wrong usage or config.
    Usage = 2,
    /// Done, but some files could not be processed.
    Partial = 3,
    /// Held back by a guard.
    Held = 4,
    /// Conflicts are left for the user.
    Conflicts = 5,
    /// Interrupted.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The outcome that JSON reports name.
    pub fn outcome(self) -> &'static str {
        match self {
            Self::Done | Self::Conflicts => "success",
            Self::Failed | Self::Usage => "failed",
            Self::Partial => "partial",
            Self::Held => "held",
            Self::Interrupted => "interrupted",
        }
    }
}

impl Exit {
    /// The more serious of two ends: what several runs one after the other end with.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |exit: Self| match exit {
            Self::Done => 0,
            Self::Conflicts => 1,
            Self::Partial => 2,
            Self::Held => 3,
            Self::Usage | Self::Failed => 4,
            Self::Interrupted => 5,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

/// What could not be done to which thing; then why, and what state things are in; then what to do about it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What could not be done. One line, no full stop.
    pub what: String,
    /// Why, and what state things are in: a line each.
    pub notes: Vec<String>,
    /// A command or an option that helps.
    pub hint: Option<String>,
    /// What sort of trouble it was, if a place was in it.
    pub kind: Option<ErrorKind>,
}

/// What a command gives.
pub type Outcome<T = Exit> = Result<T, Failure>;

impl Failure {
    /// Wrong usage or config.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// It could not be done.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(Exit::Failed, what)
    }

    /// With this exit code.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), notes: Vec::new(), hint: None, kind: None }
    }

    /// Adds a line that says why or how things stand.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds more such lines.
    pub fn notes<'n>(mut self, notes: impl IntoIterator<Item = &'n str>) -> Self {
        self.notes.extend(notes.into_iter().map(str::to_owned));
        self
    }

    /// Says what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.notes.iter().try_for_each(|note| write!(f, "\n  {note}"))?;
        self.hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}
