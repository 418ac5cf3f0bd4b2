//! The contract of [`Store`], once, for every server that has directories, renames and nothing more: a protocol brings
//! a dozen plain calls, [`RemoteStore`] makes all-or-nothing changes with preconditions from them.

mod progress;
mod publish;
mod settle;
#[cfg(all(test, feature = "conformance"))]
mod tests;
mod way;

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use sitta_tree::{ContentHash, Entry, Fingerprint, Kind, Meta, RelPath, Tree};

pub(crate) use self::progress::Progress;
use self::way::Way;
use crate::gather::walk;
use crate::together::{self, Lanes};
use crate::{
    ByteStream, Capabilities, Change, Displaced, Error, ErrorKind, Fetched, Flow, OWN_DIR, Precondition, Result,
    ScanOptions, Store, TEMP_PREFIX, What, Write, Written,
};

/// What a server can be asked for. Each call is at least one request, has a timeout, and fails with an [`Error`] that
/// names the path. Paths are below the root that the store was opened at; none leads through a symbolic link (that has
/// been seen to).
#[async_trait]
pub(crate) trait Protocol: Send + Sync + fmt::Debug + 'static {
    /// The location, printable and without any password.
    fn location(&self) -> &Arc<str>;

    /// See [`Store::capabilities`].
    fn capabilities(&self) -> Capabilities;

    /// Requests sent so far.
    fn requests(&self) -> u64;

    /// All entries of a directory but `.` and `..`; `NotFound`, `NotADirectory` where it is none. A name that is not
    /// valid as one of ours may be given as it is: it becomes a problem.
    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>>;

    /// What stands at the path, links not followed; the root too.
    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>>;

    /// The bytes of a file; `NotFound`, `IsADirectory` where it is none.
    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream>;

    /// See [`Store::fetch`].
    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        let _ = version;
        Ok(Fetched { bytes: self.read(path, offset..u64::MAX).await?, meta: None, pinned: false })
    }

    /// Makes a new file, in a place where nothing stands, from exactly `size` bytes, or as many as there are if that is
    /// not known before, with the metadata that is kept (fields that are 0 were not told). What was made of it is left
    /// behind on failure. A failure of `bytes` comes back in any form: the caller knows it already. A protocol that can go on after a cut notes in `progress` what the
    /// server has taken; it is asked again then, with what is left, and makes sure that the file still holds the rest.
    async fn create(
        &self,
        path: &RelPath,
        bytes: ByteStream,
        size: Option<u64>,
        meta: &Meta,
        progress: &Progress,
    ) -> Result<()>;

    /// Up to which size [`Protocol::place`] takes a file.
    fn places(&self) -> u64 {
        0
    }

    /// For protocols that can do it cheaper than one by one: [`Protocol::create`] at `temp`, [`Protocol::rename`] to
    /// `path`, and what [`Protocol::stat`] tells then. `temp` may be left behind on failure.
    async fn place(
        &self,
        temp: &RelPath,
        path: &RelPath,
        replace: bool,
        bytes: Bytes,
        meta: &Meta,
    ) -> Result<Entry> {
        let (_, _, _, _) = (temp, replace, bytes, meta);
        Err(self.error(ErrorKind::Unsupported, path, "never asked for"))
    }

    /// Makes a symbolic link where nothing stands.
    async fn symlink(&self, path: &RelPath, target: &[u8], meta: &Meta) -> Result<()> {
        let (_, _) = (target, meta);
        Err(self.error(ErrorKind::Unsupported, path, "this server keeps no symbolic links"))
    }

    /// Makes a directory; `Changed` where something stands already, `NotFound` without one above.
    async fn make_dir(&self, path: &RelPath, meta: &Meta) -> Result<()>;

    /// Renames anything. With `replace` a file or link at `to` is replaced in the same step; otherwise `Changed` if
    /// anything stands there, checked in the same step where [`Capabilities::atomic_preconditions`] says so.
    async fn rename(&self, from: &RelPath, to: &RelPath, replace: bool) -> Result<()>;

    /// Removes a file or link; `NotFound` where there is none.
    async fn remove_file(&self, path: &RelPath) -> Result<()>;

    /// Removes an empty directory; `NotEmpty` if it is not. A server that would remove all it holds must look first.
    async fn remove_dir(&self, path: &RelPath) -> Result<()>;

    /// Sets what is kept of `meta`, literally: a time of 0 is 1970.
    async fn set_meta(&self, path: &RelPath, kind: Kind, meta: &Meta) -> Result<()>;

    /// Makes the root directory, with those above it, if it is not there.
    async fn create_root(&self) -> Result<()>;

    /// See [`Store::root_identity`].
    async fn root_identity(&self) -> Option<String> {
        None
    }

    /// An error at `path` of this store.
    fn error(&self, kind: ErrorKind, path: &RelPath, what: &'static str) -> Error {
        Error::new(kind, self.location(), path.clone(), what)
    }
}

/// A store behind a [`Protocol`].
#[derive(Debug)]
pub(crate) struct RemoteStore<P> {
    protocol: P,
    way: Way,
    lanes: Lanes,
    /// Temporaries of failed writes that could not be removed.
    left: Mutex<HashSet<RelPath>>,
}

impl<P: Protocol> RemoteStore<P> {
    pub fn new(protocol: P) -> Self {
        let lanes = Lanes::new(protocol.capabilities().concurrency.max(1));
        Self { protocol, way: Way::default(), lanes, left: Mutex::default() }
    }

