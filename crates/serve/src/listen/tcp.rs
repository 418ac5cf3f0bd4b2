//! HTTP/1.1 and 2 over TLS over TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::ALT_SVC;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::api::Peer;

/// Connections at a time; more wait.
const CONNECTIONS: usize = 8192;

/// How long TLS may take to agree, and how long a request's head.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEAD: Duration = Duration::from_secs(30);

/// Answers until it is stopped.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let (builder, graceful) = (Arc::new(builder()), Arc::new(GracefulShutdown::new()));
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let router = also_by_quic(router, listener.local_addr().map_or(0, |address| address.port()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let Ok((stream, peer)) = accepted else {
            // No more file descriptors, say: connections that end give some back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(slot) = free.clone().acquire_owned().await else { break };
        let (acceptor, router, builder) = (acceptor.clone(), router.clone(), builder.clone());
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let Some(stream) = shake_hands(&acceptor, stream).await else { return };
            let service = TowerToHyperService::new(router.map_request(move |request| from(request, peer)));
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            // What goes wrong with a connection is the client's to tell.
            let _ = watcher.watch(connection).await;
            drop(slot);
        });
    }
    drop(listener);
    if let Some(graceful) = Arc::into_inner(graceful) {
        graceful.shutdown().await;
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_concurrent_streams(256);
    builder
}

/// Tells clients that the same is to be had by HTTP/3 (RFC 7838).
fn also_by_quic(router: Router, port: u16) -> Router {
    let told = HeaderValue::from_str(&format!("h3=\":{port}\"")).expect("a header");
    router.layer(axum::middleware::map_response(move |mut response: axum::response::Response| {
        response.headers_mut().insert(ALT_SVC, told.clone());
        std::future::ready(response)
    }))
}

async fn shake_hands(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await.ok()?.ok()
}

/// The request, with where it comes from.
fn from(request: http::Request<hyper::body::Incoming>, peer: SocketAddr) -> http::Request<axum::body::Body> {
    let mut request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(Peer(peer));
    request
}
