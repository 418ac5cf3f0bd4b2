//! Checksums of files, made once for each version.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::available_parallelism;

use sitta_store::sum::{Algo, of_bytes};
use sitta_store::{Error, ErrorKind, Source, Store};
use sitta_tree::{Fingerprint, RelPath};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use crate::Share;
use crate::recent::{Key, Recent, is_settled, key};

/// So many are remembered: some 20 MB.
const MANY: usize = 100_000;

/// The checksums of a server.
#[derive(Debug)]
pub(crate) struct Sums {
    known: Mutex<Recent<Box<str>>>,
    /// What is being made. Whoever wants the same waits, and makes it if the other one has gone away.
    making: Mutex<HashMap<Key, Arc<AsyncMutex<()>>>>,
    /// As many files are hashed at a time as there are processors, whoever asks.
    slots: Semaphore,
}

impl Default for Sums {
    fn default() -> Self {
        let slots = Semaphore::new(available_parallelism().map_or(2, usize::from));
        Self { known: Mutex::new(Recent::new(MANY)), making: Mutex::default(), slots }
    }
}

impl Sums {
    fn known(&self) -> MutexGuard<'_, Recent<Box<str>>> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn making(&self) -> MutexGuard<'_, HashMap<Key, Arc<AsyncMutex<()>>>> {
        self.making.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The checksum of this version of a file; [`ErrorKind::Changed`] if it is another one by now, or becomes one while it
    /// is read.
    pub async fn of(
        &self,
        share: &Share,
        path: &RelPath,
        version: &Fingerprint,
        algo: Algo,
    ) -> Result<String, Error> {
        let key = key(&share.name, path, version, algo.name());
        if let Some(known) = self.known().get(&key) {
            return Ok(known.into());
        }
        let turn = Turn::new(self, key);
        let _turn = turn.lock.lock().await;
        // Somebody else may have asked for the same.
        if let Some(known) = self.known().get(&key) {
            return Ok(known.into());
        }
        let _slot = self.slots.acquire().await.expect("never closed");
        let sum = hash(&share.store, path, version, algo).await?;
        if is_settled(version) {
            self.known().insert(key, 1, sum.clone().into());
        }
        Ok(sum)
    }
}

/// A place in the line for one checksum.
struct Turn<'s> {
    sums: &'s Sums,
    key: Key,
    lock: Arc<AsyncMutex<()>>,
}

impl<'s> Turn<'s> {
    fn new(sums: &'s Sums, key: Key) -> Self {
        let lock = sums.making().entry(key).or_default().clone();
        Self { sums, key, lock }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut making = self.sums.making();
        // Only this one and the map know it: nobody else waits.
        if Arc::strong_count(&self.lock) == 2 {
            making.remove(&self.key);
        }
    }
}

async fn hash(store: &Arc<dyn Store>, path: &RelPath, version: &Fingerprint, algo: Algo) -> Result<String, Error> {
    let source = Source::Stored { store: store.clone(), path: path.clone(), version: *version };
    of_bytes(source.open(0).await?.bytes, algo).await.map_err(|error| match error.kind {
        ErrorKind::Changed => {
            let location = error.location.clone();
            Error::new(ErrorKind::Changed, &location, path.clone(), "it changed while it was being hashed")
        }
        _ => error,
    })
}
