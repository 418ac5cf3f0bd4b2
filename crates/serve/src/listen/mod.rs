//! Listening: on each address by TCP and by UDP, with the same port.

mod arriving;
mod progress;
mod quic;
mod streams;
mod tcp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::metrics::Connections;
use crate::{Certificate, ServeError};

/// How long requests that are being answered may still take when the server stops.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections at a time, by TCP and by UDP each; more wait by TCP, and are refused by UDP.
const CONNECTIONS: usize = 8192;

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// To agree on TLS.
    pub handshake: Duration,
    /// To send a request's head; also to send the first one, and by HTTP/1.1 the next one.
    pub head: Duration,
    /// To send or take the next piece of a body. Where the network's buffers are full, a piece is up to a megabyte.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let [handshake, head, stall] = [10, 30, 300].map(Duration::from_secs);
        Self { handshake, head, stall }
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Where it listens; ports that were left to the system are told.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes no more requests, and ends when those that were begun are answered, or have had time enough.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(PATIENCE, async { while self.tasks.join_next().await.is_some() {} }).await;
    }
}

/// Begins to listen; `tasks` run beside it, and end when the server is stopped.
pub(crate) async fn start(
    router: Router,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    (addresses, timeouts): (&[SocketAddr], Timeouts),
    certificate: &Certificate,
    connections: &Connections,
) -> Result<Running, ServeError> {
    let tls = Arc::new(certificate.config(&[b"h2", b"http/1.1"])?);
    let quic = certificate.config(&[b"h3"])?;
    let stopped = stop.subscribe();
    let mut running = Running { addresses: Vec::new(), stop, tasks };
    for address in addresses {
        let failed = |source| ServeError::Listen { address: *address, source };
        // With the system's choice of a port, one that is free for both is looked for.
        let mut tries = if address.port() == 0 { 20 } else { 1 };
        let (tcp, udp) = loop {
            tries -= 1;
            let tcp = TcpListener::bind(address).await.map_err(failed)?;
            let bound = tcp.local_addr().map_err(failed)?;
            match quic::bind(bound, quic.clone()) {
                Ok(udp) => break (tcp, udp),
                Err(error) if tries == 0 => return Err(failed(error)),
                Err(_) => {}
            }
        };
        running.addresses.push(tcp.local_addr().map_err(failed)?);
        let (router, connections) = (router.clone(), connections.clone());
        let by_tcp = tcp::serve(tcp, tls.clone(), router.clone(), timeouts, connections.clone(), stopped.clone());
        running.tasks.spawn(by_tcp);
        running.tasks.spawn(quic::serve(udp, router, timeouts, connections, stopped.clone()));
    }
    Ok(running)
}
