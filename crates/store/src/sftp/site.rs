//! Where a call is, and how its failures are told.

use std::sync::Arc;

use sitta_tree::{Entry, Kind, Meta, RelPath, Time, Unknown};

use super::packet::Attrs;
use super::session::Failure;
use crate::{Error, ErrorKind};

/// A path of the store, and the same on the server.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub location: Arc<str>,
    pub path: RelPath,
    pub full: Vec<u8>,
}

impl Site {
    pub fn error(&self, kind: ErrorKind, what: impl Into<String>) -> Error {
        Error::new(kind, &self.location, self.path.clone(), what.into())
    }

    /// What a failure means here. Servers of version 3 know few codes (section 7); some use those of later drafts.
    pub fn told(&self, failure: Failure) -> Error {
        let kind = match &failure {
            Failure::Lost(_) => ErrorKind::Unreachable,
            Failure::Nonsense => ErrorKind::Other,
            Failure::Status { code, .. } => match code {
                2 | 10 => ErrorKind::NotFound,
                3 => ErrorKind::Denied,
                6 | 7 => ErrorKind::Unreachable,
                // What OpenSSH says of a name that is too long, or that its file system refuses.
                5 | 8 | 20 => ErrorKind::Unsupported,
                11 => ErrorKind::Changed,
                12 => ErrorKind::ReadOnly,
                14 | 15 => ErrorKind::Full,
                17 => ErrorKind::Busy,
                18 => ErrorKind::NotEmpty,
                19 => ErrorKind::NotADirectory,
                24 => ErrorKind::IsADirectory,
                _ => ErrorKind::Other,
            },
        };
        let what = match &failure {
            Failure::Status { code: 5, .. } => "the server refuses the name or the request: Bad message".into(),
            failure => failure.text(),
        };
        self.error(kind, what)
    }

    /// Whether nothing stands there.
    pub fn is_missing(failure: &Failure) -> bool {
        matches!(failure, Failure::Status { code: 2 | 10, .. })
    }

    /// Whether the server failed without saying why.
    pub fn is_vague(failure: &Failure) -> bool {
        matches!(failure, Failure::Status { code: 4, .. })
    }
}

const FORMAT: u32 = 0o170_000;

/// The entry that `attrs` tell of, but for a link's target; none if they do not tell its kind.
pub(super) fn entry(attrs: &Attrs, owners: bool) -> Option<Entry> {
    let mode = attrs.mode.filter(|mode| mode & FORMAT != 0)?;
    let kind = match mode & FORMAT {
        0o100_000 => Kind::File,
        0o040_000 => Kind::Dir,
        0o120_000 => Kind::Symlink,
        _ => return Some(Entry::unknown(Unknown::Special)),
    };
    let (uid, gid) = attrs.owner.filter(|_| owners).unwrap_or_default();
    let (_, mtime) = attrs.times.unwrap_or_default();
    let meta = Meta { mtime: Time::new(i64::from(mtime), 0), mode: mode & 0o7777, uid, gid, xattrs: 0 };
    let size = if kind == Kind::File { attrs.size.unwrap_or(0) } else { 0 };
    Some(Entry { size, meta, ..Entry::new(kind) })
}

/// Seconds as the protocol has them: 1970 to 2106; what lies outside becomes the nearest.
pub(super) fn times(mtime: Time) -> (u32, u32) {
    let seconds = u32::try_from(mtime.secs).unwrap_or(if mtime.secs < 0 { 0 } else { u32::MAX });
    (seconds, seconds)
}
