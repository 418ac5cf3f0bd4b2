//! The contract on file systems that cannot do what most can: exchange two names, refuse to rename onto something,
//! link.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::{Inner, LocalStore};
use crate::{Store, conformance};

/// Runs the suite on stores that were made to do less.
async fn with(lessen: fn(&mut Inner)) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let count = AtomicUsize::new(0);
    let make = || {
        let root = home.path().join(count.fetch_add(1, Relaxed).to_string());
        async move {
            let mut store = LocalStore::open(root).expect("opened");
            lessen(Arc::get_mut(&mut store.inner).expect("not shared yet"));
            store.create_root().await.expect("made");
            Arc::new(store) as Arc<dyn Store>
        }
    };
    conformance::run(make).await.expect_all();
}

fn no_exchange(inner: &mut Inner) {
    inner.learned.no_exchange.store(true, Relaxed);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_exchange() {
    with(no_exchange).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_exchange_and_noreplace() {
    with(|inner| {
        no_exchange(inner);
        inner.learned.no_noreplace.store(true, Relaxed);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_links_either() {
    with(|inner| {
        no_exchange(inner);
        inner.learned.no_noreplace.store(true, Relaxed);
        inner.capabilities.hard_links = false;
        inner.capabilities.atomic_preconditions = false;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_another_machine() {
    with(|inner| inner.on_disk = false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_stable_ids() {
    with(|inner| {
        inner.stable_ids = false;
        inner.capabilities.traits.stable_ids = false;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_links_followed() {
    with(|inner| {
        inner.links = super::Links::Followed;
        (inner.capabilities.traits.symlinks, inner.capabilities.rename) = (false, false);
    })
    .await;
}
