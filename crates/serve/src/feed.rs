//! Telling of changes: one watch a share, however many listen, and none while nobody does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sitta_store::sitta::feed::News;
use sitta_store::sitta::wire::Text;
use sitta_store::watch::{Heard, Look, Missed, Watch};
use sitta_store::{Error, Store};
use tokio::sync::{Notify, broadcast};

/// News that wait for one listener; who is slower misses some, and is told so.
const WAITING: usize = 4096;

/// More paths than this are not kept for a follower: looking at everything is cheaper then.
const MANY: usize = 100_000;

/// What is heard within so long is told together: long enough to join what belongs together, too short to be felt.
const QUIET: Duration = Duration::from_millis(2);
const AT_MOST: Duration = Duration::from_millis(20);

/// Those who listen to one share.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    line: Mutex<Option<Arc<Line>>>,
}

impl Hub {
    /// All that happens from now on; none if the store cannot tell.
    pub async fn listen(&self, store: &Arc<dyn Store>) -> Result<Option<broadcast::Receiver<News>>, Error> {
        Ok(self.join(store).await?.map(|(_, listening)| listening))
    }

    /// As [`Hub::listen`], for the one that keeps up with what it has heard; it begins with having missed everything.
    pub async fn follow(&self, store: &Arc<dyn Store>) -> Result<Option<Follower>, Error> {
        let Some((line, alive)) = self.join(store).await? else { return Ok(None) };
        *line.kept() = Some(Heard { missed: Some(Missed::Overflow), ..Heard::default() });
        Ok(Some(Follower { line, _alive: alive }))
    }

    async fn join(&self, store: &Arc<dyn Store>) -> Result<Option<(Arc<Line>, broadcast::Receiver<News>)>, Error> {
        let slot = || self.line.lock().unwrap_or_else(PoisonError::into_inner);
        // Where nobody listens, the watch is about to end.
        let live = slot().clone().and_then(|line| Some((line.sender.upgrade()?, line)));
        if let Some((sender, line)) = live.filter(|(sender, line)| sender.receiver_count() > 0 && !line.is_gone()) {
            return Ok(Some((line, sender.subscribe())));
        }
        let Some(watch) = store.watch().await? else { return Ok(None) };
        let (sender, receiver) = broadcast::channel(WAITING);
        let line = Arc::new(Line {
            watch,
            sender: sender.downgrade(),
            kept: Mutex::default(),
            news: Notify::new(),
            partly_deaf: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        });
        // Somebody else may have begun meanwhile; then there are two watches for a while.
        *slot() = Some(line.clone());
        tokio::spawn(tell(line.clone(), sender));
        Ok(Some((line, receiver)))
    }
}

/// A watch, and whom it tells.
#[derive(Debug)]
struct Line {
    watch: Watch,
    sender: broadcast::WeakSender<News>,
    /// What was heard, for a follower.
    kept: Mutex<Option<Heard>>,
    news: Notify,
    /// Some directories are not watched.
    partly_deaf: AtomicBool,
    /// Nothing will be heard any more.
    gone: AtomicBool,
}

impl Line {
    fn kept(&self) -> MutexGuard<'_, Option<Heard>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Passes on what was heard; one at a time.
    fn pass(&self) {
        let mut kept = self.kept();
        let heard = self.watch.take();
        if heard.is_empty() {
            return;
        }
        if heard.missed == Some(Missed::Limit) {
            self.partly_deaf.store(true, Ordering::Release);
        }
        if heard.missed == Some(Missed::Gone) {
            self.gone.store(true, Ordering::Release);
        }
        if let Some(kept) = &mut *kept {
            kept.join(heard.clone());
            if kept.changed.len() > MANY {
                kept.changed.clear();
                kept.missed = kept.missed.or(Some(Missed::Overflow));
            }
            self.news.notify_one();
        }
        let Some(sender) = self.sender.upgrade() else { return };
        for (path, look) in heard.changed {
            let _ = sender.send(News::Changed { path: Text::from(&path), below: look == Look::Below });
        }
        if heard.missed.is_some() {
            let _ = sender.send(News::Missed);
        }
    }
}

async fn tell(line: Arc<Line>, sender: broadcast::Sender<News>) {
    // All listeners of a watch that is gone come again, and with the first of them a new one.
    while !line.is_gone() {
        tokio::select! {
            () = line.watch.settled(QUIET, AT_MOST) => line.pass(),
            () = sender.closed() => return,
        }
    }
}

/// Knows what happened, at any moment.
#[derive(Debug)]
pub(crate) struct Follower {
    line: Arc<Line>,
    /// For as long as somebody listens the watch goes on.
    _alive: broadcast::Receiver<News>,
}

impl Follower {
    /// Takes in all that has happened so far; false if that cannot be known.
    pub async fn catch_up(&self) -> bool {
        let all = self.line.watch.catch_up().await;
        self.line.pass();
        all && !self.line.partly_deaf.load(Ordering::Acquire) && !self.line.is_gone()
    }

    /// What was heard and not yet taken.
    pub fn heard(&self) -> Heard {
        self.line.kept().clone().unwrap_or_default()
    }

    /// Takes it.
    pub fn take(&self) -> Heard {
        std::mem::take(self.line.kept().get_or_insert_default())
    }

    /// Waits until there is something to take.
    pub async fn news(&self) {
        self.line.news.notified().await;
    }

    /// Whether this watch is over.
    pub fn is_gone(&self) -> bool {
        self.line.is_gone()
    }
}
