//! Bodies on their way in: they come, or are given up; what nobody wants is taken in for a while.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep, timeout};

/// So long is taken in what a refused request still sends. Whoever closes a connection of HTTP/1.1 while bytes arrive
/// destroys the answer that is on its way (RFC 9112, 9.6); a stream of HTTP/2 that is reset loses it too.
const LINGER: Duration = Duration::from_secs(5);

/// A body of which each piece comes in time.
pub(super) struct Arriving {
    /// None when it was given up.
    body: Option<Body>,
    patience: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    /// Nothing more comes.
    over: bool,
    /// What is left of it when nobody wants it any more is to be taken in.
    lingers: bool,
    /// Whether it lingers once it was asked for.
    comes: bool,
}

impl Arriving {
    /// A body that is given up when nothing comes for so long while it is waited for.
    pub fn within(patience: Duration, body: Body) -> Body {
        Self::watched(patience, body, false, false)
    }

    /// The same by TCP: if nobody wants it, what comes is taken in for a while; but a client that `expects` to be told
    /// to go on (100-continue) sends nothing unless it was.
    pub fn lingering(patience: Duration, body: Body, expects: bool) -> Body {
        Self::watched(patience, body, !expects, true)
    }

    fn watched(patience: Duration, body: Body, lingers: bool, comes: bool) -> Body {
        match body.is_end_stream() {
            true => body,
            false => Body::new(Self { body: Some(body), patience, silence: None, over: false, lingers, comes }),
        }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let left = self.body.take().filter(|body| self.lingers && !self.over && !body.is_end_stream());
        if let (Some(mut body), Ok(runtime)) = (left, Handle::try_current()) {
            runtime.spawn(timeout(LINGER, async move { while let Some(Ok(_)) = body.frame().await {} }));
        }
    }
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        this.lingers = this.comes;
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            this.silence = None;
            this.over = !matches!(frame, Some(Ok(_)));
            return Poll::Ready(frame);
        }
        let patience = this.patience;
        let silence = this.silence.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(silence.as_mut().poll(context));
        this.body = None;
        Poll::Ready(Some(Err(axum::Error::new("nothing came for too long"))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}
