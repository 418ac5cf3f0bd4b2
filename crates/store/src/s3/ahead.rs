//! Who goes ahead. Servers over plain folders make a folder for the first object below a new prefix; where several arrive
//! first at once, some (rclone 1.75) fail, or leave objects out of their listings for minutes. So there one object goes
//! ahead, and the others follow when it stands. A server that enforces conditions needs none of that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sitta_tree::RelPath;
use tokio::sync::OwnedMutexGuard;

use super::S3Store;
use crate::Result;

/// So many directories are remembered at most.
const MOST: usize = 1 << 16;

/// Which directories are known to hold something.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    dirs: Mutex<HashMap<RelPath, Arc<tokio::sync::Mutex<bool>>>>,
}

/// The right to be first below a directory; others wait until it is dropped.
#[derive(Debug)]
pub(super) struct First {
    topmost: OwnedMutexGuard<bool>,
    /// Below the topmost one.
    dirs: Vec<RelPath>,
}

impl Ahead {
    /// Waits until nobody is first in any directory above `path`; none: all of them hold something already.
    pub async fn first(&self, path: &RelPath) -> Option<First> {
        let mut dirs: Vec<_> = std::iter::successors(path.parent(), RelPath::parent).collect();
        while let Some(dir) = dirs.pop() {
            let known = self.dirs.lock().expect("nobody panics with it").entry(dir).or_default().clone();
            let topmost = known.lock_owned().await;
            if !*topmost {
                return Some(First { topmost, dirs });
            }
        }
        None
    }

    /// The first object stands: the others may follow.
    pub fn stands(&self, first: First) {
        let First { mut topmost, dirs } = first;
        let mut known = self.dirs.lock().expect("nobody panics with it");
        if known.len() > MOST {
            known.clear();
        }
        known.extend(dirs.into_iter().map(|dir| (dir, Arc::new(tokio::sync::Mutex::new(true)))));
        *topmost = true;
    }

    /// Something was removed: its directories may be empty now, and gone with it.
    pub fn removed(&self, path: &RelPath) {
        let mut known = self.dirs.lock().expect("nobody panics with it");
        for dir in std::iter::successors(path.parent(), RelPath::parent) {
            known.remove(&dir);
        }
    }
}

impl S3Store {
    /// Makes the call that puts an object at `path`, behind the first one of its directory where that is called for.
    pub(super) async fn behind_the_first<T>(
        &self,
        path: &RelPath,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let first = match self.conditions.are_enforced() {
            true => None,
            false => self.ahead.first(path).await,
        };
        let result = call.await;
        if let (Some(first), Ok(_)) = (first, &result) {
            self.ahead.stands(first);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).expect("a valid path")
    }

    #[tokio::test]
    async fn one_goes_ahead_and_the_others_follow() {
        let ahead = Ahead::default();
        let first = ahead.first(&path("d/e/f")).await.expect("nothing is known yet");
        for other in ["d/e/g", "d/h", "x", "y/z"] {
            assert!(ahead.first(&path(other)).now_or_never().is_none(), "{other} waits: the root itself is new");
        }
        ahead.stands(first);
        assert!(ahead.first(&path("x")).await.is_none() && ahead.first(&path("d/e/g")).await.is_none());
        let (y, z) = (ahead.first(&path("y/1")).await.expect("new"), ahead.first(&path("z/1")).await.expect("new"));
        assert!(ahead.first(&path("y/2")).now_or_never().is_none());
        drop(y);
        let again = ahead.first(&path("y/2")).await.expect("the first one failed");
        ahead.stands(again);
        ahead.stands(z);
        ahead.removed(&path("d/e/f"));
        assert!(ahead.first(&path("z/2")).await.is_some(), "all above what was removed is unknown");
    }
}
