//! Clients of one server: HTTP/1.1 and 2 over TCP, HTTP/3 over QUIC.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use h3::client::SendRequest;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Endpoint, EndpointConfig, TokioRuntime};
use reqwest::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sitta_store::sitta::quic::{socket, transport};
use sitta_store::web::{self, WebOptions};
use sitta_testbed::certificate::Certificate;

use crate::Result;

/// What a request is answered with: the status and how many bytes.
pub type Answer = (u16, u64);

/// One client with connections of its own; clones share them.
#[derive(Clone)]
pub enum Client {
    Tcp(reqwest::Client),
    Quic(SendRequest<h3_quinn::OpenStreams, Bytes>),
}

impl Client {
    /// By TCP; `multiplexed` is HTTP/2, on one connection.
    pub fn tcp(certificate: &Certificate, multiplexed: bool) -> Result<Self> {
        let ca = std::fs::read(&certificate.certificate)?;
        Ok(Self::Tcp(web::client(&WebOptions { ca, multiplexed, ..WebOptions::default() })?))
    }

    /// By UDP, on one connection.
    pub async fn quic(certificate: &Certificate, port: u16) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&certificate.certificate)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut tls = tls.with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        config.transport_config(Arc::new(transport()));
        let socket = socket((Ipv4Addr::LOCALHOST, 0).into())?;
        let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let connection = endpoint.connect_with(config, server, "localhost")?.await?;
        let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(connection)).await?;
        tokio::spawn(async move {
            let closed = std::future::poll_fn(|context| driver.poll_close(context)).await;
            drop((closed, endpoint));
        });
        Ok(Self::Quic(sender))
    }

    /// Asks, and takes the whole answer.
    pub async fn ask(&mut self, method: Method, url: &str, body: Bytes) -> Result<Answer> {
        match self {
            Self::Tcp(client) => {
                let mut answer = client.request(method, url).body(body).send().await?;
                let mut received = 0;
                while let Some(piece) = answer.chunk().await? {
                    received += piece.len() as u64;
                }
                Ok((answer.status().as_u16(), received))
            }
            Self::Quic(sender) => {
                let request = http::Request::builder().method(method).uri(url);
                let request = request.header("content-length", body.len()).body(())?;
                let mut stream = sender.send_request(request).await?;
                if !body.is_empty() {
                    stream.send_data(body).await?;
                }
                stream.finish().await?;
                let (status, mut received) = (stream.recv_response().await?.status().as_u16(), 0);
                while let Some(piece) = stream.recv_data().await? {
                    received += piece.remaining() as u64;
                }
                Ok((status, received))
            }
        }
    }
}
