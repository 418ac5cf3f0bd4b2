//! The connections to the server: made when they are needed, shared, and made anew when they are lost.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use smb2::types::SessionId;

use super::failure::told;
use super::link::{Link, Target};
use crate::{Error, ErrorKind, Result};

/// How many connections there are at most: a Samba serves each from a process of its own, and more than four gained
/// nothing.
const WIDTH: usize = 4;

/// A place for one connection.
#[derive(Default)]
struct Slot {
    link: tokio::sync::Mutex<Option<Arc<Link>>>,
    users: AtomicUsize,
}

pub(super) struct Pool {
    target: Target,
    location: Arc<str>,
    slots: [Slot; WIDTH],
    /// How many of the slots are in use: fewer where the server takes no more connections.
    width: AtomicUsize,
    /// The last attempt that failed, and when: who was waiting for it then fails with it instead of trying too.
    failed: Mutex<Option<(Instant, Error)>>,
    sent: Arc<AtomicU64>,
}

/// A connection in use; the least used one is given to whoever comes next.
pub(super) struct Lease {
    link: Arc<Link>,
    _seat: Seat,
}

/// Counts as a user of its slot.
struct Seat {
    pool: Arc<Pool>,
    slot: usize,
}

impl Deref for Lease {
    type Target = Arc<Link>;

    fn deref(&self) -> &Arc<Link> {
        &self.link
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.pool.slots[self.slot].users.fetch_sub(1, Relaxed);
    }
}

impl Pool {
    pub fn new(target: Target, location: &Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            target,
            location: location.clone(),
            slots: Default::default(),
            width: AtomicUsize::new(WIDTH),
            failed: Mutex::default(),
            sent: Arc::default(),
        })
    }

    pub fn location(&self) -> &Arc<str> {
        &self.location
    }

    /// Messages sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// A connection that works, as far as is known.
    pub async fn lease(self: &Arc<Self>) -> Result<Lease> {
        self.lease_at(self.least_used()).await
    }

    /// One that is the same for every call with this key: a server works off what comes over one connection in turn.
    pub async fn lease_for(self: &Arc<Self>, key: &str) -> Result<Lease> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.lease_at(hasher.finish() as usize % self.width()).await
    }

    async fn lease_at(self: &Arc<Self>, slot: usize) -> Result<Lease> {
        self.slots[slot].users.fetch_add(1, Relaxed);
        let seat = Seat { pool: self.clone(), slot };
        let link = match self.link(slot, Instant::now()).await {
            Err(error) if slot > 0 => self.working(slot).await.ok_or(error)?,
            found => found?,
        };
        Ok(Lease { link, _seat: seat })
    }

    fn width(&self) -> usize {
        self.width.load(Relaxed).clamp(1, WIDTH)
    }

    fn least_used(&self) -> usize {
        (0..self.width()).min_by_key(|slot| self.slots[*slot].users.load(Relaxed)).unwrap_or_default()
    }

    async fn link(&self, slot: usize, asked: Instant) -> Result<Arc<Link>> {
        let mut held = self.slots[slot].link.lock().await;
        if let Some(link) = held.as_ref().filter(|link| !link.connection.is_disconnected()) {
            return Ok(link.clone());
        }
        if let Some((at, error)) = &*self.failed()
            && *at >= asked
        {
            return Err(error.clone());
        }
        let previous = held.as_ref().map(|link| link.connection.session_id()).filter(|id| *id != SessionId(0));
        match self.target.connect(previous, &self.sent).await {
            Ok(link) => Ok(held.insert(Arc::new(link)).clone()),
            Err(error) => {
                let error = self.why_not(&error);
                *self.failed() = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// A connection that works though the one at `slot` could not be made: then there are to be no more.
    async fn working(&self, slot: usize) -> Option<Arc<Link>> {
        for other in &self.slots[..slot] {
            let held = other.link.lock().await;
            if let Some(link) = held.as_ref().filter(|link| !link.connection.is_disconnected()) {
                self.width.fetch_min(slot, Relaxed);
                return Some(link.clone());
            }
        }
        None
    }

    fn failed(&self) -> MutexGuard<'_, Option<(Instant, Error)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn why_not(&self, error: &smb2::Error) -> Error {
        let (kind, what) = told(error);
        let what = match kind {
            ErrorKind::NotFound => format!("no share '{}' on {}", self.target.share, self.target.host),
            _ => what,
        };
        Error::new(kind, &self.location, None, what)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("location", &self.location).finish_non_exhaustive()
    }
}
