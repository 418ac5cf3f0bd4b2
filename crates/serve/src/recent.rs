//! What was worked out about versions of files, the most recently used of it.

use std::collections::{BTreeMap, HashMap};

use sitta_store::sitta::wire::tag;
use sitta_tree::{Fingerprint, RelPath};

/// Where a version is told by its time alone, one that is younger than so many seconds may still get other bytes without
/// looking like another version.
const YOUNG: i64 = 10;

/// What is known is named by a hash, so that long paths take no more room.
pub(crate) type Key = [u8; 32];

/// Names `what` about a version of a file.
pub(crate) fn key(share: &str, path: &RelPath, version: &Fingerprint, what: &str) -> Key {
    let mut hasher = blake3::Hasher::new();
    // No part but the last can hold a NUL byte.
    for part in [share.as_bytes(), what.as_bytes(), tag(version).as_bytes()] {
        hasher.update(part).update(b"\0");
    }
    *hasher.update(path.as_bytes()).finalize().as_bytes()
}

/// Whether what was found out now will be true of this version later.
pub(crate) fn is_settled(version: &Fingerprint) -> bool {
    is_settled_at(version, jiff::Timestamp::now().as_second())
}

fn is_settled_at(version: &Fingerprint, now: i64) -> bool {
    version.change != 0 || version.mtime.secs.saturating_add(YOUNG) < now
}

/// What is remembered, up to a weight: the least recently used goes first.
#[derive(Debug)]
pub(crate) struct Recent<V> {
    most: usize,
    weight: usize,
    /// When each was used last, and what it is.
    values: HashMap<Key, (u64, usize, V)>,
    used: BTreeMap<u64, Key>,
    clock: u64,
}

impl<V: Clone> Recent<V> {
    /// Remembers values that together weigh no more than `most`.
    pub fn new(most: usize) -> Self {
        Self { most, weight: 0, values: HashMap::new(), used: BTreeMap::new(), clock: 0 }
    }

    pub fn get(&mut self, key: &Key) -> Option<V> {
        let (used, _, value) = self.values.get_mut(key)?;
        self.used.remove(used);
        self.clock += 1;
        *used = self.clock;
        self.used.insert(self.clock, *key);
        Some(value.clone())
    }

    /// Remembers a value; one that weighs too much on its own is not.
    pub fn insert(&mut self, key: Key, weight: usize, value: V) {
        self.clock += 1;
        if let Some((used, weight, _)) = self.values.insert(key, (self.clock, weight, value)) {
            self.used.remove(&used);
            self.weight -= weight;
        }
        self.used.insert(self.clock, key);
        self.weight += weight;
        while self.weight > self.most
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.weight -= self.values.remove(&oldest).map_or(0, |(_, weight, _)| weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use sitta_tree::Time;

    use super::*;

    #[test]
    fn the_least_recently_used_goes_first_and_no_more_are_kept() {
        let mut recent = Recent::new(2);
        let key = |n| [n; 32];
        recent.insert(key(1), 1, "one");
        recent.insert(key(2), 1, "two");
        assert_eq!(recent.get(&key(1)), Some("one"));
        recent.insert(key(3), 1, "three");
        assert_eq!(recent.get(&key(2)), None, "used longest ago");
        assert_eq!(recent.get(&key(1)), Some("one"));
        recent.insert(key(1), 1, "again");
        assert_eq!(recent.get(&key(1)), Some("again"));
        for n in 0..100 {
            recent.insert(key(n), 1, "");
        }
        assert_eq!((recent.values.len(), recent.used.len(), recent.weight), (2, 2, 2));
        recent.insert(key(7), 2, "heavy");
        assert_eq!((recent.values.len(), recent.get(&key(7))), (1, Some("heavy")));
        recent.insert(key(8), 3, "too heavy");
        assert_eq!((recent.values.len(), recent.used.len(), recent.weight), (0, 0, 0));
    }

    #[test]
    fn what_is_known_is_told_apart() {
        let version = Fingerprint { size: 1, mtime: Time::new(7, 0), id: 2, change: 3 };
        let path = RelPath::new("a/b").unwrap();
        let one = key("s", &path, &version, "md5");
        assert_eq!(one, key("s", &path, &version, "md5"));
        let others = [
            key("t", &path, &version, "md5"),
            key("s", &RelPath::new("a/c").unwrap(), &version, "md5"),
            key("s", &path, &version, "crc32"),
            key("s", &path, &Fingerprint { size: 2, ..version }, "md5"),
            key("s", &path, &Fingerprint { change: 4, ..version }, "md5"),
            key("s", &path, &Fingerprint { mtime: Time::new(7, 1), ..version }, "md5"),
        ];
        assert!(others.iter().all(|other| *other != one));
    }

    #[test]
    fn young_versions_that_only_their_time_tells_are_not_remembered() {
        let version = |secs, change| Fingerprint { size: 1, mtime: Time::new(secs, 0), id: 0, change };
        assert!(is_settled_at(&version(100, 1), 100));
        assert!(!is_settled_at(&version(100, 0), 105) && !is_settled_at(&version(200, 0), 105));
        assert!(is_settled_at(&version(100, 0), 111));
    }
}
