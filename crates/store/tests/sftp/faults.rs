//! What networks and servers do at the worst moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sitta_store::web::WebOptions;
use sitta_store::wrap::{Backoff, Retried};
use sitta_store::{Access, ErrorKind, SshAccess, Store};
use sitta_testbed::proxy::Proxy;
use sitta_testbed::sshd::{Sshd, SshdOptions};

use crate::support::*;

/// Access through a proxy.
fn through(place: &Place, proxy: &Proxy, timeout: Duration) -> Access {
    let known_hosts = vec![place.server.known_at(proxy.port())];
    let ssh = SshAccess { known_hosts, ..place.access.ssh.clone() };
    Access { ssh, web: WebOptions { timeout, ..WebOptions::default() }, ..place.access.clone() }
}

fn retried(store: Arc<dyn Store>) -> Arc<dyn Store> {
    let first = Duration::from_millis(20);
    Arc::new(Retried::new(store, Backoff { tries: 20, first, ..Backoff::default() }))
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_ten_times() {
    let place = Place::new();
    let proxy = Proxy::to(place.server.port());
    let access = through(&place, &proxy, Duration::from_secs(20));
    std::fs::create_dir_all(place.folder("cut")).unwrap();
    let store = retried(place.with(&access, proxy.port(), "cut").await.unwrap());
    let content = pattern(24 << 20);
    proxy.cut_after(2_500_000, 10);
    // No single try can come through while connections last no longer than that; the cuts run out.
    let written = put(&store, "up", content.clone()).await.unwrap();
    assert_eq!(written.entry.size, content.len() as u64);
    assert_eq!(proxy.cuts(), 10);
    assert!(std::fs::read(place.folder("cut/up")).unwrap() == content);
    // A reader goes on where it was cut.
    proxy.cut_after(2_500_000, 10);
    assert!(get(&store, &path("up")).await.unwrap() == content);
    assert!(proxy.cuts() >= 18, "{} cuts", proxy.cuts());
    proxy.cut_after(60_000, 10);
    for n in 0..60 {
        put(&store, &format!("small-{n}"), pattern(9_000 + n)).await.unwrap();
    }
    proxy.pass();
    for n in 0..60 {
        assert_eq!(std::fs::read(place.folder("cut").join(format!("small-{n}"))).unwrap(), pattern(9_000 + n));
    }
    let entries = store.list(&path("")).await.unwrap();
    assert_eq!(entries.len(), 61);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_where_it_was_cut() {
    let place = Place::new();
    let proxy = Proxy::to(place.server.port());
    let access = through(&place, &proxy, Duration::from_secs(20));
    std::fs::create_dir_all(place.folder("further")).unwrap();
    // Nobody else tries again.
    let store = place.with(&access, proxy.port(), "further").await.unwrap();
    let content = pattern(48 << 20);
    let before = proxy.sent();
    proxy.cut_after(14 << 20, 3);
    let written = put(&store, "f", content.clone()).await.unwrap();
    assert_eq!((written.entry.size, proxy.cuts()), (content.len() as u64, 3));
    assert_eq!(written.content, Some(sitta_tree::ContentHash(*blake3::hash(&content).as_bytes())));
    let sent = proxy.sent() - before;
    assert!(sent < 80 << 20, "not all of it again each time: {sent}");
    assert!(std::fs::read(place.folder("further/f")).unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_beginning_was_lost_is_begun_anew() {
    let mut place = Place::new();
    let proxy = Proxy::to(place.server.port());
    let access = through(&place, &proxy, Duration::from_secs(20));
    std::fs::create_dir_all(place.folder("lost")).unwrap();
    let store = retried(place.with(&access, proxy.port(), "lost").await.unwrap());
    let content = pattern(48 << 20);
    proxy.limit(Some(40 << 20));
    let (writing, bytes) = (store.clone(), content.clone());
    let writing = tokio::spawn(async move { put(&writing, "f", bytes).await });
    let temp = loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let entries = std::fs::read_dir(place.folder("lost")).unwrap().flatten();
        let large = |at: &std::path::PathBuf| at.metadata().is_ok_and(|temp| temp.len() > 12 << 20);
        if let Some(temp) = entries.map(|entry| entry.path()).find(large) {
            break temp;
        }
    };
    // As after a power cut at the server: what it had taken never came to its disk.
    proxy.refuse();
    place.server.kill();
    std::fs::File::options().write(true).open(temp).unwrap().set_len(1000).unwrap();
    place.server.restart();
    proxy.pass();
    writing.await.unwrap().unwrap();
    assert!(std::fs::read(place.folder("lost/f")).unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still() {
    let place = Place::new();
    let proxy = Proxy::to(place.server.port());
    std::fs::create_dir_all(place.folder("stall")).unwrap();
    let access = through(&place, &proxy, Duration::from_secs(2));
    let store = place.with(&access, proxy.port(), "stall").await.unwrap();
    put(&store, "f", pattern(4 << 20)).await.unwrap();
    proxy.stall();
    let begin = Instant::now();
    let error = store.stat(&path("f")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    // Nor can anybody connect, and many who try together wait no longer than one.
    let begin = Instant::now();
    let root = path("");
    let tries = (0..20).map(|_| store.list(&root));
    for tried in futures::future::join_all(tries).await {
        assert_eq!(tried.unwrap_err().kind, ErrorKind::Unreachable);
    }
    assert!(begin.elapsed() < Duration::from_secs(7), "{:?}", begin.elapsed());
    proxy.pass();
    assert_eq!(get(&store, &path("f")).await.unwrap(), pattern(4 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_in_the_middle_of_a_file() {
    let place = Place::new();
    let proxy = Proxy::to(place.server.port());
    std::fs::create_dir_all(place.folder("middle")).unwrap();
    let access = through(&place, &proxy, Duration::from_secs(2));
    let store = place.with(&access, proxy.port(), "middle").await.unwrap();
    proxy.limit(Some(4 << 20));
    let writing = {
        let store = store.clone();
        tokio::spawn(async move { put(&store, "f", pattern(16 << 20)).await })
    };
    tokio::time::sleep(Duration::from_millis(800)).await;
    proxy.stall();
    let error = writing.await.unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    proxy.pass();
    proxy.limit(None);
    assert!(store.stat(&path("f")).await.unwrap().is_none());
    put(&store, "f", "now").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_is_not_stalled() {
    let place = Place::new();
    let proxy = Proxy::to(place.server.port());
    std::fs::create_dir_all(place.folder("slow")).unwrap();
    let access = through(&place, &proxy, Duration::from_secs(2));
    let store = place.with(&access, proxy.port(), "slow").await.unwrap();
    // What is on its way takes several timeouts.
    proxy.limit(Some(500_000));
    put(&store, "f", pattern(3 << 20)).await.unwrap();
    assert!(get(&store, &path("f")).await.unwrap() == pattern(3 << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_and_comes_back() {
    let mut place = Place::new();
    let store = place.ready("dies").await;
    put(&store, "f", "x").await.unwrap();
    place.server.kill();
    let begin = Instant::now();
    for _ in 0..3 {
        assert_eq!(store.stat(&path("f")).await.unwrap_err().kind, ErrorKind::Unreachable);
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    place.server.restart();
    assert_eq!(get(&store, &path("f")).await.unwrap(), b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_nobody_waits_for() {
    let place = Place::new();
    let store = place.ready("dropped").await;
    for n in 0..50_u64 {
        let store = store.clone();
        let writing = tokio::spawn(async move { put(&store, &format!("f{n}"), pattern(1 << 20)).await });
        tokio::time::sleep(Duration::from_millis(n % 10)).await;
        writing.abort();
        let _ = writing.await;
    }
    // What was opened for them is closed again, and the session is as good as new.
    put(&store, "last", "x").await.unwrap();
    let held = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let files =
            processes.flat_map(|process| std::fs::read_dir(process.path().join("fd")).into_iter().flatten());
        let at = files.flatten().map(|fd| std::fs::read_link(fd.path()).unwrap_or_default());
        at.filter(|at| at.starts_with(place.folder("dropped"))).count()
    };
    let begin = Instant::now();
    while held() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(20), "{} files that the server still holds open", held());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (name, entry) in store.list(&path("")).await.unwrap() {
        assert!(entry.size == 1 << 20 || &*name == b"last", "only whole files");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_session_keys_in_the_middle() {
    let lines = vec!["RekeyLimit 4M".into()];
    let place = Place::of(Sshd::with(&SshdOptions { lines, ..SshdOptions::default() }));
    let store = place.ready("rekeyed").await;
    let content = pattern(40 << 20);
    put(&store, "f", content.clone()).await.unwrap();
    assert!(get(&store, &path("f")).await.unwrap() == content);
}

/// After a gigabyte our side asks for new keys. By hand: it takes as much memory.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "large"]
async fn new_session_keys_after_a_gigabyte() {
    let place = Place::new();
    let store = place.ready("rekeyed").await;
    let content = bytes::Bytes::from(pattern(1200 << 20));
    put(&store, "f", content.clone()).await.unwrap();
    assert!(get(&store, &path("f")).await.unwrap() == content);
}
