//! Pages and answers that nobody should believe.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server that gives each request's line and headers to `answer`, and sends what that returns; its URL.
async fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = connection.read_u8().await else { return };
                    request.push(byte);
                }
                let _ = connection.write_all(&answer(&String::from_utf8_lossy(&request))).await;
            });
        }
    });
    url
}

fn page(body: &str) -> Vec<u8> {
    let body = format!("<title>Index of /</title>{body}");
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into()
}

fn answer(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}").into()
}

#[tokio::test]
async fn names_that_lead_out_are_reported_and_never_asked_for() {
    let url = serve(|request| {
        assert!(!request.contains("evil") && !request.contains(".."), "{request}");
        match request.starts_with("HEAD /ok ") {
            true => answer("200 OK\r\nContent-Length: 3", ""),
            false => page(
                "<a href=\"a%2Fevil\">1</a><a href=\"nul%00evil\">2</a><a href=\"..%2Fevil\">3</a>\
                 <a href=\"/x/evil\">4</a><a href=\"http://evil/x\">5</a><a href=\"ok\">6</a>",
            ),
        }
    })
    .await;
    let store = open(&url).await;
    let tree = scan(&store).await;
    assert!(tree.find(&path("ok")).is_some());
    assert_eq!(tree.problems.len(), 3, "{:?}", tree.problems);
    assert!(!tree.is_complete(sitta_tree::NodeId::ROOT));
}

#[tokio::test]
async fn circles_end() {
    let url = serve(|_| page("<a href=\"again/\">again</a>")).await;
    let tree = scan(&open(&url).await).await;
    assert!(tree.len() < 200 && tree.problems.len() == 1, "{:?}", tree.problems);
    let url = serve(|_| answer("302 Found\r\nLocation: /x\r\nContent-Length: 0", "")).await;
    let error = open(&url).await.scan(&ScanOptions::default()).await.expect_err("a circle");
    assert!(error.to_string().contains("circle"), "{error}");
}

#[tokio::test]
async fn the_login_does_not_go_elsewhere() {
    let thief = serve(|request| {
        assert!(!request.to_lowercase().contains("authorization"), "{request}");
        answer("200 OK\r\nContent-Length: 5", "found")
    })
    .await;
    let to = thief.clone();
    let url = serve(move |request| {
        assert!(request.to_lowercase().contains("authorization: basic"), "{request}");
        answer(&format!("302 Found\r\nLocation: {to}/f\r\nContent-Length: 0"), "")
    })
    .await;
    let store = open(&url.replace("://", "://me:secret@")).await;
    assert_eq!(get(&store, "f", 0..9).await.expect("followed, without the login"), b"found");
}

#[tokio::test]
async fn answers_that_lie_are_refused() {
    for head in [
        "206 Partial Content\r\nContent-Length: 4",
        "206 Partial Content\r\nContent-Range: bytes 5-8/9\r\nContent-Length: 4",
        "200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4",
        "200 OK\r\nContent-Length: 9",
    ] {
        let url = serve(move |_| answer(head, "1234")).await;
        assert!(get(&open(&url).await, "f", 0..9).await.is_err(), "{head}");
    }
    let url = serve(|_| answer("200 OK\r\nContent-Type: application/json\r\nContent-Length: 2", "[]")).await;
    let error = open(&url).await.scan(&ScanOptions::default()).await.expect_err("no page");
    assert!(error.to_string().contains("not a directory listing"), "{error}");
    let url = serve(|_| answer("200 OK", "")).await;
    assert_eq!(kind(open(&url).await.stat(&path("f")).await), ErrorKind::Unsupported, "no size is told");
}

#[tokio::test]
async fn a_part_that_begins_earlier_is_cut() {
    let url =
        serve(|_| answer("206 Partial Content\r\nContent-Range: bytes 1-5/9\r\nContent-Length: 5", "12345")).await;
    assert_eq!(get(&open(&url).await, "f", 3..5).await.expect("read"), b"34");
}
