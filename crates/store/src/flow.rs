//! What flows in a run, and whether it shall stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts what flows and asks it to stop; shared by all calls of a run.
#[derive(Debug, Default)]
pub struct Flow {
    bytes: AtomicU64,
    entries: AtomicU64,
    cancelled: AtomicBool,
    /// Wakes those who wait for that.
    stop: Notify,
}

impl Flow {
    /// Adds bytes that arrived.
    pub fn add_bytes(&self, n: u64) {
        self.bytes.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes back bytes that came to nothing: they will come again.
    pub fn take_back(&self, n: u64) {
        let _ =
            self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bytes| Some(bytes.saturating_sub(n)));
    }

    /// Adds entries that were listed.
    pub fn add_entries(&self, n: u64) {
        self.entries.fetch_add(n, Ordering::Relaxed);
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Entries so far.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Asks all calls to end soon with [`crate::ErrorKind::Cancelled`]; what was begun is finished or undone.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.stop.notify_waiters();
    }

    /// Waits until all calls shall end.
    pub async fn cancelled(&self) {
        let stopped = self.stop.notified();
        tokio::pin!(stopped);
        stopped.as_mut().enable();
        if !self.is_cancelled() {
            stopped.await;
        }
    }

    /// Whether to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
