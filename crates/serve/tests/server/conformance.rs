//! A share of a server is a store like any other.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use sitta_store::conformance;

use crate::support::Served;

#[tokio::test(flavor = "multi_thread")]
async fn a_share_keeps_the_contract() {
    let served = Served::start().await;
    let count = AtomicUsize::new(0);
    let make = || {
        let path = format!("check/{}", count.fetch_add(1, Relaxed));
        let served = &served;
        async move {
            let store = served.open(&path).await;
            store.create_root().await.expect("made");
            store
        }
    };
    conformance::run(make).await.expect_all();
}
