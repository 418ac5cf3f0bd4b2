//! Against a real server, with limits that make a small object a large one.

use std::sync::Arc;

use sitta_testbed::s3::{KEY_ID, S3Server, SECRET};
use sitta_tree::{Meta, RelPath, Time};

use super::{Limits, S3Store};
use crate::{
    Access, Change, Displaced, Location, Password, Precondition, Result, ScanOptions, Source, Store, What, Write,
};

const PART: u64 = 5 << 20;

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

fn connect(server: &S3Server) -> Arc<dyn Store> {
    server.create_bucket("bucket");
    let mut access = Access::default();
    access.s3.endpoint = Some(server.endpoint());
    access.s3.key_id = Some(KEY_ID.into());
    access.s3.secret = Some(Password::new(SECRET));
    let Ok(Location::Remote(remote)) = Location::parse("s3://bucket/p") else { panic!("no server") };
    let limits = Limits { whole: PART, part: PART, parts: 10_000, copy: PART };
    Arc::new(S3Store::new(&remote, &access, limits).expect("opened"))
}

fn write(at: &str, content: Vec<u8>) -> Write {
    Write {
        path: path(at),
        what: What::File(Source::Bytes(content.into())),
        meta: Meta { mtime: Time::new(1_600_000_000, 5), mode: 0o600, ..Meta::default() },
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: ".sitta-tmp-1".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_are_sent_and_copied_in_parts() {
    let server = S3Server::moto();
    let store = connect(&server);
    let flow = Arc::default();
    let content: Vec<u8> = (0..12_u32 << 18).flat_map(u32::to_be_bytes).collect();
    let written = store.write(write("f", content.clone()), &flow).await.expect("written");
    assert_eq!(store.stat(&path("f")).await.unwrap().as_ref(), Some(&written.entry));
    assert_eq!(written.content.map(|hash| hash.0), Some(*blake3::hash(&content).as_bytes()));

    let expect = Precondition::Version(written.entry.fingerprint());
    let moved = store.rename(&path("f"), &path("g"), expect).await.expect("renamed");
    assert_eq!(store.stat(&path("g")).await.unwrap().as_ref(), Some(&moved.entry));
    assert_eq!((moved.entry.meta, moved.entry.size), (written.entry.meta, written.entry.size));
    let meta = Meta { mtime: Time::new(-2, 500_000_000), mode: 0o755, ..Meta::default() };
    let dressed = store.set_meta(&path("g"), &meta, Precondition::None).await.expect("set");
    assert_eq!(dressed.entry.meta, meta);
    assert_eq!(store.stat(&path("g")).await.unwrap(), Some(dressed.entry.clone()));

    let over = Write {
        expect: Precondition::Version(dressed.entry.fingerprint()),
        displaced: Displaced::MoveTo(path("trash/g")),
        ..write("g", content[1..].to_vec())
    };
    store.write(over, &flow).await.expect("replaced");
    let kept = store.stat(&path("trash/g")).await.unwrap().expect("it is there");
    assert_eq!((kept.size, kept.meta), (content.len() as u64, meta));
    assert_eq!(store.scan(&ScanOptions::default()).await.unwrap().len(), 1 + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_removals_takes_what_lies_among_other_things() {
    let server = S3Server::moto();
    let store = connect(&server);
    let flow = Arc::default();
    let names = ["<&>", "a\tb", "e\u{301}", " ", "+%2F", "z/y", "control\u{1}", "plain", "other", "last"];
    let writes = names.iter().map(|name| Change::Write(write(name, vec![1]))).collect();
    let written: Vec<Result<_>> = store.apply(writes, &flow).await;
    // Some servers do not take all of these.
    let names = names.iter().zip(&written).filter(|(_, written)| written.is_ok());
    let removals: Vec<_> = names
        .map(|(name, _)| Change::Remove {
            path: path(name),
            expect: Precondition::None,
            displaced: Displaced::Discard,
        })
        .collect();
    assert!(removals.len() >= 8, "{written:?}");
    let removed = store.apply(removals, &flow).await;
    assert!(removed.iter().all(Result::is_ok), "{removed:?}");
    assert_eq!(store.scan(&ScanOptions::default()).await.unwrap().len(), 1);
}
