//! Lines that break, servers that stall, files that change meanwhile.

use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt;
use sitta_store::wrap::{Backoff, Retried};
use sitta_store::{Access, Source};
use sitta_testbed::nginx::Nginx;
use sitta_testbed::proxy::Proxy;

use super::*;

async fn source(store: &Arc<dyn Store>, at: &str) -> Source {
    let version = store.stat(&path(at)).await.expect("a look").expect("there").fingerprint();
    Source::Stored { store: store.clone(), path: path(at), version }
}

fn retried(store: Arc<dyn Store>) -> Arc<dyn Store> {
    let backoff = Backoff { first: Duration::from_millis(50), ..Backoff::default() };
    Arc::new(Retried::new(store, backoff))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_where_it_broke_off() {
    let server = Nginx::start();
    let content = pattern(20 << 20);
    put(&server.root(), "f", &content);
    let proxy = Proxy::to(server.port());
    let store = retried(open(&format!("http://127.0.0.1:{}/files", proxy.port())).await);
    let source = source(&store, "f").await;
    proxy.cut_after(6 << 20, 3);
    let got: Vec<_> = source.open(0).await.expect("open").bytes.try_collect().await.expect("all of it");
    assert!(got.concat() == content, "the same bytes");
    assert!(store.requests() >= 5, "it was cut: {}", store.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_is_waited_for() {
    let mut server = Nginx::start();
    let content = pattern(12 << 20);
    put(&server.root(), "f", &content);
    let store = retried(open(&format!("http://{}", server.slow())).await);
    let source = source(&store, "f").await;
    let mut bytes = source.open(0).await.expect("open").bytes;
    let mut got = bytes.next().await.expect("a piece").expect("it arrives").to_vec();
    server.kill();
    server.restart();
    while let Some(piece) = bytes.next().await {
        got.extend_from_slice(&piece.expect("it goes on"));
    }
    assert!(got == content, "the same bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_times_out() {
    let server = Nginx::start();
    put(&server.root(), "f", b"x");
    let proxy = Proxy::to(server.port());
    let mut access = Access::default();
    access.web.timeout = Duration::from_millis(600);
    let store = open_with(&format!("http://127.0.0.1:{}/files", proxy.port()), &access).await;
    scan(&store).await;
    proxy.stall();
    let begun = Instant::now();
    assert_eq!(kind(store.stat(&path("f")).await), ErrorKind::Unreachable);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_replaced_meanwhile_is_never_a_mix() {
    let server = Nginx::start();
    let (old, new) = (vec![b'o'; 8 << 20], vec![b'n'; 8 << 20]);
    put(&server.root(), "f", &old);
    // nginx tells versions apart by size and second.
    let file = fs::File::options().write(true).open(server.root().join("f")).expect("opened");
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("set");
    let proxy = Proxy::to(server.port());
    let store = retried(open(&format!("http://127.0.0.1:{}/files", proxy.port())).await);
    let before = source(&store, "f").await;
    // Cut in the middle, and replaced before it goes on.
    proxy.cut_after(4 << 20, 1);
    let mut bytes = before.open(0).await.expect("open").bytes;
    bytes.next().await.expect("a piece").expect("it arrives");
    put(&server.root(), "g", &new);
    fs::rename(server.root().join("g"), server.root().join("f")).expect("replaced");
    let rest: Result<Vec<_>> = bytes.try_collect().await;
    assert_eq!(kind(rest.map(|all| all.len())), ErrorKind::Changed);

    // Overwritten in place, with the same size, while it is sent.
    let slow = open(&format!("http://{}", server.slow())).await;
    let before = source(&slow, "f").await;
    let mut bytes = before.open(0).await.expect("open").bytes;
    bytes.next().await.expect("a piece").expect("it arrives");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    // Never shorter meanwhile: nginx ends the connection then.
    fs::File::options()
        .write(true)
        .open(server.root().join("f"))
        .expect("opened")
        .write_all(&old)
        .expect("written");
    let rest: Result<Vec<_>> = bytes.try_collect().await;
    assert_eq!(kind(rest.map(|all| all.len())), ErrorKind::Changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn big_files_need_no_memory() {
    let server = Nginx::start();
    let file = fs::File::create(server.root().join("big")).expect("made");
    file.set_len(300 << 20).expect("sparse");
    let store = open(&format!("http://{}", server.files())).await;
    let source = source(&store, "big").await;
    let before = resident();
    let (mut size, mut most) = (0, 0);
    let mut bytes = source.open(0).await.expect("open").bytes;
    while let Some(piece) = bytes.next().await {
        size += piece.expect("it arrives").len();
        most = most.max(resident());
    }
    assert_eq!(size, 300 << 20);
    assert!(most < before + (64 << 20), "{before} grew to {most}");
}

/// Memory of this process in bytes.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("statm");
    statm.split(' ').nth(1).expect("resident").parse::<usize>().expect("pages") * 4096
}
