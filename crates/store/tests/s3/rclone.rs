//! Metadata goes both ways between rclone and us.

use std::sync::Arc;

use sitta_store::{Displaced, Precondition, Source, What, Write};
use sitta_testbed::s3::S3Server;
use sitta_tree::{Meta, RelPath, Time};

use super::tools::{access, connect};

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

async fn both_ways(server: &S3Server) {
    server.create_bucket("bucket");
    let store = connect("s3://bucket/p", &access(server)).await.expect("opened");
    let mtime = Time::new(1_600_000_000, 123_456_789);
    let write = Write {
        path: path("ours"),
        what: What::File(Source::Bytes("content".into())),
        meta: Meta { mtime, mode: 0o640, ..Meta::default() },
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: ".sitta-tmp-1".into(),
    };
    store.write(write, &Arc::default()).await.expect("written");
    let listed = server.rclone_client().args(["lsjson", "-M", "t:bucket/p"]).output().expect("rclone runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("2020-09-13T12:26:40.123456789Z"), "{listed}");
    assert!(listed.contains("\"mode\":\"100640\""), "{listed}");

    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("theirs");
    std::fs::write(&file, "theirs").expect("written");
    let touched = std::process::Command::new("touch").args(["-d", "@1500000000.5"]).arg(&file).status();
    assert!(touched.expect("touch runs").success());
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("allowed");
    let copied =
        server.rclone_client().args(["copy", "-M"]).arg(&file).arg("t:bucket/p").output().expect("it runs");
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let entry = store.stat(&path("theirs")).await.expect("it works").expect("it is there");
    assert_eq!((entry.meta.mtime, entry.meta.mode), (Time::new(1_500_000_000, 500_000_000), 0o600));
    let fetched = store.fetch(&path("theirs"), &entry.fingerprint(), 0).await.expect("the same version");
    assert_eq!(fetched.meta.expect("told").mtime, entry.meta.mtime);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_goes_both_ways_on_rclone() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    both_ways(&S3Server::rclone(dir.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_goes_both_ways_on_moto() {
    both_ways(&S3Server::moto()).await;
}
