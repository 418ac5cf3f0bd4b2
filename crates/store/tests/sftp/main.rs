//! The SFTP store against OpenSSH.

mod faults;
mod files;
mod logins;
mod measure;
mod support;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use sitta_store::conformance::{self, Verdict};
use sitta_testbed::sshd::{Sshd, SshdOptions};

use support::Place;

async fn verdict(options: &SshdOptions) -> Verdict {
    let place = Place::of(Sshd::with(options));
    let count = AtomicUsize::new(0);
    let verdict = conformance::run(|| {
        let n = count.fetch_add(1, Relaxed);
        let place = &place;
        async move {
            let store = place.open(&format!("check-{n}")).await.expect("opened");
            store.create_root().await.expect("made");
            store
        }
    });
    verdict.await
}

fn without(requests: &str) -> SshdOptions {
    SshdOptions { subsystem: format!("internal-sftp -P {requests}"), ..SshdOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn conformance_with_openssh() {
    verdict(&SshdOptions::default()).await.expect_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn conformance_with_fewer_extensions() {
    verdict(&without("fsync,limits,statvfs")).await.expect_all();
}

/// There nothing stands at the path for a moment while it is replaced; all else is kept.
#[tokio::test(flavor = "multi_thread")]
async fn conformance_without_renames_that_replace() {
    let verdict = verdict(&without("posix-rename")).await;
    let failed: Vec<_> = verdict.failed.iter().map(|(name, _)| *name).collect();
    assert!(failed.is_empty() || failed == ["writes::readers_see_old_or_new"], "{:#?}", verdict.failed);
}

/// Nothing but the times of links is lost there.
#[tokio::test(flavor = "multi_thread")]
async fn conformance_without_times_of_links() {
    let verdict = verdict(&without("lsetstat")).await;
    let failed: Vec<_> = verdict.failed.iter().map(|(name, _)| *name).collect();
    let known = ["meta::set_on_links", "writes::symlinks", "batches::a_tree_at_once"];
    assert!(failed.iter().all(|name| known.contains(name)), "{:#?}", verdict.failed);
}
