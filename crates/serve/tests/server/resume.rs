//! Uploads that are cut off go on where they stopped.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sitta_store::local::LocalStore;
use sitta_store::wrap::{Backoff, Retried};
use sitta_store::{
    Displaced, ErrorKind, Flow, Location, Precondition, Result, Source, Store, What, Write, Written, sitta,
};
use sitta_testbed::proxy::Proxy;
use sitta_tree::{Meta, RelPath};

use crate::support::Served;

const MIB: u64 = 1 << 20;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// Bytes without any pattern.
fn noise(seed: u64, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; len as usize];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A server, a folder here, and a line between them that can be cut.
struct Rig {
    served: Served,
    proxy: Proxy,
    here: tempfile::TempDir,
    local: Arc<LocalStore>,
}

impl Rig {
    async fn start() -> Self {
        let served = Served::start().await;
        let proxy = Proxy::to(served.address.port());
        let here = tempfile::tempdir().unwrap();
        let local = Arc::new(LocalStore::open(here.path()).unwrap());
        Self { served, proxy, here, local }
    }

    fn here(&self) -> PathBuf {
        self.here.path().join("f")
    }

    fn there(&self) -> PathBuf {
        self.served.shared().join("f")
    }

    /// A client on the line, as each run has one of its own.
    async fn client(&self) -> Arc<dyn Store> {
        let text = format!("sitta://127.0.0.1:{}/files", self.proxy.port());
        let Ok(Location::Remote(remote)) = Location::parse(&text) else { panic!("{text}") };
        sitta::open(&remote, &self.served.access()).await.expect("opened")
    }

    /// Sends the file, as the run with this number does.
    async fn send(&self, store: &Arc<dyn Store>, run: u32) -> Result<Written> {
        let version = self.local.stat(&path("f")).await.unwrap().unwrap().fingerprint();
        let write = Write {
            path: path("f"),
            what: What::File(Source::Stored { store: self.local.clone(), path: path("f"), version }),
            meta: Meta { mode: 0o640, ..Meta::default() },
            expect: Precondition::Absent,
            displaced: Displaced::Discard,
            temp: format!(".sitta-tmp-test-{run}").into(),
        };
        store.write(write, &Arc::new(Flow::default())).await
    }

