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

/// The suite, each check in a directory of its own.
async fn conforms(dav: &str) {
    let count = AtomicUsize::new(0);
    let make = || {
        let url = format!("webdav://{dav}/check/{}", count.fetch_add(1, Relaxed));
        async move {
            let store = open(&url).await;
            store.create_root().await.expect("made");
            store
        }
    };
    let verdict = conformance::run(make).await;
    println!("{} passed, skipped: {:?}", verdict.passed.len(), verdict.skipped);
    verdict.expect_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_conforms() {
    let server = Nginx::start();
    conforms(&server.dav()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_conforms() {
    let server = Apache::start();
    conforms(&server.dav()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone_conforms() {
    let server = RcloneDav::start();
    conforms(&server.dav()).await;
}
