//! The memory that the S3 store takes: alone in its process, so that nothing else is counted.

#[path = "s3/tools.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod tools;

use std::sync::Arc;
use std::time::Instant;

use sitta_store::{Displaced, Precondition, Source, Store, What, Write};
use sitta_testbed::s3::S3Server;
use sitta_tree::{Meta, RelPath, Time};

use tools::{access, connect};

fn memory_in_use() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak is told");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") << 10
}

/// A large object goes through little memory: 200 MiB, or as many as `SITTA_S3_LARGE_MIB` says.
#[tokio::test(flavor = "multi_thread")]
async fn large_objects_in_bounded_memory() {
    #[expect(clippy::disallowed_methods, reason = "the full size is asked for by whoever runs the test")]
    let mib: u64 = std::env::var("SITTA_S3_LARGE_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(200);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (buckets, home) = (dir.path().join("buckets"), dir.path().join("home"));
    for made in [&buckets, &home] {
        std::fs::create_dir(made).expect("made");
    }
    let file = std::fs::File::create(home.join("large")).expect("made");
    file.set_len(mib << 20).expect("a sparse file");
    let server = S3Server::rclone(&buckets);
    server.create_bucket("bucket");
    let store = connect("s3://bucket/p", &access(&server)).await.expect("opened");
    let local = Arc::new(sitta_store::local::LocalStore::open(&home).expect("opened"));
    let path = RelPath::new("large").expect("a valid path");
    let version = local.stat(&path).await.expect("it works").expect("it is there").fingerprint();
    let source = Source::Stored { store: local, path: path.clone(), version };
    let (before, begun) = (memory_in_use(), Instant::now());
    let write = Write {
        path: path.clone(),
        what: What::File(source),
        meta: Meta { mtime: Time::new(1_600_000_000, 0), mode: 0o644, ..Meta::default() },
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: ".sitta-tmp-1".into(),
    };
    let written = store.write(write, &Arc::default()).await.expect("written");
    let grown = memory_in_use() - before;
    assert!(grown < 120 << 20, "{} MiB more for {mib} MiB, {:?}", grown >> 20, begun.elapsed());
    assert_eq!(store.stat(&path).await.expect("it works"), Some(written.entry));
}
