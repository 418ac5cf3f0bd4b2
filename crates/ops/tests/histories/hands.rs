//! What a user does to one side, past everything that Sitta knows of.

use std::collections::BTreeMap;

use sitta_tree::{RelPath, Time};

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    Dir { mode: u32 },
    File { bytes: Vec<u8>, mode: u32, mtime: Time },
    Link { target: Vec<u8> },
}

impl Thing {
    pub fn is_dir(&self) -> bool {
        matches!(self, Self::Dir { .. })
    }
}

/// All that a side holds, with our own directory and the temporaries.
pub type Everything = BTreeMap<RelPath, Thing>;

/// How a user saves a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Save {
    /// Into the file that is there: it keeps its inode.
    InPlace,
    /// As a new file, renamed into place.
    Replace,
}

/// A user of one side. What cannot be done is not done. Each gives the bytes of the files that it destroyed, none if
/// nothing was done.
pub trait Hands: Send {
    /// The paths that stand there, without what is ours, sorted, and whether each is a directory.
    fn paths(&mut self) -> Vec<(RelPath, bool)>;

    fn everything(&mut self) -> Everything;

    fn read(&mut self, path: &RelPath) -> Option<Vec<u8>>;

    fn put(&mut self, path: &RelPath, bytes: &[u8], save: Save) -> Option<Vec<Vec<u8>>>;

    fn make_dir(&mut self, path: &RelPath) -> bool;

    fn link(&mut self, path: &RelPath, target: &[u8]) -> bool;

    /// With all it holds.
    fn remove(&mut self, path: &RelPath) -> Option<Vec<Vec<u8>>>;

    /// Nothing may stand at the new path.
    fn rename(&mut self, from: &RelPath, to: &RelPath) -> bool;

    fn chmod(&mut self, path: &RelPath, mode: u32);

    /// Gives a file a new time: the current one, or one long ago.
    fn touch(&mut self, path: &RelPath, long_ago: Option<i64>);

    /// The side becomes what it was when `copy` was taken, our own directory apart.
    fn restore(&mut self, copy: &Everything);

    /// Whether it works through an object server. What it does may not meet with a change on its way, as nothing there
    /// tells which came first; and listings tell a version by a hash of its bytes, so that new metadata alone goes
    /// unnoticed.
    fn is_remote(&self) -> bool {
        false
    }

    /// Where a file and what is below it stand side by side, the file gets another name.
    fn untangle(&mut self) {}

    /// What an earlier process left looks like that of a process that is no more.
    fn age_temporaries(&mut self) {}
}

/// Whether a path is ours: the trash.
pub fn is_ours(path: &RelPath) -> bool {
    path.parts().next() == Some(b".sitta")
}
