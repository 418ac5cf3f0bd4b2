//! A shared folder whose files are read through something, as it happens on bad disks and in busy folders.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use sitta_store::local::LocalStore;
use sitta_store::{ByteStream, Capabilities, Flow, Result, ScanOptions, Store, Write, Written};
use sitta_tree::{Entry, RelPath, Tree};

/// `through` makes of a file's bytes what is read.
pub struct Through<F> {
    pub inner: LocalStore,
    pub through: F,
}

impl<F> fmt::Debug for Through<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Through").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl<F: Fn(&RelPath, ByteStream) -> ByteStream + Send + Sync + 'static> Store for Through<F> {
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

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        self.inner.stat(path).await
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        Ok((self.through)(path, self.inner.read(path, range).await?))
    }

    async fn write(&self, write: Write, flow: &Arc<Flow>) -> Result<Written> {
        self.inner.write(write, flow).await
    }

    fn behind(&self) -> Option<&LocalStore> {
        Some(&self.inner)
    }
}
