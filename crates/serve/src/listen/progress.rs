//! Connections that get nowhere: whoever takes nothing of an answer, or never asks, does not keep a slot for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What a connection's client has taken lately.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    /// Milliseconds from then to when something was taken last.
    last: AtomicU64,
    /// Bodies whose next piece the client has not yet taken.
    waiting: AtomicUsize,
    /// The socket took no more.
    blocked: AtomicBool,
    /// There was a request.
    asked: AtomicBool,
}

impl Progress {
    pub fn new() -> Arc<Self> {
        let (last, waiting) = (AtomicU64::default(), AtomicUsize::default());
        let (blocked, asked) = (AtomicBool::default(), AtomicBool::default());
        Arc::new(Self { began: Instant::now(), last, waiting, blocked, asked })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn went_on(&self) {
        self.last.store(self.now(), Relaxed);
    }

    /// The client has asked for something.
    pub fn asked(&self) {
        self.asked.store(true, Relaxed);
        self.went_on();
    }

    /// Ends when there was no request within `head`, or when the client has taken nothing of what it asked for within
    /// `patience`. What waits for the server's own disk does not count.
    pub async fn stalled(&self, head: Duration, patience: Duration) {
        tokio::time::sleep(head).await;
        while self.asked.load(Relaxed) {
            let waits = self.blocked.load(Relaxed) || self.waiting.load(Relaxed) > 0;
            let since = self.now().saturating_sub(self.last.load(Relaxed));
            if waits && u128::from(since) > patience.as_millis() {
                return;
            }
            tokio::time::sleep(patience / 4).await;
        }
    }
}

/// A body on its way to the client.
pub(super) struct Leaving {
    body: Body,
    progress: Arc<Progress>,
    /// It is the client's turn: the next piece is not asked for.
    waits: bool,
}

impl Leaving {
    pub fn watched(body: Body, progress: Arc<Progress>) -> Body {
        let mut leaving = Self { body, progress, waits: false };
        leaving.wait(true);
        Body::new(leaving)
    }

    fn wait(&mut self, waits: bool) {
        match (self.waits, waits) {
            (false, true) => self.progress.waiting.fetch_add(1, Relaxed),
            (true, false) => self.progress.waiting.fetch_sub(1, Relaxed),
            _ => return,
        };
        self.waits = waits;
        self.progress.went_on();
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.wait(false);
    }
}

impl http_body::Body for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.wait(false);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.wait(matches!(frame, Some(Ok(_))));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that tells when it takes no more, and when it does again.
pub(super) struct Watched {
    pub stream: TcpStream,
    pub progress: Arc<Progress>,
}

impl Watched {
    fn noted<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        // Only what could not go before is progress: small answers, as to a ping, are none.
        if self.progress.blocked.swap(written.is_pending(), Relaxed) != written.is_pending() {
            self.progress.went_on();
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
