//! Counts the calls that reach a store: tests assert what an operation costs, reports tell the requests.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use sitta_tree::{Entry, Fingerprint, Meta, RelPath, Tree};

use crate::chunk::Recipe;
use crate::local::LocalStore;
use crate::look::{Found, Wanted};
use crate::watch::Watch;
use crate::{
    ByteStream, Capabilities, Change, Displaced, Fetched, Flow, OnServer, Precondition, Result, ScanOptions,
    Source, Store, Write, Written, Xattrs,
};

/// How many calls there were, by kind. A batch counts each thing in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "named as the calls are")]
pub struct Counts {
    pub scans: u64,
    pub lists: u64,
    pub stats: u64,
    pub reads: u64,
    pub writes: u64,
    pub removes: u64,
    pub renames: u64,
    pub metas: u64,
    pub syncs: u64,
}

impl Counts {
    /// All calls together.
    pub fn total(&self) -> u64 {
        self.scans + self.lists + self.stats + self.reads + self.changes() + self.syncs
    }

    /// The calls that change something.
    pub fn changes(&self) -> u64 {
        self.writes + self.removes + self.renames + self.metas
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Scan,
    List,
    Stat,
    Read,
    Write,
    Remove,
    Rename,
    Meta,
    Sync,
}

/// Counts what passes.
#[derive(Debug, Clone)]
pub struct Recorded {
    inner: Arc<dyn Store>,
    counts: Arc<[AtomicU64; 9]>,
}

impl Recorded {
    /// Counts the calls to `inner`. Clones count together.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, counts: Arc::default() }
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let [scans, lists, stats, reads, writes, removes, renames, metas, syncs] =
            std::array::from_fn(|at| self.counts[at].load(Relaxed));
        Counts { scans, lists, stats, reads, writes, removes, renames, metas, syncs }
    }

    fn count(&self, kind: Kind, n: usize) {
        self.counts[kind as usize].fetch_add(n as u64, Relaxed);
    }
}

#[async_trait]
impl Store for Recorded {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Tree> {
        self.count(Kind::Scan, 1);
        self.inner.scan(options).await
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        self.count(Kind::List, 1);
        self.inner.list(dir).await
    }

    async fn find(&self, dir: &RelPath, wanted: &Wanted, recursive: bool) -> Result<Option<Found>> {
        self.count(Kind::List, 1);
        self.inner.find(dir, wanted, recursive).await
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        self.count(Kind::Stat, 1);
        self.inner.stat(path).await
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        self.count(Kind::Read, 1);
        self.inner.read(path, range).await
    }

    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        self.count(Kind::Read, 1);
        self.inner.fetch(path, version, offset).await
    }

    async fn recipe(&self, path: &RelPath, version: &Fingerprint, old: &Source) -> Result<Option<Recipe>> {
        self.inner.recipe(path, version, old).await
    }

    async fn xattrs(&self, path: &RelPath) -> Result<Xattrs> {
        self.inner.xattrs(path).await
    }

    async fn write(&self, write: Write, flow: &Arc<Flow>) -> Result<Written> {
        self.count(Kind::Write, 1);
        self.inner.write(write, flow).await
    }

    async fn write_batch(&self, writes: Vec<Write>, flow: &Arc<Flow>) -> Vec<Result<Written>> {
        self.count(Kind::Write, writes.len());
        self.inner.write_batch(writes, flow).await
    }

    async fn apply(&self, changes: Vec<Change>, flow: &Arc<Flow>) -> Vec<Result<Option<Written>>> {
        for change in &changes {
            let kind = match change {
                Change::Write(_) => Kind::Write,
                Change::Remove { .. } => Kind::Remove,
                Change::Rename { .. } => Kind::Rename,
                Change::SetMeta { .. } => Kind::Meta,
            };
            self.count(kind, 1);
        }
        self.inner.apply(changes, flow).await
    }

    async fn remove(&self, path: &RelPath, expect: Precondition, displaced: Displaced) -> Result<()> {
        self.count(Kind::Remove, 1);
        self.inner.remove(path, expect, displaced).await
    }

    async fn remove_temp(&self, path: &RelPath) -> Result<()> {
        self.count(Kind::Remove, 1);
        self.inner.remove_temp(path).await
    }

    async fn rename(&self, from: &RelPath, to: &RelPath, expect: Precondition) -> Result<Written> {
        self.count(Kind::Rename, 1);
        self.inner.rename(from, to, expect).await
    }

    async fn set_meta(&self, path: &RelPath, meta: &Meta, expect: Precondition) -> Result<Written> {
        self.count(Kind::Meta, 1);
        self.inner.set_meta(path, meta, expect).await
    }

    async fn sync(&self) -> Result<()> {
        self.count(Kind::Sync, 1);
        self.inner.sync().await
    }

    async fn create_root(&self) -> Result<()> {
        self.inner.create_root().await
    }

    async fn root_identity(&self) -> Option<String> {
        self.inner.root_identity().await
    }

    async fn watch(&self) -> Result<Option<Watch>> {
        self.inner.watch().await
    }

    fn requests(&self) -> u64 {
        self.inner.requests()
    }

    fn on_server(&self) -> Option<OnServer> {
        self.inner.on_server()
    }

    fn behind(&self) -> Option<&LocalStore> {
        self.inner.behind()
    }
}
