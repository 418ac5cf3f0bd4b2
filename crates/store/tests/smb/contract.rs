//! The contract of all stores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sitta_store::conformance;
use sitta_testbed::samba::{Options, Samba};

use crate::support::{access, open_with};

async fn fulfils_the_contract(options: &Options) {
    let samba = Samba::with(options);
    let count = AtomicUsize::new(0);
    let verdict = conformance::run(|| {
        let url = format!("{}/below/{}", samba.url(), count.fetch_add(1, Ordering::Relaxed));
        async move {
            let store = open_with(&url, &access(Duration::from_secs(30))).await.expect("opened");
            store.create_root().await.expect("made");
            store
        }
    });
    verdict.await.expect_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn contract() {
    fulfils_the_contract(&Options::default()).await;
}
