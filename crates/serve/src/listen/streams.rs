//! The streams of a QUIC connection, for h3: requests come in by it, and answers go out past it. What h3 sends is copied
//! once more; a body's bytes are passed on as they are.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures::stream::{self, BoxStream, StreamExt};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::{ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError};

/// A connection of which the sending sides of requests can be taken.
pub(super) struct Connection {
    quinn: quinn::Connection,
    /// For the streams of h3's own.
    own: h3_quinn::Connection,
    requests: BoxStream<'static, Result<(SendStream, RecvStream), ConnectionError>>,
    latest: Latest,
}

/// The sending side of the request that was accepted last.
#[derive(Clone, Default)]
pub(super) struct Latest(Arc<Mutex<Option<Sender>>>);

impl Latest {
    pub fn take(&self) -> Option<Sender> {
        self.slot().take()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Sender>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Connection {
    pub fn new(quinn: quinn::Connection) -> Self {
        let requests = stream::unfold(quinn.clone(), |quinn| async { Some((quinn.accept_bi().await, quinn)) });
        let own = h3_quinn::Connection::new(quinn.clone());
        Self { quinn, own, requests: requests.boxed(), latest: Latest::default() }
    }

    pub fn latest(&self) -> Latest {
        self.latest.clone()
    }
}

impl<B: Buf> quic::Connection<B> for Connection {
    type RecvStream = h3_quinn::RecvStream;
    type OpenStreams = Self;

    fn poll_accept_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::RecvStream, ConnectionErrorIncoming>> {
        quic::Connection::<B>::poll_accept_recv(&mut self.own, context)
    }

    fn poll_accept_bidi(&mut self, context: &mut Context<'_>) -> Poll<Result<Both, ConnectionErrorIncoming>> {
        let (sender, receiver) =
            ready!(self.requests.poll_next_unpin(context)).expect("it has no end").map_err(lost)?;
        let sender = Sender(Arc::new(Mutex::new(sender)));
        *self.latest.slot() = Some(sender.clone());
        Poll::Ready(Ok(Both { sender: Framed { sender, left: None }, receiver: Receiver(receiver) }))
    }

    fn opener(&self) -> Self {
        Self::new(self.quinn.clone())
    }
}

impl<B: Buf> quic::OpenStreams<B> for Connection {
    type BidiStream = Both;
    type SendStream = h3_quinn::SendStream<B>;

    /// Only clients ask.
    fn poll_open_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<Both, StreamErrorIncoming>> {
        Poll::Ready(Err(StreamErrorIncoming::Unknown("a server does not ask".into())))
    }

    fn poll_open_send(&mut self, context: &mut Context<'_>) -> Poll<Result<Self::SendStream, StreamErrorIncoming>> {
        quic::OpenStreams::<B>::poll_open_send(&mut self.own, context)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        quic::OpenStreams::<B>::close(&mut self.own, code, reason);
    }
}

/// Both sides of a request's stream.
pub(super) struct Both {
    sender: Framed,
    receiver: Receiver,
}

impl<B: Buf> quic::BidiStream<B> for Both {
    type SendStream = Framed;
    type RecvStream = Receiver;

    fn split(self) -> (Framed, Receiver) {
        (self.sender, self.receiver)
    }
}

impl quic::RecvStream for Both {
    type Buf = Bytes;

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.receiver.poll_data(context)
    }

    fn stop_sending(&mut self, code: u64) {
        self.receiver.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.receiver.recv_id()
    }
}

impl<B: Buf> quic::SendStream<B> for Both {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        quic::SendStream::<B>::poll_ready(&mut self.sender, context)
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.sender.send_data(data)
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        quic::SendStream::<B>::poll_finish(&mut self.sender, context)
    }

    fn reset(&mut self, code: u64) {
        quic::SendStream::<B>::reset(&mut self.sender, code);
    }

    fn send_id(&self) -> StreamId {
        quic::SendStream::<B>::send_id(&self.sender)
    }
}

/// What comes in.
pub(super) struct Receiver(RecvStream);

impl quic::RecvStream for Receiver {
    type Buf = Bytes;

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let chunk = ready!(pin!(self.0.read_chunk(usize::MAX, true)).poll(context));
        Poll::Ready(chunk.map(|chunk| chunk.map(|chunk| chunk.bytes)).map_err(|error| match error {
            ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into() },
            ReadError::ConnectionLost(error) => gone(error),
            error => StreamErrorIncoming::Unknown(Box::new(error)),
        }))
    }

    fn stop_sending(&mut self, code: u64) {
        // One that has ended need not be told.
        let _ = self.0.stop(VarInt::from_u64(code).unwrap_or(VarInt::MAX));
    }

    fn recv_id(&self) -> StreamId {
        id(self.0.id())
    }
}

/// What goes out: by h3, or as a body's pieces.
#[derive(Clone)]
pub(super) struct Sender(Arc<Mutex<SendStream>>);

impl Sender {
    fn stream(&self) -> MutexGuard<'_, SendStream> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The next of what is left.
    fn poll_write(&self, context: &mut Context<'_>, left: &mut [Bytes]) -> Poll<Result<usize, WriteError>> {
        let mut stream = self.stream();
        let written = ready!(pin!(stream.write_chunks(left)).poll(context));
        Poll::Ready(written.map(|written| written.chunks))
    }

    /// Sends a piece of a body as a frame of its own (RFC 9114, 7.2.1), and is done when all of it is on its way.
    pub async fn send(&self, piece: Bytes) -> Result<(), WriteError> {
        let head = Bytes::copy_from_slice(&data_head(piece.len()));
        let mut left = &mut [head, piece][..];
        while !left.is_empty() {
            let written = std::future::poll_fn(|context| self.poll_write(context, left)).await?;
            left = &mut left[written..];
        }
        Ok(())
    }
}

/// The type of a `DATA` frame, and its length in eight bytes (RFC 9000, 16).
fn data_head(len: usize) -> [u8; 9] {
    let mut head = [0; 9];
    head[1..].copy_from_slice(&(len as u64 | 0b11 << 62).to_be_bytes());
    head
}

/// The sending side for h3, which writes a frame and waits until it has gone.
pub(super) struct Framed {
    sender: Sender,
    left: Option<Bytes>,
}

impl<B: Buf> quic::SendStream<B> for Framed {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        while let Some(left) = &mut self.left {
            let written = ready!(self.sender.poll_write(context, std::slice::from_mut(left)));
            if written.map_err(refused)? > 0 {
                self.left = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        let mut data = data.into();
        self.left = Some(data.copy_to_bytes(data.remaining())).filter(|data| !data.is_empty());
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        Poll::Ready(self.sender.stream().finish().map_err(|error| StreamErrorIncoming::Unknown(Box::new(error))))
    }

    fn reset(&mut self, code: u64) {
        // One that has ended need not be told.
        let _ = self.sender.stream().reset(VarInt::from_u64(code).unwrap_or(VarInt::MAX));
    }

    fn send_id(&self) -> StreamId {
        id(self.sender.stream().id())
    }
}

fn id(id: quinn::StreamId) -> StreamId {
    StreamId::try_from(u64::from(id)).expect("both count alike")
}

fn lost(error: ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into() }
        }
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        error => ConnectionErrorIncoming::Undefined(Arc::new(error)),
    }
}

fn gone(error: ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error: lost(error) }
}

fn refused(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into() },
        WriteError::ConnectionLost(error) => gone(error),
        error => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}