    /// What was given up is gone soon.
    async fn only_the_file_is_there(&self) {
        for _ in 0..100 {
            if self.served.names("") == ["f"] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("left over: {:?}", self.served.names(""));
    }

    /// Nothing is seen of what is not whole.
    fn nothing_is_there(&self) {
        assert!(
            self.served.names("").iter().all(|name| name.starts_with(".sitta-tmp-")),
            "{:?}",
            self.served.names("")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tried_again_it_goes_on_where_it_was_cut() {
    let rig = Rig::start().await;
    let bytes = noise(1, 32 * MIB);
    fs::write(rig.here(), &bytes).unwrap();
    let store: Arc<dyn Store> = Arc::new(Retried::new(rig.client().await, Backoff::default()));
    rig.proxy.cut_after(12 * MIB, 2);
    let written = rig.send(&store, 1).await.unwrap();
    assert_eq!(rig.proxy.cuts(), 2);
    assert_eq!(written.content.unwrap().0, *blake3::hash(&bytes).as_bytes());
    assert!(fs::read(rig.there()).unwrap() == bytes);
    rig.only_the_file_is_there().await;
    let cost = rig.proxy.sent();
    assert!(cost < 42 * MIB, "{cost}: from the beginning it would be 56 MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_run_goes_on_too_but_with_no_other_bytes() {
    let rig = Rig::start().await;
    let bytes = noise(2, 24 * MIB);
    fs::write(rig.here(), &bytes).unwrap();
    rig.proxy.cut_after(16 * MIB, 1);
    let cut = rig.send(&rig.client().await, 1).await.unwrap_err();
    assert_eq!(cut.kind, ErrorKind::Unreachable, "{cut}");
    rig.nothing_is_there();
    let before = rig.proxy.sent();
    let written = rig.send(&rig.client().await, 2).await.unwrap();
    assert_eq!(written.content.unwrap().0, *blake3::hash(&bytes).as_bytes());
    assert!(fs::read(rig.there()).unwrap() == bytes);
    let cost = rig.proxy.sent() - before;
    assert!(cost < 14 * MIB, "{cost}");
    rig.only_the_file_is_there().await;

    // The file becomes another one between the runs.
    fs::remove_file(rig.there()).unwrap();
    rig.proxy.cut_after(16 * MIB, 1);
    rig.send(&rig.client().await, 3).await.unwrap_err();
    let other = noise(3, 24 * MIB);
    fs::write(rig.here(), &other).unwrap();
    let before = rig.proxy.sent();
    rig.send(&rig.client().await, 4).await.unwrap();
    assert!(rig.proxy.sent() - before > 24 * MIB);
    assert!(fs::read(rig.there()).unwrap() == other);

    // Something comes to stand there.
    fs::remove_file(rig.there()).unwrap();
    rig.proxy.cut_after(16 * MIB, 1);
    rig.send(&rig.client().await, 5).await.unwrap_err();
    fs::write(rig.there(), "theirs").unwrap();
    let refused = rig.send(&rig.client().await, 6).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Changed, "{refused}");
    assert_eq!(fs::read(rig.there()).unwrap(), b"theirs");
    rig.only_the_file_is_there().await;
}

/// What the server kept is not gone on with by a server that was started anew: it begins again.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_restarted_takes_it_from_the_beginning() {
    let mut rig = Rig::start().await;
    let bytes = noise(4, 16 * MIB);
    fs::write(rig.here(), &bytes).unwrap();
    rig.proxy.cut_after(10 * MIB, 1);
    rig.send(&rig.client().await, 1).await.unwrap_err();
    rig.served.stop().await;
    rig.proxy.cut();
    while !rig.served.names("").is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rig.served.start_again().await;
    rig.send(&rig.client().await, 2).await.unwrap();
    assert!(fs::read(rig.there()).unwrap() == bytes);
    rig.only_the_file_is_there().await;
}

/// What does not fit to what is here is refused, and nothing comes of it.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_goes_on_with_what_is_not_there() {
    let rig = Rig::start().await;
    let post = async |size: u64, from: u64| {
        let what = json!({"resumable": {"size": size, "id": "x", "from": from}});
        let list = json!([{"op": "write", "path": "f", "what": what, "temp": ".sitta-tmp-test-1"}]).to_string();
        let last = 0_u32.to_be_bytes();
        let body = [&(list.len() as u32).to_be_bytes()[..], list.as_bytes(), &last].concat();
        let answer = rig.served.client().post(rig.served.url("changes")).body(body).send().await.unwrap();
        (answer.status().as_u16(), String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned())
    };
    assert_eq!(post(5, 6).await.0, 400, "it begins behind its end");
    for (size, from) in [(5, 1), (u64::MAX, u64::MAX), (5, 5)] {
        let (status, answer) = post(size, from).await;
        assert!(status == 200 && answer.contains("no upload to go on with"), "{size} {from}: {answer}");
    }
    // Less than was announced.
    let (_, answer) = post(5, 0).await;
    assert!(answer.contains("fewer bytes"), "{answer}");
    rig.nothing_is_there();
    let told = rig.served.client().get(rig.served.url("uploads/f")).send().await.unwrap();
    assert_eq!(told.status(), 200, "it waits for them");
    let told = rig.served.client().get(rig.served.url("uploads/g")).send().await.unwrap();
    assert_eq!(told.status(), 404);
}

async fn put(rig: &Rig, range: &str, bytes: &[u8], more: &[(&str, &str)]) -> Response {
    let request = rig.served.client().put(rig.served.url("files/f")).header("content-range", range);
    let request = more.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(bytes.to_vec()).send().await.unwrap()
}

fn range(answer: &Response) -> Option<&str> {
    answer.headers().get("range").map(|range| range.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_send_a_file_in_parts() {
    let rig = Rig::start().await;
    let bytes = noise(5, 3 * MIB);
    let time = [("x-oc-mtime", "1700000000"), ("if-none-match", "*")];
    let asked = put(&rig, "bytes */3145728", b"", &[]).await;
    assert_eq!(asked.status(), 404, "nothing has come yet");
    let first = put(&rig, "bytes 0-999999/3145728", &bytes[..1_000_000], &time).await;
    assert_eq!((first.status(), range(&first)), (StatusCode::ACCEPTED, Some("bytes=0-999999")));
    rig.nothing_is_there();
    let asked = put(&rig, "bytes */3145728", b"", &[]).await;
    assert_eq!((asked.status(), range(&asked)), (StatusCode::ACCEPTED, Some("bytes=0-999999")));
    let told = rig.served.client().get(rig.served.url("uploads/f")).send().await.unwrap();
    let told: Value = serde_json::from_slice(&told.bytes().await.unwrap()).unwrap();
    assert_eq!(told, json!({"id": "", "received": 1_000_000, "size": 3_145_728}));
    // Not the next part, another size, another meaning.
    for (range_, more) in [
        ("bytes 1000001-1000001/3145728", &time[..]),
        ("bytes 999999-999999/3145728", &time[..]),
        ("bytes 1000000-1000000/3145729", &time[..]),
        ("bytes 1000000-1000000/3145728", &time[..1]),
        ("bytes 1000000-1000000/3145728", &[("x-oc-mtime", "1700000001"), time[1]][..]),
    ] {
        let refused = put(&rig, range_, b"x", more).await;
        assert_eq!((refused.status(), range(&refused)), (StatusCode::CONFLICT, Some("bytes=0-999999")), "{range_}");
    }
    let refused = put(&rig, "bytes 1000000-1000009/3145728", b"x", &time).await;
    assert_eq!(refused.status(), 400, "not as many bytes as it says");
    let last = put(&rig, "bytes 1000000-3145727/3145728", &bytes[1_000_000..], &time).await;
    assert_eq!(last.status(), StatusCode::CREATED);
    assert!(last.headers().contains_key("etag"));
    assert!(fs::read(rig.there()).unwrap() == bytes);
    let modified = fs::metadata(rig.there()).unwrap().modified().unwrap();
    assert_eq!(modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 1_700_000_000);
    rig.only_the_file_is_there().await;
    // In one part, over what stands there; and what somebody has put there meanwhile stays.
    let whole = put(&rig, "bytes 0-2/3", b"new", &[]).await;
    assert_eq!((whole.status(), fs::read(rig.there()).unwrap()), (StatusCode::NO_CONTENT, b"new".to_vec()));
    let etag = whole.headers()["etag"].to_str().unwrap().to_owned();
    put(&rig, "bytes 0-2/6", b"abc", &[("if-match", &etag)]).await;
    fs::write(rig.there(), "theirs").unwrap();
    let refused = put(&rig, "bytes 3-5/6", b"def", &[("if-match", &etag)]).await;
    assert_eq!(refused.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(fs::read(rig.there()).unwrap(), b"theirs");
}

/// What was cut off is for the account that sent it: no other one hears of it, goes on with it or ends it, be it called the same.
#[tokio::test(flavor = "multi_thread")]
async fn another_account_does_not_go_on_with_it() {
    use sitta_serve::Scope;
    let mut token = String::new();
    let served = Served::start_with(|accounts| {
        accounts.set_user("ann", "right", &Scope::ALL).unwrap();
        accounts.set_user("bob", "right", &Scope::ALL).unwrap();
        token = accounts.make_token("ann", &Scope::ALL, None).unwrap();
    })
    .await;
    let client = served.client();
    let ann = |request: reqwest::RequestBuilder| request.basic_auth("ann", Some("right"));
    let bob = |request: reqwest::RequestBuilder| request.basic_auth("bob", Some("right"));
    let by_token = |request: reqwest::RequestBuilder| request.bearer_auth(&token);
    let part = |range: &str, bytes: &'static str| {
        client.put(served.url("files/f")).header("content-range", format!("bytes {range}/9")).body(bytes)
    };
    let sent = |request: reqwest::RequestBuilder| async move { request.send().await.unwrap() };
    assert_eq!(sent(ann(part("0-3", "anns"))).await.status(), StatusCode::ACCEPTED);
    let others: [&dyn Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder; 2] = [&bob, &by_token];
    for other in others {
        assert_eq!(sent(other(client.get(served.url("uploads/f")))).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(sent(other(part("*", ""))).await.status(), StatusCode::NOT_FOUND);
        let refused = sent(other(part("4-8", "other"))).await;
        assert_eq!((refused.status(), range(&refused)), (StatusCode::CONFLICT, None));
    }
    // One of its own begins anew, and leaves the other one alone.
    assert_eq!(sent(bob(part("0-3", "bobs"))).await.status(), StatusCode::ACCEPTED);
    let mine = sent(ann(part("*", ""))).await;
    assert_eq!((mine.status(), range(&mine)), (StatusCode::ACCEPTED, Some("bytes=0-3")));
    assert_eq!(sent(bob(part("4-8", " own!"))).await.status(), StatusCode::CREATED);
    assert_eq!(fs::read(served.shared().join("f")).unwrap(), b"bobs own!");
    let done = sent(ann(part("4-8", " next"))).await;
    assert!(done.status().is_success(), "{done:?}");
    assert_eq!(fs::read(served.shared().join("f")).unwrap(), b"anns next");
}
