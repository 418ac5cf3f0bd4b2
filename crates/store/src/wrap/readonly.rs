//! A store that nothing can change.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use sitta_tree::{Entry, Fingerprint, RelPath, Tree};

use crate::chunk::Recipe;
use crate::local::LocalStore;
use crate::look::{Found, Wanted};
use crate::watch::Watch;
use crate::{ByteStream, Capabilities, Fetched, OnServer, Result, ScanOptions, Source, Store, Xattrs};

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

    async fn find(&self, dir: &RelPath, wanted: &Wanted, recursive: bool) -> Result<Option<Found>> {
        self.inner.find(dir, wanted, recursive).await
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

    async fn recipe(&self, path: &RelPath, version: &Fingerprint, old: &Source) -> Result<Option<Recipe>> {
        self.inner.recipe(path, version, old).await
    }

    async fn xattrs(&self, path: &RelPath) -> Result<Xattrs> {
        self.inner.xattrs(path).await
    }

    fn read_only_because(&self) -> &'static str {
        "this store was opened for reading only"
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

    /// A source may be read inside the kernel; nothing is written through this.
    fn as_local(&self) -> Option<&LocalStore> {
        self.inner.as_local()
    }
}
