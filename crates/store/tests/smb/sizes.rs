//! Many files, large files, full disks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use sitta_store::memory::MemoryStore;
use sitta_store::{ErrorKind, ScanOptions, Source, Store, What};
use sitta_testbed::samba::{Options, Samba};
use sitta_tree::RelPath;
use tempfile::TempDir;

use crate::support::{bytes, get, new, open, path, put};

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_files_in_one_directory() {
    let samba = Samba::start();
    for n in 0..10_000 {
        std::fs::write(samba.folder().join(format!("some file with a name {n:05}")), "x").expect("written");
    }
    let store = open(&samba).await;
    let before = store.requests();
    let listed = store.list(&RelPath::root()).await.expect("listed");
    assert_eq!(listed.len(), 10_000);
    assert!(store.requests() - before < 40, "{} requests", store.requests() - before);
    let tree = store.scan(&ScanOptions::default()).await.expect("scanned");
    assert_eq!(tree.ids().count(), 10_001);
    assert!(tree.find(&path("some file with a name 09999")).is_some());
}

/// A small disk of its own.
struct Tmpfs(TempDir);

impl Tmpfs {
    fn mount(size: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(home.path());
        let status = mount.status().expect("mount runs");
        assert!(status.success(), "mounting needs root");
        Self(home)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk() {
    let disk = Tmpfs::mount("4m");
    let folder: PathBuf = disk.path().into();
    let samba = Samba::with(&Options { folder: Some(folder), ..Options::default() });
    let store = open(&samba).await;
    put(&store, "kept", "old").await.expect("written");
    for size in [8 << 20, 200 << 10] {
        let error = loop {
            let name = format!("f{}", store.list(&RelPath::root()).await.expect("listed").len());
            match store.write(new(name, bytes(vec![1; size])), &Arc::default()).await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind, ErrorKind::Full, "{size}: {error:?}");
    }
    assert_eq!(get(&store, "kept").await.expect("read"), b"old");
    let options = ScanOptions { temps: Some(Arc::default()), ..ScanOptions::default() };
    store.scan(&options).await.expect("scanned");
    assert!(options.temps.expect("just made").lock().expect("no panic").is_empty(), "nothing is left behind");
    drop((store, samba));
}

#[tokio::test(flavor = "multi_thread")]
async fn from_store_to_store() {
    let samba = Samba::start();
    let store = open(&samba).await;
    let memory = MemoryStore::new("memory:");
    memory.put(&path("f"), vec![3; 2 << 20]);
    let version = memory.stat(&path("f")).await.expect("asked").expect("there").fingerprint();
    let source = Source::Stored { store: Arc::new(memory), path: path("f"), version };
    let there = store.write(new("f", What::File(source)), &Arc::default()).await.expect("written").entry;
    let source = Source::Stored { store: store.clone(), path: path("f"), version: there.fingerprint() };
    let again = store.write(new("g", What::File(source)), &Arc::default()).await.expect("written");
    assert_eq!((again.entry.size, again.content), (2 << 20, Some(again.content.expect("told"))));
}
