//! One connection that is logged in to the share, and compound requests on it: several calls in one message, so that
//! opening, doing and closing cost one round trip ([MS-SMB2] 3.2.4.1.4).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use smb2::client::{Cipher, CompoundOp, Connection, Session};
use smb2::msg::close::{CloseRequest, CloseResponse, SMB2_CLOSE_FLAG_POSTQUERY_ATTRIB};
use smb2::msg::create::{CreateRequest, CreateResponse};
use smb2::pack::{Pack, ReadCursor, Unpack};
use smb2::transport::ConnectOptions;
use smb2::types::status::NtStatus;
use smb2::types::{Command, CreditCharge, FileId, SessionId};
use smb2::{Frame, Tree};
use tokio::sync::Semaphore;

use super::failure::ends_connection;
use super::upload::room;
use super::wire::Wire;

pub(super) type Answer<T> = Result<T, smb2::Error>;

/// Where to go and who asks.
#[derive(Clone)]
pub(super) struct Target {
    pub host: String,
    pub port: u16,
    pub share: String,
    pub user: String,
    pub password: String,
    pub domain: String,
    /// How long the server may say nothing.
    pub timeout: Duration,
}

/// A logged-in connection with the share.
pub(super) struct Link {
    pub connection: Connection,
    pub tree: Arc<Tree>,
    /// How much may be on its way to the server.
    pub room: Arc<Semaphore>,
    /// What stands before each path on a DFS share; empty otherwise.
    prefix: String,
    timeout: Duration,
}

impl Target {
    /// Connects and logs in. `previous` is the session that this one replaces: the server drops what that one still has
    /// open.
    pub async fn connect(&self, previous: Option<SessionId>, sent: &Arc<AtomicU64>) -> Answer<Link> {
        // Each step has a deadline of its own inside; this one is for a server that keeps just within them.
        tokio::time::timeout(self.timeout * 3, self.log_in(previous, sent))
            .await
            .unwrap_or(Err(smb2::Error::Timeout))
    }

    async fn log_in(&self, previous: Option<SessionId>, sent: &Arc<AtomicU64>) -> Answer<Link> {
        let address = match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        };
        let wire = Wire::connect(&address, ConnectOptions::with_timeout(self.timeout), sent).await?;
        let mut connection =
            Connection::from_transport(Box::new(wire.clone()), Box::new(wire.clone()), &*self.host);
        connection.set_compression_requested(false);
        connection.set_response_timeout(Some(self.timeout));
        connection.set_send_timeout(Some(self.timeout));
        connection.set_credit_wait_timeout(self.timeout);
        // A server that has answered within three of these counts as alive, and gets more time for what is slow.
        connection.set_keepalive(Some(self.timeout / 6));
        wire.negotiate(&mut connection).await?;
        if let Some(previous) = previous {
            connection.set_previous_session_id(previous);
        }
        let session = Session::setup(&mut connection, &self.user, &self.password, &self.domain).await?;
        let tree = Tree::connect(&mut connection, &self.share).await?;
        if tree.encrypt_data && !connection.should_encrypt() {
            encrypt(&mut connection, session)?;
        }
        let prefix = if tree.is_dfs { format!("{}\\{}\\", self.host, self.share) } else { String::new() };
        Ok(Link { connection, tree: Arc::new(tree), room: room(), prefix, timeout: self.timeout })
    }
}

/// Encrypts from here on: the share demands it though the server does not.
fn encrypt(connection: &mut Connection, session: Session) -> Answer<()> {
    let (Some(ours), Some(theirs)) = (session.encryption_key, session.decryption_key) else {
        return Err(smb2::Error::Auth {
            message: "the share demands encryption, which the server cannot do".into(),
        });
    };
    // SMB 3.0 knows no other.
    let cipher = connection.params().and_then(|params| params.cipher).unwrap_or(Cipher::Aes128Ccm);
    connection.activate_encryption(ours, theirs, cipher);
    Ok(())
}

/// One call of a compound, behind the one that opens.
pub(super) struct Call {
    command: Command,
    body: Box<dyn Pack>,
    credits: u16,
}

impl Call {
    pub fn new(command: Command, body: impl Pack + 'static) -> Self {
        Self { command, body: Box::new(body), credits: 1 }
    }

    /// For a call that carries or asks for `len` bytes.
    pub fn sized(command: Command, body: impl Pack + 'static, len: usize) -> Self {
        let credits = u16::try_from(len.div_ceil(1 << 16)).unwrap_or(u16::MAX).max(1);
        Self { credits, ..Self::new(command, body) }
    }
}

/// The end of a compound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The file is closed in the same message.
    Close,
    /// It is closed by the caller, later.
    StaysOpen,
}

/// What came of a compound whose file could be opened.
pub(super) struct Done {
    pub opened: CreateResponse,
    /// The answers to the calls.
    frames: Vec<Frame>,
    /// What stood there at the end, where the server told it.
    pub closed: Option<CloseResponse>,
}

