//! Servers that die, hang, or are not there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use sitta_store::memory::{Fault, MemoryStore};
use sitta_store::{ErrorKind, Source, Store, What};
use sitta_testbed::proxy::Proxy;
use sitta_testbed::samba::Samba;
use sitta_tree::RelPath;

use crate::support::{access, get, new, open, open_with, path, put};

const SHORT: Duration = Duration::from_secs(3);

/// A source that calls `when` once a part of it was read.
async fn source(size: usize, when: impl Fn() + Send + Sync + 'static) -> Source {
    let memory = MemoryStore::new("memory:");
    memory.put(&path("f"), vec![7; size]);
    let version = memory.stat(&path("f")).await.expect("told").expect("there").fingerprint();
    memory.on_call(move |call| {
        if call.name == "read" {
            when();
        }
        Fault::None
    });
    Source::Stored { store: Arc::new(memory), path: path("f"), version }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there() {
    let port = sitta_testbed::free_port();
    let began = Instant::now();
    let error =
        open_with(&format!("smb://127.0.0.1:{port}/share"), &access(SHORT)).await.expect_err("nobody listens");
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.to_string().contains("connection refused"), "{error}");
    assert!(began.elapsed() < SHORT * 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_midst_of_a_download() {
    let mut samba = Samba::start();
    std::fs::write(samba.folder().join("f"), vec![7; 64 << 20]).expect("written");
    let store = open_with(&samba.url(), &access(SHORT)).await.expect("opened");
    let mut stream = store.read(&path("f"), 0..u64::MAX).await.expect("begun");
    stream.next().await.expect("a piece").expect("good");
    samba.kill();
    let began = Instant::now();
    let error = loop {
        match stream.next().await.expect("it cannot end well") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind, error.path), (ErrorKind::Unreachable, Some(path("f"))));
    assert!(began.elapsed() < SHORT * 2);
    let error = get(&store, "f").await.expect_err("nobody is there");
    assert_eq!(error.kind, ErrorKind::Unreachable);
    samba.restart();
    assert_eq!(get(&store, "f").await.expect("the same store works again").len(), 64 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_where_it_was_cut() {
    let samba = Samba::start();
    let proxy = Proxy::to(samba.port());
    let url = samba.url().replace(&format!(":{}", samba.port()), &format!(":{}", proxy.port()));
    // Nobody else tries again.
    let store = open_with(&url, &access(SHORT)).await.expect("opened");
    let content: Vec<u8> = (0..48 << 20).map(|i: u32| (i % 251) as u8).collect();
    proxy.cut_after(14 << 20, 3);
    let written = put(&store, "f", content.clone()).await.expect("it goes on");
    assert_eq!((written.entry.size, proxy.cuts()), (content.len() as u64, 3));
    assert!(proxy.sent() < 80 << 20, "not all of it again each time: {}", proxy.sent());
    assert!(std::fs::read(samba.folder().join("f")).expect("read") == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_midst_of_an_upload() {
    let samba = Arc::new(std::sync::Mutex::new(Samba::start()));
    let url = samba.lock().expect("ours").url();
    let store = open_with(&url, &access(SHORT)).await.expect("opened");
    put(&store, "old", "old").await.expect("written");
    let killer = samba.clone();
    let source = source(64 << 20, move || killer.lock().expect("ours").kill()).await;
    let began = Instant::now();
    let error = store.write(new("f", What::File(source)), &Arc::default()).await.expect_err("nobody is there");
    assert_eq!((error.kind, error.path.clone()), (ErrorKind::Unreachable, Some(path("f"))), "{error:?}");
    assert!(began.elapsed() < SHORT * 4, "{:?}", began.elapsed());
    samba.lock().expect("ours").restart();
    let names: Vec<_> =
        store.list(&RelPath::root()).await.expect("it works again").into_iter().map(|e| e.0).collect();
    assert_eq!(names, [Box::from(*b"old")], "nothing half-written shows");
    put(&store, "f", "new").await.expect("and can be written to");
    assert_eq!(get(&store, "f").await.expect("read"), b"new");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_with_much_in_flight() {
    let mut samba = Samba::start();
    let store = open_with(&samba.url(), &access(SHORT)).await.expect("opened");
    let writing = stream::iter(0..2_000).map(|n| {
        let store = store.clone();
        async move { put(&store, format!("f{n}"), vec![n as u8; 5_000]).await }
    });
    let mut writing = Box::pin(writing.buffer_unordered(32));
    let (mut written, mut failed) = (0, 0);
    let began = Instant::now();
    while let Some(result) = writing.next().await {
        match result {
            Ok(_) => written += 1,
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Unreachable, "{error:?}");
                failed += 1;
            }
        }
        if written == 500 && failed == 0 {
            samba.kill();
        }
    }
    assert!(written >= 500 && failed > 1_000, "{written} written, {failed} failed");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    samba.restart();
    let listed = store.list(&RelPath::root()).await.expect("it works again");
    assert!(listed.len() >= written, "what was told to be written is");
    for (name, entry) in listed {
        assert_eq!(entry.size, 5_000, "{}", sitta_tree::Printable(&name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen() {
    let samba = Samba::start();
    std::fs::write(samba.folder().join("f"), vec![7; 64 << 20]).expect("written");
    let store = open_with(&samba.url(), &access(SHORT)).await.expect("opened");
    let mut stream = store.read(&path("f"), 0..u64::MAX).await.expect("begun");
    stream.next().await.expect("a piece").expect("good");
    samba.freeze();
    for what in ["download", "stat", "list", "write"] {
        let began = Instant::now();
        let failed = match what {
            "download" => loop {
                match stream.next().await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break Some(error),
                    None => break None,
                }
            },
            "stat" => store.stat(&path("f")).await.err(),
            "list" => store.list(&RelPath::root()).await.err(),
            _ => put(&store, "g", "x").await.err(),
        };
        let error = failed.unwrap_or_else(|| panic!("{what} must fail"));
        assert_eq!(error.kind, ErrorKind::Unreachable, "{what}: {error:?}");
        assert!(began.elapsed() < SHORT * 4, "{what} took {:?}", began.elapsed());
    }
    samba.thaw();
    assert_eq!(get(&store, "f").await.expect("it works again").len(), 64 << 20);
    assert_eq!(store.stat(&path("g")).await.expect("asked"), None);
    put(&store, "g", "x").await.expect("nothing is locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stays_open_when_nobody_waits_any_more() {
    let samba = Samba::start();
    let store = open(&samba).await;
    put(&store, "small", "x").await.expect("written");
    std::fs::write(samba.folder().join("big"), vec![7; 32 << 20]).expect("written");
    for round in 0..20_u64 {
        let mut stream = store.read(&path("big"), 0..u64::MAX).await.expect("begun");
        stream.next().await.expect("a piece").expect("good");
        drop(stream);
        let source = source(32 << 20, || {}).await;
        let write = new(format!("big{round}"), What::File(source));
        let flow = Arc::default();
        let begun = tokio::time::timeout(Duration::from_millis(5 * round), store.write(write, &flow));
        let _ = begun.await;
        let _ = tokio::time::timeout(Duration::from_micros(100 * round), get(&store, "small")).await;
        let _ =
            tokio::time::timeout(Duration::from_micros(100 * round), put(&store, format!("s{round}"), "x")).await;
    }
    // Whoever has a file open does not let it be removed.
    let mut again = Vec::new();
    for _ in 0..20 {
        again.clear();
        for (name, _) in store.list(&RelPath::root()).await.expect("listed") {
            let gone =
                store.remove(&path(&name), sitta_store::Precondition::None, sitta_store::Displaced::Discard).await;
            again.extend(gone.err());
        }
        if again.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(again.is_empty(), "still open: {again:?}");
}
