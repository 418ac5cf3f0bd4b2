//! HTTP/3 over QUIC over UDP (RFC 9114), with the same router.

use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::{Buf, Bytes};
use futures::{StreamExt, stream};
use h3::server::RequestStream;
use http::{HeaderValue, Request};
use http_body_util::BodyExt;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, TokioRuntime, VarInt};
use sitta_store::sitta::quic::{socket, transport};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::arriving::Arriving;
use super::streams::{self, Sender};
use super::{CONNECTIONS, Timeouts};
use crate::api::Peer;
use crate::metrics::Connections;

/// `H3_INTERNAL_ERROR` (RFC 9114, 8.1): a body that broke off must not look as if it were whole.
const BROKEN: h3::error::Code = h3::error::Code::H3_INTERNAL_ERROR;

/// Binds the UDP side of an address.
pub(super) fn bind(address: SocketAddr, tls: rustls::ServerConfig) -> io::Result<Endpoint> {
    let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut transport = transport();
    transport.max_concurrent_bidi_streams(VarInt::from_u32(256)).keep_alive_interval(Some(Duration::from_secs(15)));
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    Endpoint::new(EndpointConfig::default(), Some(config), socket(address)?, Arc::new(TokioRuntime))
}

/// Answers until it is stopped.
pub(super) async fn serve(
    endpoint: Endpoint,
    router: Router,
    timeouts: Timeouts,
    connections: Connections,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let Some(incoming) = incoming else { break };
        if endpoint.open_connections() > CONNECTIONS {
            incoming.refuse();
            continue;
        }
        let (router, stopped, open) = (router.clone(), stopped.clone(), connections.open("udp"));
        tokio::spawn(async move {
            let _open = open;
            let peer = incoming.remote_address();
            if let Ok(Ok(connection)) = timeout(timeouts.handshake, incoming.into_future()).await {
                connected(connection, peer, router, timeouts, stopped).await;
            }
        });
    }
    endpoint.close(VarInt::from_u32(0x100), b"stopping");
    endpoint.wait_idle().await;
}

async fn connected(
    connection: quinn::Connection,
    peer: SocketAddr,
    router: Router,
    timeouts: Timeouts,
    mut stopped: watch::Receiver<bool>,
) {
    let streams = streams::Connection::new(connection);
    let latest = streams.latest();
    let agreed = h3::server::Connection::<_, Bytes>::new(streams);
    let Ok(Ok(mut connection)) = timeout(timeouts.handshake, agreed).await else { return };
    let mut asked = false;
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => Some(accepted),
            _ = stopped.wait_for(|stopped| *stopped) => None,
            // Who never asks is as good as gone, though its system answers.
            () = sleep(timeouts.head), if !asked => return,
        };
        asked = true;
        let resolver = match accepted {
            Some(Ok(Some(resolver))) => resolver,
            Some(_) => return,
            None => {
                let _ = connection.shutdown(0).await;
                return;
            }
        };
        let Some(sender) = latest.take() else { return };
        let router = router.clone();
        tokio::spawn(async move {
            if let Ok(Ok((request, stream))) = timeout(timeouts.head, resolver.resolve_request()).await {
                answer(request, stream, sender, peer, router, timeouts.stall).await;
            }
        });
    }
}

async fn answer(
    request: Request<()>,
    stream: RequestStream<streams::Both, Bytes>,
    pieces: Sender,
    peer: SocketAddr,
    router: Router,
    stall: Duration,
) {
    let (mut sender, receiver) = stream.split();
    let body = stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv_data().await {
            Ok(Some(mut data)) => Some((Ok(data.copy_to_bytes(data.remaining())), Some(receiver))),
            Ok(None) => None,
            Err(error) => Some((Err(io::Error::other(error)), None)),
        }
    });
    let mut request = request.map(|()| Arriving::within(stall, Body::from_stream(body.boxed())));
    request.extensions_mut().insert(Peer(peer));
    // Here the host stands in the request's URI only.
    if let Some(host) = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        request.headers_mut().entry(http::header::HOST).or_insert(host);
    }
    let Ok(response) = router.oneshot(request).await;
    let (head, mut body) = response.into_parts();
    if sender.send_response(http::Response::from_parts(head, ())).await.is_err() {
        return;
    }
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return sender.stop_stream(BROKEN) };
        let Ok(data) = frame.into_data() else { continue };
        match timeout(stall, pieces.send(data)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            // The client takes nothing.
            Err(_) => return sender.stop_stream(BROKEN),
        }
    }
    let _ = sender.finish().await;
}
