//! HTTP/3 from below: uploads that arrive or leave nothing, and clients that get nowhere.

use std::fs;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http::{Request, StatusCode};
use quinn::VarInt;
use sitta_store::sitta::quic::transport;
use tokio::time::{sleep, timeout};

use crate::support::Served;
use crate::support::h3::*;

async fn put(sender: &mut Sender, served: &Served, name: &str, size: Option<usize>) -> Stream {
    let request = Request::put(served.url(&format!("files/{name}")));
    let request = match size {
        Some(size) => request.header("content-length", size),
        None => request,
    };
    sender.send_request(request.body(()).expect("a request")).await.expect("asked")
}

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// Nothing that was begun is left, nor becomes anything, within a while: where the word that a connection ended was lost,
/// that shows when nothing has come for half a minute.
async fn nothing_comes(served: &Served) {
    let begun = Instant::now();
    while !served.names("").is_empty() && begun.elapsed() < 3 * LONG {
        sleep(Duration::from_millis(50)).await;
    }
    sleep(Duration::from_millis(200)).await;
    assert_eq!(served.names(""), [] as [&str; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_arrives_whole() {
    let served = Served::start().await;
    let (_connection, mut sender) = client(&served, transport()).await;
    for (name, size, told) in
        [("empty", 0, true), ("small", 100, true), ("large", 20_000_000, true), ("unsaid", 5_000_000, false)]
    {
        let bytes = noise(size);
        let mut stream = put(&mut sender, &served, name, told.then_some(size)).await;
        for piece in bytes.chunks(1 << 20) {
            stream.send_data(Bytes::copy_from_slice(piece)).await.expect("sent");
        }
        stream.finish().await.expect("sent");
        assert_eq!(status(&mut stream).await, Some(StatusCode::CREATED), "{name}");
        assert!(fs::read(served.shared().join(name)).unwrap() == bytes, "{name}");
    }
    let request = Request::get(served.url("files/large")).body(()).unwrap();
    let mut stream = sender.send_request(request).await.unwrap();
    stream.finish().await.unwrap();
    assert_eq!(status(&mut stream).await, Some(StatusCode::OK));
    let mut back = Vec::new();
    while let Some(mut data) = stream.recv_data().await.unwrap() {
        back.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    assert!(back == noise(20_000_000));
}

/// However it is cut: the stream alone, the whole connection, or an end before the announced one.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_leaves_nothing() {
    let served = Served::start().await;
    for size in [Some(8_000_000), None] {
        for how in ["stream", "connection", "end"] {
            if (how, size) == ("end", None) {
                // So many were all that it wanted to say.
                continue;
            }
            let (connection, mut sender) = client(&served, transport()).await;
            let mut stream = put(&mut sender, &served, "f", size).await;
            stream.send_data(noise(3_000_000).into()).await.expect("sent");
            let begun = Instant::now();
            while served.names("").is_empty() && begun.elapsed() < LONG {
                sleep(Duration::from_millis(10)).await;
            }
            assert!(served.names("").iter().all(|name| name != "f"), "{how}");
            // With nothing on its way, so that no burst drowns the last packet.
            sleep(Duration::from_millis(500)).await;
            match how {
                "stream" => stream.stop_stream(h3::error::Code::H3_REQUEST_CANCELLED),
                "connection" => connection.close(VarInt::from_u32(0x100), b""),
                _ => {
                    stream.finish().await.expect("sent");
                    let told = status(&mut stream).await;
                    assert!(told.is_none_or(|status| !status.is_success()), "{told:?}");
                }
            }
            nothing_comes(&served).await;
        }
    }
    // What stands there stays.
    fs::write(served.shared().join("f"), "old").unwrap();
    let (connection, mut sender) = client(&served, transport()).await;
    let mut stream = put(&mut sender, &served, "f", Some(100)).await;
    stream.send_data(noise(50).into()).await.expect("sent");
    sleep(Duration::from_millis(300)).await;
    connection.close(VarInt::from_u32(0x100), b"");
    sleep(Duration::from_millis(500)).await;
    assert_eq!(
        (served.names(""), fs::read(served.shared().join("f")).unwrap()),
        (vec!["f".to_owned()], b"old".to_vec())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_nothing() {
    let served = impatient().await;
    // It agrees on QUIC and says no word of HTTP/3; or it says all but a request.
    let silent = connect(&served, transport()).await;
    let (asks_nothing, _sender) = client(&served, transport()).await;
    for connection in [silent, asks_nothing] {
        let begun = Instant::now();
        timeout(LONG, connection.closed()).await.expect("it is cut");
        assert!(begun.elapsed() < LONG);
    }
    // One that has asked may wait with the next question.
    let (connection, mut sender) = client(&served, transport()).await;
    for _ in 0..2 {
        let request = Request::get(served.url("stat/")).body(()).unwrap();
        let mut stream = sender.send_request(request).await.unwrap();
        stream.finish().await.unwrap();
        assert_eq!(status(&mut stream).await, Some(StatusCode::OK));
        sleep(SHORT * 2).await;
    }
    assert!(connection.close_reason().is_none());
}

/// The head of a request begins and does not end: the stream is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end() {
    let served = impatient().await;
    let (connection, _sender) = client(&served, transport()).await;
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    // A HEADERS frame (RFC 9114, 7.2.2) of a hundred bytes, of which ten come.
    send.write_all(&[&[0x01, 0x40, 100][..], &[0; 10]].concat()).await.unwrap();
    let begun = Instant::now();
    let ended = timeout(LONG, receive.read_to_end(1 << 20)).await.expect("it is cut");
    assert!(ended.is_err() || ended.is_ok_and(|bytes| bytes.is_empty()));
    assert!(begun.elapsed() >= SHORT / 2);
    assert!(timeout(LONG, send.stopped()).await.is_ok(), "nothing more is taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_go_on() {
    let served = impatient().await;
    let (_connection, mut sender) = client(&served, transport()).await;
    for (size, sent) in [(1000, 10), (10_000_000, 2_000_000)] {
        let mut stream = put(&mut sender, &served, "f", Some(size)).await;
        stream.send_data(noise(sent).into()).await.unwrap();
        let begun = Instant::now();
        let told = status(&mut stream).await;
        assert!(told.is_none_or(|status| !status.is_success()), "{told:?}");
        assert!(begun.elapsed() >= SHORT / 2, "{:?}", begun.elapsed());
        nothing_comes(&served).await;
    }
}
