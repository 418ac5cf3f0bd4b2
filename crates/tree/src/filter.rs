//! Which entries take part: include and exclude patterns, sizes, times, extensions.

use crate::Time;

/// What a run leaves out. Both sides are scanned with the same filter, so that what is left out on one side is neither
/// copied, compared nor deleted on the other.
#[derive(Debug, Clone, Default)]
pub struct Filter {}

impl Filter {
    /// Whether the entry at `path` (bytes relative to the root, no leading slash) is left out by its name. A directory
    /// that is left out is not descended into.
    pub fn excludes(&self, path: &[u8], is_dir: bool) -> bool {
        let _ = (path, is_dir);
        false
    }

    /// Whether a file takes part by its size and time. Asked after [`Filter::excludes`], for files only.
    pub fn admits_file(&self, path: &[u8], size: u64, mtime: Time) -> bool {
        let _ = (path, size, mtime);
        true
    }
}
