//! The way to a path: directories only. A server follows links by itself, so each step is looked at; what was a
//! directory a moment ago is taken to be one still.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use sitta_tree::{Kind, RelPath};

use super::Protocol;
use crate::{ErrorKind, Result};

/// How long a directory is taken to be one without looking again.
const FRESH: Duration = Duration::from_secs(5);
/// How many are remembered.
const MOST: usize = 10_000;

/// Directories that were seen lately.
#[derive(Debug, Default)]
pub(super) struct Way {
    seen: Mutex<HashMap<RelPath, Instant>>,
}

impl Way {
    fn seen(&self) -> MutexGuard<'_, HashMap<RelPath, Instant>> {
        self.seen.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Fails with `NotADirectory` if something else stands on the way to `path`, with `NotFound` if nothing does.
    pub async fn check<P: Protocol>(&self, protocol: &P, path: &RelPath) -> Result<()> {
        let mut unseen = Vec::new();
        let mut above = path.parent();
        while let Some(dir) = above.filter(|dir| !dir.is_root()) {
            if self.seen().get(&dir).is_some_and(|at| at.elapsed() < FRESH) {
                break;
            }
            above = dir.parent();
            unseen.push(dir);
        }
        for dir in unseen.into_iter().rev() {
            match protocol.stat(&dir).await? {
                Some(entry) if entry.kind == Kind::Dir => self.note(dir),
                Some(_) => {
                    return Err(protocol.error(ErrorKind::NotADirectory, path, "what is above it is no directory"));
                }
                None => return Err(protocol.error(ErrorKind::NotFound, path, "no such directory")),
            }
        }
        Ok(())
    }

    fn note(&self, dir: RelPath) {
        let mut seen = self.seen();
        if seen.len() >= MOST {
            seen.clear();
        }
        seen.insert(dir, Instant::now());
    }

    /// `dir` is gone, or another one.
    pub fn forget(&self, dir: &RelPath) {
        self.seen().retain(|seen, _| !seen.is_within(dir));
    }
}
