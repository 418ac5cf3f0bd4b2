//! Downloads by UDP: HTTP/3 over QUIC (RFC 9114), which keeps its pace where packets are lost.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use bytes::{Buf, Bytes};
use futures::stream::{self, StreamExt};
use h3::client::SendRequest;
use http::HeaderMap;
use quinn::congestion::BbrConfig;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{AckFrequencyConfig, ClientConfig, Endpoint, EndpointConfig, TokioRuntime, TransportConfig, VarInt};
use reqwest::RequestBuilder;
use rustix::net::sockopt;
use sitta_tree::RelPath;
use tokio::sync::Mutex;

use crate::web::{self, WebOptions};
use crate::{ByteStream, Error, ErrorKind, Result};

/// What may be on its way: what a fast line with a long round trip holds.
const STREAM_WINDOW: u32 = 16 << 20;
const WINDOW: u32 = 32 << 20;

/// So many packets are acknowledged together: an acknowledgement costs the sender about as much as a packet does.
const ACKNOWLEDGED: u32 = 40;

/// What the system holds of what came or goes while we are busy.
const SOCKET_BUFFER: usize = 4 << 20;

/// A UDP socket at this address, with buffers of 4 MiB where the system allows them.
///
/// # Errors
/// If the address cannot be taken.
pub fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    let _ = sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER);
    let _ = sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER);
    Ok(socket)
}

/// How both ends of a connection work.
pub fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    let mut acknowledgements = AckFrequencyConfig::default();
    acknowledgements.ack_eliciting_threshold(VarInt::from_u32(ACKNOWLEDGED));
    transport
        // Loss is not taken for a full line, as the default does: thirty times faster at one lost packet in a hundred.
        .congestion_controller_factory(Arc::new(BbrConfig::default()))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW))
        .ack_frequency_config(Some(acknowledgements));
    transport
}

type Sender = SendRequest<h3_quinn::OpenStreams, Bytes>;

/// One server, by UDP. The connection is made when it is first needed, and again when it was lost.
#[derive(Clone)]
pub(super) struct Quic {
    location: Arc<str>,
    host: String,
    port: u16,
    config: ClientConfig,
    timeout: Duration,
    connection: Arc<Mutex<Option<Sender>>>,
}

impl fmt::Debug for Quic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quic").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// What a server answers.
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: ByteStream,
}

impl Quic {
    /// A client for the server at `host`. Sends nothing.
    pub fn new(location: &Arc<str>, host: &str, port: u16, options: &WebOptions) -> Result<Self> {
        let failed = |what: String| Error::new(ErrorKind::Other, location, None, what);
        let mut tls = web::tls(options).map_err(failed)?;
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let crypto = QuicClientConfig::try_from(tls).map_err(|error| failed(error.to_string()))?;
        let mut transport = transport();
        transport.keep_alive_interval(Some(Duration::from_secs(10)));
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport));
        Ok(Self {
            location: location.clone(),
            host: host.to_owned(),
            port,
            config,
            timeout: options.timeout,
            connection: Arc::default(),
        })
    }

    /// Sends a request without a body.
    pub async fn send(&self, request: RequestBuilder, path: &RelPath) -> Result<Answer> {
        let request = request.build().map_err(|error| self.lost(path, &error))?;
        let mut asked = http::Request::builder().method(request.method()).uri(request.url().as_str());
        if let Some(headers) = asked.headers_mut() {
            headers.extend(request.headers().iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        let asked = asked.body(()).map_err(|error| self.lost(path, &error))?;
        let answering = async {
            let mut sender = self.sender().await.map_err(|error| self.because(path, error))?;
            let mut stream = match sender.send_request(asked.clone()).await {
                Ok(stream) => stream,
                // It was lost since it was last used.
                Err(_) => {
                    *self.connection.lock().await = None;
                    let mut sender = self.sender().await.map_err(|error| self.because(path, error))?;
                    sender.send_request(asked).await.map_err(|error| self.lost(path, &error))?
                }
            };
            stream.finish().await.map_err(|error| self.lost(path, &error))?;
            let answer = stream.recv_response().await.map_err(|error| self.lost(path, &error))?;
            Ok((answer.into_parts().0, stream))
        };
        let stalled = || self.stalled(path);
        let (head, stream) = tokio::time::timeout(self.timeout, answering).await.map_err(|_| stalled())??;
        let state = Some((stream, self.clone(), path.clone()));
        let bytes = stream::unfold(state, |state| async move {
            let (mut stream, quic, path) = state?;
            match tokio::time::timeout(quic.timeout, stream.recv_data()).await {
                Ok(Ok(Some(mut data))) => {
                    let bytes = data.copy_to_bytes(data.remaining());
                    Some((Ok(bytes), Some((stream, quic, path))))
                }
                Ok(Ok(None)) => None,
                Ok(Err(error)) => Some((Err(quic.lost(&path, &error)), None)),
                Err(_) => Some((Err(quic.stalled(&path)), None)),
            }
        });
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, bytes: bytes.boxed() })
    }

    /// The connection, made if there is none.
    async fn sender(&self) -> std::result::Result<Sender, Box<dyn std::error::Error + Send + Sync>> {
        let mut connection = self.connection.lock().await;
        if let Some(sender) = &*connection {
            return Ok(sender.clone());
        }
        let mut failed = None;
        for address in tokio::net::lookup_host((self.host.as_str(), self.port)).await? {
            match self.connect(address).await {
                Ok(sender) => return Ok(connection.insert(sender).clone()),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| "its name leads nowhere".into()))
    }

    async fn connect(
        &self,
        address: SocketAddr,
    ) -> std::result::Result<Sender, Box<dyn std::error::Error + Send + Sync>> {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let endpoint = Endpoint::new(EndpointConfig::default(), None, socket(any)?, Arc::new(TokioRuntime))?;
        let connecting = endpoint.connect_with(self.config.clone(), address, &self.host)?;
        let connection = tokio::time::timeout(self.timeout, connecting).await??;
        let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(connection)).await?;
        tokio::spawn(async move {
            let closed = std::future::poll_fn(|context| driver.poll_close(context)).await;
            // Whoever uses it is told of that by what it does.
            drop((closed, endpoint));
        });
        Ok(sender)
    }

    fn because(&self, path: &RelPath, error: Box<dyn std::error::Error + Send + Sync>) -> Error {
        let error: &(dyn std::error::Error + 'static) = &*error;
        self.lost(path, error)
    }

    fn lost(&self, path: &RelPath, error: &(dyn std::error::Error + 'static)) -> Error {
        let cause = web::cause(error);
        let (kind, what) = match cause.untrusted {
            true => (ErrorKind::Untrusted, format!("the server's certificate is not trusted: {}", cause.message)),
            false => (ErrorKind::Unreachable, format!("by UDP: {}", cause.message)),
        };
        Error::new(kind, &self.location, path.clone(), what)
    }

    fn stalled(&self, path: &RelPath) -> Error {
        let what = format!("by UDP, the server has not moved for {} s", self.timeout.as_secs());
        Error::new(ErrorKind::Unreachable, &self.location, path.clone(), what)
    }
}
