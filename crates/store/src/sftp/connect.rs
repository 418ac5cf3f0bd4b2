//! From an address to a channel that speaks SFTP.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::client::{Config, Handle, Handler, connect_stream};
use russh::keys::PublicKeyOrCertificate;
use russh::{Preferred, cipher, compression};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::known_hosts::Known;
use super::login::{Refused, login};
use super::session::Session;
use crate::{Error, ErrorKind, Password, Result, SshAccess};

/// An SSH connection.
pub(super) type Connection = Handle<HostCheck>;

/// Where to connect to, and as whom.
#[derive(Debug)]
pub(super) struct Target {
    pub location: Arc<str>,
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<Password>,
    pub ssh: SshAccess,
    pub timeout: Duration,
    /// Requests sent so far, over all connections.
    pub requests: Arc<AtomicU64>,
}

/// Checks the server's key; what is wrong with it is kept for the one who connects.
pub(super) struct HostCheck {
    known: Known,
    objection: Arc<Mutex<Option<String>>>,
}

impl Handler for HostCheck {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> std::result::Result<bool, russh::Error> {
        let verdict = self.known.check(&key.public_key());
        let trusted = verdict.is_ok();
        *self.objection.lock().unwrap_or_else(|e| e.into_inner()) = verdict.err();
        Ok(trusted)
    }
}

impl Target {
    fn error(&self, kind: ErrorKind, what: impl Into<String>) -> Error {
        Error::new(kind, &self.location, None, what.into())
    }

    /// Ends with an error when nothing has come of it for too long.
    async fn in_time<T>(&self, what: &str, doing: impl Future<Output = Result<T>>) -> Result<T> {
        match timeout(self.timeout, doing).await {
            Ok(result) => result,
            Err(_) => {
                let what = format!("{what} took longer than {} s", self.timeout.as_secs_f32());
                Err(self.error(ErrorKind::Unreachable, what))
            }
        }
    }

    /// Connects, checks the host's key, logs in, and starts SFTP.
    pub async fn connect(&self) -> Result<Session> {
        let (stream, socket) = self.in_time("connecting", self.dial()).await?;
        let mut connection = self.in_time("the SSH handshake", self.shake_hands(stream)).await?;
        self.in_time("logging in", self.log_in(&mut connection)).await?;
        self.in_time("starting SFTP", Session::start(self, connection, socket)).await
    }

    /// A connection, and a second hold on it to cut it with.
    async fn dial(&self) -> Result<(TcpStream, std::net::TcpStream)> {
        let failed = |error: std::io::Error| self.error(ErrorKind::Unreachable, error.to_string());
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(failed)?;
        // Requests are small, and waited for.
        stream.set_nodelay(true).map_err(failed)?;
        let stream = stream.into_std().map_err(failed)?;
        let socket = stream.try_clone().map_err(failed)?;
        Ok((TcpStream::from_std(stream).map_err(failed)?, socket))
    }

    async fn known(&self) -> Result<Known> {
        let (files, host, port): (Vec<PathBuf>, _, _) =
            (self.ssh.known_hosts.clone(), self.host.clone(), self.port);
        let read = tokio::task::spawn_blocking(move || Known::read(&files, &host, port)).await;
        read.map_err(std::io::Error::other)
            .and_then(|known| known)
            .map_err(|error| self.error(ErrorKind::Untrusted, format!("known hosts cannot be read: {error}")))
    }

    async fn shake_hands(&self, stream: TcpStream) -> Result<Connection> {
        let known = self.known().await?;
        let config = Config {
            // What may be on its way to us: a fast line over a long distance needs it.
            window_size: 16 << 20,
            maximum_packet_size: 64 * 1024 - 1,
            channel_buffer_size: 256,
            preferred: Preferred {
                key: known.algorithms().into(),
                // By speed: with ring, AES runs on the processor's own instructions.
                cipher: Cow::Borrowed(&[
                    cipher::AES_128_GCM,
                    cipher::AES_256_GCM,
                    cipher::CHACHA20_POLY1305,
                    cipher::AES_256_CTR,
                    cipher::AES_192_CTR,
                    cipher::AES_128_CTR,
                ]),
                compression: Cow::Borrowed(&[compression::NONE]),
                ..Preferred::DEFAULT
            },
            keepalive_interval: Some(self.timeout),
            keepalive_max: 2,
            ..Config::default()
        };
        let objection = Arc::new(Mutex::new(None));
        let check = HostCheck { known, objection: objection.clone() };
        let connected = connect_stream(Arc::new(config), stream, check).await;
        connected.map_err(|error| match objection.lock().unwrap_or_else(|e| e.into_inner()).take() {
            Some(objection) => self.error(ErrorKind::Untrusted, objection),
            None => self.error(shake_kind(&error), format!("no SSH connection: {error}")),
        })
    }

    async fn log_in(&self, connection: &mut Connection) -> Result<()> {
        login(connection, &self.user, self.password.as_ref(), &self.ssh).await.map_err(|refused| match refused {
            Refused::Auth(what) => self.error(ErrorKind::Auth, what),
            Refused::Lost(error) => self.error(ErrorKind::Unreachable, format!("while logging in: {error}")),
        })
    }
}

/// Whether it may work in a moment, or the two will never agree.
fn shake_kind(error: &russh::Error) -> ErrorKind {
    match error {
        russh::Error::NoCommonAlgo { .. } | russh::Error::Version => ErrorKind::Unsupported,
        _ => ErrorKind::Unreachable,
    }
}
