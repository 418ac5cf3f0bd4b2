//! The contract that every place fulfils.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use sitta_tree::{ContentHash, Entry, Filter, Fingerprint, Meta, RelPath, SideTraits, Tree};

use crate::local::LocalStore;
use crate::watch::Watch;
use crate::{Error, ErrorKind, Result};
use tokio::sync::Notify;

/// Bytes of a file as they arrive, in order.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// Extended attributes: names and values, sorted by name.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// What a store can do beyond holding files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// What it keeps of an entry; decisions depend on it.
    pub traits: SideTraits,
    /// [`Store::rename`] works, so that moves and the trash cost no transfer.
    pub rename: bool,
    /// A precondition is enforced by the store in the same step as the change. Otherwise it is checked right before.
    pub atomic_preconditions: bool,
    /// It keeps hard links.
    pub hard_links: bool,
    /// It can be written to.
    pub writable: bool,
    /// [`Store::scan`] and [`Store::list`] tell the metadata of files. Otherwise it is 0 there, and [`Store::stat`] and
    /// [`Store::fetch`] tell it: a request for each file, so asked for only where it decides something. The version is
    /// told by [`Fingerprint::change`] in either case.
    pub lists_meta: bool,
    /// A write ends well only if the store has found the bytes that it holds to be those that were sent.
    pub verifies: bool,
    /// How many calls in flight suit it; what one [`Store::apply`] has in flight counts.
    pub concurrency: usize,
    /// How many changes suit one [`Store::apply`].
    pub batch: usize,
    /// How many such calls at a time keep it busy.
    pub batches: usize,
}

/// What must stand at a path for a change to happen. Otherwise the call fails with [`crate::ErrorKind::Changed`] and
/// nothing is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// No condition.
    None,
    /// Nothing stands there.
    Absent,
    /// This version stands there. [`Fingerprint::change`] is not compared when it is 0.
    Version(Fingerprint),
}

/// What becomes of the version that a change displaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Displaced {
    /// It is gone.
    Discard,
    /// It is found at this path of the same store afterwards; directories on the way are made.
    MoveTo(RelPath),
}

/// One thing to write.
#[derive(Debug, Clone)]
pub struct Write {
    /// Where.
    pub path: RelPath,
    /// What.
    pub what: What,
    /// The metadata it gets, as far as the store keeps it.
    pub meta: Meta,
    /// What must stand there before.
    pub expect: Precondition,
    /// What becomes of what stood there.
    pub displaced: Displaced,
    /// The name, beside the target, of the temporary file that a store may need. Unique to this write; whoever calls
    /// has noted it, so that it can be removed after a crash. See [`TEMP_PREFIX`].
    pub temp: Box<str>,
}

/// What a [`Write`] writes.
#[derive(Debug, Clone)]
pub enum What {
    /// A file with these bytes.
    File(Source),
    /// A symbolic link with this target.
    Symlink(Box<[u8]>),
    /// A new, empty directory. Writes behind it in the same batch may go into it.
    Dir,
    /// Another name for the file at this path.
    Link(RelPath),
}

/// Names that start so are temporaries of a running or killed sitta: scans leave them out, whatever holds them.
pub const TEMP_PREFIX: &str = ".sitta-tmp-";

/// The directory at a store's root that holds what is ours (the trash): scans of the root leave it out.
pub const OWN_DIR: &str = ".sitta";

/// Where a file's bytes come from: can be opened again and from any offset, so that a store may choose whole upload,
/// parts, resume or retry.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file of a store, in the version that was seen.
    Stored {
        /// Its store.
        store: Arc<dyn Store>,
        /// Its path there.
        path: RelPath,
        /// The version that is meant: a write from any other fails with [`crate::ErrorKind::Changed`].
        version: Fingerprint,
    },
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes that are made while they are sent. How many they are is known only when all of them are made.
    Made(Arc<dyn Maker>),
}

