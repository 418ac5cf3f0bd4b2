//! What runs with a trash have displaced: looked at, brought back, and let go of.
//!
//! The trash is a directory of a store that holds a folder for each run, named by the run's id, and in it every
//! displaced version at the path where it stood. Whatever else lies there is somebody else's: it is neither shown nor
//! touched.

mod empty;
mod restore;
mod walk;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use sitta_store::{Change, Error, ErrorKind, Flow, Precondition, Result, Store, Written, temps};
use sitta_tree::{Entry, Fingerprint, Kind, Problem, RelPath, Time};

use crate::run_id;

pub(crate) use empty::at_end;
pub use empty::{Emptied, EmptiedRun};
pub use restore::Restored;

/// Where the trash is, unless the user names another place.
pub const TRASH_DIR: &str = ".sitta/trash";

/// How long old versions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrashKeep {
    /// So long after the run that displaced them began.
    Within(Duration),
    /// Until somebody empties the trash.
    Forever,
}

/// A store's trash.
#[derive(Debug, Clone)]
pub struct Trash {
    store: Arc<dyn Store>,
    dir: RelPath,
    flow: Arc<Flow>,
}

/// A run that has left something in the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashRun {
    /// Its id.
    pub id: Box<str>,
    /// When it began, to the second.
    pub began: Time,
    /// The process, where it ran on this machine.
    process: Option<i32>,
}

/// A version in the trash.
#[derive(Debug, Clone)]
pub struct Trashed {
    /// The run that displaced it.
    pub run: Arc<TrashRun>,
    /// Where it stood.
    pub path: RelPath,
    /// What it is. Of a directory only what lies in it was kept.
    pub entry: Entry,
}

/// What one run has left in the trash.
#[derive(Debug)]
pub struct Contents {
    /// The versions, by path.
    pub versions: Vec<Trashed>,
    /// What could not be looked at; the paths are those in the store.
    pub problems: Vec<Problem>,
}

impl Trash {
    /// The trash at `dir` of a store. `flow` stops what takes long.
    pub fn new(store: Arc<dyn Store>, dir: RelPath, flow: Arc<Flow>) -> Self {
        Self { store, dir, flow }
    }

    /// Where a run's versions lie, for people.
    pub fn location(&self, run: &str) -> String {
        format!("{}/{}/{run}", self.store.location().trim_end_matches('/'), self.dir)
    }

