//! Whether what stands at a path is what was expected there.

use sitta_tree::{Entry, Fingerprint, Kind};

use crate::Precondition;

impl Precondition {
    /// Whether a change may happen where `now` stands. A directory's version is told by its id alone: what is put into
    /// it changes the rest.
    pub fn admits(&self, now: Option<&Entry>) -> bool {
        match (self, now) {
            (Self::None, _) | (Self::Absent, None) => true,
            (Self::Version(version), Some(entry)) => {
                same_bytes(entry, version)
                    && (entry.kind == Kind::Dir || version.change == 0 || entry.change == version.change)
            }
            _ => false,
        }
    }

    /// Whether this may be the expected entry after a rename of ours, which moves what changes with each version.
    pub(crate) fn admits_moved(&self, now: &Entry) -> bool {
        matches!(self, Self::Version(version) if same_bytes(now, version))
    }
}

/// Whether `entry` holds the bytes that `expected` tells of, though a step of ours may have moved what changes with
/// each version.
pub(crate) fn same_bytes(entry: &Entry, expected: &Fingerprint) -> bool {
    let now = entry.fingerprint();
    match entry.kind {
        Kind::Dir => expected.size == 0 && now.id == expected.id,
        _ => {
            let expected = Fingerprint { change: now.change, ..*expected };
            now.same_version(&expected)
        }
    }
}
