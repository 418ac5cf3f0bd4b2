//! Tries again what failed for the moment, where the contract says that it may be repeated.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::StreamExt;
use sitta_tree::{Entry, Fingerprint, Meta, ProblemKind, RelPath, Tree};

use super::aftermath;
use super::backoff::{Backoff, Headway, Tries};
use crate::chunk::Recipe;
use crate::local::LocalStore;
use crate::look::{Found, Wanted};
use crate::watch::Watch;
use crate::{
    ByteStream, Capabilities, Change, Displaced, Fetched, Flow, OnServer, Precondition, Result, ScanOptions,
    Source, Store, Write, Written, Xattrs,
};

/// Retries transient failures ([`ErrorKind::is_transient`]).
#[derive(Debug, Clone)]
pub struct Retried {
    inner: Arc<dyn Store>,
    backoff: Backoff,
    headway: Headway,
}

/// Whether a change may be repeated though the first try may have taken effect.
fn repeatable(change: &Change) -> bool {
    match change {
        Change::Write(Write { expect, .. }) | Change::Remove { expect, .. } | Change::Rename { expect, .. } => {
            *expect != Precondition::None
        }
        Change::SetMeta { .. } => true,
    }
}

impl Retried {
    /// Retries the calls to `inner`.
    pub fn new(inner: Arc<dyn Store>, backoff: Backoff) -> Self {
        Self { inner, backoff, headway: Headway::default() }
    }

    async fn again<T, F: Future<Output = Result<T>>>(&self, call: impl FnMut() -> F) -> Result<T> {
        self.backoff.beside(&self.headway, call).await
    }

    /// Opens a stream again at the offset where it broke off.
    fn resumed(
        &self,
        stream: ByteStream,
        offset: u64,
        open: impl Fn(u64) -> BoxFuture<'static, Result<ByteStream>> + Send + 'static,
    ) -> ByteStream {
        let (backoff, headway) = (self.backoff, self.headway.clone());
        let state = (open, offset, Some(stream), Tries::new(backoff));
        let resumed = futures::stream::unfold(state, move |(open, offset, stream, mut tries)| {
            let headway = headway.clone();
            async move {
                let mut stream = stream?;
                loop {
                    match stream.next().await? {
                        Ok(bytes) => {
                            headway.make(bytes.len() as u64);
                            let offset = offset + bytes.len() as u64;
                            return Some((Ok(bytes), (open, offset, Some(stream), Tries::new(backoff))));
                        }
                        Err(error) if error.kind.is_transient() && tries.go_on(headway.made()) => {
                            tries.pause().await;
                            stream = match open(offset).await {
                                Ok(anew) => anew,
                                Err(error) => futures::stream::iter([Err(error)]).boxed(),
                            };
                        }
                        Err(error) => return Some((Err(error), (open, offset, None, tries))),
                    }
                }
            }
        });
        resumed.boxed()
    }
}

#[async_trait]
impl Store for Retried {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Tree> {
        self.again(|| self.inner.scan(options)).await
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        self.again(|| self.inner.list(dir)).await
    }

    async fn find(&self, dir: &RelPath, wanted: &Wanted, recursive: bool) -> Result<Option<Found>> {
        self.again(|| self.inner.find(dir, wanted, recursive)).await
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        self.again(|| self.inner.stat(path)).await
    }

