//! Listings of any size and with any names, from a server that makes them up.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

use sitta_store::{Access, ErrorKind, ScanOptions, Store};
use sitta_tree::{NodeId, RelPath};

use super::tools::connect;

/// Answers every request with what `answer` makes of its first line.
async fn pretending(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Arc<dyn Store> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().expect("the same connection")).lines();
                while let Some(Ok(first)) = lines.next() {
                    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                    let body = answer(&first);
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    let mut stream = &stream;
                    if stream.write_all((head + &body).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let mut access = Access::default();
    access.s3.endpoint = Some(format!("http://127.0.0.1:{port}"));
    connect("s3://bucket/p", &access).await.expect("opened")
}

fn contents(key: &str, size: u64) -> String {
    format!(
        "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
         <ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>{size}</Size>\
         <StorageClass>STANDARD</StorageClass></Contents>"
    )
}

fn page(contents: &str, next: Option<u64>) -> String {
    let token = next.map_or(String::new(), |next| format!("<NextContinuationToken>{next}</NextContinuationToken>"));
    format!(
        "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>{}</IsTruncated>{contents}\
         <EncodingType>url</EncodingType>{token}</ListBucketResult>",
        next.is_some()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_objects() {
    const ALL: u64 = 100_000;
    let store = pretending(|line| {
        let token = line
            .split_once("continuation-token=")
            .map_or("0", |(_, rest)| rest.split(['&', ' ']).next().unwrap_or("0"));
        let from: u64 = token.parse().expect("a token of ours");
        let all: String =
            (from..from + 1000).map(|n| contents(&format!("p/d{:03}/file+{n:06}", n / 500), n)).collect();
        page(&all, Some(from + 1000).filter(|next| *next < ALL))
    })
    .await;
    let begun = Instant::now();
    let tree = store.scan(&ScanOptions::default()).await.expect("a scan");
    assert_eq!((tree.len() as u64, store.requests()), (1 + 200 + ALL, 100));
    let id = tree.find(&RelPath::new("d199/file 099999").expect("a valid path")).expect("the last one");
    assert_eq!(tree.size(id), 99_999);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_told_and_left_alone() {
    let hostile =
        ["p/a%2F%2Fb", "p/..%2Fx", "p/../x", "p//abs", "p/a/./b", "p/nul%00", "p/sub/", "elsewhere", "p/%ff%FE%zz"];
    let store = pretending(move |_| {
        let all: String = hostile.iter().map(|key| contents(key, 3)).collect();
        page(&(all + &contents("p/good", 3) + &contents("p/empty/", 0) + &contents("p/", 0)), None)
    })
    .await;
    let tree = store.scan(&ScanOptions::default()).await.expect("a scan");
    let mut seen: Vec<_> = tree.ids().skip(1).map(|id| tree.path(id).to_string()).collect();
    seen.sort();
    assert_eq!(seen, ["\\xff\\xfe%zz", "empty", "good"]);
    assert_eq!(tree.problems.len(), 7, "{:?}", tree.problems);
    assert!(!tree.is_complete(NodeId::ROOT), "deletions are off the table");
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_that_are_none() {
    for (body, kind) in [
        ("<html>no</html>", ErrorKind::Unsupported),
        ("<ListBucketResult><Contents><Key>p/a", ErrorKind::Unreachable),
        ("<ListBucketResult><Contents><Key>p/&bad;</Key>", ErrorKind::Unreachable),
    ] {
        let store = pretending(move |_| body.to_owned()).await;
        assert_eq!(store.scan(&ScanOptions::default()).await.expect_err("no listing").kind, kind, "{body}");
    }
    let again = pretending(|_| page(&contents("p/a", 1), Some(1))).await;
    assert_eq!(again.scan(&ScanOptions::default()).await.expect_err("endless").kind, ErrorKind::Unsupported);
}
