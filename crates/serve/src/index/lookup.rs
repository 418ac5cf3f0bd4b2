//! What the index knows of a search, at one moment: segments and catalogue fit together.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use memchr::memmem::Finder;
use rusqlite::{Connection, params};
use sitta_tree::{Fingerprint, RelPath, fold_key};

use super::Fault;
use super::catalogue::{self, Known, NOISE, UNREAD};
use super::segment::Segment;

/// So many connections are kept for the next searches.
const KEPT: usize = 8;

/// What searches read from: the segments, and connections to the catalogue.
#[derive(Debug)]
pub(super) struct Stock {
    pub dir: PathBuf,
    /// Locked for writing while the catalogue is made to name other segments than these.
    segments: RwLock<Vec<Arc<Segment>>>,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    connections: Vec<Connection>,
    /// How often all was begun anew: connections of before read what is there no more.
    begun: u64,
}

impl Stock {
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), segments: RwLock::default(), idle: Mutex::default() }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts other segments in place of those there are, in the moment in which `commit` makes the catalogue name them.
    pub fn replace(
        &self,
        change: impl FnOnce(&mut Vec<Arc<Segment>>),
        commit: impl FnOnce() -> Result<Vec<i64>, Fault>,
    ) -> Result<Vec<i64>, Fault> {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let touched = commit()?;
        change(&mut segments);
        Ok(touched)
    }

    /// The segments, in the order of their documents.
    pub fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nothing is left of what was read: the files are about to go.
    pub fn forget(&self) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        segments.clear();
        let mut idle = self.idle();
        idle.connections.clear();
        idle.begun += 1;
    }

    /// What is known now. Whatever happens until it is dropped does not show in it.
    pub fn look(&self) -> Result<Moment<'_>, Fault> {
        let (begun, idle) = {
            let mut idle = self.idle();
            (idle.begun, idle.connections.pop())
        };
        let db = idle.map_or_else(|| catalogue::connect(&self.dir, false), Ok)?;
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        db.execute_batch("BEGIN")?;
        // The moment is that of the first look.
        db.prepare_cached("SELECT key FROM about LIMIT 1")?.exists([])?;
        if self.idle().begun != begun {
            return Err(Fault::Failed("it is begun anew".into()));
        }
        Ok(Moment { stock: self, begun, segments: segments.clone(), db: Some(db) })
    }
}

/// A moment that is looked at.
pub(super) struct Moment<'s> {
    stock: &'s Stock,
    begun: u64,
    segments: Vec<Arc<Segment>>,
    /// Taken away when it is dropped.
    db: Option<Connection>,
}

impl Drop for Moment<'_> {
    fn drop(&mut self) {
        let Some(db) = self.db.take() else { return };
        let mut idle = self.stock.idle();
        if idle.begun == self.begun && idle.connections.len() < KEPT && db.execute_batch("COMMIT").is_ok() {
            idle.connections.push(db);
        }
    }
}

impl Moment<'_> {
    fn db(&self) -> &Connection {
        self.db.as_ref().expect("there until it is dropped")
    }

    /// The documents that may hold all of these buckets.
    pub fn docs(&self, buckets: &[u32]) -> Result<Vec<i64>, Fault> {
        let mut docs = Vec::new();
        for segment in &self.segments {
            let found = segment.holding(buckets)?;
            docs.extend(found.into_iter().map(|doc| (segment.first + u64::from(doc)) as i64));
        }
        Ok(docs)
    }

    /// The paths below `base` of the files that became these documents, and of those that the index cannot tell of.
    pub fn paths(&self, docs: &[i64], base: &RelPath) -> Result<Vec<RelPath>, Fault> {
        let mut paths = Vec::new();
        let mut take = |bytes: Vec<u8>| -> Result<(), Fault> {
            let path = catalogue::path(bytes)?;
            if path.is_within(base) {
                paths.push(path);
            }
            Ok(())
        };
        let mut select = self.db().prepare_cached("SELECT path FROM entries WHERE doc = ?")?;
        for doc in [UNREAD, NOISE].iter().chain(docs) {
            for bytes in select.query_map([doc], |row| row.get(0))? {
                take(bytes?)?;
            }
        }
        Ok(paths)
    }

    /// What may be another than the catalogue says though nothing was heard of it, below `base`.
    pub fn unsure(&self, base: &RelPath) -> Result<Vec<(RelPath, Known)>, Fault> {
        let mut select = self.db().prepare_cached("SELECT path FROM entries WHERE unsure")?;
        let mut found = Vec::new();
        for bytes in select.query_map([], |row| row.get(0))? {
            let path = catalogue::path(bytes?)?;
            if path.is_within(base)
                && let Some(known) = self.known(&path)?
            {
                found.push((path, known));
            }
        }
        Ok(found)
    }

    /// What is known of a path.
    pub fn known(&self, path: &RelPath) -> Result<Option<Known>, Fault> {
        catalogue::known(self.db(), path)
    }

    /// Whether this version of the file at `path` was read, and is none of the documents that may hold what is looked for.
    pub fn rules_out(&self, path: &RelPath, version: &Fingerprint, docs: &HashSet<i64>) -> Result<bool, Fault> {
        let known = self.known(path)?.filter(|known| known.version == *version);
        Ok(known.and_then(|known| known.doc).is_some_and(|doc| doc > UNREAD && !docs.contains(&doc)))
    }

    /// The paths below `base` of what has this in its name, both folded.
    pub fn named(&self, folded: &[u8], base: &RelPath) -> Result<Vec<RelPath>, Fault> {
        let finder = Finder::new(folded);
        let mut paths = Vec::new();
        let mut take = |bytes: Vec<u8>| -> Result<(), Fault> {
            let path = catalogue::path(bytes)?;
            if path.is_within(base) && finder.find(&fold_key(path.name())).is_some() {
                paths.push(path);
            }
            Ok(())
        };
        if let Some(words) = trigrams(folded) {
            let mut select = self.db().prepare_cached(
                "SELECT path FROM names JOIN entries ON entries.id = names.rowid WHERE names MATCH ?",
            )?;
            for bytes in select.query_map([words], |row| row.get(0))? {
                take(bytes?)?;
            }
        } else {
            let (from, to) = catalogue::below(base);
            let mut select = self.db().prepare_cached("SELECT path FROM entries WHERE path >= ? AND path < ?")?;
            for bytes in select.query_map(params![from, to], |row| row.get(0))? {
                take(bytes?)?;
            }
        }
        Ok(paths)
    }
}

/// What to ask FTS5 for: each three characters in a row; none for a text that has no three, or is not UTF-8.
fn trigrams(folded: &[u8]) -> Option<String> {
    let text: Vec<char> = std::str::from_utf8(folded).ok()?.chars().collect();
    let word = |window: &[char]| format!("\"{}\"", window.iter().collect::<String>().replace('"', "\"\""));
    let words: Vec<String> = text.windows(3).take(64).map(word).collect();
    (!words.is_empty()).then(|| words.join(" AND "))
}
