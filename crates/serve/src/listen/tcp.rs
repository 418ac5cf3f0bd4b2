//! HTTP/1.1 and 2 over TLS over TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{ALT_SVC, EXPECT};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::arriving::Arriving;
use super::progress::{Leaving, Progress, Watched};
use super::{CONNECTIONS, Timeouts};
use crate::api::Peer;
use crate::metrics::Connections;

/// Answers until it is stopped.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    timeouts: Timeouts,
    connections: Connections,
    mut stopped: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let graceful = Arc::new(GracefulShutdown::new());
    let builders = Arc::new([builder(timeouts).http1_only(), builder(timeouts).http2_only()]);
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
        let (acceptor, router, builders) = (acceptor.clone(), router.clone(), builders.clone());
        let (watcher, open) = (graceful.watcher(), connections.open("tcp"));
        tokio::spawn(async move {
            let _open = open;
            let _ = stream.set_nodelay(true);
            let progress = Progress::new();
            let stream = Watched { stream, progress: progress.clone() };
            let Some(stream) = shake_hands(&acceptor, stream, timeouts.handshake).await else { return };
            // Looking at the first bytes instead would wait for them without end.
            let builder = &builders[usize::from(stream.get_ref().1.alpn_protocol() == Some(b"h2"))];
            let (asked, leaving) = (progress.clone(), progress.clone());
            let router = router.map_request(move |request| {
                asked.asked();
                from(request, peer, timeouts)
            });
            let router = router.map_response(move |response: Response<Body>| {
                response.map(|body| Leaving::watched(body, leaving.clone()))
            });
            let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
            let connection = std::pin::pin!(watcher.watch(connection.into_owned()));
            // What goes wrong with a connection is the client's to tell.
            tokio::select! {
                _ = connection => {}
                () = progress.stalled(timeouts.head, timeouts.stall) => {}
            }
            drop(slot);
        });
    }
    drop(listener);
    if let Some(graceful) = Arc::into_inner(graceful) {
        graceful.shutdown().await;
    }
}

fn builder(timeouts: Timeouts) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(timeouts.head);
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
    router.layer(axum::middleware::map_response(move |mut response: Response<Body>| {
        response.headers_mut().insert(ALT_SVC, told.clone());
        std::future::ready(response)
    }))
}

async fn shake_hands(
    acceptor: &TlsAcceptor,
    stream: Watched,
    within: Duration,
) -> Option<tokio_rustls::server::TlsStream<Watched>> {
    tokio::time::timeout(within, acceptor.accept(stream)).await.ok()?.ok()
}

/// The request, with where it comes from.
fn from(request: Request<Incoming>, peer: SocketAddr, timeouts: Timeouts) -> Request<Body> {
    let expects = request.headers().contains_key(EXPECT);
    let mut request = request.map(|body| Arriving::lingering(timeouts.stall, Body::new(body), expects));
    request.extensions_mut().insert(Peer(peer));
    request
}
