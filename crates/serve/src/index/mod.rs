//! The index of a share: which files may hold a text, and what is called how, without a look at all of them.
//!
//! It only ever narrows down. Whatever it names is looked at as it stands now and searched; so an answer is exact however
//! far the index lags, given that no file is left out. A file is left out only if the version that was read (size, times,
//! inode: [`sitta_tree::Fingerprint`]) is what stands there **now** and lacks one of the text's trigrams. That it stands
//! there now is known in one of two ways:
//!
//! - The share is watched, and before a search all that had happened when it was asked for is taken in
//!   ([`sitta_store::watch::Watch::catch_up`]). So what was written before the question is found. What was heard of and
//!   not yet read again is searched, and so is what has several names (hard links: what is written under another one may
//!   not be heard of), unless it looks as it did.
//! - While not everything may have been heard (from the start until the share was walked through, after an overflow, with
//!   too few watches allowed), the share is walked through for each search, and versions are compared.
//!
//! The system tells nobody of two things: that a file got another name outside the share and is written under that, and
//! what is written through a memory mapping before that is closed. The walk that is made every hour finds both.
//!
//! A share whose symbolic links are followed is not indexed: what lies behind them changes unheard. Only folders of this
//! machine are, on file systems whose inodes and change times can be relied on. To read all of
//! a server or of a bucket in the background would cost its owner more than most searches.
//!
//! The index is a cache: it is thrown away and begun anew whenever something about it is odd. A catalogue in SQLite
//! ([`catalogue`]) says which version of which file became which document; segments ([`segment`]) say which documents a
//! trigram is in. A segment is safe on the disk before the catalogue names it, and what the catalogue does not name is
//! removed.

mod below;
mod builder;
mod catalogue;
mod lookup;
mod postings;
mod search;
mod segment;
mod trigram;
mod walk;
mod worker;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sitta_store::local::{Links, LocalStore};
use sitta_store::look::{Choice, Item, Place};
use sitta_store::watch::Heard;
use sitta_tree::{Problem, RelPath};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use self::lookup::Stock;
use self::search::{Asked, Now};
use crate::Share;
use crate::feed::Follower;

/// How the shares are indexed.
#[derive(Debug, Clone)]
pub struct IndexOptions {
    /// The folder for the indexes, one in it for each share.
    pub dir: PathBuf,
    /// So much memory, in bytes, may files take that were read and not yet written down.
    pub memory: usize,
    /// A file is read when it was not changed for so long.
    pub settle: Duration,
    /// Who is told how it goes.
    pub notices: mpsc::UnboundedSender<IndexNotice>,
}

impl IndexOptions {
    /// What is usual, with indexes in `dir`.
    pub fn new(dir: PathBuf, notices: mpsc::UnboundedSender<IndexNotice>) -> Self {
        Self { dir, memory: 64 << 20, settle: Duration::from_secs(2), notices }
    }
}

/// What becomes of a share's index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexNotice {
    /// The share.
    pub share: String,
    /// What happened.
    pub what: IndexEvent,
}

/// What happened to an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexEvent {
    /// Every file that could be read is in it; said once.
    Ready {
        /// How many files are in it.
        files: u64,
        /// How many are not: written so lately that they may be written on, or not to be read. Searches read them.
        unread: u64,
    },
    /// It was damaged, or is of another folder, and is made anew.
    Rebuilt {
        /// What was wrong.
        why: String,
    },
    /// It cannot be kept for now: searches read every file.
    Off {
        /// What is in the way.
        why: String,
    },
}

/// Why something cannot be done with an index.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// It is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// The folder, the disk.
    #[error("{0}")]
    Failed(String),
}

impl Fault {
    fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::damaged("a file of the index was cut"),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match error.sqlite_error_code() {
            // None of SQLite's own: a value is not of the type that was written.
            None | Some(DatabaseCorrupt | NotADatabase) => Self::damaged(error.to_string()),
            Some(_) => Self::Failed(error.to_string()),
        }
    }
}

