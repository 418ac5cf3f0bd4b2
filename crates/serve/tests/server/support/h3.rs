//! Clients by HTTP/3, and servers that lose patience with them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use h3::error::{Code, StreamError};
use http::{Request, StatusCode};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, TransportConfig};
use sitta_serve::Timeouts;
use tokio::time::timeout;

use super::{Served, trusting};

/// As long as the server waits here, and much longer.
pub const SHORT: Duration = Duration::from_secs(2);
pub const LONG: Duration = Duration::from_secs(20);

pub async fn impatient() -> Served {
    let mut served = Served::start().await;
    served.stop().await;
    served.timeouts = Timeouts { handshake: SHORT, head: SHORT, stall: SHORT };
    served.start_again().await;
    served
}

pub async fn connect(served: &Served, mut transport: TransportConfig) -> quinn::Connection {
    let tls = trusting(&served.tls("certificate.pem"), "h3");
    // The client's system is alive, whatever the client does.
    transport.keep_alive_interval(Some(Duration::from_millis(500)));
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("TLS 1.3")));
    config.transport_config(Arc::new(transport));
    let endpoint = Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a socket");
    let connecting = endpoint.connect_with(config, served.address, "localhost").expect("an address");
    connecting.await.expect("agreed")
}

pub type Sender = SendRequest<h3_quinn::OpenStreams, Bytes>;
pub type Stream = RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// A client by HTTP/3, and its connection.
pub async fn client(served: &Served, transport: TransportConfig) -> (quinn::Connection, Sender) {
    let connection = connect(served, transport).await;
    let (mut driver, sender) =
        h3::client::new(h3_quinn::Connection::new(connection.clone())).await.expect("HTTP/3");
    tokio::spawn(async move { std::future::poll_fn(|context| driver.poll_close(context)).await });
    (connection, sender)
}

/// Asks for a file, which is there.
pub async fn ask(sender: &mut Sender, served: &Served, name: &str) -> Stream {
    let request = Request::get(served.url(&format!("files/{name}"))).body(()).expect("a request");
    let mut stream = sender.send_request(request).await.expect("asked");
    stream.finish().await.expect("asked");
    assert_eq!(status(&mut stream).await, Some(StatusCode::OK));
    stream
}

pub async fn status(stream: &mut Stream) -> Option<StatusCode> {
    let answer = timeout(LONG, stream.recv_response()).await.expect("it ends");
    answer.ok().map(|answer| answer.status())
}

/// What comes, and whether it ended well.
pub async fn take(stream: &mut Stream) -> (Vec<u8>, Result<(), StreamError>) {
    let mut bytes = Vec::new();
    loop {
        match timeout(LONG, stream.recv_data()).await.expect("it goes on") {
            Ok(Some(mut piece)) => bytes.extend_from_slice(&piece.copy_to_bytes(piece.remaining())),
            Ok(None) => return (bytes, Ok(())),
            Err(error) => return (bytes, Err(error)),
        }
    }
}

/// Whether the server has broken it off.
pub fn is_reset(ended: &Result<(), StreamError>) -> bool {
    matches!(ended, Err(StreamError::RemoteTerminate { code, .. }) if *code == Code::H3_INTERNAL_ERROR)
}
