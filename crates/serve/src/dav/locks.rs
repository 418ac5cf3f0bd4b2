//! Locks (RFC 4918, 6): who may write somewhere for a while. They are kept in memory: a restart frees them all.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use argon2::password_hash::phc::Salt;
use sitta_store::sitta::wire::hex;
use sitta_tree::RelPath;

/// So many are held at a time, by all clients together.
const MANY: usize = 10_000;

/// The token of a lock: a URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token(pub String);

impl Token {
    /// One that nobody can guess.
    fn new() -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Salt::generate().as_ref()[..16]);
        // A random UUID (RFC 9562, 5.4).
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits = hex(&bytes);
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        Self(format!("urn:uuid:{}", parts.join("-")))
    }
}

/// One lock.
#[derive(Debug, Clone)]
pub(super) struct Lock {
    pub token: Token,
    pub share: String,
    /// Where it was taken.
    pub root: RelPath,
    /// It holds all below too.
    pub deep: bool,
    /// Nobody else holds one.
    pub exclusive: bool,
    /// What the client says of its user: XML.
    pub owner: String,
    /// Whose it is.
    pub holder: String,
    pub until: Instant,
}

impl Lock {
    fn covers(&self, share: &str, path: &RelPath) -> bool {
        self.share == share && if self.deep { path.is_within(&self.root) } else { *path == self.root }
    }

    fn is_below(&self, share: &str, path: &RelPath) -> bool {
        self.share == share && self.root != *path && self.root.is_within(path)
    }
}

/// A path that a request changes.
#[derive(Debug, Clone)]
pub(super) struct Touched {
    pub share: String,
    pub path: RelPath,
    /// It comes or goes, so that what the directory above holds is another thing.
    pub comes_or_goes: bool,
    /// So does all below it.
    pub deep: bool,
}

/// Why there is no lock.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoLock {
    /// Others are held, there.
    Held(Vec<RelPath>),
    /// There are too many.
    Many,
}

/// All locks.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    held: Mutex<Vec<Lock>>,
}

