//! What goes wrong is told in clear words, and leaves nothing behind.

use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use sitta_store::{Access, Displaced, ErrorKind, Password, Precondition, ScanOptions, Source, What, Write};
use sitta_testbed::proxy::Proxy;
use sitta_testbed::s3::{KEY_ID, S3Server};
use sitta_tree::{Meta, RelPath};

use super::tools::{access, connect};

fn new(at: &str, content: impl Into<bytes::Bytes>) -> Write {
    Write {
        path: RelPath::new(at).expect("a valid path"),
        what: What::File(Source::Bytes(content.into())),
        meta: Meta::default(),
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: ".sitta-tmp-1".into(),
    }
}

/// How a scan and a write fail.
async fn refusals(url: &str, access: &Access) -> Vec<(ErrorKind, String)> {
    let store = connect(url, access).await.expect("nothing is asked yet");
    let scan = store.scan(&ScanOptions::default()).await.expect_err("it must fail");
    let write = store.write(new("f", "x"), &Arc::default()).await.expect_err("it must fail");
    [scan, write].map(|error| (error.kind, error.source.to_string())).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_in_clear_words() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = S3Server::rclone(dir.path());
    server.create_bucket("bucket");
    let right = access(&server);
    let mut wrong = access(&server);
    wrong.s3.secret = Some(Password::new("another-secret"));
    for (kind, what) in refusals("s3://bucket/p", &wrong).await {
        assert_eq!(kind, ErrorKind::Auth, "{what}");
        assert!(what.contains("secret access key is wrong") && !what.contains("another-secret"), "{what}");
    }
    wrong.s3.key_id = Some("AKNOBODY".into());
    for (kind, what) in refusals("s3://bucket/p", &wrong).await {
        assert_eq!(kind, ErrorKind::Auth, "{what}");
        assert!(what.contains("access key id"), "{what}");
    }
    for (kind, what) in refusals("s3://missing/p", &right).await {
        assert_eq!((kind, &*what), (ErrorKind::NotFound, "the bucket missing does not exist"));
    }
    let missing = connect("s3://missing", &right).await.expect("opened");
    assert_eq!(missing.create_root().await.expect_err("no bucket").kind, ErrorKind::NotFound);
    assert_eq!(missing.stat(&RelPath::root()).await.expect("it works"), None);
    let half = Access { s3: sitta_store::S3Access { secret: None, ..right.s3 }, ..right };
    assert_eq!(connect("s3://bucket", &half).await.expect_err("no secret").kind, ErrorKind::Auth);
    let url = format!("s3://{KEY_ID}:{}@bucket/p", sitta_testbed::s3::SECRET);
    let inside = connect(&url, &half).await.expect("the URL has both");
    assert!(inside.scan(&ScanOptions::default()).await.expect("an empty tree").len() == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let buckets = dir.path().join("buckets");
    std::fs::create_dir(&buckets).expect("made");
    let server = S3Server::rclone_over_tls(&buckets);
    server.create_bucket("bucket");
    let store = connect("s3://bucket/p", &access(&server)).await.expect("opened");
    store.write(new("f", "x"), &Arc::default()).await.expect("a trusted server");
    let untrusting = Access { web: sitta_store::web::WebOptions::default(), ..access(&server) };
    for (kind, what) in refusals("s3://bucket/p", &untrusting).await {
        assert_eq!(kind, ErrorKind::Untrusted, "{what}");
    }
}

/// A request to moto, which asks for no signature, and its whole answer.
fn ask(server: &S3Server, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("it listens");
    write!(stream, "{request} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The ids of the uploads that were begun in the bucket, and neither completed nor undone.
fn open_uploads(server: &S3Server) -> Vec<String> {
    let listing = ask(server, "GET /bucket?uploads");
    assert!(listing.contains("<ListMultipartUploadsResult"), "no listing of uploads: {listing}");
    let ids = listing.split("<UploadId>").skip(1);
    ids.map(|rest| rest.split('<').next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_in_an_upload() {
    let server = S3Server::moto();
    server.create_bucket("bucket");
    // What is left open is seen, and what is undone is not any more.
    ask(&server, "POST /bucket/left?uploads");
    let [left] = &open_uploads(&server)[..] else { panic!("an upload that was begun is not listed") };
    ask(&server, &format!("DELETE /bucket/left?uploadId={left}"));
    assert!(open_uploads(&server).is_empty());

    let proxy = Proxy::to(server.port());
    let mut access = access(&server);
    access.s3.endpoint = Some(format!("http://127.0.0.1:{}", proxy.port()));
    access.web.timeout = Duration::from_secs(10);
    let store = connect("s3://bucket/p", &access).await.expect("opened");
    let content: Vec<u8> = (0..20_u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let path = RelPath::new("f").expect("a valid path");

    // One part breaks off, and is sent again on its own.
    proxy.cut_after(5 << 20, 1);
    let written = store.write(new("f", content.clone()), &Arc::default()).await.expect("in spite of a cut");
    assert_eq!(proxy.cuts(), 1);
    assert_eq!(store.stat(&path).await.expect("it works"), Some(written.entry.clone()));

    // Nothing gets through any more: the old version stands, and no trace is left.
    proxy.cut_after(5 << 20, 1000);
    let over = Write { expect: Precondition::Version(written.entry.fingerprint()), ..new("f", vec![7; 20 << 20]) };
    let failed = store.write(over, &Arc::default()).await.expect_err("cut");
    assert_eq!(failed.kind, ErrorKind::Unreachable);
    proxy.pass();
    assert_eq!(store.stat(&path).await.expect("it works"), Some(written.entry));
    assert_eq!(store.scan(&ScanOptions::default()).await.expect("a scan").len(), 2);
    assert_eq!(open_uploads(&server), [""; 0], "uploads are left");
}
