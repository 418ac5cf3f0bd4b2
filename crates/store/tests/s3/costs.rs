//! What operations cost, in requests.

use std::sync::Arc;

use sitta_store::{Change, Displaced, Precondition, ScanOptions, Source, Store, What, Write};
use sitta_testbed::s3::S3Server;
use sitta_tree::{Meta, RelPath, Time};

use super::tools::{access, connect};

fn new(at: &str, content: impl Into<bytes::Bytes>) -> Change {
    Change::Write(Write {
        path: RelPath::new(at).expect("a valid path"),
        what: What::File(Source::Bytes(content.into())),
        meta: Meta { mtime: Time::new(1_600_000_000, 0), mode: 0o644, ..Meta::default() },
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: ".sitta-tmp-1".into(),
    })
}

async fn spent<T>(store: &Arc<dyn Store>, call: impl Future<Output = T>) -> (u64, T) {
    let before = store.requests();
    let result = call.await;
    (store.requests() - before, result)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests() {
    let server = S3Server::moto();
    server.create_bucket("bucket");
    let store = connect("s3://bucket/p", &access(&server)).await.expect("opened");
    let flow = Arc::default();
    let changes = (0..1100).map(|n| new(&format!("d{}/f{n:04}", n % 7), format!("{n}"))).collect();
    let (cost, results) = spent(&store, store.apply(changes, &flow)).await;
    assert!(results.iter().all(Result::is_ok), "{:?}", results.iter().find(|result| result.is_err()));
    assert!(cost <= 1100 + 5, "a PUT for each, 2 HEADs and 3 to find out what the server enforces: {cost}");

    let (cost, tree) = spent(&store, store.scan(&ScanOptions::default())).await;
    let tree = tree.expect("a scan");
    assert_eq!((cost, tree.len()), (2, 1 + 7 + 1100), "a request for a thousand objects");

    let removals = tree.ids().filter(|id| tree.kind(*id) == sitta_tree::Kind::File).map(|id| Change::Remove {
        path: tree.path(id),
        expect: Precondition::Version(tree.entry(id).fingerprint()),
        displaced: Displaced::Discard,
    });
    let (cost, results) = spent(&store, store.apply(removals.collect(), &flow)).await;
    assert!(results.iter().all(Result::is_ok), "{:?}", results.iter().find(|result| result.is_err()));
    assert!(cost <= 8, "a listing and a request for a thousand objects: {cost}");
    assert_eq!(store.scan(&ScanOptions::default()).await.expect("a scan").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_keep_their_preconditions() {
    let server = S3Server::moto();
    server.create_bucket("bucket");
    let store = connect("s3://bucket/p", &access(&server)).await.expect("opened");
    let flow = Arc::default();
    store.apply((0..20).map(|n| new(&format!("f{n:02}"), "old")).collect(), &flow).await;
    let mut removals = Vec::new();
    for n in 0..21 {
        let path = RelPath::new(format!("f{n:02}")).expect("a valid path");
        let seen = store.stat(&path).await.expect("it works");
        let expect = seen.map_or(Precondition::None, |entry| Precondition::Version(entry.fingerprint()));
        removals.push(Change::Remove { path, expect, displaced: Displaced::Discard });
    }
    let Change::Write(other) = new("f07", "newer") else { unreachable!() };
    store.write(Write { expect: Precondition::None, ..other }, &flow).await.expect("written");
    let results = store.apply(removals, &flow).await;
    let failed: Vec<_> = (0..21).filter(|n| results[*n].is_err()).collect();
    assert_eq!(failed, [7, 20], "the one that changed, and the one that was never there");
    assert_eq!(store.scan(&ScanOptions::default()).await.expect("a scan").len(), 2);
}
