//! Answers by HTTP/3: they arrive whole, or are seen to be broken off.

use std::fs;
use std::time::{Duration, Instant};

use quinn::VarInt;
use sitta_store::sitta::quic::transport;
use tokio::time::sleep;

use crate::support::h3::*;
use crate::support::{Served, open_files};

const LARGE: u64 = 64 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn several_at_once_arrive_whole() {
    let served = Served::start().await;
    let content = |seed: u32, len: u32| (0..len).flat_map(|at| (at ^ seed).to_le_bytes()).collect::<Vec<u8>>();
    // Around the size of a piece; one and none.
    let files: Vec<_> = [0, 1, 1 << 16, (1 << 16) + 1, 3_000_000]
        .into_iter()
        .zip(1..)
        .map(|(len, seed)| (format!("f{seed}"), content(seed << 24, len)))
        .collect();
    for (name, bytes) in &files {
        fs::write(served.shared().join(name), bytes).unwrap();
    }
    let sender = client(&served, transport()).await.1;
    let asked = files.iter().cycle().take(20).map(|(name, bytes)| {
        let (mut sender, served) = (sender.clone(), &served);
        async move {
            let (received, ended) = take(&mut ask(&mut sender, served, name).await).await;
            assert!(ended.is_ok(), "{name} {ended:?}");
            assert!(received == *bytes, "{name}");
        }
    });
    futures::future::join_all(asked).await;
}

/// The file becomes shorter while it is on its way.
#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_is_reset() {
    let served = Served::start().await;
    let file = fs::File::create(served.shared().join("f")).unwrap();
    file.set_len(LARGE).unwrap();
    let mut sender = client(&served, transport()).await.1;
    let mut stream = ask(&mut sender, &served, "f").await;
    // Until the client's window is full.
    sleep(Duration::from_millis(300)).await;
    file.set_len(LARGE / 2).unwrap();
    let (received, ended) = take(&mut stream).await;
    assert!((received.len() as u64) < LARGE && is_reset(&ended), "{} {ended:?}", received.len());
    // The connection lives on.
    let (received, ended) = take(&mut ask(&mut sender, &served, "f").await).await;
    assert!(received.len() as u64 == LARGE / 2 && ended.is_ok(), "{} {ended:?}", received.len());
}

/// The window is never opened again, though the connection lives.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_takes() {
    let served = impatient().await;
    let name = "taken-by-nobody-over-quic";
    fs::File::create(served.shared().join(name)).unwrap().set_len(LARGE).unwrap();
    let mut narrow = transport();
    narrow.stream_receive_window(VarInt::from_u32(64 << 10));
    let (connection, mut sender) = client(&served, narrow).await;
    let mut stream = ask(&mut sender, &served, name).await;
    sleep(SHORT / 4).await;
    assert_eq!(open_files(name), 1);
    let begun = Instant::now();
    while open_files(name) > 0 {
        assert!(begun.elapsed() < LONG, "it is still open");
        sleep(Duration::from_millis(50)).await;
    }
    // What comes when it is taken at last is no whole file.
    let (received, ended) = take(&mut stream).await;
    assert!((received.len() as u64) < LARGE && is_reset(&ended), "{} {ended:?}", received.len());
    assert!(connection.close_reason().is_none());
}
