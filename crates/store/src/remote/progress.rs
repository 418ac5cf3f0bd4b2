//! How far the making of a file has come: after a cut it goes on from there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One attempt to make a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    from: u64,
    taken: Arc<AtomicU64>,
}

impl Progress {
    /// So many bytes from the beginning the server has taken already, in an attempt that was cut off: they stand in the
    /// file and are not among those to be sent. 0: no such file was made.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// The server has taken all bytes up to here, counted from the beginning of the file.
    pub fn note(&self, taken: u64) {
        self.taken.fetch_max(taken, Relaxed);
    }

    /// The attempt that goes on where this one was cut off; none: it came no further than where it began.
    pub fn next(&self) -> Option<Self> {
        let from = self.taken.load(Relaxed);
        (from > self.from).then(|| Self { from, taken: self.taken.clone() })
    }
}
