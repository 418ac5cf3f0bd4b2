//! Hands that go through a store: in memory, or on an object server.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use sitta_store::memory::MemoryStore;
use sitta_store::{Displaced, Precondition, ScanOptions, Source, Store, What, Write};
use sitta_tree::{Entry, Kind, Meta, NodeId, RelPath, Time, Tree};
use tokio::runtime::Handle;

use super::hands::{Everything, Hands, Save, Thing, is_ours};

/// A store of which only users know, so that nothing happens to its calls.
pub struct Objects {
    pub store: Arc<dyn Store>,
    /// The same, if it is in memory.
    pub memory: Option<MemoryStore>,
    /// Where its calls run, if they need something that runs.
    pub runtime: Option<Handle>,
    /// What was read of a server's objects, by version.
    read: HashMap<(RelPath, u64), Vec<u8>>,
}

impl Objects {
    pub fn memory(store: &MemoryStore) -> Self {
        Self { store: Arc::new(store.clone()), memory: Some(store.clone()), runtime: None, read: HashMap::new() }
    }

    pub fn remote(store: Arc<dyn Store>, runtime: Handle) -> Self {
        Self { store, memory: None, runtime: Some(runtime), read: HashMap::new() }
    }

    fn wait<T: Send + 'static>(
        &self,
        call: impl FnOnce(Arc<dyn Store>) -> futures::future::BoxFuture<'static, T>,
    ) -> T {
        let call = call(self.store.clone());
        match &self.runtime {
            None => futures::executor::block_on(call),
            Some(runtime) => futures::executor::block_on(runtime.spawn(call)).unwrap(),
        }
    }

    fn stat(&self, path: &RelPath) -> Option<Entry> {
        let path = path.clone();
        self.wait(|store| Box::pin(async move { store.stat(&path).await.unwrap() }))
    }

    fn list(&self, dir: &RelPath) -> Vec<(RelPath, Entry)> {
        let at = dir.clone();
        let listed = self.wait(|store| Box::pin(async move { store.list(&at).await.unwrap_or_default() }));
        listed.into_iter().map(|(name, entry)| (dir.join(&name).unwrap(), entry)).collect()
    }

    /// All entries below `dir`, each before what it holds.
    fn below(&self, dir: &RelPath) -> Vec<(RelPath, Entry)> {
        let mut all = self.list(dir);
        let mut next = 0;
        while next < all.len() {
            if all[next].1.kind == Kind::Dir {
                let inside = self.list(&all[next].0.clone());
                all.extend(inside);
            }
            next += 1;
        }
        all
    }

    /// All entries but our own.
    fn users(&self) -> Vec<(RelPath, Entry)> {
        if !self.is_remote() {
            return self.below(&RelPath::root());
        }
        // One request instead of one a directory.
        let tree = self.scan();
        let below = tree.ids().filter(|id| *id != NodeId::ROOT);
        let mut users: Vec<_> = below.map(|id| (tree.path(id), tree.entry(id))).collect();
        // An object below another one's name is hidden by it, but not gone.
        users.extend(
            tree.problems.iter().filter_map(|problem| Some((problem.path.clone(), self.stat(&problem.path)?))),
        );
        users
    }

    fn scan(&self) -> Tree {
        self.wait(|store| Box::pin(async move { store.scan(&ScanOptions::default()).await.unwrap() }))
    }

    fn write(&self, path: &RelPath, what: What, meta: Meta) -> bool {
        let write = Write {
            path: path.clone(),
            what,
            meta,
            expect: Precondition::None,
            displaced: Displaced::Discard,
            temp: ".sitta-tmp-by-hand".into(),
        };
        self.wait(|store| Box::pin(async move { store.write(write, &Arc::default()).await.is_ok() }))
    }

    fn make_parents(&self, path: &RelPath) -> bool {
        let Some(parent) = path.parent().filter(|parent| !parent.is_root()) else { return true };
        if !self.make_parents(&parent) {
            return false;
        }
        match self.stat(&parent) {
            Some(there) => there.kind == Kind::Dir,
            None if !self.store.capabilities().traits.dirs => true,
            None => self.write(&parent, What::Dir, Meta { mode: 0o755, ..Meta::default() }),
        }
    }

    fn set_meta(&self, path: &RelPath, meta: Meta) {
        let path = path.clone();
        self.wait(|store| Box::pin(async move { drop(store.set_meta(&path, &meta, Precondition::None).await) }));
    }

    fn thing(&mut self, path: &RelPath, entry: Entry) -> Option<Thing> {
        Some(match entry.kind {
            Kind::Dir => Thing::Dir { mode: entry.meta.mode },
            Kind::Symlink => Thing::Link { target: entry.target.into() },
            _ if self.is_remote() => {
                let version = (path.clone(), entry.change);
                if !self.read.contains_key(&version) {
                    let bytes = self.read(path)?;
                    self.read.insert(version.clone(), bytes);
                }
                Thing::File { bytes: self.read[&version].clone(), mode: 0, mtime: Time::default() }
            }
            _ => {
                let meta = self.stat(path)?.meta;
                Thing::File { bytes: self.read(path)?, mode: meta.mode, mtime: meta.mtime }
            }
        })
    }
}

impl Hands for Objects {
    fn paths(&mut self) -> Vec<(RelPath, bool)> {
        let mut paths: Vec<_> =
            self.users().into_iter().map(|(path, entry)| (path, entry.kind == Kind::Dir)).collect();
        paths.sort();
        paths
    }

