//! A share at work: large files, changes while they happen, a server that goes away.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use sitta_store::watch::{Look, Missed};
use sitta_store::{
    Displaced, ErrorKind, Flow, Location, Precondition, ScanOptions, Source, Store, What, Write, sitta,
};
use sitta_testbed::proxy::Proxy;
use sitta_tree::{Fingerprint, Meta, RelPath, Time};

use crate::support::Served;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn write(at: &str, source: Source) -> Write {
    Write {
        path: path(at),
        what: What::File(source),
        meta: Meta { mtime: Time::new(1_700_000_000, 123_456_789), mode: 0o640, ..Meta::default() },
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: ".sitta-tmp-test-1".into(),
    }
}

async fn content(store: &Arc<dyn Store>, at: &str) -> Vec<u8> {
    let pieces: Vec<_> = store.read(&path(at), 0..u64::MAX).await.unwrap().try_collect().await.unwrap();
    pieces.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_arrives_whole_with_its_time_and_hash() {
    let served = Served::start().await;
    let store = served.open("").await;
    let bytes: Vec<u8> = (0..40_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let flow = Arc::new(Flow::default());
    let written = store.write(write("large", Source::Bytes(bytes.clone().into())), &flow).await.unwrap();
    assert_eq!(written.content.unwrap().0, *blake3::hash(&bytes).as_bytes());
    assert_eq!(written.entry.meta.mtime, Time::new(1_700_000_000, 123_456_789));
    assert_eq!(flow.bytes(), bytes.len() as u64);
    assert_eq!(fs::read(served.shared().join("large")).unwrap(), bytes);
    assert_eq!(content(&store, "large").await, bytes);
    let entry = store.stat(&path("large")).await.unwrap().unwrap();
    let tail = store.fetch(&path("large"), &entry.fingerprint(), 39_999_990).await.unwrap();
    assert!(tail.pinned);
    let tail: Vec<_> = tail.bytes.try_collect().await.unwrap();
    assert_eq!(tail.concat(), bytes[39_999_990..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_heard_of_at_once_and_below_the_store_only() {
    let served = Served::start().await;
    fs::create_dir(served.shared().join("in")).unwrap();
    let store = served.open("in").await;
    let watch = store.watch().await.unwrap().expect("it can tell");
    let settled = || watch.settled(Duration::from_millis(20), Duration::from_millis(200));
    fs::write(served.shared().join("beside"), "x").unwrap();
    fs::write(served.shared().join("in/f"), "x").unwrap();
    tokio::time::timeout(Duration::from_secs(5), settled()).await.expect("it was heard");
    let heard = watch.take();
    assert_eq!(heard.changed.get(&path("f")), Some(&Look::Entry), "{heard:?}");
    assert!(!heard.changed.contains_key(&path("beside")) && heard.missed.is_none(), "{heard:?}");
}

async fn open(served: &Served, proxy: &Proxy, path: &str) -> Arc<dyn Store> {
    let text = format!("sitta://127.0.0.1:{}/files/{path}", proxy.port());
    let Ok(Location::Remote(remote)) = Location::parse(&text) else { panic!("{text}") };
    sitta::open(&remote, &served.access()).await.expect("opened")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_while_the_line_is_cut_is_heard_of_after() {
    let mut served = Served::start().await;
    let proxy = Proxy::to(served.address.port());
    let store = open(&served, &proxy, "").await;
    let watch = store.watch().await.unwrap().expect("it can tell");
    let heard = async || {
        let settled = watch.settled(Duration::from_millis(50), Duration::from_secs(5));
        tokio::time::timeout(Duration::from_secs(20), settled).await.expect("it was heard");
        watch.take()
    };
    for round in 0..3 {
        proxy.refuse();
        fs::write(served.shared().join(format!("f{round}")), "x").unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        proxy.pass();
        let heard = heard().await;
        assert_eq!(heard.changed.get(&path(&format!("f{round}"))), Some(&Look::Entry), "{heard:?}");
        assert_eq!((heard.changed.len(), heard.missed), (1, None), "nothing is told twice");
    }
    // A server that was started again does not know what it has not heard.
    served.stop().await;
    served.start_again().await;
    assert_eq!(heard().await.missed, Some(Missed::Overflow));
    fs::write(served.shared().join("last"), "x").unwrap();
    assert!(heard().await.changed.contains_key(&path("last")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_is_told_and_comes_back() {
    let mut served = Served::start().await;
    let store = served.open("").await;
    let watch = store.watch().await.unwrap().expect("it can tell");
    served.stop().await;
    tokio::time::timeout(Duration::from_secs(20), watch.settled(Duration::ZERO, Duration::ZERO)).await.unwrap();
    assert_eq!(watch.take().missed, Some(Missed::Gone));
    let error = store.scan(&ScanOptions::default()).await.expect_err("nobody is there");
    assert!(error.kind.is_transient(), "{error:?}");
    served.start_again().await;
    store.scan(&ScanOptions::default()).await.expect("it is there again, and known");
}

/// Whoever reads gets one version or an error, though the file is written in place meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_into_while_it_is_read_breaks_off() {
    let served = Served::start().await;
    let file = served.shared().join("f");
    fs::write(&file, vec![b'a'; 64 << 20]).unwrap();
    let store = served.open("").await;
    let entry = store.stat(&path("f")).await.unwrap().unwrap();
    let mut bytes = store.fetch(&path("f"), &entry.fingerprint(), 0).await.unwrap().bytes;
    let mut got = bytes.try_next().await.unwrap().unwrap().len();
    fs::write(&file, vec![b'b'; 64 << 20]).unwrap();
    let end = loop {
        match bytes.try_next().await {
            Ok(Some(piece)) => got += piece.len(),
            end => break end,
        }
    };
    assert!(end.is_err(), "{got} bytes came as if they were whole");
    assert!(got < 64 << 20);
}

/// Bytes that the server has already do not go there and back.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_within_a_share_is_the_server_s() {
    let served = Served::start().await;
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::create_dir(served.shared().join("from")).unwrap();
    fs::create_dir(served.shared().join("to")).unwrap();
    fs::write(served.shared().join("from/large"), &bytes).unwrap();
    fs::write(served.shared().join("from/small"), b"small").unwrap();
    let proxy = Proxy::to(served.address.port());
    let (from, to) = (open(&served, &proxy, "from").await, open(&served, &proxy, "to").await);
    let copy = async |name: &str, change: u64| {
        let entry = from.stat(&path(name)).await.unwrap().unwrap();
        let version = entry.fingerprint();
        let version = Fingerprint { change: version.change ^ change, ..version };
        to.write(write(name, Source::Stored { store: from.clone(), path: path(name), version }), &Arc::default())
            .await
    };
    for name in ["large", "small"] {
        let written = copy(name, 0).await.expect("copied");
        let there = fs::read(served.shared().join("from").join(name)).unwrap();
        assert_eq!(written.content.map(|hash| hash.0), Some(*blake3::hash(&there).as_bytes()));
        assert!(fs::read(served.shared().join("to").join(name)).unwrap() == there);
    }
    assert!(proxy.sent() + proxy.received() < 100_000, "{} {}", proxy.sent(), proxy.received());
    fs::remove_file(served.shared().join("to/small")).unwrap();
    let other = copy("small", 8).await.expect_err("another version");
    assert_eq!(other.kind, ErrorKind::Changed);
    assert_eq!(served.names("to"), ["large"]);
}
