//! A store that nothing can change.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use sitta_tree::{Entry, Fingerprint, Meta, RelPath, Tree};

use crate::local::LocalStore;
use crate::watch::Watch;
use crate::{
    ByteStream, Capabilities, Displaced, Error, ErrorKind, Fetched, Flow, Precondition, Result, ScanOptions, Store,
    Write, Written, Xattrs,
};

/// Refuses every change with [`ErrorKind::ReadOnly`].
#[derive(Debug, Clone)]
pub struct ReadOnly {
    inner: Arc<dyn Store>,
}

impl ReadOnly {
    /// Protects `inner`.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner }
    }

    fn refuse<T>(&self, path: &RelPath) -> Result<T> {
        let location = self.inner.location().into();
        Err(Error::new(ErrorKind::ReadOnly, &location, path.clone(), "this store was opened for reading only"))
    }
}

#[async_trait]
impl Store for ReadOnly {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { writable: false, ..self.inner.capabilities() }
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
        self.inner.read(path, range).await
    }

    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        self.inner.fetch(path, version, offset).await
    }

    async fn xattrs(&self, path: &RelPath) -> Result<Xattrs> {
        self.inner.xattrs(path).await
    }

    async fn write(&self, write: Write, _: &Arc<Flow>) -> Result<Written> {
        self.refuse(&write.path)
    }

    async fn remove(&self, path: &RelPath, _: Precondition, _: Displaced) -> Result<()> {
        self.refuse(path)
    }

    async fn remove_temp(&self, path: &RelPath) -> Result<()> {
        self.refuse(path)
    }

    async fn rename(&self, from: &RelPath, _: &RelPath, _: Precondition) -> Result<Written> {
        self.refuse(from)
    }

    async fn set_meta(&self, path: &RelPath, _: &Meta, _: Precondition) -> Result<Written> {
        self.refuse(path)
    }

    async fn sync(&self) -> Result<()> {
        Ok(())
    }

    async fn create_root(&self) -> Result<()> {
        self.refuse(&RelPath::root())
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

    fn behind(&self) -> Option<&LocalStore> {
        self.inner.behind()
    }

    /// A source may be read inside the kernel; nothing is written through this.
    fn as_local(&self) -> Option<&LocalStore> {
        self.inner.as_local()
    }
}