    fn everything(&mut self) -> Everything {
        let ours = RelPath::new(".sitta").unwrap();
        let mut all = self.users();
        all.extend(self.below(&ours));
        all.into_iter().filter_map(|(path, entry)| Some((path.clone(), self.thing(&path, entry)?))).collect()
    }

    fn read(&mut self, path: &RelPath) -> Option<Vec<u8>> {
        let path = path.clone();
        self.wait(|store| {
            Box::pin(async move {
                let mut stream = store.read(&path, 0..u64::MAX).await.ok()?;
                let mut bytes = Vec::new();
                while let Some(chunk) = stream.next().await {
                    bytes.extend_from_slice(&chunk.ok()?);
                }
                Some(bytes)
            })
        })
    }

    fn put(&mut self, path: &RelPath, bytes: &[u8], save: Save) -> Option<Vec<Vec<u8>>> {
        if !self.make_parents(path) {
            return None;
        }
        let there = self.stat(path);
        if there.as_ref().is_some_and(|there| there.kind == Kind::Dir) {
            return None;
        }
        let old: Vec<_> = self.read(path).into_iter().collect();
        if let (Save::InPlace, Some(memory), [_]) = (save, &self.memory, &old[..]) {
            memory.edit(path, bytes.to_vec());
            return Some(old);
        }
        let source = What::File(Source::Bytes(bytes.to_vec().into()));
        self.write(path, source, Meta { mode: 0o644, ..Meta::default() }).then_some(old)
    }

    fn make_dir(&mut self, path: &RelPath) -> bool {
        self.store.capabilities().traits.dirs
            && self.make_parents(path)
            && self.stat(path).is_none()
            && self.write(path, What::Dir, Meta { mode: 0o755, ..Meta::default() })
    }

    fn link(&mut self, path: &RelPath, target: &[u8]) -> bool {
        self.make_parents(path)
            && self.stat(path).is_none()
            && self.write(path, What::Symlink(target.into()), Meta::default())
    }

    fn remove(&mut self, path: &RelPath) -> Option<Vec<Vec<u8>>> {
        let entry = self.stat(path)?;
        let mut all = vec![(path.clone(), entry)];
        all.extend(self.below(path));
        let mut destroyed = Vec::new();
        for (path, entry) in all.into_iter().rev() {
            if entry.kind == Kind::File {
                destroyed.extend(self.read(&path));
            }
            self.wait(|store| {
                Box::pin(async move { drop(store.remove(&path, Precondition::None, Displaced::Discard).await) })
            });
        }
        Some(destroyed)
    }

    fn rename(&mut self, from: &RelPath, to: &RelPath) -> bool {
        let whole = self.store.capabilities().traits.dirs;
        let Some(entry) = self.stat(from) else { return false };
        if (entry.kind == Kind::Dir && !whole) || self.stat(to).is_some() || !self.make_parents(to) {
            return false;
        }
        let (from, to) = (from.clone(), to.clone());
        self.wait(|store| Box::pin(async move { store.rename(&from, &to, Precondition::None).await.is_ok() }))
    }

    fn chmod(&mut self, path: &RelPath, mode: u32) {
        let entry = self.stat(path).filter(|entry| !self.is_remote() && entry.kind != Kind::Symlink);
        if let Some(entry) = entry {
            self.set_meta(path, Meta { mode, ..entry.meta });
        }
    }

    fn touch(&mut self, path: &RelPath, long_ago: Option<i64>) {
        let entry = self.stat(path).filter(|entry| !self.is_remote() && entry.kind == Kind::File);
        if let Some(entry) = entry {
            let mtime = match long_ago {
                Some(secs) => Time::new(secs, 0),
                None => Time::new(entry.meta.mtime.secs + 1, entry.meta.mtime.nanos),
            };
            self.set_meta(path, Meta { mtime, ..entry.meta });
        }
    }

    fn is_remote(&self) -> bool {
        self.memory.is_none()
    }

    fn untangle(&mut self) {
        if !self.is_remote() {
            return;
        }
        let tree = self.scan();
        let files = tree.ids().filter(|id| tree.kind(*id) == Kind::File).map(|id| tree.path(id));
        for file in files.filter(|file| tree.problems.iter().any(|hidden| hidden.path.is_within(file))) {
            let aside = RelPath::new([file.as_bytes(), b"-aside"].concat()).unwrap();
            self.rename(&file, &aside);
        }
    }

    fn restore(&mut self, copy: &Everything) {
        for (path, _) in self.list(&RelPath::root()) {
            self.remove(&path);
        }
        for (path, thing) in copy.iter().filter(|(path, _)| !is_ours(path)) {
            match thing {
                Thing::Dir { mode } => {
                    if self.store.capabilities().traits.dirs {
                        self.write(path, What::Dir, Meta { mode: *mode, ..Meta::default() });
                    }
                }
                Thing::Link { target } => {
                    self.write(path, What::Symlink(target.as_slice().into()), Meta::default());
                }
                Thing::File { bytes, mode, mtime } => {
                    let meta = Meta { mode: *mode, mtime: *mtime, ..Meta::default() };
                    self.write(path, What::File(Source::Bytes(bytes.clone().into())), meta);
                }
            }
        }
    }
}
