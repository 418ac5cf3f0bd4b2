//! A folder to work in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use sitta_store::local::LocalStore;
use sitta_store::{Displaced, Precondition, ScanOptions, Source, Store, TEMP_PREFIX, What, Write, Written};
use sitta_tree::{Fingerprint, Meta, RelPath, Time, Tree};
use tempfile::TempDir;

/// A new folder, and the store of it.
pub fn folder() -> (TempDir, LocalStore) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let store = LocalStore::open(home.path()).expect("opened");
    (home, store)
}

pub fn path(text: impl AsRef<[u8]>) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

/// A write to where nothing stands.
pub fn new(at: &str, what: What) -> Write {
    let temp = format!("{TEMP_PREFIX}{}", at.replace('/', "-"));
    Write {
        path: path(at),
        what,
        meta: Meta { mtime: Time::new(1_600_000_000, 5), mode: 0o644, ..Meta::default() },
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: temp[..temp.len().min(200)].into(),
    }
}

pub fn new_dir(at: &str) -> Write {
    let write = new(at, What::Dir);
    Write { meta: Meta { mode: 0o755, ..write.meta }, ..write }
}

pub fn bytes(content: impl Into<bytes::Bytes>) -> What {
    What::File(Source::Bytes(content.into()))
}

pub async fn version(store: &LocalStore, at: &str) -> Fingerprint {
    store.stat(&path(at)).await.expect("stat works").expect("it stands there").fingerprint()
}

/// A copy of a file as it stands now, metadata and all.
pub async fn copy_of(from: &LocalStore, at: &str, to: &str) -> Write {
    let entry = from.stat(&path(at)).await.expect("stat works").expect("it stands there");
    let store = Arc::new(from.clone());
    let source = Source::Stored { store, path: path(at), version: entry.fingerprint() };
    Write { meta: entry.meta, ..new(to, What::File(source)) }
}

pub async fn write(store: &LocalStore, write: Write) -> sitta_store::Result<Written> {
    store.write(write, &Arc::default()).await
}

pub async fn scan(store: &LocalStore) -> Tree {
    store.scan(&ScanOptions::default()).await.expect("a scan")
}

/// The names of temporaries anywhere below, as the file system has them.
pub fn temps(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).expect("a directory").map(|entry| entry.expect("an entry")) {
        if entry.file_name().to_string_lossy().starts_with(TEMP_PREFIX) {
            found.push(entry.path());
        } else if entry.file_type().expect("a type").is_dir() {
            found.extend(temps(&entry.path()));
        }
    }
    found
}

/// Says loudly, past the test runner's capture, that a test did not run.
#[expect(clippy::disallowed_methods, reason = "a test that did not run must not look as if it had")]
pub fn skipped(test: &str, why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

/// A file system mounted for the length of a test.
pub struct Mounted(PathBuf);

impl Mounted {
    /// Runs `mount` with `arguments` and the directory; none without the rights to.
    pub fn new(arguments: &[&str], at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).expect("made");
        let mounted = Command::new("mount").args(arguments).arg(at).output();
        mounted.is_ok_and(|run| run.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
