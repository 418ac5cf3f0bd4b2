//! What a store says when it could not do something: kind, place, cause. What was being attempted is added by the
//! floor above; what to do about it by the program.

use std::fmt;
use std::sync::Arc;

use sitta_tree::{ProblemKind, RelPath};

/// What sort of failure it was: what callers decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nothing stands at the path.
    NotFound,
    /// The store refused: permissions.
    Denied,
    /// The store, or this part of it, is read-only.
    ReadOnly,
    /// A precondition did not hold: the entry is another version than expected, or something stands where nothing
    /// should. Nothing was changed.
    Changed,
    /// A directory was expected at the path or above it, and something else stands there (a symbolic link too).
    NotADirectory,
    /// The path is a directory and the call is for files.
    IsADirectory,
    /// The directory to remove is not empty.
    NotEmpty,
    /// No space or quota left.
    Full,
    /// Somebody else holds it locked or open.
    Busy,
    /// The store cannot hold or do this at all.
    Unsupported,
    /// Bytes that differ from what they should be.
    Corrupt,
    /// Wrong user, password or key.
    Auth,
    /// The server's certificate or host key is not one that is trusted: it may be somebody else.
    Untrusted,
    /// The connection failed, was lost, or timed out. Trying again may help.
    Unreachable,
    /// The caller cancelled.
    Cancelled,
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// Whether the same call may succeed shortly.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Unreachable | Self::Busy)
    }
}

/// A failed call. Displays as `path: reason`, without the location: reports name that once.
#[derive(Clone)]
pub struct Error {
    /// What sort.
    pub kind: ErrorKind,
    /// The store, printable and without any password.
    pub location: Arc<str>,
    /// Which entry; none when the store itself is meant.
    pub path: Option<RelPath>,
    /// The cause in the place's own words.
    pub source: Arc<dyn std::error::Error + Send + Sync>,
}

/// What a store call gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` at `path`, caused by `source`.
    pub fn new(
        kind: ErrorKind,
        location: &Arc<str>,
        path: impl Into<Option<RelPath>>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, location: location.clone(), path: path.into(), source: Arc::from(source.into()) }
    }

    /// What sort of problem this is, when the path was being read (`writing` false) or written.
    pub fn problem_kind(&self, writing: bool) -> ProblemKind {
        match self.kind {
            ErrorKind::NotFound | ErrorKind::Changed | ErrorKind::NotEmpty => ProblemKind::Changed,
            ErrorKind::NotADirectory | ErrorKind::IsADirectory => ProblemKind::Changed,
            ErrorKind::Full => ProblemKind::Full,
            ErrorKind::Busy => ProblemKind::Busy,
            ErrorKind::Unsupported => ProblemKind::Unsupported,
            ErrorKind::Corrupt => ProblemKind::Corrupt,
            ErrorKind::Auth | ErrorKind::Untrusted | ErrorKind::Unreachable => ProblemKind::Unreachable,
            ErrorKind::Denied | ErrorKind::ReadOnly | ErrorKind::Cancelled | ErrorKind::Other => match writing {
                true => ProblemKind::Unwritable,
                false => ProblemKind::Unreadable,
            },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) if !path.is_root() => write!(f, "{path}: {}", self.source),
            _ => write!(f, "{}: {}", self.location, self.source),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {} ({self})", self.kind, self.location)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}