/// Makes the bytes of a [`Source`]: an archive, say, that is packed on its way to the store.
#[async_trait]
pub trait Maker: Send + Sync + fmt::Debug {
    /// Makes all of them, from the first one on, each time it is asked: a write that failed half way begins again with
    /// what is made then. The stream ends well only if it gave all that there shall be.
    async fn make(&self) -> Result<ByteStream>;

    /// So many bytes at most, as far as can be told before: object stores choose the size of their parts by it.
    fn at_most(&self) -> u64;
}

impl Source {
    /// The size in bytes; none where it is not known before all bytes are made.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Stored { version, .. } => Some(version.size),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Made(_) => None,
        }
    }

    /// The size, or what it is expected to be at most.
    pub fn at_most(&self) -> u64 {
        match self {
            Self::Made(maker) => maker.at_most(),
            source => source.size().unwrap_or(u64::MAX),
        }
    }

    /// The bytes from `offset` on. The stream ends well only if it gave all of them, and from the version that was
    /// meant; it fails with [`crate::ErrorKind::Changed`] otherwise. Nothing of them may become visible before that.
    pub async fn open(&self, offset: u64) -> Result<Fetched> {
        let (store, path, version) = match self {
            Self::Stored { store, path, version } => (store, path, version),
            Self::Bytes(bytes) => {
                let rest = bytes.slice(bytes.len().min(offset as usize)..);
                let bytes = stream::once(async { Ok(rest) }).boxed();
                return Ok(Fetched { bytes, meta: None, pinned: true });
            }
            Self::Made(maker) => {
                let bytes = skip(maker.make().await?, offset);
                return Ok(Fetched { bytes, meta: None, pinned: true });
            }
        };
        let Fetched { bytes, meta, pinned } = store.fetch(path, version, offset).await?;
        let left = version.size.saturating_sub(offset);
        let whole = stream::unfold(Some((bytes, self.clone(), left)), move |state| async move {
            let (mut bytes, source, left) = state?;
            let failed = match bytes.next().await {
                Some(Ok(piece)) if piece.len() as u64 <= left => {
                    let left = left - piece.len() as u64;
                    return Some((Ok(piece), Some((bytes, source, left))));
                }
                Some(Ok(_)) => source.changed("gave more bytes than it should have"),
                Some(Err(error)) => error,
                // A file that shrank is told as changed by its store, or gave fewer bytes than it said.
                None if pinned && left == 0 => return None,
                None => match source.check().await {
                    Ok(()) if left == 0 => return None,
                    Ok(()) => source.changed("gave fewer bytes than it should have"),
                    Err(error) => error,
                },
            };
            Some((Err(failed), None))
        });
        Ok(Fetched { bytes: whole.boxed(), meta, pinned: true })
    }

    /// The bytes of a part, for stores that send parts on their own. That they are of the version that was meant is
    /// known only when [`Source::check`] has said so after the last part.
    pub async fn part(&self, range: Range<u64>) -> Result<ByteStream> {
        match self {
            Self::Stored { store, path, .. } => store.read(path, range).await,
            Self::Bytes(bytes) => {
                let end = bytes.len().min(range.end as usize);
                let part = bytes.slice(end.min(range.start as usize)..end);
                Ok(stream::once(async { Ok(part) }).boxed())
            }
            Self::Made(maker) => Ok(cut(skip(maker.make().await?, range.start), range.end - range.start)),
        }
    }

    /// Fails with [`crate::ErrorKind::Changed`] unless it is still the version that was meant.
    pub async fn check(&self) -> Result<()> {
        let Self::Stored { store, path, version } = self else { return Ok(()) };
        match store.stat(path).await? {
            Some(entry) if entry.fingerprint().same_version(version) => Ok(()),
            _ => Err(self.changed("changed while it was being read")),
        }
    }

    fn changed(&self, how: &'static str) -> Error {
        let (location, path) = match self {
            Self::Stored { store, path, .. } => (store.location().into(), Some(path.clone())),
            Self::Bytes(_) | Self::Made(_) => ("".into(), None),
        };
        Error::new(ErrorKind::Changed, &location, path, how)
    }
}

