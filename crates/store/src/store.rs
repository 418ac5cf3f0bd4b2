//! The contract that every place fulfils.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use sitta_tree::{Entry, Filter, Fingerprint, Meta, RelPath, SideTraits, Tree};

use crate::chunk::Recipe;
use crate::local::LocalStore;
use crate::look::{Found, Wanted};
use crate::watch::Watch;
use crate::{Change, Displaced, Error, ErrorKind, Fetched, Flow, Precondition, Result, Source, Write, Written};

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

/// Names that start so are temporaries of a running or killed sitta: scans leave them out, whatever holds them.
pub const TEMP_PREFIX: &str = ".sitta-tmp-";

/// The directory at a store's root that holds what is ours (the trash): scans of the root leave it out.
pub const OWN_DIR: &str = ".sitta";

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

    /// What is wanted of what `dir` holds, or of all below it, where the store can find it itself at less cost than by
    /// being listed and read; none where it cannot. Paths start from `dir`.
    async fn find(&self, dir: &RelPath, wanted: &Wanted, recursive: bool) -> Result<Option<Found>> {
        let _ = (dir, wanted, recursive);
        Ok(None)
    }

    /// The bytes of a file in `range`, which may reach past the end.
    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream>;

    /// The bytes of a file from `offset` on, of the version that is meant, with its metadata where that costs nothing
    /// more. A version known to be another one fails with [`crate::ErrorKind::Changed`]; see [`Fetched::pinned`].
    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        let _ = version;
        Ok(Fetched { bytes: self.read(path, offset..u64::MAX).await?, meta: None, pinned: false })
    }

    /// How the version of a file that is meant can be put together from an `old` one elsewhere and the bytes that this one
    /// lacks ([`Store::read`]), where finding that out moves far fewer bytes than all of them. None: [`Store::fetch`] it.
    async fn recipe(&self, path: &RelPath, version: &Fingerprint, old: &Source) -> Result<Option<Recipe>> {
        let _ = (path, version, old);
        Ok(None)
    }

    /// The extended attributes of an entry that [`Meta::xattrs`] is a digest of; none where the store keeps none.
    async fn xattrs(&self, path: &RelPath) -> Result<Xattrs> {
        let _ = path;
        Ok(Xattrs::new())
    }

    /// Writes one thing. The directory above must exist. Metadata fields that are 0 were not told: they come with the
    /// bytes ([`Fetched::meta`]), or are what the store gives new things.
    async fn write(&self, write: Write, flow: &Arc<Flow>) -> Result<Written> {
        let _ = flow;
        read_only(self, &write.path)
    }

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
    async fn remove(&self, path: &RelPath, expect: Precondition, displaced: Displaced) -> Result<()> {
        let _ = (expect, displaced);
        read_only(self, path)
    }

    /// Removes the temporary at `path` ([`TEMP_PREFIX`]), a directory with all it holds: what a killed write has left.
    /// Nothing there is success. Any other name is refused with [`crate::ErrorKind::Unsupported`].
    async fn remove_temp(&self, path: &RelPath) -> Result<()> {
        if !self.capabilities().writable {
            return read_only(self, path);
        }
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
    async fn rename(&self, from: &RelPath, to: &RelPath, expect: Precondition) -> Result<Written> {
        let _ = (to, expect);
        read_only(self, from)
    }

    /// Sets metadata of an entry whose content stays, as far as the store keeps it. Every field is meant: who wants
    /// to leave one as it is gives what it was. Extended attributes stay.
    async fn set_meta(&self, path: &RelPath, meta: &Meta, expect: Precondition) -> Result<Written> {
        let _ = (meta, expect);
        read_only(self, path)
    }

    /// Makes everything changed so far safe from a power cut.
    async fn sync(&self) -> Result<()> {
        Ok(())
    }

    /// Makes the root directory, with those above it, if it is not there.
    async fn create_root(&self) -> Result<()> {
        match self.capabilities().writable {
            true => Ok(()),
            false => read_only(self, &RelPath::root()),
        }
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

    /// Why nothing can be changed here, where the store can only be read ([`Capabilities::writable`]): it need not fulfil
    /// what changes something, all of which fails with [`crate::ErrorKind::ReadOnly`] and this.
    fn read_only_because(&self) -> &'static str {
        "it can only be read"
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

    /// Where this store is on a server that copies files by itself, if it is on one.
    fn on_server(&self) -> Option<OnServer> {
        None
    }

    /// The local folder behind this store, whatever stands in between: to tell whether two stores overlap, not to
    /// reach round what stands in between.
    fn behind(&self) -> Option<&LocalStore> {
        self.as_local()
    }
}

/// Where a store is on a server that copies files without their bytes going there and back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnServer {
    /// The server, and what of it: the same for all stores between which it copies.
    pub share: String,
    /// Where in that the store's root is.
    pub base: RelPath,
}

fn read_only<S: Store + ?Sized, T>(store: &S, path: &RelPath) -> Result<T> {
    let (location, why) = (store.location().into(), store.read_only_because());
    Err(Error::new(ErrorKind::ReadOnly, &location, path.clone(), why))
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
