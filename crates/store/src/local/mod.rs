//! Folders of this machine.
//!
//! Everything below the root is reached through directory handles that were opened without following a link, so that
//! whoever swaps a directory for a link meanwhile leads nobody out of the root.

mod batch;
mod cached;
mod change;
mod content;
mod dirs;
mod errno;
mod facts;
mod links;
mod look;
mod place;
mod probe;
mod read;
mod reader;
mod scan;
mod stage;
mod stream;
#[cfg(all(test, feature = "conformance"))]
mod tests;
mod tick;
mod watch;
mod xattrs;

pub use self::links::Links;
pub use self::reader::{OpenFile, Reader};

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};

use async_trait::async_trait;
use futures::stream::StreamExt;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sitta_tree::{Entry, Fingerprint, Kind, Meta, Printable, RelPath, Tree};

use crate::temps::TempNames;
use crate::watch::Watch;
use crate::{
    ByteStream, Capabilities, Change, Displaced, Error, ErrorKind, Fetched, Flow, Precondition, Result,
    ScanOptions, Store, Write, Written, Xattrs, XattrsOf,
};
use dirs::Dirs;
use errno::Fail;
use facts::Facts;
use tick::Youngest;

/// A folder of this machine. Cheap to clone; clones share what they learned of the file system.
#[derive(Debug, Clone)]
pub struct LocalStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    location: Arc<str>,
    links: Links,
    capabilities: Capabilities,
    stable_ids: bool,
    fine_times: bool,
    on_disk: bool,
    /// The root's handle, from the last scan or the first use on.
    root: RwLock<Option<Root>>,
    learned: Learned,
    /// Handles on other file systems mounted below the root that were written to, by device.
    mounts: Mutex<Vec<(u64, OwnedFd)>>,
}

#[derive(Debug, Clone)]
struct Root {
    fd: Arc<OwnedFd>,
    dev: u64,
    ino: u64,
}

/// What turned out while working, so that it is tried once.
#[derive(Debug)]
struct Learned {
    /// Permission bits that new files do not get (the umask); `u32::MAX` until known.
    masked: AtomicU32,
    /// The device from which content cannot be cloned; 0 for none.
    no_clone_from: AtomicU64,
    /// The file system cannot exchange two names.
    no_exchange: AtomicBool,
    /// The file system cannot refuse a rename onto something that stands there.
    no_noreplace: AtomicBool,
    /// Names of temporaries that nobody else chose.
    temps: TempNames,
}

