//! The contract, for every store and wrapper that needs no server.

use std::sync::Arc;

use sitta_store::local::LocalStore;
use sitta_store::memory::MemoryStore;
use sitta_store::wrap::{Backoff, Bucket, Limited, Recorded, Retried};
use sitta_store::{Capabilities, Store, conformance};
use sitta_tree::SideTraits;
use tempfile::TempDir;

async fn local_below(home: TempDir) {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let verdict = conformance::run(|| {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let root = home.path().join(n.to_string());
        async move {
            let store = LocalStore::open(root).expect("opened");
            store.create_root().await.expect("made");
            Arc::new(store) as Arc<dyn Store>
        }
    });
    verdict.await.expect_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn local() {
    local_below(tempfile::tempdir().expect("a temporary folder")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_on_tmpfs() {
    local_below(tempfile::tempdir_in("/dev/shm").expect("a temporary folder in memory")).await;
}

async fn memory_with(capabilities: Capabilities, wrap: fn(Arc<dyn Store>) -> Arc<dyn Store>) {
    let make = || async move { wrap(Arc::new(MemoryStore::with("memory:", capabilities))) };
    conformance::run(make).await.expect_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    memory_with(MemoryStore::CAPABILITIES, |store| store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_keeps_less() {
    let traits = SideTraits {
        mtime_precision: 2_000_000_000,
        modes: false,
        owners: false,
        xattrs: false,
        symlinks: false,
        folds_names: true,
        stable_ids: false,
        ..MemoryStore::CAPABILITIES.traits
    };
    memory_with(Capabilities { traits, ..MemoryStore::CAPABILITIES }, |store| store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retried() {
    memory_with(MemoryStore::CAPABILITIES, |store| Arc::new(Retried::new(store, Backoff::default()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limited() {
    let wrap = |store| Arc::new(Limited::new(store, Bucket::new(1 << 30))) as Arc<dyn Store>;
    memory_with(MemoryStore::CAPABILITIES, wrap).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded() {
    memory_with(MemoryStore::CAPABILITIES, |store| Arc::new(Recorded::new(store))).await;
}
