//! Stores with a trash in which something lies.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt;
use sitta_ops::trash::{Restored, Trash, Trashed};
use sitta_store::local::LocalStore;
use sitta_store::memory::MemoryStore;
use sitta_store::{Capabilities, Displaced, Flow, Precondition, Source, Store, What, Write, temps};
use sitta_tree::{Kind, Meta, RelPath, SideTraits, Time};

pub const OLD: &str = "20260101T100000Z-00000000-7.0";
pub const MIDDLE: &str = "20260201T100000Z-00000000-8.0";
pub const NEW: &str = "20260301T100000Z-00000000-9.0";

pub fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// A store with a trash, and the folder that it is, if it is one.
pub struct Place {
    pub store: Arc<dyn Store>,
    pub disk: Option<tempfile::TempDir>,
}

impl Place {
    pub fn disk() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("top")).unwrap();
        Self { store: Arc::new(LocalStore::open(dir.path().join("top")).unwrap()), disk: Some(dir) }
    }

    pub fn memory() -> Self {
        Self { store: Arc::new(MemoryStore::new("memory:")), disk: None }
    }

    /// As object stores are.
    pub fn objects() -> Self {
        let traits = SideTraits { dirs: false, symlinks: false, ..MemoryStore::CAPABILITIES.traits };
        let can = Capabilities { traits, lists_meta: false, ..MemoryStore::CAPABILITIES };
        Self { store: Arc::new(MemoryStore::with("memory:", can)), disk: None }
    }

    pub fn all() -> [Self; 3] {
        [Self::disk(), Self::memory(), Self::objects()]
    }

    pub fn trash(&self) -> Trash {
        Trash::new(self.store.clone(), path(".sitta/trash"), Arc::new(Flow::default()))
    }

    pub fn links(&self) -> bool {
        self.store.capabilities().traits.symlinks
    }

    pub fn outside(&self) -> &Path {
        self.disk.as_ref().expect("on a disk").path()
    }

    pub async fn write(&self, at: &str, what: What) {
        let mut dir = RelPath::root();
        for part in path(at).parent().unwrap().parts() {
            dir = dir.join(part).unwrap();
            if self.store.stat(&dir).await.unwrap().is_none() {
                self.write_one(dir.clone(), What::Dir).await;
            }
        }
        self.write_one(path(at), what).await;
    }

    pub async fn write_one(&self, path: RelPath, what: What) {
        let write = Write {
            path,
            what,
            meta: Meta::default(),
            expect: Precondition::None,
            displaced: Displaced::Discard,
            temp: ".sitta-tmp-x".into(),
        };
        self.store.write(write, &Arc::default()).await.unwrap();
    }

    pub async fn put(&self, at: &str, text: &'static str) {
        self.write(at, What::File(Source::Bytes(text.into()))).await;
    }

    pub async fn trashed(&self, run: &str, at: &str, text: &'static str) {
        self.put(&format!(".sitta/trash/{run}/{at}"), text).await;
    }

    pub async fn get(&self, at: &str) -> Option<String> {
        read(&*self.store, &path(at)).await
    }

    /// Everything that is held, as `path content`, the names of runs that were made meanwhile apart.
    pub async fn held(&self) -> Vec<String> {
        let mut all = Vec::new();
        gather(&*self.store, &RelPath::root(), &mut all).await;
        gather(&*self.store, &path(".sitta"), &mut all).await;
        all.sort();
        all
    }

    pub async fn find(&self, at: &str) -> Trashed {
        self.trash().find(&path(at), None).await.unwrap().expect("in the trash")
    }

    pub async fn restore(&self, at: &str, force: bool) -> Restored {
        let found = self.find(at).await;
        self.trash().restore(&[(found, path(at))], force).await.unwrap()
    }
}

pub async fn read(store: &dyn Store, path: &RelPath) -> Option<String> {
    let entry = store.stat(path).await.unwrap()?;
    match entry.kind {
        Kind::File => {
            let pieces: Vec<_> = store.read(path, 0..u64::MAX).await.unwrap().try_collect().await.unwrap();
            Some(String::from_utf8(pieces.concat()).unwrap())
        }
        Kind::Symlink => Some(format!("-> {}", String::from_utf8_lossy(&entry.target))),
        _ => Some("a directory".to_owned()),
    }
}

pub async fn gather(store: &dyn Store, dir: &RelPath, all: &mut Vec<String>) {
    for (name, entry) in store.list(dir).await.unwrap_or_default() {
        let at = dir.join(&name).unwrap();
        match entry.kind {
            Kind::Dir => Box::pin(gather(store, &at, all)).await,
            _ => {
                let shown = at.parts().map(|part| match part {
                    part if part.len() > 20 && !part.ends_with(b".0") => "RUN".into(),
                    part if temps_of_this_process(part) => "RUN".into(),
                    part => String::from_utf8_lossy(part),
                });
                let shown: Vec<_> = shown.collect();
                all.push(format!("{} {}", shown.join("/"), read(store, &at).await.unwrap_or_default()));
            }
        }
    }
}

/// Whether it is the id of a run of this process.
pub fn temps_of_this_process(name: &[u8]) -> bool {
    let own = format!("-{}-{}.", temps::machine(), std::process::id());
    String::from_utf8_lossy(name).contains(&own)
}

pub fn when(run: &str) -> Time {
    match run {
        OLD => Time::new(1_767_261_600, 0),
        MIDDLE => Time::new(1_769_940_000, 0),
        _ => Time::new(1_772_359_200, 0),
    }
}
