//! Telling of changes: one watch a share, however many listen, and none when nobody has for a while. Who lost the connection
//! for a moment hears what was told meanwhile.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sitta_store::sitta::feed::News;
use sitta_store::sitta::wire::Text;
use sitta_store::watch::{Heard, Look, Missed, Watch};
use sitta_store::{Error, Store};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

/// News that wait for one listener, and that are kept for one who comes again; who is slower misses some, and is told so.
const WAITING: usize = 4096;

/// So long a watch goes on for those who may come again.
const LINGER: Duration = Duration::from_secs(60);

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
    /// All that happens from now on; or, for one that has heard all up to a `mark`, from there on. None if the store cannot
    /// tell.
    pub async fn listen(&self, store: &Arc<dyn Store>, mark: Option<Mark>) -> Result<Option<Listening>, Error> {
        Ok(self.join(store).await?.map(|(line, _)| line.listen(mark)))
    }

    /// As [`Hub::listen`], for the one that keeps up with what it has heard; it begins with having missed everything.
    pub async fn follow(&self, store: &Arc<dyn Store>) -> Result<Option<Follower>, Error> {
        let Some((line, alive)) = self.join(store).await? else { return Ok(None) };
        *line.kept() = Some(Heard { missed: Some(Missed::Overflow), ..Heard::default() });
        Ok(Some(Follower { line, _alive: alive }))
    }

    async fn join(
        &self,
        store: &Arc<dyn Store>,
    ) -> Result<Option<(Arc<Line>, broadcast::Receiver<Numbered>)>, Error> {
        let slot = || self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let live = slot().clone();
        if let Some((line, listening)) = live.and_then(|line| line.subscribe().map(|listening| (line, listening))) {
            return Ok(Some((line, listening)));
        }
        let Some(watch) = store.watch().await? else { return Ok(None) };
        let (sender, receiver) = broadcast::channel(WAITING);
        let line = Arc::new(Line {
            watch,
            id: RandomState::new().hash_one(()),
            past: Mutex::default(),
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
    /// What tells it from others, also from those of another start of the server.
    id: u64,
    past: Mutex<Past>,
    sender: broadcast::WeakSender<Numbered>,
    /// What was heard, for a follower.
    kept: Mutex<Option<Heard>>,
    news: Notify,
    /// Some directories are not watched.
    partly_deaf: AtomicBool,
    /// Nothing will be heard any more.
    gone: AtomicBool,
}

/// What was told.
#[derive(Debug, Default)]
struct Past {
    /// The last ones, each with its number.
    news: VecDeque<Numbered>,
    /// How many there were in all.
    count: u64,
}

type Numbered = (u64, News);

/// Up to where somebody has heard all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    line: u64,
    number: u64,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.line, self.number)
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (line, number) = text.split_once('-').ok_or(())?;
        let (line, number) = (u64::from_str_radix(line, 16), number.parse());
        Ok(Self { line: line.map_err(|_| ())?, number: number.map_err(|_| ())? })
    }
}

/// Somebody who listens.
#[derive(Debug)]
pub(crate) struct Listening {
    line: u64,
    /// What is told first.
    first: VecDeque<Numbered>,
    /// What comes then.
    news: broadcast::Receiver<Numbered>,
}

impl Listening {
    /// What is to be told next, and up to where all is heard with it; none when this is over.
    pub async fn next(&mut self) -> Option<(Option<Mark>, News)> {
        let told = match self.first.pop_front() {
            Some(told) => Ok(told),
            None => self.news.recv().await,
        };
        match told {
            Ok((number, news)) => Some((Some(Mark { line: self.line, number }), news)),
            Err(RecvError::Lagged(_)) => Some((None, News::Missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Line {
    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that comes; none if nothing will.
    fn subscribe(&self) -> Option<broadcast::Receiver<Numbered>> {
        let _past = self.past();
        if self.is_gone() { None } else { Some(self.sender.upgrade()?.subscribe()) }
    }

    fn listen(&self, mark: Option<Mark>) -> Listening {
        let past = self.past();
        let news = match self.sender.upgrade() {
            Some(sender) => sender.subscribe(),
            None => broadcast::channel(1).1,
        };
        let mut first = VecDeque::from([(past.count, News::Ready)]);
        if let Some(mark) = mark {
            let kept_from = past.count - past.news.len() as u64;
            match mark.line == self.id && (kept_from..=past.count).contains(&mark.number) {
                true => {
                    first[0].0 = mark.number;
                    first.extend(past.news.iter().filter(|(number, _)| *number > mark.number).cloned());
                }
                false => first.push_back((past.count, News::Missed)),
            }
        }
        Listening { line: self.id, first, news }
    }

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
        let changed = heard.changed.into_iter();
        let changed =
            changed.map(|(path, look)| News::Changed { path: Text::from(&path), below: look == Look::Below });
        let mut past = self.past();
        for news in changed.chain(heard.missed.map(|_| News::Missed)) {
            past.count += 1;
            let told = (past.count, news);
            if past.news.len() == WAITING {
                past.news.pop_front();
            }
            past.news.push_back(told.clone());
            let _ = sender.send(told);
        }
    }

    /// It is over, unless somebody listens.
    fn end(&self, sender: &broadcast::Sender<Numbered>) -> bool {
        let _past = self.past();
        if sender.receiver_count() == 0 {
            self.gone.store(true, Ordering::Release);
        }
        self.is_gone()
    }
}

async fn tell(line: Arc<Line>, sender: broadcast::Sender<Numbered>) {
    let mut left = None;
    // All listeners of a watch that is gone come again, and with the first of them a new one.
    while !line.is_gone() {
        let waits = left.unwrap_or_else(|| Instant::now() + LINGER);
        tokio::select! {
            () = line.watch.settled(QUIET, AT_MOST) => line.pass(),
            () = sender.closed(), if left.is_none() => left = Some(Instant::now() + LINGER),
            () = tokio::time::sleep_until(waits), if left.is_some() => {
                if line.end(&sender) {
                    return;
                }
                left = None;
            }
        }
    }
}

/// Knows what happened, at any moment.
#[derive(Debug)]
pub(crate) struct Follower {
    line: Arc<Line>,
    /// For as long as somebody listens the watch goes on.
    _alive: broadcast::Receiver<Numbered>,
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
