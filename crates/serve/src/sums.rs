//! Checksums of files, made once for each version.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::available_parallelism;

use sitta_store::sitta::wire::tag;
use sitta_store::sum::{Algo, of_bytes};
use sitta_store::{Error, ErrorKind, Source, Store};
use sitta_tree::{Fingerprint, RelPath};
use tokio::sync::Semaphore;

use crate::Share;

/// So many are remembered: some 20 MB.
const MANY: usize = 100_000;

/// Where a version is told by its time alone, one that is younger than so many seconds may still get other bytes without
/// looking like another version.
const YOUNG: i64 = 10;

/// What was hashed: a hash of share, path, version and algorithm, so that long paths take no more room.
type Key = [u8; 32];

/// The checksums of a server.
#[derive(Debug)]
pub(crate) struct Sums {
    known: Mutex<Known>,
    /// As many files are hashed at a time as there are processors, whoever asks.
    slots: Semaphore,
}

impl Default for Sums {
    fn default() -> Self {
        let slots = Semaphore::new(available_parallelism().map_or(2, usize::from));
        Self { known: Mutex::new(Known::new(MANY)), slots }
    }
}

impl Sums {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
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
        let key = key(&share.name, path, version, algo);
        if let Some(known) = self.known().get(&key) {
            return Ok(known);
        }
        let _slot = self.slots.acquire().await.expect("never closed");
        // Somebody else may have asked for the same.
        if let Some(known) = self.known().get(&key) {
            return Ok(known);
        }
        let sum = hash(&share.store, path, version, algo).await?;
        if is_settled(version, jiff::Timestamp::now().as_second()) {
            self.known().insert(key, sum.clone());
        }
        Ok(sum)
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

fn key(share: &str, path: &RelPath, version: &Fingerprint, algo: Algo) -> Key {
    let mut hasher = blake3::Hasher::new();
    // No part but the last can hold a NUL byte.
    for part in [share.as_bytes(), algo.name().as_bytes(), tag(version).as_bytes()] {
        hasher.update(part).update(b"\0");
    }
    *hasher.update(path.as_bytes()).finalize().as_bytes()
}

fn is_settled(version: &Fingerprint, now: i64) -> bool {
    version.change != 0 || version.mtime.secs.saturating_add(YOUNG) < now
}

/// What is remembered: the least recently used goes first.
#[derive(Debug)]
struct Known {
    many: usize,
    /// When each was used last, and what it is.
    sums: HashMap<Key, (u64, Box<str>)>,
    used: BTreeMap<u64, Key>,
    clock: u64,
}

impl Known {
    fn new(many: usize) -> Self {
        Self { many, sums: HashMap::new(), used: BTreeMap::new(), clock: 0 }
    }

    fn get(&mut self, key: &Key) -> Option<String> {
        let (used, sum) = self.sums.get_mut(key)?;
        self.used.remove(used);
        self.clock += 1;
        *used = self.clock;
        self.used.insert(self.clock, *key);
        Some(sum.to_string())
    }

    fn insert(&mut self, key: Key, sum: String) {
        self.clock += 1;
        if let Some((used, _)) = self.sums.insert(key, (self.clock, sum.into())) {
            self.used.remove(&used);
        }
        self.used.insert(self.clock, key);
        if self.sums.len() > self.many
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.sums.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use sitta_tree::Time;

    use super::*;

    #[test]
    fn the_least_recently_used_goes_first_and_no_more_are_kept() {
        let mut known = Known::new(2);
        let key = |n| [n; 32];
        known.insert(key(1), "one".into());
        known.insert(key(2), "two".into());
        assert_eq!(known.get(&key(1)).as_deref(), Some("one"));
        known.insert(key(3), "three".into());
        assert_eq!(known.get(&key(2)), None, "used longest ago");
        assert_eq!(known.get(&key(1)).as_deref(), Some("one"));
        known.insert(key(1), "again".into());
        assert_eq!(known.get(&key(1)).as_deref(), Some("again"));
        for n in 0..100 {
            known.insert(key(n), String::new());
        }
        assert_eq!((known.sums.len(), known.used.len()), (2, 2));
    }

    #[test]
    fn what_was_hashed_is_told_apart() {
        let version = Fingerprint { size: 1, mtime: Time::new(7, 0), id: 2, change: 3 };
        let path = RelPath::new("a/b").unwrap();
        let one = key("s", &path, &version, Algo::Md5);
        assert_eq!(one, key("s", &path, &version, Algo::Md5));
        let others = [
            key("t", &path, &version, Algo::Md5),
            key("s", &RelPath::new("a/c").unwrap(), &version, Algo::Md5),
            key("s", &path, &version, Algo::Crc32),
            key("s", &path, &Fingerprint { size: 2, ..version }, Algo::Md5),
            key("s", &path, &Fingerprint { change: 4, ..version }, Algo::Md5),
            key("s", &path, &Fingerprint { mtime: Time::new(7, 1), ..version }, Algo::Md5),
        ];
        assert!(others.iter().all(|other| *other != one));
    }

    #[test]
    fn young_versions_that_only_their_time_tells_are_not_remembered() {
        let version = |secs, change| Fingerprint { size: 1, mtime: Time::new(secs, 0), id: 0, change };
        assert!(is_settled(&version(100, 1), 100));
        assert!(!is_settled(&version(100, 0), 105) && !is_settled(&version(200, 0), 105));
        assert!(is_settled(&version(100, 0), 111));
    }
}
