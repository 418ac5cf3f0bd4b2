//! Checksums that the server makes: right ones, once, and none of what changes meanwhile.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};
use sitta_store::ByteStream;
use sitta_store::local::LocalStore;
use sitta_store::wrap::Recorded;
use sitta_tree::RelPath;

use crate::support::Served;
use crate::support::through::Through;

async fn text(served: &Served, what: &str) -> (u16, String) {
    let answer = served.client().get(served.url(what)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn one(served: &Served, what: &str) -> Value {
    let (status, text) = text(served, what).await;
    assert_eq!(status, 200, "{what}: {text}");
    serde_json::from_str(&text).unwrap()
}

async fn lines(served: &Served, what: &str) -> Vec<Value> {
    let (status, text) = text(served, what).await;
    assert_eq!(status, 200, "{what}: {text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_are_those_of_the_standards() {
    let served = Served::start().await;
    fs::write(served.shared().join("abc"), "abc").unwrap();
    fs::write(served.shared().join("empty"), "").unwrap();
    let known = [
        ("blake3", "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
        ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("md5", "900150983cd24fb0d6963f7d28e17f72"),
        ("crc32", "352441c2"),
    ];
    let listing = one(&served, "entries").await;
    for (algo, hash) in known {
        let told = one(&served, &format!("hashes/abc?algo={algo}")).await;
        let (modified, version) = (&listing["entries"][0]["modified"], &listing["entries"][0]["version"]);
        let expected = json!({
            "path": "abc", "algo": algo, "hash": hash, "size": 3, "modified": modified, "version": version,
        });
        assert_eq!(told, expected);
    }
    assert_eq!(one(&served, "hashes/abc").await["algo"], "blake3", "unless another one is asked for");
    let empty = one(&served, "hashes/empty").await;
    assert_eq!(empty["hash"], "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    // What takes several pieces to read.
    let large: Vec<u8> = (0..5_000_001_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = served.shared().join("large");
    fs::write(&file, &large).unwrap();
    for (algo, tool) in [("sha256", "sha256sum"), ("md5", "md5sum")] {
        let out = Command::new(tool).arg(&file).output().unwrap();
        let expected = String::from_utf8(out.stdout).unwrap();
        let told = one(&served, &format!("hashes/large?algo={algo}")).await;
        assert_eq!(told["hash"].as_str(), expected.split_whitespace().next(), "{tool}");
    }
    assert_eq!(one(&served, "hashes/large").await["hash"], blake3::hash(&large).to_hex().as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_below_a_directory_come_line_by_line() {
    let served = Served::start().await;
    fs::create_dir_all(served.shared().join("d/deep")).unwrap();
    for n in 0..600 {
        fs::write(served.shared().join(format!("d/{n:03}")), n.to_string()).unwrap();
    }
    fs::write(served.shared().join("d/deep/f"), "abc").unwrap();
    fs::write(served.shared().join("beside"), "abc").unwrap();
    let told = lines(&served, "hashes/d?algo=md5").await;
    assert_eq!(told.len(), 602);
    for (n, line) in told[..600].iter().enumerate() {
        assert_eq!(line["path"], format!("d/{n:03}"), "in order");
    }
    assert_eq!(told[0]["hash"], "cfcd208495d565ef66e7dff9f98764da");
    let last = &told[600];
    assert_eq!([&last["event"], &last["path"], &last["size"]], [&json!("hash"), &json!("d/deep/f"), &json!(3)]);
    assert_eq!(last["hash"], "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(told[601], json!({"event": "end", "files": 601, "problems": 0}));
    // The share itself.
    let all = lines(&served, "hashes/?algo=crc32").await;
    assert_eq!((&all[0]["path"], &all[602]["files"]), (&json!("beside"), &json!(602)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_hashed_is_told() {
    let served = Served::start().await;
    fs::write(served.shared().join("f"), "x").unwrap();
    std::os::unix::fs::symlink("f", served.shared().join("link")).unwrap();
    for (what, status, told) in [
        ("hashes/none", 404, "not_found"),
        ("hashes/f/below", 404, "not_found"),
        ("hashes/link", 422, "unsupported"),
        ("hashes/f?algo=sha1", 400, "write blake3, sha256, md5 or crc32"),
        ("hashes/f?algo=SHA256", 400, "write blake3"),
        ("hashes/f?algo=md5&algo=md5", 400, "once"),
        ("hashes/f?algorithm=md5", 400, "there are algo"),
    ] {
        let (code, text) = text(&served, what).await;
        assert_eq!(code, status, "{what}: {text}");
        assert!(text.contains(told), "{what}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_version_is_read_once() {
    let mut reads = None;
    let served = Served::start_sharing(
        |_| {},
        |dir| {
            let store = Recorded::new(Arc::new(LocalStore::open(dir).unwrap()));
            reads = Some(store.clone());
            Some((Arc::new(store), true))
        },
    )
    .await;
    let reads = || reads.as_ref().unwrap().counts().reads;
    let file = served.shared().join("f");
    fs::write(&file, "one").unwrap();
    let first = one(&served, "hashes/f").await;
    assert_eq!(reads(), 1);
    assert_eq!(one(&served, "hashes/f").await, first);
    assert_eq!(lines(&served, "hashes").await[0]["hash"], first["hash"]);
    assert_eq!(reads(), 1, "it is known");
    one(&served, "hashes/f?algo=md5").await;
    assert_eq!(reads(), 2, "another sum");
    // Of the same size and, as far as its time tells, of the same age.
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    fs::write(&file, "two").unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    let second = one(&served, "hashes/f").await;
    assert_eq!(second["hash"], blake3::hash(b"two").to_hex().as_str());
    assert_eq!((&second["modified"], reads()), (&first["modified"], 3));
    assert_ne!(second["version"], first["version"]);
    // Whoever asks for what is just being made waits for it.
    fs::write(served.shared().join("large"), vec![1; 20_000_000]).unwrap();
    let hashes = futures::future::join_all((0..8).map(|_| one(&served, "hashes/large"))).await;
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(reads(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_while_it_is_hashed_gets_no_hash() {
    let restless = Arc::new(AtomicBool::new(true));
    let served = Served::start_sharing(
        |_| {},
        |dir| {
            let (inner, restless) = (LocalStore::open(&dir).unwrap(), restless.clone());
            // It is written into while it is read.
            let through = move |path: &RelPath, bytes: ByteStream| {
                let touched = (path.name() == b"log" && restless.load(Relaxed)).then(|| dir.join("log"));
                let read = async move {
                    let pieces = bytes.collect::<Vec<_>>().await;
                    if let Some(file) = touched {
                        fs::write(file, vec![b'b'; 100_000]).unwrap();
                    }
                    stream::iter(pieces)
                };
                read.flatten_stream().boxed()
            };
            Some((Arc::new(Through { inner, through }), false))
        },
    )
    .await;
    let file = served.shared().join("log");
    fs::write(&file, vec![b'a'; 100_000]).unwrap();
    fs::write(served.shared().join("still"), "abc").unwrap();
    let (status, text) = text(&served, "hashes/log").await;
    assert_eq!(status, 409, "{text}");
    assert!(text.contains(r#""kind":"changed""#) && text.contains("while it was being hashed"), "{text}");
    fs::write(&file, vec![b'a'; 100_000]).unwrap();
    let told = lines(&served, "hashes?algo=md5").await;
    assert_eq!([&told[0]["event"], &told[0]["path"], &told[0]["kind"]], ["problem", "log", "changed"]);
    assert_eq!(told[1]["hash"], "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(told[2], json!({"event": "end", "files": 1, "problems": 1}));
    restless.store(false, Relaxed);
    let settled = one(&served, "hashes/log").await;
    assert_eq!(settled["hash"], blake3::hash(&[b'b'; 100_000]).to_hex().as_str());
}
