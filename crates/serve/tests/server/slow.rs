//! Clients that are slow, or say and take nothing, keep nothing for ever; a refusal reaches whoever is still sending.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use sitta_serve::{Scope, Timeouts};
use sitta_testbed::need;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::support::{Served, open_files};

/// As long as the server waits here, and much longer.
const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(20);

async fn impatient() -> Served {
    let mut served = Served::start().await;
    served.stop().await;
    served.timeouts = Timeouts { handshake: SHORT, head: SHORT, stall: SHORT };
    served.start_again().await;
    served
}

/// How long it takes until the server ends the connection.
async fn until_cut(tls: &mut (impl AsyncReadExt + Unpin)) -> Duration {
    let (begun, mut answer) = (Instant::now(), Vec::new());
    let _ = timeout(LONG, tls.read_to_end(&mut answer)).await.expect("it ends");
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end() {
    let served = impatient().await;
    for protocol in ["http/1.1", "h2"] {
        let silent = until_cut(&mut served.connect_as(protocol).await).await;
        assert!(silent >= SHORT / 2, "{protocol} {silent:?}");
        let (mut read, mut write) = tokio::io::split(served.connect_as(protocol).await);
        let dripping = tokio::spawn(async move {
            let head = match protocol {
                "h2" => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                _ => "GET /api/v1/health HTTP/1.1\r\nhost: localhost\r\nx: ",
            };
            for byte in head.bytes().chain(std::iter::repeat(b'x')) {
                if write.write_all(&[byte]).await.is_err() || write.flush().await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(300)).await;
            }
        });
        until_cut(&mut read).await;
        dripping.abort();
    }
    // One that does not even agree on TLS.
    until_cut(&mut tokio::net::TcpStream::connect(served.address).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_go_on() {
    let served = impatient().await;
    fs::write(served.shared().join("f"), "old").unwrap();
    for (size, sent) in [(1000, 10), (10_000_000, 2_000_000)] {
        let mut tls = served.connect().await;
        let head = format!(
            "PUT /api/v1/shares/files/files/f HTTP/1.1\r\nhost: localhost\r\ncontent-length: {size}\r\n\r\n"
        );
        tls.write_all(head.as_bytes()).await.unwrap();
        tls.write_all(&vec![b'x'; sent]).await.unwrap();
        tls.flush().await.unwrap();
        assert!(until_cut(&mut tls).await >= SHORT / 2);
        assert_eq!(served.names(""), ["f"]);
        assert_eq!(fs::read(served.shared().join("f")).unwrap(), b"old");
    }
}

/// Slowly is not the same as not at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_goes_on_slowly() {
    let served = impatient().await;
    let mut tls = served.connect().await;
    let head = "PUT /api/v1/shares/files/files/f HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 10\r\n\r\n";
    tls.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..10 {
        sleep(SHORT / 3).await;
        tls.write_all(b"x").await.unwrap();
        tls.flush().await.unwrap();
    }
    let mut answer = String::new();
    let _ = tls.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

async fn closes(name: &str) {
    let end = Instant::now() + LONG;
    while open_files(name) > 0 {
        assert!(Instant::now() < end, "{name} is still open");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_takes() {
    let served = impatient().await;
    let name = "taken-by-nobody";
    fs::File::create(served.shared().join(name)).unwrap().set_len(64 << 20).unwrap();
    let mut tls = served.connect().await;
    let ask = format!("GET /api/v1/shares/files/files/{name} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    tls.write_all(ask.as_bytes()).await.unwrap();
    sleep(SHORT / 2).await;
    assert_eq!(open_files(name), 1);
    closes(name).await;
    // By HTTP/2: the window is never opened again, though the connection lives.
    let (client, connection) = h2::client::handshake(served.connect_as("h2").await).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let url = format!("https://localhost/api/v1/shares/files/files/{name}");
    let (answer, _) = client.send_request(http::Request::get(url).body(()).unwrap(), true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(open_files(name), 1);
    closes(name).await;
    assert!(timeout(LONG, connection).await.is_ok(), "the connection is given up");
    drop(answer);
}

/// Large, and refused before it has come: the answer is read all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_whoever_is_still_sending() {
    let served = Served::start_with(|accounts| accounts.set_user("ann", "right", &Scope::ALL).unwrap()).await;
    let piece = vec![b'x'; 1 << 20];
    for framing in ["content-length: 67108864", "transfer-encoding: chunked"] {
        let mut tls = served.connect().await;
        let head = format!("PUT /api/v1/shares/files/files/f HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n\r\n");
        tls.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..64 {
            if framing.starts_with('t') {
                tls.write_all(b"100000\r\n").await.unwrap();
            }
            tls.write_all(&piece).await.unwrap();
            if framing.starts_with('t') {
                tls.write_all(b"\r\n").await.unwrap();
            }
        }
        if framing.starts_with('t') {
            tls.write_all(b"0\r\n\r\n").await.unwrap();
        }
        let mut answer = vec![0; 12];
        timeout(LONG, tls.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 401");
    }
    // A client that is told whether to send at all is told no.
    let mut tls = served.connect().await;
    let head = "PUT /api/v1/shares/files/files/f HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    tls.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    timeout(LONG, tls.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 401");
    let file = served.dir.path().join("large");
    fs::File::create(&file).unwrap().set_len(64 << 20).unwrap();
    for version in ["--http1.1", "--http2"] {
        let mut command = Command::new(need("curl"));
        command.args([version, "--silent", "--show-error", "--noproxy", "*", "--header", "Expect:"]);
        command.args(["--write-out", "%{http_code}", "--output", "/dev/null", "--upload-file"]).arg(&file);
        command.arg("--cacert").arg(served.tls("certificate.pem"));
        command.arg(format!("https://localhost:{}/api/v1/shares/files/files/f", served.address.port()));
        let output = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.unwrap();
        let (told, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && told == "401", "{version}: {told} {error}");
    }
    assert!(served.names("").is_empty());
}
