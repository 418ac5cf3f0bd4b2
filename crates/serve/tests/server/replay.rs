//! What is recorded and sent again does nothing the second time, and none of it is taken before TLS has agreed (0-RTT).

use std::fs;
use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{Served, trusting};

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_comes_twice() {
    let served = Served::start().await;
    let client = served.client();
    let put = || client.put(served.url("files/f")).header("if-none-match", "*").body("first");
    assert_eq!(put().send().await.unwrap().status(), 201);
    assert_eq!(put().send().await.unwrap().status(), 412);
    // Once somebody has changed it, a write of its first version is refused.
    let etag = client.get(served.url("files/f")).send().await.unwrap().headers()["etag"].clone();
    let update = || client.put(served.url("files/f")).header("if-match", &etag).body("second");
    assert_eq!(update().send().await.unwrap().status(), 204);
    fs::write(served.shared().join("f"), "third").unwrap();
    assert_eq!(update().send().await.unwrap().status(), 412);
    assert_eq!(fs::read(served.shared().join("f")).unwrap(), b"third");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_changes_that_comes_twice() {
    let served = Served::start().await;
    fs::write(served.shared().join("old"), "old").unwrap();
    let client = served.client();
    let stat = client.get(served.url("stat/old")).send().await.unwrap().text().await.unwrap();
    let entry: serde_json::Value = serde_json::from_str(&stat).unwrap();
    let head = client.head(served.url("files/old")).send().await.unwrap();
    let version = head.headers()["etag"].to_str().unwrap().trim_matches('"').to_owned();
    let meta = json!({"mtime": entry["meta"]["mtime"]});
    let meta = if meta["mtime"].is_null() { json!({"mtime": entry["mtime"]}) } else { meta };
    let list = json!([
        {"op": "write", "path": "new", "what": {"file": 3}, "meta": meta, "expect": "absent", "temp": ".sitta-tmp-1-x"},
        {"op": "remove", "path": "old", "expect": {"version": version}},
    ]);
    let list = list.to_string();
    let body = [&u32::try_from(list.len()).unwrap().to_be_bytes()[..], list.as_bytes(), b"new"].concat();
    let apply = || client.post(served.url("changes")).body(body.clone());
    let first = apply().send().await.unwrap().text().await.unwrap();
    assert!(!first.contains("failed") && first.matches("done").count() == 2, "{first}");
    assert_eq!(served.names(""), ["new"]);
    fs::write(served.shared().join("new"), "newer").unwrap();
    fs::write(served.shared().join("old"), "made again").unwrap();
    let second = apply().send().await.unwrap().text().await.unwrap();
    assert!(second.matches("failed").count() == 2 && !second.contains("done"), "{second}");
    assert_eq!(fs::read(served.shared().join("new")).unwrap(), b"newer");
    assert_eq!(fs::read(served.shared().join("old")).unwrap(), b"made again");
}

/// A client that would send early data, and knows the server already.
fn eager(served: &Served, protocol: &str) -> rustls::ClientConfig {
    let mut config = trusting(&served.tls("certificate.pem"), protocol);
    config.enable_early_data = true;
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_early() {
    let served = Served::start().await;
    let tls = TlsConnector::from(Arc::new(eager(&served, "http/1.1")));
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let stream = TcpStream::connect(served.address).await.unwrap();
        let connecting = tls.connect_with("localhost".try_into().unwrap(), stream, |connection| {
            assert!(connection.early_data().is_none(), "it may not send early data");
        });
        let mut stream = connecting.await.unwrap();
        kinds.push(stream.get_ref().1.handshake_kind().unwrap());
        let ask = b"GET /api/v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(ask).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    // With a ticket of the first, so that early data would have been possible.
    assert_eq!(kinds, [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed]);

    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(eager(&served, "h3")).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    for _ in 0..2 {
        let connecting = endpoint.connect_with(config.clone(), served.address, "localhost").unwrap();
        let connection = connecting.into_0rtt().err().expect("no early data").await.unwrap();
        // Until the ticket is here.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        connection.close(0_u32.into(), b"");
    }
}