impl LocalStore {
    /// The folder at `path`, which may not exist yet. Links on the way are resolved now, and a relative path is made
    /// absolute.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, Links::default())
    }

    /// As [`LocalStore::open`], with a word on the symbolic links in it.
    pub fn open_with(path: impl AsRef<Path>, links: Links) -> Result<Self> {
        let given = path.as_ref();
        let shown: Arc<str> = Printable(given.as_os_str().as_bytes()).to_string().into();
        let path = std::path::absolute(given).map_err(|e| Error::new(ErrorKind::Unsupported, &shown, None, e))?;
        let path = canonical(&path);
        let probe::Probed { mut capabilities, stable_ids, fine_times, on_disk } = probe::probe(&path);
        if links == Links::Followed {
            // Whoever may write could otherwise make a link to whatever the server can read, or move a relative one, alone
            // or in a directory, to where it leads elsewhere.
            (capabilities.traits.symlinks, capabilities.rename) = (false, false);
        }
        let learned = Learned {
            masked: AtomicU32::new(u32::MAX),
            no_clone_from: AtomicU64::new(0),
            no_exchange: AtomicBool::new(false),
            no_noreplace: AtomicBool::new(false),
            temps: TempNames::new("rm"),
        };
        let inner = Inner {
            location: Printable(path.as_os_str().as_bytes()).to_string().into(),
            path,
            links,
            capabilities,
            stable_ids,
            fine_times,
            on_disk,
            root: RwLock::new(None),
            learned,
            mounts: Mutex::new(Vec::new()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The root's absolute path.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The tree below `base`, which is reached without following a link; what stands in it is as in [`Store::scan`].
    ///
    /// # Errors
    /// As [`Store::scan`], if no directory stands there.
    pub async fn scan_below(&self, base: &RelPath, options: &ScanOptions) -> Result<Tree> {
        let (base, options) = (base.clone(), options.clone());
        self.blocking(move |inner| scan::scan(inner, &base, &options)).await
    }

    /// Whether this folder is `other` or lies inside it, links resolved; for a root that is missing, its nearest
    /// existing parent decides.
    pub fn is_inside(&self, other: &LocalStore) -> bool {
        canonical(&self.inner.path).starts_with(canonical(&other.inner.path))
    }

    /// Changes that carry no bytes.
    async fn apply_others(&self, changes: Vec<Change>, flow: &Arc<Flow>) -> Vec<Result<Option<Written>>> {
        let (flow, mut furnished) = (flow.clone(), Vec::with_capacity(changes.len()));
        for change in changes {
            let pairs = match &change {
                Change::SetMeta { xattrs: Some(XattrsOf::Entry(store, _)), .. } if store.as_local().is_some() => {
                    Ok(None)
                }
                Change::SetMeta { xattrs: Some(xattrs), .. } => xattrs.get().await.map(Some),
                _ => Ok(None),
            };
            furnished.push((change, pairs));
        }
        let done = self.blocking(move |inner| Ok(change::apply_all(inner, furnished, &flow))).await;
        done.expect("the calls' own errors are inside")
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Inner>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = self.inner.clone();
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(result) => result,
            Err(e) => Err(Error::new(ErrorKind::Other, &self.inner.location, None, e)),
        }
    }
}

/// `path` with links resolved as far as it exists.
fn canonical(path: &Path) -> PathBuf {
    if let Ok(real) = std::fs::canonicalize(path) {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => canonical(parent).join(name),
        _ => path.to_owned(),
    }
}

impl Inner {
    fn error(&self, path: &RelPath, errno: Errno) -> Error {
        errno::at(&self.location, path, errno)
    }

    fn fail(&self, path: &RelPath, fail: impl Into<Fail>) -> Error {
        fail.into().at(&self.location, path)
    }

    /// Opens the root anew and remembers it: it may have been replaced or mounted since.
    fn reopen_root(&self) -> Result<Root, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&self.path, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd)?;
        let root = Root { fd: Arc::new(fd), dev: facts::dev(&stat), ino: stat.st_ino as _ };
        *self.root.write().unwrap_or_else(|e| e.into_inner()) = Some(root.clone());
        Ok(root)
    }

    fn root(&self) -> Result<Root, Errno> {
        if let Some(root) = &*self.root.read().unwrap_or_else(|e| e.into_inner()) {
            return Ok(root.clone());
        }
        self.reopen_root()
    }

    /// What is needed to work below the root: the way to its directories, and how to read its stats.
    fn enter(&self) -> Result<(Dirs, Facts), Errno> {
        let root = self.root()?;
        Ok((Dirs::new(root.fd.clone(), self.links), self.facts(&root)))
    }

    /// As [`Inner::enter`], to change something.
    fn enter_to_change(&self) -> Result<(Dirs, Facts), Errno> {
        self.enter().map(|(dirs, facts)| (dirs.for_changes(), facts))
    }

    fn facts(&self, root: &Root) -> Facts {
        Facts { dev: root.dev, stable_ids: self.stable_ids }
    }

    /// Waits until the tick of the youngest of these is over: see [`tick`].
    fn outlast<'e>(&self, entries: impl Iterator<Item = &'e Entry>) {
        if !self.fine_times {
            let mut youngest = Youngest::new();
            entries.for_each(|entry| youngest.see(entry));
            youngest.wait(self.capabilities.traits.mtime_precision, &Flow::default());
        }
    }

    /// Syncs the root's file system and those mounted below it that were written to.
    fn sync(&self) -> Result<(), Errno> {
        rustix::fs::syncfs(&*self.root()?.fd)?;
        let mounts = std::mem::take(&mut *self.mounts.lock().unwrap_or_else(|e| e.into_inner()));
        mounts.iter().try_for_each(|(_, fd)| rustix::fs::syncfs(fd))
    }
}

