//! Many requests at once over one channel.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use sitta_tree::Printable;
use tokio::sync::{mpsc, oneshot};

use super::connect::{Connection, Target};
use super::packet::{self, Ask, Frames, Reply, Request};
use crate::{Error, ErrorKind, Result};

/// Small requests are sent together up to this size: each packet of SSH costs a seal and a system call.
const TOGETHER: usize = 32 * 1024;
/// What every server takes in one request.
const SMALL_PIECE: u64 = 32 * 1024;
/// More in one request brings nothing.
const LARGE_PIECE: u64 = 255 * 1024;
/// A request that others overtake for that many timeouts is lost.
const PATIENCE: u32 = 20;
/// Bytes on their way over one connection at most, shared by the files that are open; and of one file: what fills a
/// fast line over a long distance, and what keeps a line busy at all.
const ON_THE_WAY: u64 = 16 << 20;
const OF_ONE_FILE: (u64, u64) = (512 << 10, 8 << 20);

/// What OpenSSH adds, as far as the server has it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extensions {
    pub posix_rename: bool,
    pub fsync: bool,
    pub lsetstat: bool,
    pub statvfs: bool,
}

/// Why a request failed.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The server said so.
    Status { code: u32, message: String },
    /// The connection is gone.
    Lost(Arc<str>),
    /// The server's answer makes no sense.
    Nonsense,
}

/// A channel that speaks SFTP. Ends with its connection, or when it is dropped.
#[derive(Debug)]
pub(super) struct Session {
    shared: Arc<Shared>,
    queue: mpsc::UnboundedSender<Bytes>,
    next: AtomicU32,
    pub extensions: Extensions,
    /// Files and directories that are open.
    pub open: AtomicUsize,
    /// The most bytes to read and to write in one request.
    pub pieces: (u64, u64),
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    queue: mpsc::WeakUnboundedSender<Bytes>,
    socket: std::net::TcpStream,
    begin: Instant,
    /// When something last came or went, in milliseconds since `begin`.
    moved: AtomicU64,
    requests: Arc<AtomicU64>,
    timeout: Duration,
}

#[derive(Debug, Default)]
struct Waiting {
    lost: Option<Arc<str>>,
    answers: HashMap<u32, oneshot::Sender<Reply>>,
}

/// The answer to a request that was sent.
#[derive(Debug)]
pub(super) struct Answer {
    reply: std::result::Result<Receiver, Arc<str>>,
    shared: Arc<Shared>,
}

/// Where the answer arrives.
#[derive(Debug)]
struct Receiver {
    reply: oneshot::Receiver<Reply>,
    shared: Arc<Shared>,
}

