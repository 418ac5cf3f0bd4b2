//! What S3, WebDAV and HTTP share: one client with TLS, timeouts by progress, and errors as stores tell them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use futures::stream::StreamExt;
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, OtherError, RootCertStore};
use sitta_tree::RelPath;

use crate::sitta::trust::{KnownServer, Verifier};
use crate::{ByteStream, Error, ErrorKind, Result};

/// Which certificates are trusted, and how long nothing may happen.
#[derive(Debug, Clone)]
pub struct WebOptions {
    /// Certificates in PEM form that are trusted besides the system's (which SSL_CERT_FILE and SSL_CERT_DIR replace).
    pub ca: Vec<u8>,
    /// How long connecting, or one step of a transfer, may take.
    pub timeout: Duration,
    /// Many requests share one connection (HTTP/2), where the server can.
    pub multiplexed: bool,
    /// Where the server is known from, if it may be one that nobody vouches for.
    pub known: Option<KnownServer>,
}

impl Default for WebOptions {
    fn default() -> Self {
        Self { ca: Vec::new(), timeout: Duration::from_secs(30), multiplexed: false, known: None }
    }
}

/// TLS that trusts as `options` say; the error is what could not be set up.
pub(crate) fn tls(options: &WebOptions) -> Result<rustls::ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in CertificateDer::pem_slice_iter(&options.ca) {
        let certificate = certificate.map_err(|e| format!("a certificate to trust cannot be read: {e}"))?;
        roots.add(certificate).map_err(|e| format!("a certificate to trust cannot be used: {e}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?;
    let tls = match &options.known {
        None => tls.with_root_certificates(roots),
        Some(known) => tls.dangerous().with_custom_certificate_verifier(Arc::new(Verifier::new(
            known.clone(),
            roots,
            provider,
        ))),
    };
    Ok(tls.with_no_client_auth())
}

/// An HTTP client that trusts as `options` say; the error is what could not be set up.
pub fn client(options: &WebOptions) -> Result<Client, String> {
    let mut tls = tls(options)?;
    if options.multiplexed {
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("sitta/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.timeout)
        .tcp_nodelay(true)
        .pool_max_idle_per_host(64)
        // HTTP/2: what is on its way may fill a long, fast line.
        .http2_initial_stream_window_size(4 << 20)
        .http2_initial_connection_window_size(16 << 20)
        // Where a redirect may lead, and what goes along, is for each user to say.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|e| format!("no HTTP client: {e}"))
}

/// Why a connection failed, below what its client says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The server's certificate is not trusted.
    pub untrusted: bool,
    /// The innermost reason. A client's own words come first in a chain, and hold the URL.
    pub message: String,
}

/// Looks for the innermost reason.
pub fn cause(error: &(dyn std::error::Error + 'static)) -> Cause {
    let mut cause = Cause { untrusted: false, message: String::new() };
    let mut next = Some(error);
    while let Some(error) = next {
        cause.message = error.to_string();
        if let Some(rustls::Error::InvalidCertificate(why)) = error.downcast_ref() {
            cause.untrusted = true;
            // Its own words for ours are those of a programmer.
            if let CertificateError::Other(OtherError(ours)) = why {
                cause.message = ours.to_string();
            }
        }
        // An I/O error hides its cause from `source`.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    cause
}

/// A client for one store.
#[derive(Debug, Clone)]
pub(crate) struct Web {
    client: Client,
    location: Arc<str>,
    timeout: Duration,
    requests: Arc<AtomicU64>,
}

/// How far a body was taken.
pub(crate) type Taken = Arc<AtomicU64>;

impl Web {
    /// A client for the store that is shown as `location`.
    pub fn new(location: &Arc<str>, options: &WebOptions) -> Result<Self> {
        let client = client(options).map_err(|what| Error::new(ErrorKind::Other, location, None, what))?;
        Ok(Self { client, location: location.clone(), timeout: options.timeout, requests: Arc::default() })
    }

    /// The client, to build requests with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Sends a request without a body, or with one that is in memory. Any status is a response.
    pub async fn send(&self, request: RequestBuilder, path: &RelPath) -> Result<Response> {
        self.send_taken(request, path, &Taken::default()).await
    }

    /// A body that streams, and how far it was taken.
    pub fn body(stream: ByteStream) -> (Body, Taken) {
        let taken = Taken::default();
        let counter = taken.clone();
        let counted = stream.inspect(move |piece| {
            counter.fetch_add(1 + piece.as_ref().map_or(0, |bytes| bytes.len() as u64), Relaxed);
        });
        (Body::wrap_stream(counted), taken)
    }

    /// Sends a request whose body was made by [`Web::body`]: it times out when neither the body is taken nor an answer
    /// comes.
    pub async fn send_taken(&self, request: RequestBuilder, path: &RelPath, taken: &Taken) -> Result<Response> {
        self.requests.fetch_add(1, Relaxed);
        let sending = request.send();
        tokio::pin!(sending);
        let mut before = taken.load(Relaxed);
        loop {
            match tokio::time::timeout(self.timeout, &mut sending).await {
                Ok(answer) => return answer.map_err(|error| self.failure(&error, path)),
                Err(_) => {
                    let now = taken.load(Relaxed);
                    if now == before {
                        return Err(self.stalled(path));
                    }
                    before = now;
                }
            }
        }
    }

    /// An answer's body as it arrives; one that stands still for too long fails.
    pub fn bytes(&self, answer: Response, path: &RelPath) -> ByteStream {
        let state = Some((answer.bytes_stream(), self.clone(), path.clone()));
        let bytes = futures::stream::unfold(state, |state| async move {
            let (mut stream, web, path) = state?;
            match tokio::time::timeout(web.timeout, stream.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some((stream, web, path)))),
                Ok(Some(Err(error))) => Some((Err(web.failure(&error, &path)), None)),
                Err(_) => Some((Err(web.stalled(&path)), None)),
            }
        });
        bytes.boxed()
    }

    /// An answer's whole body, up to `limit` bytes: more is an error, so that no server can fill the memory.
    pub async fn whole(&self, answer: Response, path: &RelPath, limit: usize) -> Result<Vec<u8>> {
        let mut stream = self.bytes(answer, path);
        let mut all = Vec::new();
        while let Some(piece) = stream.next().await {
            all.extend_from_slice(&piece?);
            if all.len() > limit {
                let what = format!("the server's answer is longer than {limit} bytes");
                return Err(Error::new(ErrorKind::Unsupported, &self.location, path.clone(), what));
            }
        }
        Ok(all)
    }

    fn stalled(&self, path: &RelPath) -> Error {
        let what = format!("the server has not moved for {} s", self.timeout.as_secs());
        Error::new(ErrorKind::Unreachable, &self.location, path.clone(), what)
    }

    /// A failure below HTTP: the connection, TLS, the protocol itself.
    fn failure(&self, error: &reqwest::Error, path: &RelPath) -> Error {
        // A body of ours that failed: its own error says what and where.
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = next {
            if let Some(own) = error.downcast_ref::<Error>() {
                return own.clone();
            }
            let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            next = match inner {
                Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
                None => error.source(),
            };
        }
        let cause = cause(error);
        let (kind, what) = match cause.untrusted {
            true => (ErrorKind::Untrusted, format!("the server's certificate is not trusted: {}", cause.message)),
            false => (ErrorKind::Unreachable, cause.message),
        };
        Error::new(kind, &self.location, path.clone(), what)
    }
}

/// What a status says of a call, and whether it is worth trying again.
pub(crate) fn status_kind(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        401 => ErrorKind::Auth,
        403 => ErrorKind::Denied,
        404 | 410 => ErrorKind::NotFound,
        405 | 501 => ErrorKind::Unsupported,
        409 => ErrorKind::NotFound,
        412 => ErrorKind::Changed,
        423 => ErrorKind::Busy,
        507 => ErrorKind::Full,
        408 | 425 | 429 | 500 | 502 | 503 | 504 => ErrorKind::Unreachable,
        _ => ErrorKind::Other,
    }
}
