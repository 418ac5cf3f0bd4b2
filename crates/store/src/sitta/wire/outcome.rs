//! What became of a change, or of a whole request.

use serde::{Deserialize, Serialize};

use super::{Text, WireEntry};
use crate::{Error, ErrorKind};

/// What became of one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is done; what stands there now, if anything does.
    Done(Option<WireEntry>),
    /// It is not.
    Failed(Refusal),
}

/// Why something was not done (RFC 9457, `application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What sort; see [`kind_name`].
    pub kind: String,
    /// In a few words.
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// In the words of the place where it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Text>,
}

const KINDS: [(ErrorKind, &str); 16] = [
    (ErrorKind::NotFound, "not_found"),
    (ErrorKind::Denied, "denied"),
    (ErrorKind::ReadOnly, "read_only"),
    (ErrorKind::Changed, "changed"),
    (ErrorKind::NotADirectory, "not_a_directory"),
    (ErrorKind::IsADirectory, "is_a_directory"),
    (ErrorKind::NotEmpty, "not_empty"),
    (ErrorKind::Full, "full"),
    (ErrorKind::Busy, "busy"),
    (ErrorKind::Unsupported, "unsupported"),
    (ErrorKind::Corrupt, "corrupt"),
    (ErrorKind::Auth, "login"),
    (ErrorKind::Untrusted, "untrusted"),
    (ErrorKind::Unreachable, "unreachable"),
    (ErrorKind::Cancelled, "cancelled"),
    (ErrorKind::Other, "other"),
];

/// The name that an error goes by.
pub fn kind_name(kind: ErrorKind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("other", |(_, name)| name)
}

impl Refusal {
    /// The kind of error that was told.
    pub fn error_kind(&self) -> ErrorKind {
        KINDS.iter().find(|(_, name)| *name == self.kind).map_or(ErrorKind::Other, |(kind, _)| *kind)
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        Self {
            kind: kind_name(error.kind).to_owned(),
            title: error.source.to_string(),
            status: 0,
            detail: None,
            path: error.path.as_ref().map(Text::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_keeps_its_name() {
        for (kind, name) in KINDS {
            let error = Error::new(kind, &"here".into(), None, "why");
            assert_eq!((kind_name(kind), Refusal::from(&error).error_kind()), (name, kind));
        }
    }
}