/// The index of one share.
#[derive(Debug)]
pub(crate) struct Index {
    local: LocalStore,
    stock: Stock,
    /// Where in the share the indexes themselves are, if they are.
    own: Option<RelPath>,
    /// It is open, and nothing is wrong with it.
    usable: AtomicBool,
    /// A search has met damage.
    damaged: Mutex<Option<String>>,
    woken: Notify,
    hearing: Mutex<Hearing>,
}

/// What was heard of the share.
#[derive(Debug, Default)]
struct Hearing {
    follower: Option<Arc<Follower>>,
    /// What was taken from it to be looked at, and is not in the catalogue yet.
    working: Heard,
}

impl Index {
    /// Begins to index a share, until `stopped` says so; none if it cannot be indexed.
    pub fn start(
        share: &Share,
        options: &IndexOptions,
        stopped: watch::Receiver<bool>,
        tasks: &mut JoinSet<()>,
    ) -> Option<Arc<Self>> {
        let local =
            share.store.as_local().filter(|local| local.tells_versions() && local.links() == Links::Kept)?.clone();
        let root = options.dir.canonicalize().ok().unwrap_or_else(|| options.dir.clone());
        let own = root.strip_prefix(local.path()).ok();
        let own = own.and_then(|path| RelPath::new(path.as_os_str().as_encoded_bytes()).ok());
        let index = Arc::new(Self {
            local,
            stock: Stock::new(&options.dir.join(&share.name)),
            own,
            usable: AtomicBool::new(false),
            damaged: Mutex::default(),
            woken: Notify::new(),
            hearing: Mutex::default(),
        });
        let (store, hub) = (share.store.clone(), share.hub.clone());
        let work = worker::Work { share: share.name.clone(), store, hub, options: options.clone(), stopped };
        worker::start(index.clone(), work, tasks);
        Some(index)
    }

    fn hearing(&self) -> MutexGuard<'_, Hearing> {
        self.hearing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the path is the index's own: nothing of that is indexed.
    fn is_own(&self, path: &RelPath) -> bool {
        self.own.as_ref().is_some_and(|own| path.is_within(own))
    }

    /// Whether searches make use of it now.
    pub fn is_usable(&self) -> bool {
        self.usable.load(Ordering::Acquire)
    }

    /// A search could not make use of the index.
    fn complain(&self, fault: &Fault) {
        if let Fault::Damaged(why) = fault {
            self.usable.store(false, Ordering::Release);
            *self.damaged.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
            self.woken.notify_one();
        }
    }

    /// What was heard, and is not in the catalogue; none if more than that may have happened.
    async fn heard(&self) -> Option<Heard> {
        let follower = self.hearing().follower.clone()?;
        if !follower.catch_up().await {
            return None;
        }
        // Both at once: what is taken from the one is in the other.
        let hearing = self.hearing();
        let mut heard = hearing.working.clone();
        heard.join(follower.heard());
        heard.missed.is_none().then_some(heard)
    }

    /// What [`Place::gather`] gives for all below `place`, without files that cannot hold the text that is asked for. None
    /// if the index is of no use for this.
    pub async fn gather(
        self: &Arc<Self>,
        place: &Place,
        choice: &Choice,
        problems: &mut Vec<Problem>,
    ) -> Option<Vec<Item>> {
        let asked = Asked::new(choice)?;
        if !self.is_usable() || search::is_out_of_sight(&place.base) {
            return None;
        }
        let (index, base, choice) = (self.clone(), place.base.clone(), choice.clone());
        let found = match self.heard().await {
            Some(heard) => blocking(move || index.find(&base, &choice, &asked, &heard)).await,
            None => {
                let mut seen = Vec::new();
                let items = place.gather(&choice, true, false, &mut seen).await.ok()?;
                blocking(move || {
                    index.narrow(&base, items, &asked).map(|items| Some(Now { items, problems: seen }))
                })
                .await
            }
        };
        match found {
            Ok(now) => {
                let now = now?;
                problems.extend(now.problems);
                Some(now.items)
            }
            Err(fault) => {
                self.complain(&fault);
                None
            }
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Fault::Failed(error.to_string())))
}