impl Done {
    /// The answer to the call `at`, if it succeeded.
    pub fn answer<T: Unpack>(&self, at: usize) -> Answer<T> {
        let frame = self.frames.get(at).ok_or_else(|| smb2::Error::invalid_data("an answer is missing"))?;
        checked(frame)?;
        T::unpack(&mut ReadCursor::new(&frame.body))
    }

    /// Fails as the first call that failed.
    pub fn all(&self) -> Answer<()> {
        self.frames.iter().try_for_each(checked)
    }
}

pub(super) fn checked(frame: &Frame) -> Answer<()> {
    match frame.header.status {
        status if status.is_success_or_partial() => Ok(()),
        status => Err(smb2::Error::Protocol { status, command: frame.header.command }),
    }
}

impl Link {
    /// A path below the share as this server wants it.
    pub fn at(&self, wire_path: &str) -> String {
        match (self.prefix.is_empty(), wire_path.is_empty()) {
            (true, _) => wire_path.to_owned(),
            (false, true) => self.prefix.trim_end_matches('\\').to_owned(),
            (false, false) => format!("{}{wire_path}", self.prefix),
        }
    }

    /// Waits for `call`; gives the connection up if it fails or the server answers nothing for too long.
    pub async fn patiently<T>(&self, call: impl Future<Output = Answer<T>>) -> Answer<T> {
        // smb2 gives up after one timeout of silence. What a server has acknowledged, or proves alive for, it lets take
        // six: that is waited for too.
        let answer = tokio::time::timeout(self.timeout * 8, call).await.unwrap_or(Err(smb2::Error::Timeout));
        if answer.as_ref().is_err_and(ends_connection) {
            self.connection.mark_dead();
        }
        answer
    }

    /// Several calls in one message, each for the file that it names. Their answers, whether good or not.
    pub async fn together(&self, calls: &[Call]) -> Answer<Vec<Frame>> {
        let tree = Some(self.tree.tree_id);
        let ops: Vec<_> = calls
            .iter()
            .map(|call| {
                let mut op = CompoundOp::new(call.command, &*call.body, tree);
                op.credit_charge = CreditCharge(call.credits);
                op
            })
            .collect();
        let sent = async { self.connection.execute_compound(&ops).await?.into_iter().collect() };
        let frames: Vec<Frame> = self.patiently(sent).await?;
        match frames.len() == calls.len() {
            true => Ok(frames),
            false => Err(smb2::Error::invalid_data("the server answered another number of calls")),
        }
    }

    /// One request on its own.
    pub async fn call<T: Unpack>(&self, call: Call) -> Answer<T> {
        let Call { command, body, credits } = call;
        let sent =
            self.connection.execute_with_credits(command, &*body, Some(self.tree.tree_id), CreditCharge(credits));
        let frame = self.patiently(sent).await?;
        checked(&frame)?;
        T::unpack(&mut ReadCursor::new(&frame.body))
    }

    /// Opens, makes the calls, closes, in one message. Fails if it could not be opened; whether each call succeeded is
    /// told by [`Done`]. Not to be dropped half-way: the file might stay open.
    pub async fn compound(&self, open: CreateRequest, calls: Vec<Call>, end: End) -> Answer<Done> {
        let mut all = vec![Call::new(Command::Create, open)];
        all.extend(calls);
        if end == End::Close {
            all.push(close(FileId::SENTINEL));
        }
        let mut frames = self.together(&all).await?;
        checked(&frames[0])?;
        let opened = CreateResponse::unpack(&mut ReadCursor::new(&frames.remove(0).body))?;
        let mut closed = None;
        if end == End::Close {
            match frames.pop().filter(|frame| frame.header.status == NtStatus::SUCCESS) {
                Some(frame) => closed = told_at_close(&frame),
                // What fails before it takes it along.
                None => drop(self.close(opened.file_id).await),
            }
        }
        Ok(Done { opened, frames, closed })
    }

    /// Closes a file, and tells what stands there then.
    pub async fn close(&self, file: FileId) -> Answer<Option<CloseResponse>> {
        let frames = self.together(&[close(file)]).await?;
        checked(&frames[0])?;
        Ok(told_at_close(&frames[0]))
    }
}

/// Closes a file, and asks what stands there then.
pub(super) fn close(file: FileId) -> Call {
    Call::new(Command::Close, CloseRequest { flags: SMB2_CLOSE_FLAG_POSTQUERY_ATTRIB, file_id: file })
}

pub(super) fn told_at_close(frame: &Frame) -> Option<CloseResponse> {
    let closed = CloseResponse::unpack(&mut ReadCursor::new(&frame.body)).ok()?;
    (closed.flags & SMB2_CLOSE_FLAG_POSTQUERY_ATTRIB != 0).then_some(closed)
}