/// The stream without its first `left` bytes.
fn skip(bytes: ByteStream, mut left: u64) -> ByteStream {
    if left == 0 {
        return bytes;
    }
    let rest = bytes.map(move |piece| {
        let mut piece = piece?;
        let gone = left.min(piece.len() as u64);
        left -= gone;
        Ok(piece.split_off(gone as usize))
    });
    rest.boxed()
}

/// The stream's first `left` bytes.
fn cut(bytes: ByteStream, left: u64) -> ByteStream {
    let first = stream::unfold((bytes, left), |(mut bytes, left)| async move {
        match bytes.next().await {
            _ if left == 0 => None,
            Some(Ok(mut piece)) => {
                piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - piece.len() as u64;
                Some((Ok(piece), (bytes, left)))
            }
            Some(Err(error)) => Some((Err(error), (bytes, 0))),
            None => None,
        }
    });
    first.boxed()
}

/// A file's bytes, and what came with them.
pub struct Fetched {
    /// The bytes.
    pub bytes: ByteStream,
    /// The file's metadata, where the store tells it along with the bytes; a field that it did not tell is 0.
    pub meta: Option<Meta>,
    /// The store has made sure that all bytes are of the version that was asked for; nothing has to be checked at the
    /// end.
    pub pinned: bool,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched").field("meta", &self.meta).field("pinned", &self.pinned).finish_non_exhaustive()
    }
}

/// One change of any sort, for [`Store::apply`].
#[derive(Debug, Clone)]
pub enum Change {
    /// [`Store::write`].
    Write(Write),
    /// [`Store::remove`].
    Remove {
        /// Where.
        path: RelPath,
        /// What must stand there before.
        expect: Precondition,
        /// What becomes of it.
        displaced: Displaced,
    },
    /// [`Store::rename`].
    Rename {
        /// The old path.
        from: RelPath,
        /// The new path.
        to: RelPath,
        /// What must stand at the old path before.
        expect: Precondition,
    },
    /// [`Store::set_meta`].
    SetMeta {
        /// Where.
        path: RelPath,
        /// The new metadata.
        meta: Meta,
        /// What must stand there before.
        expect: Precondition,
        /// The entry of another store that has the extended attributes it shall get, where both stores keep them.
        xattrs_of: Option<(Arc<dyn Store>, RelPath)>,
    },
}

impl Change {
    /// The path that it is named by; of a rename the old one.
    pub fn path(&self) -> &RelPath {
        match self {
            Self::Write(write) => &write.path,
            Self::Remove { path, .. } | Self::SetMeta { path, .. } | Self::Rename { from: path, .. } => path,
        }
    }
}

/// What a successful change left at the path.
#[derive(Debug, Clone)]
pub struct Written {
    /// What `stat` would tell right after.
    pub entry: Entry,
    /// The hash of the bytes as they were written, when they passed through.
    pub content: Option<ContentHash>,
}

/// Counts what flows and asks it to stop; shared by all calls of a run.
#[derive(Debug, Default)]
pub struct Flow {
    bytes: AtomicU64,
    entries: AtomicU64,
    cancelled: AtomicBool,
    /// Wakes those who wait for that.
    stop: Notify,
}