impl Session {
    /// Starts SFTP on a connection that is logged in.
    pub async fn start(target: &Target, connection: Connection, socket: std::net::TcpStream) -> Result<Self> {
        let failed = |what: String| Error::new(ErrorKind::Unreachable, &target.location, None, what);
        let told = |error: russh::Error| failed(format!("no SFTP channel: {error}"));
        let channel = connection.channel_open_session().await.map_err(told)?;
        channel.request_subsystem(true, "sftp").await.map_err(told)?;
        let (mut from, to) = channel.split();
        let unsupported = |what: &str| Error::new(ErrorKind::Unsupported, &target.location, None, what);
        to.data_bytes(Request::new(Ask::Init).finish(3)).await.map_err(told)?;
        let mut frames = Frames::default();
        let hello = loop {
            match from.wait().await {
                Some(ChannelMsg::Failure) => return Err(unsupported("the server offers no SFTP")),
                Some(ChannelMsg::Data { data }) => frames.add(&data),
                None => return Err(unsupported("the server ended SFTP before it began")),
                Some(_) => {}
            }
            let odd = "what the server sends is not SFTP: does something print text when the user logs in?";
            if let Some(packet) = frames.next().map_err(|_| unsupported(odd))? {
                break packet;
            }
        };
        let Some((version @ 3.., names)) = packet::version(hello) else {
            return Err(unsupported("the server does not speak version 3 of SFTP"));
        };
        debug_assert!(version >= 3);
        let has = |name: &str| names.iter().any(|known| known == name.as_bytes());
        let extensions = Extensions {
            posix_rename: has("posix-rename@openssh.com"),
            fsync: has("fsync@openssh.com"),
            lsetstat: has("lsetstat@openssh.com"),
            statvfs: has("statvfs@openssh.com"),
        };
        let (queue, requests) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            queue: queue.downgrade(),
            socket,
            begin: Instant::now(),
            moved: AtomicU64::new(0),
            requests: target.requests.clone(),
            timeout: target.timeout,
        });
        tokio::spawn(send_all(requests, to, connection, shared.clone()));
        tokio::spawn(receive_all(from, frames, shared.clone()));
        let pieces = (SMALL_PIECE, SMALL_PIECE);
        let mut session =
            Self { shared, queue, next: AtomicU32::new(1), extensions, open: AtomicUsize::new(0), pieces };
        if has("limits@openssh.com") {
            session.learn_limits().await;
        }
        Ok(session)
    }

    async fn learn_limits(&mut self) {
        let answer = self.send(Request::extended("limits@openssh.com")).reply().await;
        if let Ok(Reply::Extended(mut fields)) = answer
            && let (Some(_packet), Some(read), Some(write)) = (fields.u64(), fields.u64(), fields.u64())
        {
            // 0 says nothing.
            let piece = |most: u64| if most == 0 { SMALL_PIECE } else { most.min(LARGE_PIECE) };
            self.pieces = (piece(read), piece(write));
        }
    }

    /// Sends a request now; its answer is waited for apart.
    pub fn send(&self, request: Request) -> Answer {
        let id = self.next.fetch_add(1, Relaxed);
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.shared.waiting();
        let reply = match &waiting.lost {
            Some(why) => Err(why.clone()),
            None => {
                if waiting.answers.is_empty() {
                    self.shared.note_move();
                }
                waiting.answers.insert(id, sender);
                self.shared.requests.fetch_add(1, Relaxed);
                // If nobody sends any more, the answer's sender is dropped by whoever stopped.
                let _ = self.queue.send(request.finish(id));
                Ok(Receiver { reply: receiver, shared: self.shared.clone() })
            }
        };
        Answer { reply, shared: self.shared.clone() }
    }

    /// Whether it still works, as far as is known.
    pub fn is_alive(&self) -> bool {
        self.shared.waiting().lost.is_none()
    }

    /// How many bytes of one file may be on their way.
    pub fn share(&self) -> u64 {
        (ON_THE_WAY / (self.open.load(Relaxed) as u64).max(1)).clamp(OF_ONE_FILE.0, OF_ONE_FILE.1)
    }

    /// Requests without an answer yet.
    pub fn load(&self) -> usize {
        self.shared.waiting().answers.len()
    }
}

impl Answer {
    /// Whatever the server answers. Waits as long as anything moves.
    pub async fn reply(self) -> std::result::Result<Reply, Failure> {
        let mut receiver = self.reply.map_err(Failure::Lost)?;
        for _ in 0..PATIENCE {
            match tokio::time::timeout(self.shared.timeout, &mut receiver.reply).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(_)) => break,
                Err(_) if self.shared.idle() < self.shared.timeout => {}
                Err(_) => {
                    let seconds = self.shared.timeout.as_secs_f32();
                    self.shared.lose(&format!("the server has not moved for {seconds} s"));
                    break;
                }
            }
        }
        self.shared.lose("the server left a request without an answer");
        Err(Failure::Lost(self.shared.why()))
    }

    /// The answer to what only can be done or not.
    pub async fn done(self) -> std::result::Result<(), Failure> {
        match self.reply().await? {
            Reply::Status { code: 0, .. } => Ok(()),
            other => Err(other.into()),
        }
    }
}

