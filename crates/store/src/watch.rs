//! Hearing of changes while they happen, from stores that can tell of them.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use sitta_tree::RelPath;
use tokio::sync::Notify;
use tokio::time::Instant;

/// More paths than this are not kept: looking at everything is cheaper then.
const MANY: usize = 100_000;

/// How closely to look at a path of which something was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// At what stands there; of what lies below, each change is told on its own.
    Entry,
    /// At all that lies below, too: it came with what it holds.
    Below,
}

/// What was heard since it was last asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Where something changed, or may have.
    pub changed: BTreeMap<RelPath, Look>,
    /// Why more may have changed than is told: everything has to be looked at.
    pub missed: Option<Missed>,
}

/// Why changes may have been missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// They came faster than they could be told.
    Overflow,
    /// The root is gone, was renamed or unmounted: nothing more will be heard from this watch.
    Gone,
    /// The system watches no more directories for this user (`fs.inotify.max_user_watches`): some are not watched.
    Limit,
}

impl Heard {
    /// Whether there is nothing to look at.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.missed.is_none()
    }

    /// Takes in one more path.
    pub fn add(&mut self, path: RelPath, look: Look) {
        let known = self.changed.entry(path).or_insert(look);
        *known = look.max(*known);
    }

    /// Takes in what another one has heard.
    pub fn join(&mut self, other: Self) {
        other.changed.into_iter().for_each(|(path, look)| self.add(path, look));
        self.missed = self.missed.or(other.missed);
    }
}

/// Hears of changes for as long as it lives: nothing that happens after it was made goes untold.
pub struct Watch {
    board: Board,
    source: Box<dyn Source>,
}

/// Who hears of changes.
#[async_trait]
pub trait Source: Any + Send + Sync {
    /// Waits until all that had happened when it was called stands on the board; false where that cannot be known.
    async fn catch_up(&self) -> bool {
        false
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    /// What is put on `board` by `source`, which lives as long as this.
    pub fn new(board: Board, source: impl Source) -> Self {
        Self { board, source: Box::new(source) }
    }

    /// Waits until all that had happened when it was called was heard, and can be taken; false where that cannot be
    /// known: a server tells of changes when it gets to it.
    pub async fn catch_up(&self) -> bool {
        self.source.catch_up().await
    }

    /// Waits until something was heard, and then until nothing more was for `quiet`, but not longer than `at_most`.
    pub async fn settled(&self, quiet: Duration, at_most: Duration) {
        loop {
            let told = self.board.news.notified();
            let due = self.board.lock().times.map(|(first, last)| (last + quiet).min(first + at_most));
            match due {
                Some(due) if due <= Instant::now() => return,
                Some(due) => tokio::time::sleep_until(due).await,
                None => told.await,
            }
        }
    }

    /// What was heard since the last time.
    pub fn take(&self) -> Heard {
        let mut notes = self.board.lock();
        notes.times = None;
        std::mem::take(&mut notes.heard)
    }
}

/// Where whoever watches puts what it hears, until it is taken.
#[derive(Debug, Clone, Default)]
pub struct Board {
    notes: Arc<Mutex<Notes>>,
    news: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Notes {
    heard: Heard,
    /// When the first and the last of it was heard.
    times: Option<(Instant, Instant)>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Something changed at the path.
    pub fn changed(&self, path: RelPath, look: Look) {
        let mut notes = self.lock();
        notes.heard.add(path, look);
        if notes.heard.changed.len() > MANY {
            notes.heard.changed.clear();
            notes.heard.missed = Some(Missed::Overflow);
        }
        self.tell(notes);
    }

    /// More changed than can be told.
    pub fn missed(&self, why: Missed) {
        let mut notes = self.lock();
        notes.heard.missed = Some(why);
        self.tell(notes);
    }

    fn tell(&self, mut notes: MutexGuard<'_, Notes>) {
        let now = Instant::now();
        notes.times = Some((notes.times.map_or(now, |(first, _)| first), now));
        drop(notes);
        self.news.notify_one();
    }
}