impl Flow {
    /// Adds bytes that arrived.
    pub fn add_bytes(&self, n: u64) {
        self.bytes.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds entries that were listed.
    pub fn add_entries(&self, n: u64) {
        self.entries.fetch_add(n, Ordering::Relaxed);
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Entries so far.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Asks all calls to end soon with [`crate::ErrorKind::Cancelled`]; what was begun is finished or undone.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.stop.notify_waiters();
    }

    /// Waits until all calls shall end.
    pub async fn cancelled(&self) {
        let stopped = self.stop.notified();
        tokio::pin!(stopped);
        stopped.as_mut().enable();
        if !self.is_cancelled() {
            stopped.await;
        }
    }

    /// Whether to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// How to look at a whole tree.
#[derive(Debug, Clone, Default)]
pub struct ScanOptions {
    /// What to leave out.
    pub filter: Option<Arc<Filter>>,
    /// Look at extended attributes too.
    pub xattrs: bool,
    /// Counts entries and file bytes seen; stops the scan.
    pub flow: Arc<Flow>,
    /// Receives the path of every temporary ([`TEMP_PREFIX`]) met on the way.
    pub temps: Option<Arc<std::sync::Mutex<Vec<RelPath>>>>,
}

/// A place that holds a tree.
///
/// **Atomicity.** A change is all or nothing: at any moment, also after a crash, a path shows the old bytes or the new
/// ones, never a part; a failed call leaves no trace. **Preconditions** are checked as late as the store can.
/// **Symbolic links** are entries, never followed: not at the path, not on the way, not out of the root.
/// **Idempotence.** `scan`, `list`, `stat`, `read`, `set_meta` may be repeated after any failure. `write`, `remove` and
/// `rename` may be repeated after a transient one only if they carry a precondition; the repeated call may then
/// report `Changed` though the first one took effect. **Time.** Every request to a server has a timeout.
/// **Errors** name the path that was asked for. **Cancelling** by dropping a future is allowed; what was begun is
/// finished or undone in the background.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// The location, printable and without any password.
    fn location(&self) -> &str;

    /// What it can do. Constant for the life of the store.
    fn capabilities(&self) -> Capabilities;

    /// The whole tree, as far as it can be seen: what cannot becomes a problem of the tree and an unknown entry or an
    /// incomplete directory. Fails only if the root itself cannot be listed. A root that is missing is `NotFound`.
    async fn scan(&self, options: &ScanOptions) -> Result<Tree>;

    /// One directory's entries with their names, in no particular order; temporaries and [`OWN_DIR`] are left out.
    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>>;

    /// What stands at the path; none if nothing does (also if the way to it is missing or not a directory).
    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>>;

    /// The bytes of a file in `range`, which may reach past the end.
    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream>;

    /// The bytes of a file from `offset` on, of the version that is meant, with its metadata where that costs nothing
    /// more. A version known to be another one fails with [`crate::ErrorKind::Changed`]; see [`Fetched::pinned`].
    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        let _ = version;
        Ok(Fetched { bytes: self.read(path, offset..u64::MAX).await?, meta: None, pinned: false })
    }

    /// The extended attributes of an entry that [`Meta::xattrs`] is a digest of; none where the store keeps none.
    async fn xattrs(&self, path: &RelPath) -> Result<Xattrs> {
        let _ = path;
        Ok(Xattrs::new())
    }

    /// Writes one thing. The directory above must exist. Metadata fields that are 0 were not told: they come with the
    /// bytes ([`Fetched::meta`]), or are what the store gives new things.
    async fn write(&self, write: Write, flow: &Arc<Flow>) -> Result<Written>;

    /// Writes many things, in order where one depends on another; the results in the order of the writes. A failed one
    /// does not stop the others. What is overwritten is replaced only after the new bytes are safe from a power cut.
    async fn write_batch(&self, writes: Vec<Write>, flow: &Arc<Flow>) -> Vec<Result<Written>> {
        let mut results = Vec::with_capacity(writes.len());
        for write in writes {
            results.push(self.write(write, flow).await);
        }
        results
    }

    /// Makes many changes, in order; the results in the order of the changes, with nothing for removals. A failed one
    /// does not stop the others. For stores that can do many at once cheaper than one by one.
    async fn apply(&self, changes: Vec<Change>, flow: &Arc<Flow>) -> Vec<Result<Option<Written>>> {
        apply_in_turn(self, changes, flow).await
    }

    /// Removes a file, a link or an empty directory.
    async fn remove(&self, path: &RelPath, expect: Precondition, displaced: Displaced) -> Result<()>;

