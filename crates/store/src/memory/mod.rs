//! A store in memory, for tests: it keeps the contract, can be told to keep less than a disk does, and fails, delays
//! and loses replies when asked to.

mod fault;
mod state;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::StreamExt;
use sitta_tree::{ContentHash, Entry, Fingerprint, Kind, Meta, RelPath, SideTraits, Time, Tree};

pub use fault::{Call, Fault};
use state::{Shape, State};

use crate::{
    ByteStream, Capabilities, Displaced, Error, ErrorKind, Fetched, Flow, OWN_DIR, Precondition, Result,
    ScanOptions, Source, Store, TEMP_PREFIX, What, Write, Written,
};

/// How much one chunk of a read holds.
const CHUNK: usize = 64 << 10;

type Hook = Box<dyn FnMut(&Call) -> Fault + Send>;

/// A store in memory. Cheap to clone; clones share what it holds.
#[derive(Clone)]
pub struct MemoryStore {
    location: Arc<str>,
    capabilities: Capabilities,
    state: Arc<Mutex<State>>,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("location", &self.location).finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// What a good disk can do, hard links apart.
    pub const CAPABILITIES: Capabilities = Capabilities {
        traits: SideTraits {
            mtime_precision: 1,
            modes: true,
            owners: true,
            xattrs: false,
            symlinks: true,
            dirs: true,
            folds_names: false,
            stable_ids: true,
        },
        rename: true,
        atomic_preconditions: true,
        hard_links: false,
        writable: true,
        lists_meta: true,
        verifies: false,
        concurrency: 4,
        batch: 16,
        batches: 4,
    };

    /// An empty store that is shown as `location`.
    pub fn new(location: &str) -> Self {
        Self::with(location, Self::CAPABILITIES)
    }

    /// An empty store that keeps and can do no more than `capabilities` say.
    pub fn with(location: &str, capabilities: Capabilities) -> Self {
        Self {
            location: location.into(),
            capabilities,
            state: Arc::new(Mutex::new(State::new(capabilities.traits))),
            hook: Arc::default(),
        }
    }

    /// Asks `hook` before every call what shall become of it.
    pub fn on_call(&self, hook: impl FnMut(&Call) -> Fault + Send + 'static) {
        *self.hook.lock().unwrap_or_else(|e| e.into_inner()) = Some(Box::new(hook));
    }

    /// Fails the `n`th call from now on (counted from 1) with `kind`, once.
    pub fn fail_nth(&self, n: usize, kind: ErrorKind) {
        let mut calls = 0;
        self.on_call(move |_| {
            calls += 1;
            if calls == n { Fault::Fail(kind) } else { Fault::None }
        });
    }

    /// Lets all calls through again.
    pub fn calm(&self) {
        *self.hook.lock().unwrap_or_else(|e| e.into_inner()) = None;
    }

    /// Sets the store's clock, forwards or back: what changes get as their time where they tell none.
    pub fn set_clock(&self, now: Time) {
        self.state().clock = now;
    }

    /// Puts a file there as somebody else would, past every precondition; directories on the way are made. Its
    /// modification time is the store's clock.
    pub fn put(&self, path: &RelPath, bytes: impl Into<Bytes>) {
        let mut state = self.state();
        state.make_dirs(path);
        let meta = Meta { mode: 0o644, mtime: state.tick(), ..Meta::default() };
        state.set(path, Shape::File(bytes.into()), &meta);
    }

    /// Gives the file there other bytes as somebody else would who writes into it: it stays the same file.
    pub fn edit(&self, path: &RelPath, bytes: impl Into<Bytes>) {
        self.state().edit(path, bytes.into());
    }

    /// Takes away what stands there, with all it holds, as somebody else would.
    pub fn take(&self, path: &RelPath) {
        self.state().take_all(path);
    }

    /// A directory with everything in it, ours too.
    #[cfg(test)]
    pub(crate) async fn list_all(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        self.call("list", dir, |state| state.list(dir)).await
    }

