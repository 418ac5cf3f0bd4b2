//! The system's error numbers as the contract's kinds, in the system's own words.

use std::fmt;
use std::sync::Arc;

use rustix::io::Errno;
use sitta_tree::RelPath;

use crate::{Error, ErrorKind};

/// A system error that displays as its text alone: "No space left on device".
#[derive(Debug, Clone, Copy)]
pub(super) struct OsError(pub Errno);

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::io::Error::from(self.0).to_string();
        f.write_str(text.split(" (os error").next().unwrap_or(&text))
    }
}

impl std::error::Error for OsError {}

/// What sort of failure an error number is.
pub(super) fn kind(errno: Errno) -> ErrorKind {
    match errno {
        Errno::NOENT => ErrorKind::NotFound,
        Errno::ACCESS | Errno::PERM => ErrorKind::Denied,
        Errno::ROFS => ErrorKind::ReadOnly,
        Errno::EXIST => ErrorKind::Changed,
        Errno::NOTDIR | Errno::LOOP => ErrorKind::NotADirectory,
        Errno::ISDIR => ErrorKind::IsADirectory,
        Errno::NOTEMPTY => ErrorKind::NotEmpty,
        Errno::NOSPC | Errno::DQUOT => ErrorKind::Full,
        Errno::TXTBSY | Errno::BUSY | Errno::MFILE | Errno::NFILE | Errno::AGAIN => ErrorKind::Busy,
        Errno::NAMETOOLONG | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS => ErrorKind::Unsupported,
        Errno::XDEV | Errno::MLINK | Errno::ILSEQ | Errno::FBIG | Errno::OVERFLOW => ErrorKind::Unsupported,
        Errno::STALE | Errno::NOTCONN | Errno::TIMEDOUT | Errno::HOSTDOWN | Errno::HOSTUNREACH => {
            ErrorKind::Unreachable
        }
        Errno::CANCELED => ErrorKind::Cancelled,
        _ => ErrorKind::Other,
    }
}

/// The error of a call on `path`.
pub(super) fn at(location: &Arc<str>, path: &RelPath, errno: Errno) -> Error {
    Error::new(kind(errno), location, path.clone(), OsError(errno))
}

/// Why a change was not made, before it is known where.
#[derive(Debug)]
pub(super) enum Fail {
    /// The system refused.
    Os(Errno),
    /// The contract refused.
    Said(ErrorKind, &'static str),
}

impl Fail {
    pub fn changed(what: &'static str) -> Self {
        Self::Said(ErrorKind::Changed, what)
    }

    pub fn at(self, location: &Arc<str>, path: &RelPath) -> Error {
        match self {
            Self::Os(errno) => at(location, path, errno),
            Self::Said(kind, what) => Error::new(kind, location, path.clone(), what),
        }
    }
}

impl From<Errno> for Fail {
    fn from(errno: Errno) -> Self {
        Self::Os(errno)
    }
}

/// Whether the file system simply cannot do what was asked, so that another way is tried.
pub(super) fn cannot(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}
