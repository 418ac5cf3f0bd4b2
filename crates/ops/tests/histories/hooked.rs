//! A store round a store: users edit between any two calls, calls fail, replies get lost, runs are stopped or die.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::pending;
use sitta_store::local::LocalStore;
use sitta_store::{
    ByteStream, Capabilities, Change, Displaced, Error, ErrorKind, Fetched, Flow, Precondition, Result,
    ScanOptions, Store, Write, Written,
};
use sitta_tree::{Entry, Fingerprint, Kind, Meta, Problem, ProblemKind, RelPath, Side, Tree};

use super::chaos::{Chaos, Fate};

/// How the store is gone round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// Whether a local folder shows itself as one, so that files are copied inside the kernel.
    pub fast: bool,
    /// Whether batches go to the store whole, rather than one change after another.
    pub whole: bool,
    /// A mutant: what stands at a path is not looked at.
    pub careless: bool,
}

#[derive(Debug)]
pub struct Hooked {
    pub inner: Arc<dyn Store>,
    pub side: Side,
    pub manner: Manner,
    /// None: nothing happens.
    pub chaos: Option<Arc<Chaos>>,
}

impl Hooked {
    fn failed(&self, kind: ErrorKind, path: &RelPath) -> Error {
        Error::new(kind, &self.inner.location().into(), path.clone(), "asked to fail")
    }

    /// Lets `work` happen, unless chaos has other plans.
    async fn call<T>(
        &self,
        name: &'static str,
        path: &RelPath,
        changes: bool,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let Some(chaos) = &self.chaos else { return work.await };
        match chaos.before(self.side, name, path) {
            Fate::Go => {}
            Fate::Fail(kind) => return Err(self.failed(kind, path)),
            Fate::Delay(turns) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
            Fate::Die => pending().await,
        }
        let busy = changes.then(|| chaos.busy(self.side));
        let result = work.await;
        drop(busy);
        match chaos.after(self.side, name, path) {
            Fate::Fail(kind) if result.is_ok() => Err(self.failed(kind, path)),
            Fate::Die => pending().await,
            _ => result,
        }
    }

    /// The mutant's way with a precondition.
    fn expects(&self, expect: Precondition) -> Precondition {
        if self.manner.careless { Precondition::None } else { expect }
    }

    fn change(&self, change: Change) -> Change {
        match change {
            Change::Write(write) => Change::Write(Write { expect: self.expects(write.expect), ..write }),
            Change::Remove { path, expect, displaced } => {
                Change::Remove { path, expect: self.expects(expect), displaced }
            }
            Change::Rename { from, to, expect } => Change::Rename { from, to, expect: self.expects(expect) },
            Change::SetMeta { path, meta, expect, xattrs } => {
                Change::SetMeta { path, meta, expect: self.expects(expect), xattrs }
            }
        }
    }

    async fn one(&self, change: Change, flow: &Arc<Flow>) -> Result<Option<Written>> {
        let path = change.path().clone();
        let name = match &change {
            Change::Write(_) => "write",
            Change::Remove { .. } => "remove",
            Change::Rename { .. } => "rename",
            Change::SetMeta { .. } => "set_meta",
        };
        let work = self.inner.apply(vec![change], flow).map(|mut results| results.pop().expect("one for one"));
        self.call(name, &path, true, work).await
    }
}

/// The tree as one sees it for whom the listing of `dir` broke off.
fn blinded(tree: &Tree, dir: &RelPath) -> Tree {
    let hidden =
        |path: &RelPath| path.is_within(dir) && path.parts().nth(dir.depth()).is_some_and(|name| name[0] & 1 == 1);
    let mut seen: Vec<_> = tree.ids().map(|id| (tree.path(id), tree.entry(id))).collect();
    seen.retain(|(path, _)| !hidden(path));
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    let mut blind = Tree::from_sorted(seen).expect("small");
    if let Some(id) = blind.find(dir) {
        blind.set_incomplete(id);
    }
    blind.problems = tree.problems.clone();
    blind.problems.push(Problem::new(dir.clone(), ProblemKind::Unreadable, "cannot be listed whole"));
    blind
}

#[async_trait]
impl Store for Hooked {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Tree> {
        let tree = self.call("scan", &RelPath::root(), false, self.inner.scan(options)).await?;
        let dirs: Vec<_> = tree.ids().filter(|id| tree.kind(*id) == Kind::Dir).map(|id| tree.path(id)).collect();
        let blind = self.chaos.as_ref().and_then(|chaos| chaos.blind(&dirs));
        Ok(blind.map_or(tree.clone(), |dir| blinded(&tree, &dir)))
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        self.call("list", dir, false, self.inner.list(dir)).await
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        self.call("stat", path, false, self.inner.stat(path)).await
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        self.call("read", path, false, self.inner.read(path, range)).await
    }

    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        self.call("fetch", path, false, self.inner.fetch(path, version, offset)).await
    }

    async fn write(&self, write: Write, flow: &Arc<Flow>) -> Result<Written> {
        let written = self.one(self.change(Change::Write(write)), flow).await?;
        Ok(written.expect("a write leaves something"))
    }

    async fn apply(&self, changes: Vec<Change>, flow: &Arc<Flow>) -> Vec<Result<Option<Written>>> {
        let changes: Vec<_> = changes.into_iter().map(|change| self.change(change)).collect();
        if !self.manner.whole {
            let mut results = Vec::with_capacity(changes.len());
            for change in changes {
                results.push(self.one(change, flow).await);
            }
            return results;
        }
        let paths: Vec<_> = changes.iter().map(|change| change.path().clone()).collect();
        let work = self.inner.apply(changes, flow).map(Ok);
        match self.call("apply", &paths[0], true, work).await {
            Ok(results) => results,
            Err(error) => paths.iter().map(|path| Err(self.failed(error.kind, path))).collect(),
        }
    }

    async fn remove(&self, path: &RelPath, expect: Precondition, displaced: Displaced) -> Result<()> {
        let change = self.change(Change::Remove { path: path.clone(), expect, displaced });
        self.one(change, &Arc::default()).await.map(drop)
    }

    async fn remove_temp(&self, path: &RelPath) -> Result<()> {
        self.call("remove_temp", path, true, self.inner.remove_temp(path)).await
    }

    async fn rename(&self, from: &RelPath, to: &RelPath, expect: Precondition) -> Result<Written> {
        let change = self.change(Change::Rename { from: from.clone(), to: to.clone(), expect });
        Ok(self.one(change, &Arc::default()).await?.expect("a rename leaves something"))
    }

    async fn set_meta(&self, path: &RelPath, meta: &Meta, expect: Precondition) -> Result<Written> {
        let change = self.change(Change::SetMeta { path: path.clone(), meta: *meta, expect, xattrs: None });
        Ok(self.one(change, &Arc::default()).await?.expect("new metadata leaves something"))
    }

    async fn sync(&self) -> Result<()> {
        self.call("sync", &RelPath::root(), false, self.inner.sync()).await
    }

    async fn create_root(&self) -> Result<()> {
        self.call("create_root", &RelPath::root(), true, self.inner.create_root()).await
    }

    async fn root_identity(&self) -> Option<String> {
        self.inner.root_identity().await
    }

    fn requests(&self) -> u64 {
        self.inner.requests()
    }

    fn as_local(&self) -> Option<&LocalStore> {
        self.inner.as_local().filter(|_| self.manner.fast)
    }

    fn behind(&self) -> Option<&LocalStore> {
        self.inner.behind()
    }
}
