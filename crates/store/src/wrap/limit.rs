//! Holds the bytes that flow to a rate.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::StreamExt;
use sitta_tree::{Entry, Fingerprint, Meta, RelPath, Tree};
use tokio::time::Instant;

use crate::chunk::Recipe;
use crate::local::LocalStore;
use crate::look::{Found, Wanted};
use crate::watch::Watch;
use crate::{
    ByteStream, Capabilities, Change, Displaced, Fetched, Flow, Maker, OnServer, Precondition, Result, ScanOptions,
    Source, Store, What, Write, Written, Xattrs,
};

/// What flows at most: a bucket of tokens, one a byte, that fills at the rate and holds a tenth of a second's worth.
/// Shared by all that hold a clone; who comes first is served first.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: u64,
    /// When all that was taken will have been filled in again.
    even: Arc<Mutex<Option<Instant>>>,
}

impl Bucket {
    /// At most `rate` bytes a second, 1 at least.
    pub fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), even: Arc::default() }
    }

    /// Takes `bytes` and waits until they may flow.
    pub async fn take(&self, bytes: u64) {
        let until = {
            let now = Instant::now();
            let mut even = self.even.lock().unwrap_or_else(|e| e.into_inner());
            let from = even.unwrap_or(now).max(now);
            let until = from + Duration::from_secs_f64(bytes as f64 / self.rate as f64);
            *even = Some(until);
            until
        };
        tokio::time::sleep_until(until - Duration::from_millis(100)).await;
    }

    /// The same bytes at the rate.
    fn slow(&self, stream: ByteStream) -> ByteStream {
        let bucket = self.clone();
        let slowed = stream.then(move |piece| {
            let bucket = bucket.clone();
            async move {
                if let Ok(bytes) = &piece {
                    bucket.take(bytes.len() as u64).await;
                }
                piece
            }
        });
        slowed.boxed()
    }
}

/// Lets what is read from a store and written to it flow no faster than a bucket allows.
#[derive(Debug, Clone)]
pub struct Limited {
    inner: Arc<dyn Store>,
    bucket: Bucket,
}

impl Limited {
    /// Limits `inner`. Several stores may share one bucket.
    pub fn new(inner: Arc<dyn Store>, bucket: Bucket) -> Self {
        Self { inner, bucket }
    }

    /// The same write, with a source that gives its bytes at the rate.
    async fn slowed(&self, mut write: Write) -> Write {
        match &mut write.what {
            What::File(Source::Stored { store, .. }) => {
                *store = Arc::new(Self { inner: store.clone(), bucket: self.bucket.clone() });
            }
            What::File(Source::Bytes(bytes)) => self.bucket.take(bytes.len() as u64).await,
            What::File(Source::Made(maker)) => {
                *maker = Arc::new(SlowMaker { inner: maker.clone(), bucket: self.bucket.clone() });
            }
            What::Symlink(_) | What::Dir | What::Link(_) => {}
        }
        write
    }
}

/// Makes bytes at the rate.
#[derive(Debug)]
struct SlowMaker {
    inner: Arc<dyn Maker>,
    bucket: Bucket,
}

#[async_trait]
impl Maker for SlowMaker {
    async fn make(&self) -> Result<ByteStream> {
        Ok(self.bucket.slow(self.inner.make().await?))
    }

    async fn xattrs(&self) -> Result<Xattrs> {
        self.inner.xattrs().await
    }

    fn at_most(&self) -> u64 {
        self.inner.at_most()
    }
}

#[async_trait]
impl Store for Limited {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Tree> {
        self.inner.scan(options).await
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        self.inner.list(dir).await
    }

    async fn find(&self, dir: &RelPath, wanted: &Wanted, recursive: bool) -> Result<Option<Found>> {
        self.inner.find(dir, wanted, recursive).await
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        self.inner.stat(path).await
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        Ok(self.bucket.slow(self.inner.read(path, range).await?))
    }

    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        let fetched = self.inner.fetch(path, version, offset).await?;
        Ok(Fetched { bytes: self.bucket.slow(fetched.bytes), ..fetched })
    }

    async fn recipe(&self, path: &RelPath, version: &Fingerprint, old: &Source) -> Result<Option<Recipe>> {
        self.inner.recipe(path, version, old).await
    }

    async fn xattrs(&self, path: &RelPath) -> Result<Xattrs> {
        self.inner.xattrs(path).await
    }

    async fn write(&self, write: Write, flow: &Arc<Flow>) -> Result<Written> {
        let write = self.slowed(write).await;
        self.inner.write(write, flow).await
    }

    async fn write_batch(&self, writes: Vec<Write>, flow: &Arc<Flow>) -> Vec<Result<Written>> {
        let mut slowed = Vec::with_capacity(writes.len());
        for write in writes {
            slowed.push(self.slowed(write).await);
        }
        self.inner.write_batch(slowed, flow).await
    }

    async fn apply(&self, changes: Vec<Change>, flow: &Arc<Flow>) -> Vec<Result<Option<Written>>> {
        let mut slowed = Vec::with_capacity(changes.len());
        for change in changes {
            slowed.push(match change {
                Change::Write(write) => Change::Write(self.slowed(write).await),
                other => other,
            });
        }
        self.inner.apply(slowed, flow).await
    }

    async fn remove(&self, path: &RelPath, expect: Precondition, displaced: Displaced) -> Result<()> {
        self.inner.remove(path, expect, displaced).await
    }

    async fn remove_temp(&self, path: &RelPath) -> Result<()> {
        self.inner.remove_temp(path).await
    }

    async fn rename(&self, from: &RelPath, to: &RelPath, expect: Precondition) -> Result<Written> {
        self.inner.rename(from, to, expect).await
    }

    async fn set_meta(&self, path: &RelPath, meta: &Meta, expect: Precondition) -> Result<Written> {
        self.inner.set_meta(path, meta, expect).await
    }

    async fn sync(&self) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_holds_the_rate_for_all_who_share_it() {
        let bucket = Bucket::new(1000);
        let other = bucket.clone();
        let start = Instant::now();
        for _ in 0..5 {
            tokio::join!(bucket.take(100), other.take(300));
        }
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(1900) && took < Duration::from_millis(2100), "{took:?}");
    }
}
