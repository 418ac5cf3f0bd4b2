//! Files that are being replaced at this moment: most servers delete first and move then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use sitta_tree::RelPath;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// One lock for each path that somebody replaces.
#[derive(Debug, Default)]
pub(super) struct Replacing {
    paths: Arc<Mutex<HashMap<RelPath, Arc<RwLock<()>>>>>,
}

/// Holds readers of one path off until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    paths: Arc<Mutex<HashMap<RelPath, Arc<RwLock<()>>>>>,
    path: RelPath,
    guard: Option<OwnedRwLockWriteGuard<()>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Replacing {
    /// Waits for who replaces the same path.
    pub async fn hold(&self, path: &RelPath) -> Held {
        let lock = locked(&self.paths).entry(path.clone()).or_default().clone();
        let guard = Some(lock.write_owned().await);
        Held { paths: self.paths.clone(), path: path.clone(), guard }
    }

    /// Waits until nobody replaces the path.
    pub async fn settled(&self, path: &RelPath) -> Option<OwnedRwLockReadGuard<()>> {
        let lock = locked(&self.paths).get(path).cloned()?;
        Some(lock.read_owned().await)
    }

    /// Waits until nothing right in `dir` is being replaced.
    pub async fn settled_in(&self, dir: &RelPath) {
        let busy: Vec<_> = {
            let paths = locked(&self.paths);
            paths.iter().filter(|(path, _)| path.parent().as_ref() == Some(dir)).map(|(_, lock)| lock.clone()).collect()
        };
        for lock in busy {
            drop(lock.read_owned().await);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.guard = None;
        let mut paths = locked(&self.paths);
        // Nobody waits for it: only the map and this look at it.
        if paths.get(&self.path).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            paths.remove(&self.path);
        }
    }
}