    /// Removes the temporary at `path` ([`TEMP_PREFIX`]), a directory with all it holds: what a killed write has left.
    /// Nothing there is success. Any other name is refused with [`crate::ErrorKind::Unsupported`].
    async fn remove_temp(&self, path: &RelPath) -> Result<()> {
        if !path.name().starts_with(TEMP_PREFIX.as_bytes()) {
            let location = self.location().into();
            return Err(Error::new(ErrorKind::Unsupported, &location, path.clone(), "not a temporary"));
        }
        // Directories on the way down come before what they hold; they are removed in the opposite order.
        let mut found = match self.stat(path).await? {
            Some(entry) => vec![(path.clone(), entry.kind)],
            None => return Ok(()),
        };
        let mut next = 0;
        while let Some((dir, kind)) = found.get(next).cloned() {
            next += 1;
            if kind == sitta_tree::Kind::Dir {
                for (name, entry) in self.list(&dir).await? {
                    found.extend(dir.join(&name).ok().map(|path| (path, entry.kind)));
                }
            }
        }
        for (path, _) in found.iter().rev() {
            match self.remove(path, Precondition::None, Displaced::Discard).await {
                Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Renames; nothing may stand at `to`, unless it is the entry itself under another spelling of its name, on a store
    /// that folds names. Missing directories above `to` are an error.
    async fn rename(&self, from: &RelPath, to: &RelPath, expect: Precondition) -> Result<Written>;

    /// Sets metadata of an entry whose content stays, as far as the store keeps it. Every field is meant: who wants
    /// to leave one as it is gives what it was. Extended attributes stay.
    async fn set_meta(&self, path: &RelPath, meta: &Meta, expect: Precondition) -> Result<Written>;

    /// Makes everything changed so far safe from a power cut.
    async fn sync(&self) -> Result<()>;

    /// Makes the root directory, with those above it, if it is not there.
    async fn create_root(&self) -> Result<()> {
        Ok(())
    }

    /// What tells this root from another one at the same location, where the store can say: a mount that is missing,
    /// a disk that was swapped.
    async fn root_identity(&self) -> Option<String> {
        None
    }

    /// Hears of changes by anybody from now on; none where a store cannot, so that it has to be looked at now and then.
    async fn watch(&self) -> Result<Option<Watch>> {
        Ok(None)
    }

    /// Requests sent to a server so far, for the report and for tests of what an operation costs; 0 for what needs none.
    fn requests(&self) -> u64 {
        0
    }

    /// This store as a local folder, when it is one and nothing (a rate limit, say) stands in between: lets two local
    /// stores copy inside the kernel.
    fn as_local(&self) -> Option<&LocalStore> {
        None
    }

    /// The local folder behind this store, whatever stands in between: to tell whether two stores overlap, not to
    /// reach round what stands in between.
    fn behind(&self) -> Option<&LocalStore> {
        self.as_local()
    }
}

/// The plain way to fulfil [`Store::apply`]: writes that stand together as one batch, everything else one by one.
pub(crate) async fn apply_in_turn<S: Store + ?Sized>(
    store: &S,
    changes: Vec<Change>,
    flow: &Arc<Flow>,
) -> Vec<Result<Option<Written>>> {
    let mut results = Vec::with_capacity(changes.len());
    let mut changes = changes.into_iter().peekable();
    while let Some(change) = changes.next() {
        results.push(match change {
            Change::Write(first) => {
                let mut writes = vec![first];
                while let Some(Change::Write(next)) = changes.next_if(|c| matches!(c, Change::Write(_))) {
                    writes.push(next);
                }
                results.extend(store.write_batch(writes, flow).await.into_iter().map(|w| w.map(Some)));
                continue;
            }
            Change::Remove { path, expect, displaced } => {
                store.remove(&path, expect, displaced).await.map(|()| None)
            }
            Change::Rename { from, to, expect } => store.rename(&from, &to, expect).await.map(Some),
            Change::SetMeta { path, meta, expect, .. } => store.set_meta(&path, &meta, expect).await.map(Some),
        });
    }
    results
}
