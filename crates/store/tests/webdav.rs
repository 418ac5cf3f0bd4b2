//! WebDAV against real servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures::TryStreamExt;
use sitta_store::wrap::{Backoff, Retried};
use sitta_store::{
    Access, Displaced, ErrorKind, Flow, Location, Password, Precondition, Remote, ScanOptions, Source, Store, What,
    Write, Written, conformance, webdav,
};
use sitta_testbed::apache::Apache;
use sitta_testbed::nginx::Nginx;
use sitta_testbed::proxy::Proxy;
use sitta_testbed::rclone::RcloneDav;
use sitta_tree::{Meta, RelPath, Time};

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

async fn opened_with(url: &str, access: &Access) -> sitta_store::Result<Arc<dyn Store>> {
    webdav::open(&remote(url), access).await
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a path")
}

fn new(at: &str, source: Source) -> Write {
    Write {
        path: path(at),
        what: What::File(source),
        meta: Meta { mtime: Time::new(1_600_000_000, 0), ..Meta::default() },
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: format!(".sitta-tmp-{}", at.len()).into(),
    }
}

async fn put(store: &Arc<dyn Store>, write: Write) -> sitta_store::Result<Written> {
    store.write(write, &Arc::<Flow>::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_must_be_known() {
    let server = Nginx::start();
    let locked = format!("webdav://{}", server.locked_dav());
    let refused = opened_with(&locked, &Access::default()).await.expect_err("locked");
    assert_eq!(refused.kind, ErrorKind::Auth);
    let wrong = opened_with(&locked.replace("://", "://me:wrong-secret@"), &Access::default()).await;
    let wrong = wrong.expect_err("locked");
    assert_eq!(wrong.kind, ErrorKind::Auth);
    assert!(!format!("{wrong} {wrong:?}").contains("secret"), "{wrong}");
    let access = Access { password: Some(Password::new(Nginx::USER.1)), ..Access::default() };
    let store = opened_with(&locked.replace("://", "://me@"), &access).await.expect("opened");
    put(&store, new("f", Source::Bytes("x".into()))).await.expect("written");
    // A server that is none.
    let plain = opened_with(&format!("webdav://{}", server.files()), &Access::default()).await;
    let plain = plain.expect_err("no WebDAV there");
    assert_eq!(plain.kind, ErrorKind::Unsupported, "{plain:?}");
    // A certificate that nobody vouches for.
    let tls = format!("webdavs://{}/", server.tls().replace("/files", "/dav"));
    assert_eq!(opened_with(&tls, &Access::default()).await.expect_err("unknown").kind, ErrorKind::Untrusted);
    let mut access = Access::default();
    access.web.ca = std::fs::read(&server.certificate().certificate).expect("a certificate");
    let store = opened_with(&tls, &access).await.expect("trusted");
    assert!(store.stat(&path("f")).await.expect("a look").is_some());
    store.rename(&path("f"), &path("g"), Precondition::None).await.expect("renamed by TLS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_replaced_a_file_meanwhile_is_never_deleted() {
    let server = Apache::start();
    let store = open(&format!("webdav://{}", server.dav())).await;
    put(&store, new("d", Source::Bytes("x".into()))).await.expect("written");
    let seen = store.stat(&path("d")).await.expect("a look").expect("there").fingerprint();
    store.remove(&path("d"), Precondition::None, Displaced::Discard).await.expect("removed");
    let dir = Write { what: What::Dir, ..new("d", Source::Bytes("".into())) };
    put(&store, dir).await.expect("a directory");
    put(&store, new("d/kept", Source::Bytes("x".into()))).await.expect("written");
    for expect in [Precondition::Version(seen), Precondition::None] {
        let over = Write { expect, ..new("d", Source::Bytes("y".into())) };
        put(&store, over).await.expect_err("a directory that holds something");
    }
    assert!(store.stat(&path("d/kept")).await.expect("a look").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operations_cost() {
    let server = Nginx::start();
    let store = open(&format!("webdav://{}/cost", server.dav())).await;
    store.create_root().await.expect("made");
    let mut before = store.requests();
    let mut spent = || {
        let now = store.requests();
        now - std::mem::replace(&mut before, now)
    };
    let first = put(&store, new("f", Source::Bytes("x".into()))).await.expect("written");
    assert_eq!(spent(), 4, "a new file: look, PUT, MOVE, look");
    let expect = Precondition::Version(first.entry.fingerprint());
    put(&store, Write { expect, ..new("f", Source::Bytes("yy".into())) }).await.expect("written");
    assert_eq!(spent(), 5, "a replaced one: look, PUT, look, MOVE, look");
    store.rename(&path("f"), &path("g"), Precondition::None).await.expect("renamed");
    assert_eq!(spent(), 3, "look, MOVE, look");
    store.remove(&path("g"), Precondition::None, Displaced::Discard).await.expect("removed");
    assert_eq!(spent(), 2, "look, DELETE");
    store.scan(&ScanOptions::default()).await.expect("a scan");
    assert_eq!(spent(), 2, "one for each directory, and one for the root itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_of_ten_thousand() {
    let server = Nginx::start();
    for n in 0..10_000 {
        std::fs::write(server.root().join(format!("file number {n} %")), b"x").expect("written");
    }
    let store = open(&format!("webdav://{}", server.dav())).await;
    let tree = store.scan(&ScanOptions::default()).await.expect("a scan");
    assert_eq!((tree.len(), tree.problems.len()), (10_001, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn big_files_pass_through_and_come_back_over_bad_lines() {
    let server = Nginx::start();
    let content: Vec<u8> = (0..24_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let proxy = Proxy::to(server.port());
    let url = format!("webdav://127.0.0.1:{}/dav", proxy.port());
    let backoff = Backoff { first: Duration::from_millis(50), ..Backoff::default() };
    let store: Arc<dyn Store> = Arc::new(Retried::new(open(&url).await, backoff));
    // The upload is cut twice, and begins anew each time.
    proxy.cut_after(8 << 20, 2);
    put(&store, new("f", Source::Bytes(content.clone().into()))).await.expect("in the end");
    proxy.cut_after(8 << 20, 2);
    let version = store.stat(&path("f")).await.expect("a look").expect("there").fingerprint();
    let source = Source::Stored { store: store.clone(), path: path("f"), version };
    let got: Vec<_> = source.open(0).await.expect("open").bytes.try_collect().await.expect("all of it");
    assert!(got.concat() == content);
    proxy.pass();
    assert_eq!(store.list(&path("")).await.expect("listed").len(), 1);
    let left = std::fs::read_dir(server.root()).expect("listed").count();
    assert_eq!(left, 1, "no temporaries");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_times_out() {
    let server = Nginx::start();
    let proxy = Proxy::to(server.port());
    let mut access = Access::default();
    access.web.timeout = Duration::from_millis(600);
    let store = opened_with(&format!("webdav://127.0.0.1:{}/dav", proxy.port()), &access).await.expect("opened");
    proxy.stall();
    assert_eq!(store.stat(&path("f")).await.expect_err("stalled").kind, ErrorKind::Unreachable);
    let write = new("f", Source::Bytes(vec![0; 4 << 20].into()));
    assert_eq!(put(&store, write).await.expect_err("stalled").kind, ErrorKind::Unreachable);
}