impl Drop for Receiver {
    /// It may have arrived just when nobody waited any more.
    fn drop(&mut self) {
        self.reply.close();
        if let Ok(reply) = self.reply.try_recv() {
            self.shared.unwanted(reply);
        }
    }
}

impl From<Reply> for Failure {
    /// An answer of another sort than was asked for.
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Status { code, message } if code != 0 => Self::Status { code, message },
            _ => Self::Nonsense,
        }
    }
}

impl Failure {
    /// What to tell the user.
    pub fn text(&self) -> String {
        match self {
            Self::Status { code, message } if message.is_empty() => format!("the server says only: failure {code}"),
            // As long as a sentence, and safe to print.
            Self::Status { message, .. } => Printable(&message.as_bytes()[..message.len().min(200)]).to_string(),
            Self::Lost(why) => why.to_string(),
            Self::Nonsense => "the server's answer makes no sense".into(),
        }
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn note_move(&self) {
        self.moved.store(self.begin.elapsed().as_millis() as u64, Relaxed);
    }

    fn idle(&self) -> Duration {
        self.begin.elapsed().saturating_sub(Duration::from_millis(self.moved.load(Relaxed)))
    }

    /// Whoever asked has gone; what was opened for it is closed, and nobody waits for that.
    fn unwanted(&self, reply: Reply) {
        if let (Reply::Handle(handle), Some(queue)) = (reply, self.queue.upgrade()) {
            let _ = queue.send(Request::at(Ask::Close, &handle).finish(0));
        }
    }

    fn why(&self) -> Arc<str> {
        self.waiting().lost.clone().unwrap_or_else(|| "the connection is gone".into())
    }

    /// Ends it: whoever waits is told. Only the first reason counts.
    fn lose(&self, why: &str) {
        let mut waiting = self.waiting();
        if waiting.lost.is_none() {
            waiting.lost = Some(why.into());
            // A server that does not read would keep the connection's own task for ever.
            let _ = self.socket.shutdown(std::net::Shutdown::Both);
        }
        waiting.answers.clear();
    }
}

async fn send_all(
    mut requests: mpsc::UnboundedReceiver<Bytes>,
    to: ChannelWriteHalf<Msg>,
    connection: Connection,
    shared: Arc<Shared>,
) {
    while let Some(first) = requests.recv().await {
        let mut all = first;
        if all.len() < TOGETHER && !requests.is_empty() {
            let mut joined = BytesMut::with_capacity(TOGETHER);
            joined.extend_from_slice(&all);
            while joined.len() < TOGETHER
                && let Ok(next) = requests.try_recv()
            {
                joined.extend_from_slice(&next);
            }
            all = joined.freeze();
        }
        while !all.is_empty() {
            let piece = all.split_to(all.len().min(TOGETHER));
            if to.data_bytes(piece).await.is_err() {
                return shared.lose("the connection was lost");
            }
            shared.note_move();
        }
        if shared.waiting().lost.is_some() {
            return;
        }
    }
    // Nobody needs the session any more.
    let _ = connection.disconnect(russh::Disconnect::ByApplication, "", "").await;
    shared.lose("closed");
}

async fn receive_all(mut from: ChannelReadHalf, mut frames: Frames, shared: Arc<Shared>) {
    while let Some(message) = from.wait().await {
        shared.note_move();
        let ChannelMsg::Data { data } = message else { continue };
        frames.add(&data);
        loop {
            match frames.next() {
                Ok(None) => break,
                Ok(Some(packet)) => match packet::reply(packet) {
                    Some((id, reply)) => answer(&shared, id, reply),
                    None => return shared.lose("the server sent an answer that makes no sense"),
                },
                Err(_) => return shared.lose("the server sent something that is not SFTP"),
            }
        }
    }
    shared.lose("the connection was lost");
}

fn answer(shared: &Shared, id: u32, reply: Reply) {
    let Some(sender) = shared.waiting().answers.remove(&id) else { return };
    if let Err(reply) = sender.send(reply) {
        shared.unwanted(reply);
    }
}
