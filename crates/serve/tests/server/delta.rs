//! Of a file of which both sides have a version, only what differs travels: measured at the socket.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use sitta_store::local::LocalStore;
use sitta_store::sitta::wire::{WireMeta, tag};
use sitta_store::{
    ByteStream, Displaced, ErrorKind, Flow, Location, Precondition, Result, Source, Store, What, Write, Written,
    sitta,
};
use sitta_testbed::proxy::Proxy;
use sitta_tree::{Entry, Meta, RelPath, Time};

use crate::support::Served;
use crate::support::through::Through;

/// What one byte may cost: a chunk or two, and the way to it in both trees.
const ONE_BYTE: u64 = 130_000;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// Bytes without any pattern.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// How large the file is: 64 MiB, or as many as are asked for.
#[expect(clippy::disallowed_methods, reason = "who runs the test may ask for more")]
fn size() -> usize {
    let asked = std::env::var("SITTA_DELTA_MIB").ok().map(|text| text.parse().expect("a number of MiB"));
    asked.unwrap_or(64_usize) << 20
}

/// A server, a folder here, and a line between them on which is counted.
struct Rig {
    served: Served,
    proxy: Proxy,
    store: Arc<dyn Store>,
    here: tempfile::TempDir,
    local: Arc<LocalStore>,
}

impl Rig {
    async fn start() -> Self {
        Self::serving(Served::start().await).await
    }

    async fn serving(served: Served) -> Self {
        let proxy = Proxy::to(served.address.port());
        let text = format!("sitta://127.0.0.1:{}/files", proxy.port());
        let Ok(Location::Remote(remote)) = Location::parse(&text) else { panic!("{text}") };
        let store = sitta::open(&remote, &served.access()).await.expect("opened");
        let here = tempfile::tempdir().unwrap();
        let local = Arc::new(LocalStore::open(here.path()).unwrap());
        Self { served, proxy, store, here, local }
    }

    fn there(&self) -> PathBuf {
        self.served.shared().join("f")
    }

    fn here(&self) -> PathBuf {
        self.here.path().join("f")
    }

    fn travelled(&self) -> u64 {
        self.proxy.sent() + self.proxy.received()
    }

    async fn up(&self, flow: &Arc<Flow>) -> Result<Written> {
        let there = self.store.stat(&path("f")).await.unwrap().unwrap();
        let write = update(self.local.clone(), entry(&*self.local).await, &there);
        self.store.write(write, flow).await
    }

    async fn down(&self, flow: &Arc<Flow>) -> Result<Written> {
        let here = entry(&*self.local).await;
        let write = update(self.store.clone(), entry(&*self.store).await, &here);
        self.local.write(write, flow).await
    }
}

async fn entry(store: &dyn Store) -> Entry {
    store.stat(&path("f")).await.unwrap().expect("it is there")
}

fn update(from: Arc<dyn Store>, new: Entry, old: &Entry) -> Write {
    Write {
        path: path("f"),
        what: What::File(Source::Stored { store: from, path: path("f"), version: new.fingerprint() }),
        meta: Meta { mtime: Time::new(1_700_000_000, 123_456_789), mode: 0o640, ..Meta::default() },
        expect: Precondition::Version(old.fingerprint()),
        displaced: Displaced::Discard,
        temp: ".sitta-tmp-test-1".into(),
    }
}

/// One byte changed, one put in, one taken out, all in the middle.
fn edits(old: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    let middle = old.len() / 2 + 12_345;
    let (mut edited, mut longer, mut shorter) = (old.to_vec(), old.to_vec(), old.to_vec());
    edited[middle] ^= 1;
    longer.insert(middle, 7);
    shorter.remove(middle);
    [("edit", edited), ("insert", longer), ("remove", shorter)]
}

