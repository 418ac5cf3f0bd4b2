//! Files that are being replaced at this moment: most servers delete first and move then. Who goes through this store
//! sees the old one or the new one all the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use sitta_tree::RelPath;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

type Locks = Mutex<HashMap<RelPath, Arc<RwLock<()>>>>;

/// A lock for each path in use.
#[derive(Debug, Default)]
pub(super) struct Replacing {
    /// Shared by who looks at a file, whole for who replaces it.
    files: Arc<Locks>,
    /// Shared by who replaces a file in the directory, whole for who lists it.
    dirs: Arc<Locks>,
}

/// Keeps others off until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    locks: Arc<Locks>,
    path: RelPath,
    guard: Option<Guard>,
}

#[derive(Debug)]
enum Guard {
    Shared { _guard: OwnedRwLockReadGuard<()> },
    Whole { _guard: OwnedRwLockWriteGuard<()> },
}

impl Replacing {
    /// For a look at one path.
    pub async fn look(&self, path: &RelPath) -> Held {
        Held::new(&self.files, path, false).await
    }

    /// For the replacement of a file.
    pub async fn replace(&self, path: &RelPath) -> [Held; 2] {
        let dir = path.parent().unwrap_or_default();
        [Held::new(&self.dirs, &dir, false).await, Held::new(&self.files, path, true).await]
    }

    /// For a listing of a directory.
    pub async fn list(&self, dir: &RelPath) -> Held {
        Held::new(&self.dirs, dir, true).await
    }
}

fn locked(locks: &Locks) -> MutexGuard<'_, HashMap<RelPath, Arc<RwLock<()>>>> {
    locks.lock().unwrap_or_else(|e| e.into_inner())
}

impl Held {
    async fn new(locks: &Arc<Locks>, path: &RelPath, whole: bool) -> Self {
        let lock = locked(locks).entry(path.clone()).or_default().clone();
        // Made before the wait: who gives up waiting tidies up, too.
        let mut held = Self { locks: locks.clone(), path: path.clone(), guard: None };
        held.guard = Some(match whole {
            true => Guard::Whole { _guard: lock.write_owned().await },
            false => Guard::Shared { _guard: lock.read_owned().await },
        });
        held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.guard = None;
        let mut locks = locked(&self.locks);
        // Nobody else holds it or waits for it: both would have it in hand.
        if locks.get(&self.path).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.path);
        }
    }
}