    /// Renames; a file or link at `to` is replaced in the same step.
    #[cfg(test)]
    pub(crate) async fn replace(&self, from: &RelPath, to: &RelPath) -> Result<()> {
        let work = |state: &mut State| {
            state.take_all(to);
            state.rename(from, to, &Precondition::None).map(drop)
        };
        self.call("rename", from, work).await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn error(&self, kind: ErrorKind, path: &RelPath, what: &'static str) -> Error {
        Error::new(kind, &self.location, path.clone(), what)
    }

    /// Lets `work` happen, unless the hook has other plans.
    async fn call<T>(
        &self,
        name: &'static str,
        path: &RelPath,
        work: impl FnOnce(&mut State) -> Result<T, (ErrorKind, &'static str)> + Send,
    ) -> Result<T> {
        let call = Call { name, path: path.clone() };
        let fault = match &mut *self.hook.lock().unwrap_or_else(|e| e.into_inner()) {
            Some(hook) => hook(&call),
            None => Fault::None,
        };
        let failed = |kind| Err(self.error(kind, path, "asked to fail"));
        match fault {
            Fault::Fail(kind) => return failed(kind),
            Fault::LoseReply(kind) => {
                let _ = work(&mut self.state());
                return failed(kind);
            }
            Fault::Delay(turns) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            }
            Fault::None => {}
        }
        work(&mut self.state()).map_err(|(kind, what)| self.error(kind, path, what))
    }

    /// What a listing tells of an entry.
    fn listed(&self, entry: &mut Entry) {
        if !self.capabilities.lists_meta && entry.kind == Kind::File {
            entry.meta = Meta::default();
        }
    }

    /// All bytes of a source, from the version that was meant, and the metadata that came with them.
    async fn fetch(&self, source: &Source, path: &RelPath, flow: &Flow) -> Result<(Bytes, Option<Meta>)> {
        let mut bytes = BytesMut::new();
        let Fetched { bytes: mut stream, meta, .. } = source.open(0).await?;
        while let Some(piece) = stream.next().await {
            if flow.is_cancelled() {
                return Err(self.error(ErrorKind::Cancelled, path, "cancelled"));
            }
            let piece = piece?;
            flow.add_bytes(piece.len() as u64);
            bytes.extend_from_slice(&piece);
        }
        Ok((bytes.freeze(), meta))
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn location(&self) -> &str {
        &self.location
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Tree> {
        if options.flow.is_cancelled() {
            return Err(self.error(ErrorKind::Cancelled, &RelPath::root(), "cancelled"));
        }
        let mut entries = self.call("scan", &RelPath::root(), |state| Ok(state.all())).await?;
        entries.iter_mut().for_each(|(_, entry)| self.listed(entry));
        options.flow.add_entries(entries.len() as u64);
        let mut ignored: Vec<RelPath> = Vec::new();
        let mut skipped: Option<RelPath> = None;
        let mut kept = Vec::with_capacity(entries.len());
        for (path, entry) in entries {
            if skipped.as_ref().is_some_and(|dir| path.is_within(dir)) {
                continue;
            }
            let temp = path.name().starts_with(TEMP_PREFIX.as_bytes());
            if temp && let Some(temps) = &options.temps {
                temps.lock().unwrap_or_else(|e| e.into_inner()).push(path.clone());
            }
            let out = options.filter.as_ref().is_some_and(|filter| {
                filter.excludes(path.as_bytes(), entry.kind == Kind::Dir)
                    || (entry.kind == Kind::File
                        && !filter.admits_file(path.as_bytes(), entry.size, entry.meta.mtime))
            });
            if temp || path.as_bytes() == OWN_DIR.as_bytes() || (out && !path.is_root()) {
                ignored.extend((out && !temp).then(|| path.parent()).flatten());
                skipped = Some(path);
            } else {
                kept.push((path, entry));
            }
        }
        let too_large = |e| Error::new(ErrorKind::Unsupported, &self.location, None, e);
        let mut tree = Tree::from_sorted(kept).map_err(too_large)?;
        for dir in ignored {
            if let Some(id) = tree.find(&dir) {
                tree.set_holds_ignored(id);
            }
        }
        Ok(tree)
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        let entries = self.call("list", dir, |state| state.list(dir)).await?;
        let ours =
            |name: &[u8]| name.starts_with(TEMP_PREFIX.as_bytes()) || (dir.is_root() && name == OWN_DIR.as_bytes());
        let mut entries: Vec<_> = entries.into_iter().filter(|(name, _)| !ours(name)).collect();
        entries.iter_mut().for_each(|(_, entry)| self.listed(entry));
        Ok(entries)
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        self.call("stat", path, |state| Ok(state.entry(path))).await
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        let bytes = self.call("read", path, |state| state.bytes(path)).await?;
        let end = range.end.min(bytes.len() as u64) as usize;
        let rest = bytes.slice(end.min(range.start.min(end as u64) as usize)..end);
        let chunks = (0..rest.len()).step_by(CHUNK).map(move |at| Ok(rest.slice(at..rest.len().min(at + CHUNK))));
        Ok(futures::stream::iter(chunks.collect::<Vec<_>>()).boxed())
    }

    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        let bytes = self.read(path, offset..u64::MAX).await?;
        if self.capabilities.lists_meta {
            return Ok(Fetched { bytes, meta: None, pinned: false });
        }
        // As an object store: metadata and version come with the answer.
        match self.state().entry(path) {
            Some(entry) if entry.fingerprint().same_version(version) => {
                Ok(Fetched { bytes, meta: Some(entry.meta), pinned: true })
            }
            _ => Err(self.error(ErrorKind::Changed, path, "another version")),
        }
    }

    async fn write(&self, write: Write, flow: &Arc<Flow>) -> Result<Written> {
        let Write { path, what, mut meta, expect, displaced, .. } = write;
        if flow.is_cancelled() {
            return Err(self.error(ErrorKind::Cancelled, &path, "cancelled"));
        }
        let mut content = None;
        let shape = match &what {
            What::File(source) => {
                let (bytes, told) = self.fetch(source, &path, flow).await?;
                meta = told.map_or(meta, |told| meta.or(&told));
                content = Some(ContentHash(*blake3::hash(&bytes).as_bytes()));
                Shape::File(bytes)
            }
            What::Symlink(_) if !self.capabilities.traits.symlinks => {
                return Err(self.error(ErrorKind::Unsupported, &path, "no symbolic links here"));
            }
            What::Symlink(target) => Shape::Symlink(target.clone()),
            What::Dir => Shape::Dir,
            What::Link(_) => return Err(self.error(ErrorKind::Unsupported, &path, "no hard links here")),
        };
        let work = |state: &mut State| state.write(&path, shape, &meta, &expect, &displaced);
        let entry = self.call("write", &path, work).await?;
        Ok(Written { entry, content })
    }

    async fn remove(&self, path: &RelPath, expect: Precondition, displaced: Displaced) -> Result<()> {
        self.call("remove", path, |state| state.remove(path, &expect, &displaced)).await
    }

    async fn rename(&self, from: &RelPath, to: &RelPath, expect: Precondition) -> Result<Written> {
        let entry = self.call("rename", from, |state| state.rename(from, to, &expect)).await?;
        Ok(Written { entry, content: None })
    }

    async fn set_meta(&self, path: &RelPath, meta: &Meta, expect: Precondition) -> Result<Written> {
        let entry = self.call("set_meta", path, |state| state.set_meta(path, meta, &expect)).await?;
        Ok(Written { entry, content: None })
    }

    async fn sync(&self) -> Result<()> {
        self.call("sync", &RelPath::root(), |_| Ok(())).await
    }
}