#[tokio::test(flavor = "multi_thread")]
async fn one_byte_up_costs_little_whatever_it_does_to_the_rest() {
    let rig = Rig::start().await;
    let old = noise(1, size());
    fs::write(rig.there(), &old).unwrap();
    for (what, new) in edits(&old) {
        fs::write(rig.here(), &new).unwrap();
        let (before, flow) = (rig.travelled(), Arc::new(Flow::default()));
        let written = rig.up(&flow).await.unwrap();
        let cost = rig.travelled() - before;
        assert!(cost < ONE_BYTE, "{what}: {cost}");
        assert_eq!(written.content.unwrap().0, *blake3::hash(&new).as_bytes(), "{what}");
        assert_eq!(written.entry.meta.mtime, Time::new(1_700_000_000, 123_456_789));
        assert_eq!(flow.bytes(), new.len() as u64);
        assert!(fs::read(rig.there()).unwrap() == new, "{what}");
    }
    assert_eq!(rig.served.names(""), ["f"], "nothing is left over");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_byte_down_costs_little_whatever_it_does_to_the_rest() {
    let rig = Rig::start().await;
    let old = noise(2, size());
    fs::write(rig.here(), &old).unwrap();
    for (what, new) in edits(&old) {
        fs::write(rig.there(), &new).unwrap();
        let (before, flow) = (rig.travelled(), Arc::new(Flow::default()));
        let written = rig.down(&flow).await.unwrap();
        let cost = rig.travelled() - before;
        assert!(cost < 2 * ONE_BYTE, "{what}, after another one: {cost}");
        assert_eq!(written.content.unwrap().0, *blake3::hash(&new).as_bytes(), "{what}");
        assert_eq!(written.entry.meta.mtime, Time::new(1_700_000_000, 123_456_789));
        assert_eq!(flow.bytes(), new.len() as u64);
        assert!(fs::read(rig.here()).unwrap() == new, "{what}");
    }
    let names: Vec<_> = fs::read_dir(rig.here.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["f"], "nothing is left over");
}

/// What was moved within the file, repeated or taken from its end is found again.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_moved_is_not_sent_again() {
    let rig = Rig::start().await;
    let old = noise(3, 16 << 20);
    let (first, second) = old.split_at(9 << 20);
    let new = [second, b"between", first, first].concat();
    fs::write(rig.there(), &old).unwrap();
    fs::write(rig.here(), &new).unwrap();
    let before = rig.travelled();
    rig.up(&Arc::default()).await.unwrap();
    assert!(rig.travelled() - before < 1 << 20, "{}", rig.travelled() - before);
    assert!(fs::read(rig.there()).unwrap() == new);
    fs::write(rig.here(), &old).unwrap();
    let before = rig.travelled();
    rig.down(&Arc::default()).await.unwrap();
    assert!(rig.travelled() - before < 1 << 20, "{}", rig.travelled() - before);
    assert!(fs::read(rig.here()).unwrap() == new);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_with_nothing_in_common_are_sent_whole() {
    let rig = Rig::start().await;
    let (old, new) = (noise(4, 3 << 20), noise(5, 4 << 20));
    fs::write(rig.there(), &old).unwrap();
    fs::write(rig.here(), &new).unwrap();
    rig.up(&Arc::default()).await.unwrap();
    assert!(fs::read(rig.there()).unwrap() == new);
    fs::write(rig.there(), &old).unwrap();
    rig.down(&Arc::default()).await.unwrap();
    assert!(fs::read(rig.here()).unwrap() == old);
}

/// What was looked into is not what is copied or sent: that is found out before anything is replaced, and all bytes are
/// sent.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_rot_meanwhile_are_found_out() {
    // A disk that rots: one reading gives other bytes, and nothing tells of it. How many there were, and which one that is.
    let (readings, rotten) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let share = |dir| {
        let (readings, rotten) = (readings.clone(), rotten.clone());
        let through = move |_: &RelPath, bytes: ByteStream| {
            let rots = readings.fetch_add(1, Relaxed) + 1 == rotten.load(Relaxed);
            let rot = move |piece: Bytes| {
                let mut piece = piece.to_vec();
                piece[0] ^= u8::from(rots);
                Bytes::from(piece)
            };
            bytes.map_ok(rot).boxed()
        };
        Some((Arc::new(Through { inner: LocalStore::open(dir).unwrap(), through }) as Arc<dyn Store>, true))
    };
    let rig = Rig::serving(Served::start_sharing(|_| {}, share).await).await;
    let old = noise(6, 8 << 20);
    let new = edits(&old)[1].1.clone();
    for rots in [false, true] {
        // The first reading is for the chunks.
        let rot = || rotten.store(if rots { readings.load(Relaxed) + 2 } else { 0 }, Relaxed);
        let least = if rots { 8 << 20 } else { 0 };
        fs::write(rig.there(), &old).unwrap();
        fs::write(rig.here(), &new).unwrap();
        rot();
        let (before, flow) = (rig.travelled(), Arc::new(Flow::default()));
        let written = rig.up(&flow).await.unwrap();
        assert_eq!(written.content.unwrap().0, *blake3::hash(&new).as_bytes());
        assert!(fs::read(rig.there()).unwrap() == new);
        assert_eq!(flow.bytes(), new.len() as u64, "what came to nothing does not count");
        let cost = rig.travelled() - before;
        assert!(cost > least && cost < least + (1 << 20), "up, rotten: {rots}: {cost}");
        fs::write(rig.here(), &old).unwrap();
        rot();
        let (before, flow) = (rig.travelled(), Arc::new(Flow::default()));
        let written = rig.down(&flow).await.unwrap();
        assert_eq!(written.content.unwrap().0, *blake3::hash(&new).as_bytes());
        assert!(fs::read(rig.here()).unwrap() == new);
        assert_eq!(flow.bytes(), new.len() as u64, "what came to nothing does not count");
        let cost = rig.travelled() - before;
        assert!(cost > least && cost < least + (1 << 20), "down, rotten: {rots}: {cost}");
    }
    assert_eq!(rig.served.names(""), ["f"], "nothing is left over");
}

