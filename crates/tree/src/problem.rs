//! Problems are data: what could not be done is recorded, the run goes on, the report lists it.

use crate::RelPath;

/// What sort of problem it is. The names are stable: they appear in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// No permission, or an I/O error while reading.
    Unreadable,
    /// No permission, read-only, or an I/O error while writing.
    Unwritable,
    /// It changed or vanished while being processed; the next run takes it up.
    Changed,
    /// Locked by somebody else.
    Busy,
    /// A fifo, socket or device.
    Special,
    /// The other store cannot hold it: name, length, type.
    Unsupported,
    /// Two names that are one name on a case-insensitive or normalising store.
    NameClash,
    /// Bytes that differ from what they should be.
    Corrupt,
    /// No space left.
    Full,
    /// The connection was lost or the server did not answer in time.
    Unreachable,
    /// Anything else; the message says what.
    Other,
}

impl ProblemKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Unreadable,
        Self::Unwritable,
        Self::Changed,
        Self::Busy,
        Self::Special,
        Self::Unsupported,
        Self::NameClash,
        Self::Corrupt,
        Self::Full,
        Self::Unreachable,
        Self::Other,
    ];

    /// The stable name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Unwritable => "unwritable",
            Self::Changed => "changed",
            Self::Busy => "busy",
            Self::Special => "special",
            Self::Unsupported => "unsupported",
            Self::NameClash => "name_clash",
            Self::Corrupt => "corrupt",
            Self::Full => "full",
            Self::Unreachable => "unreachable",
            Self::Other => "other",
        }
    }
}

/// One thing that was not done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which entry.
    pub path: RelPath,
    /// What sort.
    pub kind: ProblemKind,
    /// One line for a person, in the store's own words where it has any.
    pub message: String,
}

impl Problem {
    /// A problem of `kind` at `path`.
    pub fn new(path: RelPath, kind: ProblemKind, message: impl Into<String>) -> Self {
        Self { path, kind, message: message.into() }
    }
}