/// Whether the way to a path is missing, or leads through something that is not a directory.
fn is_missing(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

#[async_trait]
impl Store for LocalStore {
    fn location(&self) -> &str {
        &self.inner.location
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Tree> {
        self.scan_below(&RelPath::root(), options).await
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        let dir = dir.clone();
        self.blocking(move |inner| {
            let entries = inner.list(&dir).map_err(|errno| inner.error(&dir, errno))?;
            inner.outlast(entries.iter().map(|(_, entry)| entry));
            Ok(entries)
        })
        .await
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        if let Some(entry) = cached::stat(&self.inner, path) {
            return Ok(Some(entry));
        }
        let path = path.clone();
        self.blocking(move |inner| {
            let entry = inner.stat(&path).map_err(|errno| inner.error(&path, errno))?;
            inner.outlast(entry.iter());
            Ok(entry)
        })
        .await
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        let path = path.clone();
        self.blocking(move |inner| read::stream(inner, path, range)).await
    }

    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        if let Some(bytes) = cached::read(&self.inner, path, version, offset) {
            let bytes = futures::stream::once(std::future::ready(Ok(bytes))).boxed();
            return Ok(Fetched { bytes, meta: None, pinned: true });
        }
        let (path, version) = (path.clone(), *version);
        let bytes = self.blocking(move |inner| read::pinned(inner, path, &version, offset)).await?;
        Ok(Fetched { bytes, meta: None, pinned: true })
    }

    async fn xattrs(&self, path: &RelPath) -> Result<Xattrs> {
        let path = path.clone();
        self.blocking(move |inner| inner.xattrs(&path).map_err(|errno| inner.error(&path, errno))).await
    }

    async fn write(&self, write: Write, flow: &Arc<Flow>) -> Result<Written> {
        let mut results = stream::write_all(self, vec![write], flow).await;
        results.pop().expect("one result for one write")
    }

    async fn write_batch(&self, writes: Vec<Write>, flow: &Arc<Flow>) -> Vec<Result<Written>> {
        stream::write_all(self, writes, flow).await
    }

    async fn apply(&self, changes: Vec<Change>, flow: &Arc<Flow>) -> Vec<Result<Option<Written>>> {
        let mut results = Vec::with_capacity(changes.len());
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let writes: Vec<Write> = std::iter::from_fn(|| {
                let next = changes.next_if(|change| matches!(change, Change::Write(_)))?;
                if let Change::Write(write) = next { Some(write) } else { None }
            })
            .collect();
            if !writes.is_empty() {
                results.extend(self.write_batch(writes, flow).await.into_iter().map(|result| result.map(Some)));
            }
            let others: Vec<Change> =
                std::iter::from_fn(|| changes.next_if(|change| !matches!(change, Change::Write(_)))).collect();
            if !others.is_empty() {
                results.extend(self.apply_others(others, flow).await);
            }
        }
        results
    }

    async fn remove(&self, path: &RelPath, expect: Precondition, displaced: Displaced) -> Result<()> {
        let path = path.clone();
        self.blocking(move |inner| change::remove(inner, &path, &expect, &displaced)).await
    }

    async fn rename(&self, from: &RelPath, to: &RelPath, expect: Precondition) -> Result<Written> {
        let (from, to) = (from.clone(), to.clone());
        self.blocking(move |inner| change::rename(inner, &from, &to, &expect)).await
    }

    async fn set_meta(&self, path: &RelPath, meta: &Meta, expect: Precondition) -> Result<Written> {
        let (path, meta) = (path.clone(), *meta);
        self.blocking(move |inner| change::set_meta(inner, &path, &meta, &expect, None)).await
    }

    async fn remove_temp(&self, path: &RelPath) -> Result<()> {
        let path = path.clone();
        self.blocking(move |inner| change::remove_temp(inner, &path)).await
    }

    async fn create_root(&self) -> Result<()> {
        self.blocking(|inner| {
            std::fs::create_dir_all(&inner.path).map_err(|e| match Errno::from_io_error(&e) {
                Some(errno) => inner.error(&RelPath::root(), errno),
                None => Error::new(ErrorKind::Other, &inner.location, None, e),
            })
        })
        .await
    }

    /// The root's device and inode: a root that was unmounted, or mounted over, has others.
    async fn root_identity(&self) -> Option<String> {
        let seen =
            self.blocking(|inner| Ok(inner.reopen_root().ok().map(|root| format!("{}:{}", root.dev, root.ino))));
        seen.await.ok().flatten()
    }

    async fn watch(&self) -> Result<Option<Watch>> {
        if self.inner.links == Links::Followed {
            // What lies behind links would change unheard.
            return Ok(None);
        }
        let watching = self.blocking(|inner| {
            watch::watch(&inner.path).map_err(|errno| inner.error(&RelPath::root(), errno)).map(Some)
        });
        watching.await
    }

    async fn sync(&self) -> Result<()> {
        self.blocking(|inner| inner.sync().map_err(|errno| inner.error(&RelPath::root(), errno))).await
    }

    fn as_local(&self) -> Option<&LocalStore> {
        Some(self)
    }
}

/// Whether it is a directory, file or link: something we write and remove.
fn is_ours(entry: &Entry) -> bool {
    entry.kind != Kind::Unknown
}
