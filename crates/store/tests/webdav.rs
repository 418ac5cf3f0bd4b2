//! WebDAV against real servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use sitta_store::{Access, Location, Remote, Store, conformance, webdav};
use sitta_testbed::apache::Apache;
use sitta_testbed::nginx::Nginx;
use sitta_testbed::rclone::RcloneDav;

fn remote(text: &str) -> Remote {
    match Location::parse(text).expect("a location") {
        Location::Remote(remote) => remote,
        other => panic!("{other:?}"),
    }
}

async fn open(url: &str) -> Arc<dyn Store> {
    webdav::open(&remote(url), &Access::default()).await.expect("opened")
}

/// The suite, each check in a directory of its own. All but those named pass.
async fn conforms(dav: &str, but: &[&str]) {
    let count = AtomicUsize::new(0);
    let make = || {
        let url = format!("webdav://{dav}/check/{}", count.fetch_add(1, Relaxed));
        async move {
            let store = open(&url).await;
            store.create_root().await.expect("made");
            store
        }
    };
    let mut verdict = conformance::run(make).await;
    println!("{} passed, skipped: {:?}", verdict.passed.len(), verdict.skipped);
    let (known, failed) = verdict.failed.into_iter().partition(|(name, _)| but.contains(name));
    verdict.failed = failed;
    verdict.expect_all();
    let known: Vec<_> = known;
    assert_eq!(known.len(), but.len(), "these pass after all: {known:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_conforms() {
    let server = Nginx::start();
    // It lists no names that begin with a dot, so that temporaries cannot be told of, nor a `.sitta` that is the user's
    // own.
    let hidden = ["trees::temporaries_are_left_out", "trees::our_own_directory_is_left_out"];
    conforms(&server.dav(), &hidden).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_conforms() {
    let server = Apache::start();
    conforms(&server.dav(), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone_conforms() {
    let server = RcloneDav::start();
    conforms(&server.dav(), &[]).await;
}