    /// A stream that breaks off is opened again where it stopped.
    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        let stream = self.again(|| self.inner.read(path, range.clone())).await?;
        let (inner, path) = (self.inner.clone(), path.clone());
        Ok(self.resumed(stream, range.start, move |offset| {
            let (inner, path, rest) = (inner.clone(), path.clone(), offset..range.end);
            async move { inner.read(&path, rest).await }.boxed()
        }))
    }

    /// As `read`, each time from the version that is meant.
    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        let fetched = self.again(|| self.inner.fetch(path, version, offset)).await?;
        let (inner, path, version) = (self.inner.clone(), path.clone(), *version);
        let bytes = self.resumed(fetched.bytes, offset, move |offset| {
            let (inner, path) = (inner.clone(), path.clone());
            async move { Ok(inner.fetch(&path, &version, offset).await?.bytes) }.boxed()
        });
        Ok(Fetched { bytes, ..fetched })
    }

    async fn recipe(&self, path: &RelPath, version: &Fingerprint, old: &Source) -> Result<Option<Recipe>> {
        self.again(|| self.inner.recipe(path, version, old)).await
    }

    async fn xattrs(&self, path: &RelPath) -> Result<Xattrs> {
        self.again(|| self.inner.xattrs(path)).await
    }

    async fn write(&self, write: Write, flow: &Arc<Flow>) -> Result<Written> {
        let mut results = self.apply(vec![Change::Write(write)], flow).await;
        results.pop().expect("one result for one change").map(|written| written.expect("a write leaves something"))
    }

    async fn write_batch(&self, writes: Vec<Write>, flow: &Arc<Flow>) -> Vec<Result<Written>> {
        let results = self.apply(writes.into_iter().map(Change::Write).collect(), flow).await;
        results.into_iter().map(|result| result.map(|written| written.expect("a write leaves something"))).collect()
    }

    /// What failed for the moment is tried again as a smaller batch, with what failed because it needed that.
    async fn apply(&self, changes: Vec<Change>, flow: &Arc<Flow>) -> Vec<Result<Option<Written>>> {
        let mut tries = Tries::new(self.backoff);
        let sent = flow.bytes();
        let mut results = self.inner.apply(changes.clone(), flow).await;
        self.headway.make(results.iter().filter(|result| result.is_ok()).count() as u64);
        loop {
            let mut again: Vec<usize> = Vec::new();
            for (at, result) in results.iter().enumerate() {
                let Err(error) = result else { continue };
                let orphan = error.problem_kind(true) == ProblemKind::Changed
                    && again.iter().any(|earlier| changes[at].leans_on(&changes[*earlier]));
                if orphan || (error.kind.is_transient() && repeatable(&changes[at])) {
                    again.push(at);
                }
            }
            // What was sent is headway too: a file that goes on where it was cut needs no other to arrive.
            let headway = self.headway.made() + (flow.bytes() - sent);
            if again.is_empty() || flow.is_cancelled() || !tries.go_on(headway) {
                break results;
            }
            tries.pause().await;
            let batch: Vec<_> = again.iter().map(|at| changes[*at].clone()).collect();
            for (at, result) in again.into_iter().zip(self.inner.apply(batch, flow).await) {
                results[at] = match result {
                    // Looking may fail for the moment as well.
                    Err(error) => aftermath::settle(self, &changes[at], error).await,
                    done => done,
                };
                self.headway.make(u64::from(results[at].is_ok()));
            }
        }
    }

    async fn remove(&self, path: &RelPath, expect: Precondition, displaced: Displaced) -> Result<()> {
        let change = Change::Remove { path: path.clone(), expect, displaced };
        let mut results = self.apply(vec![change], &Arc::default()).await;
        results.pop().expect("one result for one change").map(drop)
    }

    async fn remove_temp(&self, path: &RelPath) -> Result<()> {
        self.again(|| self.inner.remove_temp(path)).await
    }

    async fn rename(&self, from: &RelPath, to: &RelPath, expect: Precondition) -> Result<Written> {
        let change = Change::Rename { from: from.clone(), to: to.clone(), expect };
        let mut results = self.apply(vec![change], &Arc::default()).await;
        results.pop().expect("one result for one change").map(|written| written.expect("a rename leaves something"))
    }

    async fn set_meta(&self, path: &RelPath, meta: &Meta, expect: Precondition) -> Result<Written> {
        self.again(|| self.inner.set_meta(path, meta, expect)).await
    }

    async fn sync(&self) -> Result<()> {
        self.again(|| self.inner.sync()).await
    }

    async fn create_root(&self) -> Result<()> {
        self.again(|| self.inner.create_root()).await
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::memory::{Fault, MemoryStore};
    use crate::{ErrorKind, Source, What};

    fn path(text: &str) -> RelPath {
        RelPath::new(text).expect("a valid path")
    }

    fn new_file(at: &str, expect: Precondition) -> Write {
        Write {
            path: path(at),
            what: What::File(Source::Bytes("x".into())),
            meta: Meta::default(),
            expect,
            displaced: Displaced::Discard,
            temp: ".sitta-tmp-1".into(),
        }
    }

    fn flaky(fault: Fault, times: usize) -> (MemoryStore, Retried) {
        let memory = MemoryStore::new("memory:");
        let mut left = times;
        memory.on_call(move |_| {
            let faulty = left > 0;
            left = left.saturating_sub(1);
            if faulty { fault } else { Fault::None }
        });
        let backoff = Backoff::default();
        (memory.clone(), Retried::new(Arc::new(memory), backoff))
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_be_repeated_is() {
        let flow = Arc::default();
        let (_, store) = flaky(Fault::Fail(ErrorKind::Unreachable), 4);
        assert_eq!(store.stat(&path("a")).await.expect("the fifth try"), None);
        let (_, store) = flaky(Fault::Fail(ErrorKind::Busy), 2);
        assert!(store.write(new_file("a", Precondition::Absent), &flow).await.is_ok());
        let (_, store) = flaky(Fault::Fail(ErrorKind::Unreachable), 5);
        assert_eq!(store.stat(&path("a")).await.unwrap_err().kind, ErrorKind::Unreachable);
    }

    #[tokio::test(start_paused = true)]
    async fn where_others_get_through_no_tries_are_used_up() {
        // Every second call fails, and it is always the same one: its next try comes after somebody else's success.
        let (memory, store) = flaky(Fault::None, 0);
        let mut calls = 0;
        memory.on_call(move |_| {
            calls += 1;
            if calls % 2 == 1 && calls < 20 { Fault::Fail(ErrorKind::Unreachable) } else { Fault::None }
        });
        let (a, b) = (path("a"), path("b"));
        let other = store.clone();
        let others = async {
            // The pauses after one failure are 125 to 250 ms.
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                drop(other.stat(&b).await);
            }
        };
        tokio::select! {
            found = store.stat(&a) => assert_eq!(found.expect("the others got through"), None),
            () = others => unreachable!(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_be_repeated_is_not() {
        let flow = Arc::default();
        let (_, store) = flaky(Fault::Fail(ErrorKind::Unreachable), 1);
        let refused = store.write(new_file("a", Precondition::None), &flow).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Unreachable);
        let (_, store) = flaky(Fault::Fail(ErrorKind::Denied), 1);
        assert_eq!(store.stat(&path("a")).await.unwrap_err().kind, ErrorKind::Denied);
        let (memory, store) = flaky(Fault::LoseReply(ErrorKind::Unreachable), 1);
        let refused = store.write(new_file("a", Precondition::None), &flow).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Unreachable, "whether it took effect is not known");
        drop(memory);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_reply_is_no_failure() {
        let flow = Arc::default();
        let lost = Fault::LoseReply(ErrorKind::Unreachable);
        let (memory, store) = flaky(lost, 1);
        let written = store.write(new_file("a", Precondition::Absent), &flow).await.expect("it took effect");
        assert_eq!(memory.stat(&path("a")).await.expect("calm"), Some(written.entry.clone()));
        let (memory, store) = flaky(lost, 0);
        memory.put(&path("a"), "x");
        let entry = memory.stat(&path("a")).await.expect("no fault").expect("just put");
        let version = Precondition::Version(entry.fingerprint());
        let mut calls = 0;
        memory.on_call(move |_| {
            calls += 1;
            if calls == 1 { lost } else { Fault::None }
        });
        store.remove(&path("a"), version, Displaced::Discard).await.expect("it is gone");
        assert_eq!(memory.stat(&path("a")).await.expect("calm"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_needed_a_failed_change_goes_again_with_it() {
        let flow = Arc::default();
        let (memory, store) = flaky(Fault::Fail(ErrorKind::Unreachable), 0);
        memory.put(&path("old"), "x");
        memory.put(&path("gone/f"), "x");
        let mut versions = Vec::new();
        for at in ["old", "gone/f"] {
            let entry = memory.stat(&path(at)).await.expect("no fault").expect("just put");
            versions.push(Precondition::Version(entry.fingerprint()));
        }
        // Each change that something else needs fails once.
        let mut failing = vec!["d", "old", "gone/f"];
        memory.on_call(move |call| match failing.iter().position(|at| call.path == path(at)) {
            Some(at) => {
                failing.remove(at);
                Fault::Fail(ErrorKind::Busy)
            }
            None => Fault::None,
        });
        let meta = Meta { mode: 0o700, ..Meta::default() };
        let set = |at| Change::SetMeta { path: path(at), meta, expect: Precondition::None, xattrs: None };
        let remove = |at, expect| Change::Remove { path: path(at), expect, displaced: Displaced::Discard };
        let changes = vec![
            Change::Write(Write { what: What::Dir, ..new_file("d", Precondition::Absent) }),
            Change::Write(new_file("d/f", Precondition::Absent)),
            set("d"),
            Change::Rename { from: path("old"), to: path("new"), expect: versions[0] },
            set("new"),
            Change::Write(new_file("old", Precondition::Absent)),
            remove("gone/f", versions[1]),
            remove("gone", Precondition::None),
        ];
        for result in store.apply(changes, &flow).await {
            result.expect("it worked in the end");
        }
        for at in ["d", "new"] {
            let told = memory.stat(&path(at)).await.expect("no fault").expect("it is there");
            assert_eq!(told.meta.mode, 0o700, "{at}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_else_did_meanwhile_is_a_failure() {
        let flow = Arc::default();
        let (memory, store) = flaky(Fault::Fail(ErrorKind::Unreachable), 1);
        memory.put(&path("a"), "y");
        let refused = store.write(new_file("a", Precondition::Absent), &flow).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Changed, "as long, but other bytes");
    }
}