impl Locks {
    fn held(&self) -> MutexGuard<'_, Vec<Lock>> {
        let mut held = self.held.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let now = Instant::now();
        held.retain(|lock| lock.until > now);
        held
    }

    /// Takes a lock, unless it cannot be beside those that are held.
    pub(super) fn take(&self, lock: Lock) -> Result<Lock, NoLock> {
        let mut held = self.held();
        let meet = |other: &&Lock| {
            (lock.exclusive || other.exclusive)
                && (other.covers(&lock.share, &lock.root) || (lock.deep && other.is_below(&lock.share, &lock.root)))
        };
        let others: Vec<_> = held.iter().filter(meet).map(|other| other.root.clone()).collect();
        if !others.is_empty() {
            return Err(NoLock::Held(others));
        }
        if held.len() >= MANY {
            return Err(NoLock::Many);
        }
        held.push(lock.clone());
        Ok(lock)
    }

    /// A new lock's token.
    pub(super) fn token() -> Token {
        Token::new()
    }

    /// Lets one of these locks that hold a path go on for so long; none if there is none.
    pub(super) fn refresh(
        &self,
        share: &str,
        path: &RelPath,
        holder: &str,
        tokens: &[Token],
        time: Duration,
    ) -> Option<Lock> {
        let mut held = self.held();
        let lock = held
            .iter_mut()
            .find(|lock| tokens.contains(&lock.token) && lock.holder == holder && lock.covers(share, path))?;
        lock.until = Instant::now() + time;
        Some(lock.clone())
    }

    /// Gives up the lock of this token that holds a path. Nothing is given up that there is not.
    pub(super) fn give_up(&self, share: &str, path: &RelPath, holder: &str, token: &Token) -> Option<bool> {
        let mut held = self.held();
        let at = held.iter().position(|lock| lock.token == *token && lock.covers(share, path))?;
        let own = held[at].holder == holder;
        if own {
            held.remove(at);
        }
        Some(own)
    }

    /// The locks that hold a path.
    pub(super) fn covering(&self, share: &str, path: &RelPath) -> Vec<Lock> {
        self.held().iter().filter(|lock| lock.covers(share, path)).cloned().collect()
    }

    /// Where locks stand in the way of a change, if these tokens, submitted by this holder, do not open them.
    pub(super) fn blocking(&self, touched: &Touched, holder: &str, tokens: &[Token]) -> Vec<RelPath> {
        let held = self.held();
        let Touched { share, path, comes_or_goes, deep } = touched;
        let mut paths = vec![path.clone()];
        if *comes_or_goes {
            paths.extend(path.parent());
        }
        if *deep {
            paths.extend(held.iter().filter(|lock| lock.is_below(share, path)).map(|lock| lock.root.clone()));
        }
        let mut blocking = Vec::new();
        for path in paths {
            let covering: Vec<_> = held.iter().filter(|lock| lock.covers(share, &path)).collect();
            let open = covering.iter().any(|lock| lock.holder == holder && tokens.contains(&lock.token));
            if !covering.is_empty() && !open {
                blocking.extend(covering.into_iter().map(|lock| lock.root.clone()));
            }
        }
        blocking.sort();
        blocking.dedup();
        blocking
    }

    /// What stood at a path, and below, is gone, and so are the locks that were taken there.
    pub(super) fn forget(&self, share: &str, path: &RelPath) {
        self.held().retain(|lock| !(lock.share == share && lock.root.is_within(path)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn lock(root: &str, deep: bool, exclusive: bool) -> Lock {
        Lock {
            token: Locks::token(),
            share: "s".into(),
            root: path(root),
            deep,
            exclusive,
            owner: String::new(),
            holder: "ann".into(),
            until: Instant::now() + Duration::from_secs(60),
        }
    }

    fn touched(at: &str, comes_or_goes: bool, deep: bool) -> Touched {
        Touched { share: "s".into(), path: path(at), comes_or_goes, deep }
    }

    #[test]
    fn what_cannot_be_beside_each_other_is_not() {
        let locks = Locks::default();
        locks.take(lock("d", true, true)).unwrap();
        assert_eq!(locks.take(lock("d/f", false, false)).unwrap_err(), NoLock::Held(vec![path("d")]));
        assert_eq!(locks.take(lock("", true, false)).unwrap_err(), NoLock::Held(vec![path("d")]));
        locks.take(lock("", false, true)).unwrap();
        locks.take(lock("e", false, false)).unwrap();
        locks.take(lock("e", false, false)).unwrap();
        locks.take(lock("e", false, true)).unwrap_err();
        locks.take(Lock { share: "other".into(), ..lock("d", true, true) }).unwrap();
    }

    #[test]
    fn a_token_opens_for_its_holder_alone() {
        let locks = Locks::default();
        let held = locks.take(lock("d", true, true)).unwrap();
        let tokens = [held.token.clone()];
        assert_eq!(locks.blocking(&touched("d/x/f", false, false), "ann", &[]), [path("d")]);
        assert!(locks.blocking(&touched("d/x/f", false, false), "ann", &tokens).is_empty());
        assert_eq!(locks.blocking(&touched("d/x/f", false, false), "bob", &tokens), [path("d")]);
        assert_eq!(locks.blocking(&touched("", false, true), "ann", &[]), [path("d")], "below");
        assert!(locks.blocking(&touched("e", true, true), "ann", &[]).is_empty());
        assert_eq!(locks.give_up("s", &path("d/x"), "bob", &held.token), Some(false));
        assert_eq!(locks.give_up("s", &path("e"), "ann", &held.token), None, "another path");
        assert_eq!(locks.give_up("s", &path("d/x"), "ann", &held.token), Some(true));
        assert!(locks.blocking(&touched("d/x/f", true, true), "ann", &[]).is_empty());
    }

    #[test]
    fn a_lock_on_a_directory_alone_holds_which_names_it_has() {
        let locks = Locks::default();
        locks.take(lock("d", false, true)).unwrap();
        assert!(locks.blocking(&touched("d/f", false, false), "ann", &[]).is_empty());
        assert_eq!(locks.blocking(&touched("d/f", true, false), "ann", &[]), [path("d")]);
    }

    #[test]
    fn locks_end_and_there_are_not_too_many() {
        let locks = Locks::default();
        for _ in 0..MANY {
            locks.take(lock("e", false, false)).unwrap();
        }
        assert_eq!(locks.take(lock("f", false, false)).unwrap_err(), NoLock::Many);
        locks.forget("s", &path("e"));
        let held = locks.take(lock("f", false, true)).unwrap();
        let soon = Duration::from_millis(1);
        assert!(locks.refresh("s", &path("f"), "bob", std::slice::from_ref(&held.token), soon).is_none());
        assert!(locks.refresh("s", &path("f"), "ann", std::slice::from_ref(&held.token), soon).is_some());
        std::thread::sleep(Duration::from_millis(5));
        assert!(locks.covering("s", &path("f")).is_empty());
        locks.take(lock("f", false, true)).unwrap();
    }
}
