//! Two folders, a state, and a run between them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sitta_ops::trash::TrashKeep;
use sitta_ops::{Event, MaxDelete, Options, Report, RunError, Sink, State, transfer};
use sitta_store::local::LocalStore;
use sitta_store::{Flow, Store};
use sitta_tree::{Existing, Policy, RelPath};

/// A temporary place with a source, a destination and a state folder.
pub struct Pair {
    dir: tempfile::TempDir,
    pub options: Options,
}

/// Keeps all events.
#[derive(Default)]
pub struct Events(pub Mutex<Vec<Event>>);

impl Sink for Events {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

pub fn options(policy: Policy) -> Options {
    Options {
        policy,
        called: None,
        filter: None,
        checksum: false,
        hard_links: false,
        xattrs: false,
        verify: false,
        dry_run: false,
        transfers: None,
        max_delete: MaxDelete::Default,
        trash: None,
        trash_keep: TrashKeep::Forever,
        force_empty: false,
    }
}

impl Pair {
    pub fn mirror() -> Self {
        Self::with(options(Policy::Mirror))
    }

    pub fn copy() -> Self {
        Self::with(options(Policy::Copy { existing: Existing::Replace }))
    }

    pub fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("src")).unwrap();
        Self { dir, options }
    }

    pub fn trashing(mut self) -> Self {
        self.options.trash = Some(RelPath::new(".sitta/trash").unwrap());
        self
    }

    pub fn src(&self) -> PathBuf {
        self.dir.path().join("src")
    }

    pub fn dst(&self) -> PathBuf {
        self.dir.path().join("dst")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn stores(&self) -> [Arc<dyn Store>; 2] {
        [self.src(), self.dst()].map(|path| Arc::new(LocalStore::open(path).unwrap()) as Arc<dyn Store>)
    }

    pub fn try_run(&self) -> Result<Report, RunError> {
        let [left, right] = self.stores();
        self.run_between(left, right, &())
    }

    pub fn run(&self) -> Report {
        self.try_run().unwrap()
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(work)
    }

    pub fn run_between(
        &self,
        left: Arc<dyn Store>,
        right: Arc<dyn Store>,
        sink: &dyn Sink,
    ) -> Result<Report, RunError> {
        let state = State::open(&self.state_dir()).unwrap();
        self.block_on(transfer(left, right, &self.options, &state, sink, &Arc::new(Flow::default())))
    }
}

/// Writes a file with directories above it.
pub fn put(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// The content of a file; none if there is none.
pub fn get(root: &Path, path: &str) -> Option<String> {
    fs::read_to_string(root.join(path)).ok()
}

/// Everything below a root as sorted lines, our own directory left out.
pub fn listing(root: &Path) -> Vec<String> {
    fn walk(root: &Path, dir: &Path, out: &mut Vec<String>) {
        // What goes while this looks at it was not there.
        for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if name == ".sitta" {
                continue;
            }
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            if meta.is_dir() {
                out.push(format!("{name}/"));
                walk(root, &path, out);
            } else if meta.is_symlink() {
                out.push(format!("{name} -> {}", fs::read_link(&path).unwrap_or_default().display()));
            } else {
                let time = meta.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
                out.push(format!("{name} {time} {}", blake3::hash(&fs::read(&path).unwrap_or_default()).to_hex()));
            }
        }
    }
    let mut out = Vec::new();
    if root.exists() {
        walk(root, root, &mut out);
    }
    out.sort();
    out
}
