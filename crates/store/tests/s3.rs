//! Buckets, on real servers: rclone's checks signatures and Content-MD5, moto enforces conditional writes.

#[path = "s3/costs.rs"]
mod costs;
#[path = "s3/faults.rs"]
mod faults;
#[path = "s3/listing.rs"]
mod listing;
#[path = "s3/rclone.rs"]
mod rclone;
#[path = "s3/tools.rs"]
mod tools;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use sitta_store::wrap::{Backoff, Retried};
use sitta_store::{Store, conformance};
use sitta_testbed::s3::S3Server;

use tools::{access, connect};

/// Runs the suite, with the retries that every user has: both servers answer with an internal error now and then when
/// many ask at once. `excused` are the checks that this server cannot pass, whoever speaks to it.
async fn conforms(server: &S3Server, conditional_writes: Option<bool>, excused: &[&str]) {
    server.create_bucket("bucket");
    let count = AtomicUsize::new(0);
    let make = || {
        let n = count.fetch_add(1, Relaxed);
        let mut access = access(server);
        access.s3.conditional_writes = conditional_writes;
        let backoff = Backoff { first: Duration::from_millis(20), ..Backoff::default() };
        async move {
            let store = connect(&format!("s3://bucket/check {n}+%2F/\u{e9}"), &access).await.expect("opened");
            Arc::new(Retried::new(store, backoff)) as Arc<dyn Store>
        }
    };
    let mut verdict = conformance::run(make).await;
    verdict.failed.retain(|(name, _)| !excused.contains(name));
    verdict.expect_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_on_rclone() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // It overwrites in place, and answers with an internal error to names that its disk cannot hold.
    let excused = ["writes::readers_see_old_or_new", "names::longest_names"];
    conforms(&S3Server::rclone(dir.path()), None, &excused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_on_moto() {
    conforms(&S3Server::moto(), None, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_on_moto_with_atomic_preconditions() {
    // It looks and writes in two steps, on several threads.
    conforms(&S3Server::moto(), Some(true), &["preconditions::racing_creates"]).await;
}