/// Somebody else's version is not overwritten, nor taken for the one that was meant.
#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_another_version() {
    let rig = Rig::start().await;
    let old = noise(10, 4 << 20);
    let [(_, new), (_, other), _] = edits(&old);
    fs::write(rig.there(), &old).unwrap();
    fs::write(rig.here(), &new).unwrap();
    let (seen_there, seen_here) = (entry(&*rig.store).await, entry(&*rig.local).await);
    fs::write(rig.there(), &other).unwrap();
    let write = update(rig.local.clone(), seen_here.clone(), &seen_there);
    let refused = rig.store.write(write, &Arc::default()).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Changed, "{refused}");
    let write = update(rig.store.clone(), seen_there, &seen_here);
    let refused = rig.local.write(write, &Arc::default()).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Changed, "{refused}");
    assert!(fs::read(rig.there()).unwrap() == other && fs::read(rig.here()).unwrap() == new);
    assert_eq!(rig.served.names(""), ["f"], "nothing is left over");
}

/// One change, as a client sends it, and the pieces behind it.
async fn post(rig: &Rig, content: &str, size: u64, of: &str, pieces: &[u8]) -> (u16, Value) {
    let change = json!([{
        "op": "write", "path": "f", "what": {"pieces": {"size": size, "of": of, "content": content}},
        "meta": serde_json::to_value(WireMeta::default()).unwrap(), "expect": {"version": of},
        "temp": ".sitta-tmp-test-1",
    }]);
    let list = change.to_string().into_bytes();
    let mut body = (list.len() as u32).to_be_bytes().to_vec();
    body.extend(list);
    body.extend(pieces);
    let answer = rig.served.client().post(rig.served.url("changes")).body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

const COPY: u32 = u32::MAX - 1;

fn copy(from: u64, len: u64) -> Vec<u8> {
    [&COPY.to_be_bytes()[..], &from.to_be_bytes(), &len.to_be_bytes()].concat()
}

fn literal(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn recipes_are_followed_to_the_letter_or_not_at_all() {
    let rig = Rig::start().await;
    let old = noise(7, 100_000);
    fs::write(rig.there(), &old).unwrap();
    let of = tag(&entry(&*rig.store).await.fingerprint());
    let last = 0_u32.to_be_bytes().to_vec();
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex().to_string();
    let good = [&old[50_000..], b"new"].concat();
    let half = |from, len| [copy(from, len), literal(b"new"), last.clone()].concat();
    let endless = [copy(0, 100_000), copy(0, 100_000), copy(0, 100_000), last.clone()].concat();
    let huge = [COPY.to_be_bytes().to_vec(), vec![0xff; 16], last.clone()].concat();
    for (what, content, size, pieces, kind) in [
        ("beyond the end", hash(&good), 50_003, half(50_001, 50_000), "unsupported"),
        ("all numbers", hash(&good), 50_003, huge, "unsupported"),
        ("an overflow", hash(&good), 50_003, half(u64::MAX - 10, 50_000), "unsupported"),
        ("nothing", hash(&good), 50_003, half(0, 0), "unsupported"),
        ("more than announced", hash(&good), 50_003, endless, "unsupported"),
        ("other bytes", hash(&good), 50_003, half(49_999, 50_000), "corrupt"),
        ("another hash", hash(b"x"), 50_003, half(50_000, 50_000), "corrupt"),
        ("fewer bytes", hash(&good), 50_004, half(50_000, 50_000), "unreachable"),
        ("more bytes", hash(&good), 50_002, half(50_000, 50_000), "unreachable"),
        ("no end", hash(&good), 50_003, copy(50_000, 50_000), "unreachable"),
        ("half a number", hash(&good), 50_003, copy(50_000, 50_000)[..9].to_vec(), "unreachable"),
    ] {
        let (status, answer) = post(&rig, &content, size, &of, &pieces).await;
        assert_eq!((status, &answer[0]["failed"]["kind"]), (200, &json!(kind)), "{what}: {answer}");
        assert!(fs::read(rig.there()).unwrap() == old, "{what}");
    }
    for (what, content, of) in [("no hash", "abc", of.as_str()), ("no version", &*hash(&good), "abc")] {
        let (status, answer) = post(&rig, content, 50_003, of, &half(50_000, 50_000)).await;
        assert_eq!(status, 400, "{what}: {answer}");
    }
    let other = of.replacen(&of[..2], "1f", 1);
    let (_, answer) = post(&rig, &hash(&good), 50_003, &other, &half(0, 10)).await;
    assert!(answer[0]["failed"].is_object(), "another version: {answer}");
    assert!(fs::read(rig.there()).unwrap() == old);
    let (status, answer) = post(&rig, &hash(&good), 50_003, &of, &half(50_000, 50_000)).await;
    assert_eq!((status, &answer[0]["done"]["content"]), (200, &json!(hash(&good))), "{answer}");
    assert!(fs::read(rig.there()).unwrap() == good);
    assert_eq!(rig.served.names(""), ["f"], "nothing is left over");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_told_of_one_version_and_only_where_there_are_any() {
    let rig = Rig::start().await;
    fs::write(rig.there(), noise(8, 3 << 20)).unwrap();
    fs::create_dir(rig.served.shared().join("d")).unwrap();
    let ask = |what: &str, etag: Option<String>| {
        let request = rig.served.client().get(rig.served.url(what));
        let request = etag.iter().fold(request, |request, etag| request.header("if-match", etag));
        async move { request.send().await.unwrap() }
    };
    let top = ask("chunks/f", None).await;
    assert_eq!(
        (top.status().as_u16(), &top.headers()["content-type"]),
        (200, &"application/vnd.sitta.chunks".parse().unwrap())
    );
    let etag = top.headers()["etag"].to_str().unwrap().to_owned();
    assert!(top.bytes().await.unwrap().len() > 41);
    assert_eq!(ask("chunks/f", Some(etag.clone())).await.status(), 200);
    fs::write(rig.there(), noise(9, 3 << 20)).unwrap();
    assert_eq!(ask("chunks/f", Some(etag)).await.status(), 412, "it is another version by now");
    for (what, status) in [
        ("chunks/none", 404),
        ("chunks/d", 422),
        ("chunks/f?nodes=1:999", 404),
        ("chunks/f?nodes=0:0", 404),
        ("chunks/f?nodes=77:0", 404),
        ("chunks/f?nodes=1:0-99999999", 400),
        ("chunks/f?node=1", 400),
    ] {
        assert_eq!(ask(what, None).await.status(), status, "{what}");
    }
}