    /// The runs that have left something, the last one first. A trash that is not there is empty.
    pub async fn runs(&self) -> Result<Vec<Arc<TrashRun>>> {
        let listed = match self.store.list(&self.dir).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed?,
        };
        let mut runs: Vec<Arc<TrashRun>> = listed
            .into_iter()
            .filter(|(_, entry)| entry.kind == Kind::Dir)
            .filter_map(|(name, _)| TrashRun::named(&name).map(Arc::new))
            .collect();
        runs.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(runs)
    }

    /// What every run has left, the last run first, one at a time.
    pub fn list(&self, runs: Vec<Arc<TrashRun>>) -> impl Stream<Item = Result<Contents>> + '_ {
        stream::iter(runs).then(move |run| async move { self.contents(&run, &RelPath::root()).await })
    }

    /// What a run has left at and below a path.
    pub async fn contents(&self, run: &Arc<TrashRun>, below: &RelPath) -> Result<Contents> {
        let found = self.walk(self.folder(run).join_path(below)).await?;
        let version = |(path, entry)| Trashed { run: run.clone(), path: below.join_path(&path), entry };
        Ok(Contents { versions: found.files.into_iter().map(version).collect(), problems: found.problems })
    }

    /// The last version of a path; of a directory, what the last run that has left anything below it has left. `run`:
    /// only what this one has left.
    pub async fn find(&self, path: &RelPath, run: Option<&Arc<TrashRun>>) -> Result<Option<Trashed>> {
        let runs = match run {
            Some(run) => vec![run.clone()],
            None => self.runs().await?,
        };
        let mut looks = stream::iter(runs)
            .map(|run| async move {
                let entry = self.store.stat(&self.folder(&run).join_path(path)).await?;
                Ok(entry.map(|entry| Trashed { run, path: path.clone(), entry }))
            })
            .buffered(self.in_flight());
        while let Some(found) = looks.next().await {
            if let Some(version) = found? {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// Asks for the metadata that listings did not tell, a request a file. What cannot be told stays as it is.
    pub async fn fill_in(&self, versions: &mut [Trashed]) {
        if self.store.capabilities().lists_meta {
            return;
        }
        let places: Vec<(usize, RelPath)> = versions
            .iter()
            .enumerate()
            .filter(|(_, version)| version.entry.kind == Kind::File)
            .map(|(at, version)| (at, self.place(version)))
            .collect();
        let mut told = stream::iter(places)
            .map(|(at, place)| async move { (at, self.store.stat(&place).await) })
            .buffer_unordered(self.in_flight());
        while let Some((at, entry)) = told.next().await {
            if let Ok(Some(entry)) = entry {
                versions[at].entry = entry;
            }
        }
    }

    /// A run's folder.
    fn folder(&self, run: &TrashRun) -> RelPath {
        self.dir.join(run.id.as_bytes()).expect("a run id is a name")
    }

    /// Where a version lies in the store.
    fn place(&self, version: &Trashed) -> RelPath {
        self.folder(&version.run).join_path(&version.path)
    }

    fn in_flight(&self) -> usize {
        self.store.capabilities().concurrency.max(1)
    }

    /// Fails once the user has asked to stop.
    fn go_on(&self) -> Result<()> {
        match self.flow.is_cancelled() {
            true => Err(Error::new(ErrorKind::Cancelled, &self.store.location().into(), None, "cancelled")),
            false => Ok(()),
        }
    }

    /// Makes changes that do not build on each other, as many at a time as suits the store; the results in their order.
    async fn carry_out(&self, changes: Vec<Change>) -> Vec<Result<Option<Written>>> {
        let can = self.store.capabilities();
        let batches: Vec<Vec<Change>> = chunks(changes, can.batch.max(1));
        let results: Vec<Vec<_>> = stream::iter(batches)
            .map(|batch| self.store.apply(batch, &self.flow))
            .buffered(can.batches.max(1))
            .collect()
            .await;
        results.into_iter().flatten().collect()
    }

    /// Makes changes one after the other, or as if they were.
    async fn carry_out_in_order(&self, changes: Vec<Change>) -> Vec<Result<Option<Written>>> {
        let mut results = Vec::with_capacity(changes.len());
        for batch in chunks(changes, self.store.capabilities().batch.max(1)) {
            results.extend(self.store.apply(batch, &self.flow).await);
        }
        results
    }
}

impl TrashRun {
    fn named(name: &[u8]) -> Option<Self> {
        let id = std::str::from_utf8(name).ok()?;
        let told = run_id::read(id)?;
        let process = (told.machine == temps::machine()).then_some(told.process);
        Some(Self { id: id.into(), began: told.began, process })
    }

    /// Whether its process lives.
    fn may_go_on(&self) -> bool {
        let pid = self.process.and_then(Pid::from_raw);
        pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
    }
}

/// The runs of which none can still be at work: a living process may be at its last one.
fn ended(runs: Vec<Arc<TrashRun>>) -> (Vec<Arc<TrashRun>>, u64) {
    let mut last = HashSet::new();
    let all = runs.len();
    let ended: Vec<_> = runs
        .into_iter()
        .filter(|run| run.process.is_none_or(|process| !last.insert(process)) || !run.may_go_on())
        .collect();
    let busy = (all - ended.len()) as u64;
    (ended, busy)
}

fn chunks<T>(items: Vec<T>, size: usize) -> Vec<Vec<T>> {
    let mut items = items.into_iter();
    let next = || Some(items.by_ref().take(size).collect::<Vec<_>>()).filter(|chunk| !chunk.is_empty());
    std::iter::from_fn(next).collect()
}

/// This version must stand there. What is done to one of a file's names moves the change time that all of them show.
fn this_version(entry: &Entry) -> Precondition {
    let version = entry.fingerprint();
    Precondition::Version(if entry.linked { Fingerprint { change: 0, ..version } } else { version })
}

/// A failed call as data.
fn problem(path: &RelPath, error: &Error) -> Problem {
    Problem::new(path.clone(), error.problem_kind(true), error.source.to_string())
}
