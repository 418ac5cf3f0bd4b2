//! Uploads that break off: nothing of them is ever seen.

use std::fs;
use std::time::Duration;

use futures::stream;
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use crate::support::Served;

/// Long enough for a server that took a part for the whole to have shown it.
const SOON: Duration = Duration::from_millis(500);

/// Two megabytes, so that they are on their way to the disk when it happens.
const PART: usize = 2 << 20;

async fn nothing_is_seen(served: &Served, how: &str) {
    sleep(SOON).await;
    assert_eq!(served.names(""), ["f"], "{how}");
    assert_eq!(fs::read(served.shared().join("f")).unwrap(), b"old", "{how}");
}

async fn with_a_file() -> Served {
    let served = Served::start().await;
    fs::write(served.shared().join("f"), "old").unwrap();
    served
}

/// By HTTP/1.1: a length that is not reached, and pieces without the last one.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost() {
    let served = with_a_file().await;
    for path in ["f", "new", "new/d/f?parents=true"] {
        for (how, head, sent) in [
            ("small", "content-length: 1000", vec![b'x'; 999]),
            ("large", "content-length: 4000000", vec![b'x'; PART]),
            ("chunked", "transfer-encoding: chunked", {
                let mut sent = format!("{PART:x}\r\n").into_bytes();
                sent.extend(vec![b'x'; PART]);
                sent.extend(b"\r\n");
                sent
            }),
        ] {
            let mut tls = served.connect().await;
            let request =
                format!("PUT /api/v1/shares/files/files/{path} HTTP/1.1\r\nhost: localhost\r\n{head}\r\n\r\n");
            tls.write_all(request.as_bytes()).await.unwrap();
            tls.write_all(&sent).await.unwrap();
            tls.flush().await.unwrap();
            sleep(Duration::from_millis(50)).await;
            // Once with a word of goodbye, as a proxy may say it, and once without.
            if how == "chunked" {
                tls.shutdown().await.unwrap();
            }
            drop(tls);
            nothing_is_seen(&served, &format!("{path} {how}")).await;
        }
    }
}

/// By HTTP/2: a client that gives up says `CANCEL`, which must not pass for the end of the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_up() {
    let served = with_a_file().await;
    for path in ["f", "new", "new/d/f?parents=true"] {
        for length in [None, Some(2 * PART)] {
            for reason in [h2::Reason::CANCEL, h2::Reason::NO_ERROR] {
                let tls = served.connect_as("h2").await;
                let (mut client, connection) = h2::client::handshake(tls).await.unwrap();
                tokio::spawn(connection);
                let url = format!("https://localhost/api/v1/shares/files/files/{path}");
                let mut request = http::Request::put(url);
                if let Some(length) = length {
                    request = request.header("content-length", length);
                }
                let (answer, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
                body.send_data(vec![b'x'; PART].into(), false).unwrap();
                assert!(timeout(Duration::from_millis(300), answer).await.is_err(), "it waits for the rest");
                body.send_reset(reason);
                nothing_is_seen(&served, &format!("{path} {length:?} {reason:?}")).await;
            }
        }
    }
}

/// By HTTP/2: a client that could not read on.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_fails() {
    let served = with_a_file().await;
    let failing = [Ok(vec![b'x'; PART]), Err(std::io::Error::other("unreadable"))];
    let body = reqwest::Body::wrap_stream(stream::iter(failing));
    let sent = served.client().put(served.url("files/f")).body(body).send().await;
    assert!(sent.is_err() || !sent.unwrap().status().is_success());
    nothing_is_seen(&served, "failed").await;
}