    fn error(&self, kind: ErrorKind, path: &RelPath, what: &'static str) -> Error {
        self.protocol.error(kind, path, what)
    }

    /// Fails unless the path can be gone to without following a link.
    async fn check_way(&self, path: &RelPath) -> Result<()> {
        if self.capabilities().traits.symlinks { self.way.check(&self.protocol, path).await } else { Ok(()) }
    }

    /// What stands at the path of a change, if it is what was expected.
    async fn expected(&self, path: &RelPath, expect: &Precondition) -> Result<Option<Entry>> {
        self.check_way(path).await?;
        let now = self.protocol.stat(path).await?;
        if expect.admits(now.as_ref()) {
            return Ok(now);
        }
        Err(self.error(ErrorKind::Changed, path, "it is not what was expected"))
    }

    /// As `expected`, and something must stand there.
    async fn present(&self, path: &RelPath, expect: &Precondition) -> Result<Entry> {
        match self.expected(path, expect).await? {
            Some(entry) => Ok(entry),
            None => Err(self.error(ErrorKind::NotFound, path, "nothing stands there")),
        }
    }

    /// What stands there after a change of ours.
    async fn written(&self, path: &RelPath, content: Option<ContentHash>) -> Result<Written> {
        match self.protocol.stat(path).await? {
            Some(entry) => Ok(Written { entry, content }),
            None => Err(self.error(ErrorKind::Changed, path, "it vanished right after it was written")),
        }
    }
}

fn is_ours(dir: &RelPath, name: &[u8]) -> bool {
    name.starts_with(TEMP_PREFIX.as_bytes()) || (dir.is_root() && name == OWN_DIR.as_bytes())
}

#[async_trait]
impl<P: Protocol> Store for RemoteStore<P> {
    fn location(&self) -> &str {
        self.protocol.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.protocol.capabilities()
    }

    fn requests(&self) -> u64 {
        self.protocol.requests()
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Tree> {
        let in_flight = self.capabilities().concurrency;
        walk(self, options, in_flight, |dir| async move { self.protocol.list(&dir).await }).await
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        self.check_way(dir).await?;
        let mut entries = self.protocol.list(dir).await?;
        entries.retain(|(name, _)| !is_ours(dir, name) && dir.join(name).is_ok());
        Ok(entries)
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        match self.check_way(path).await {
            Ok(()) => self.protocol.stat(path).await,
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        self.check_way(path).await?;
        self.protocol.read(path, range).await
    }

    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        self.check_way(path).await?;
        self.protocol.fetch(path, version, offset).await
    }

    async fn write(&self, write: Write, flow: &Arc<Flow>) -> Result<Written> {
        if flow.is_cancelled() {
            return Err(self.error(ErrorKind::Cancelled, &write.path, "cancelled"));
        }
        if write.path.is_root() {
            return Err(self.error(ErrorKind::IsADirectory, &write.path, "the root itself"));
        }
        match &write.what {
            What::Dir => self.write_dir(&write).await,
            What::Link(_) => Err(self.error(ErrorKind::Unsupported, &write.path, "no hard links on this server")),
            What::File(source) => self.write_file(&write, source, flow).await,
            What::Symlink(target) => self.write_link(&write, target).await,
        }
    }

    async fn write_batch(&self, writes: Vec<Write>, flow: &Arc<Flow>) -> Vec<Result<Written>> {
        let changes = writes.into_iter().map(Change::Write).collect();
        let results = self.apply(changes, flow).await;
        results.into_iter().map(|result| result.map(|written| written.expect("a write leaves something"))).collect()
    }

    async fn apply(&self, changes: Vec<Change>, flow: &Arc<Flow>) -> Vec<Result<Option<Written>>> {
        let dirs = settle::filled(&changes);
        let mut results = together::apply(self, changes, flow, &self.lanes).await;
        self.settle(dirs, &mut results).await;
        results
    }

    async fn remove(&self, path: &RelPath, expect: Precondition, displaced: Displaced) -> Result<()> {
        let old = self.present(path, &expect).await?;
        self.displace(path, old.kind, &displaced, &expect).await
    }

    async fn rename(&self, from: &RelPath, to: &RelPath, expect: Precondition) -> Result<Written> {
        let old = self.present(from, &expect).await?;
        self.check_way(to).await?;
        if from != to && to.is_within(from) {
            return Err(self.error(ErrorKind::Unsupported, from, "a directory cannot go into itself"));
        }
        self.protocol.rename(from, to, false).await.map_err(|error| Error { path: Some(from.clone()), ..error })?;
        if old.kind == Kind::Dir {
            self.way.forget(from);
        }
        self.written(to, None).await
    }

    async fn set_meta(&self, path: &RelPath, meta: &Meta, expect: Precondition) -> Result<Written> {
        let old = self.present(path, &expect).await?;
        self.protocol.set_meta(path, old.kind, meta).await?;
        self.written(path, None).await
    }

    /// Servers promise nothing of power cuts; what they have confirmed is as safe as it gets.
    async fn sync(&self) -> Result<()> {
        Ok(())
    }

    async fn create_root(&self) -> Result<()> {
        self.protocol.create_root().await
    }

    async fn root_identity(&self) -> Option<String> {
        self.protocol.root_identity().await
    }
}
