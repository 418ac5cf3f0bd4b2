//! Answers by HTTP/3: they arrive whole, or are seen to be broken off.

mod support;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use http::Request;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sitta_serve::Timeouts;
use support::Served;
use tokio::time::{sleep, timeout};

/// As long as the server waits for whoever takes nothing, and much longer.
const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(20);

const LARGE: u64 = 64 << 20;

type Sender = SendRequest<h3_quinn::OpenStreams, Bytes>;
type Stream = RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

async fn connect(served: &Served) -> Sender {
    let mut roots = rustls::RootCertStore::empty();
    let file = served.dir.path().join("tls/certificate.pem");
    roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let connection = endpoint.connect_with(config, served.address, "localhost").unwrap().await.unwrap();
    let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(connection)).await.unwrap();
    tokio::spawn(async move {
        let closed = std::future::poll_fn(|context| driver.poll_close(context)).await;
        drop((closed, endpoint));
    });
    sender
}

async fn ask(sender: &mut Sender, name: &str) -> Stream {
    let request = Request::get(format!("https://localhost/api/v1/shares/files/files/{name}")).body(()).unwrap();
    let mut stream = sender.send_request(request).await.unwrap();
    stream.finish().await.unwrap();
    assert_eq!(stream.recv_response().await.unwrap().status(), 200);
    stream
}

/// What comes, and whether it ended well.
async fn take(stream: &mut Stream) -> (Vec<u8>, Result<(), h3::error::StreamError>) {
    let mut bytes = Vec::new();
    loop {
        match timeout(LONG, stream.recv_data()).await.expect("it goes on") {
            Ok(Some(mut piece)) => bytes.extend_from_slice(&piece.copy_to_bytes(piece.remaining())),
            Ok(None) => return (bytes, Ok(())),
            Err(error) => return (bytes, Err(error)),
        }
    }
}

fn is_internal(ended: &Result<(), h3::error::StreamError>) -> bool {
    matches!(ended, Err(h3::error::StreamError::RemoteTerminate { code, .. })
        if *code == h3::error::Code::H3_INTERNAL_ERROR)
}

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
    let sender = connect(&served).await;
    let asked = files.iter().cycle().take(20).map(|(name, bytes)| {
        let mut sender = sender.clone();
        async move {
            let (received, ended) = take(&mut ask(&mut sender, name).await).await;
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
    let mut sender = connect(&served).await;
    let mut stream = ask(&mut sender, "f").await;
    // Until the client's window is full.
    sleep(Duration::from_millis(300)).await;
    file.set_len(LARGE / 2).unwrap();
    let (received, ended) = take(&mut stream).await;
    assert!((received.len() as u64) < LARGE && is_internal(&ended), "{} {ended:?}", received.len());
    // The connection lives on.
    let (received, ended) = take(&mut ask(&mut sender, "f").await).await;
    assert!(received.len() as u64 == LARGE / 2 && ended.is_ok(), "{} {ended:?}", received.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_takes_is_given_up() {
    let mut served = Served::start().await;
    served.stop().await;
    served.timeouts = Timeouts { handshake: SHORT, head: SHORT, stall: SHORT };
    served.start_again().await;
    let name = "taken-by-nobody-by-quic";
    fs::File::create(served.shared().join(name)).unwrap().set_len(LARGE).unwrap();
    let mut sender = connect(&served).await;
    let mut stream = ask(&mut sender, name).await;
    let open = || {
        let links = fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
        links.filter(|link| link.ends_with(name)).count()
    };
    sleep(SHORT / 4).await;
    assert_eq!(open(), 1);
    let end = Instant::now() + LONG;
    while open() > 0 {
        assert!(Instant::now() < end, "it is still open");
        sleep(Duration::from_millis(50)).await;
    }
    let (received, ended) = take(&mut stream).await;
    assert!((received.len() as u64) < LARGE && is_internal(&ended), "{} {ended:?}", received.len());
}
