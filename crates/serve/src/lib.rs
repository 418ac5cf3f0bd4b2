//! The server: shares for other sittas, browsers, scripts and WebDAV clients.
//!
//! One router over HTTP/1.1 and 2 (TCP) and HTTP/3 (QUIC, UDP), always over TLS. A [`Share`] is a store under a name; what it
//! promises, clients are promised.

pub mod accounts;
mod api;
pub mod audit;
mod certificate;
mod chunks;
mod database;
mod dav;
mod feed;
mod index;
mod listen;
mod metrics;
mod recent;
mod share;
mod sums;
mod throttle;
mod uploads;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use sitta_store::temps::TempNames;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use self::accounts::{Accounts, Scope};
use self::audit::Audit;
pub use self::certificate::{Certificate, CertificateFiles};
use self::chunks::Chunks;
use self::dav::{Locks, Properties};
use self::index::Index;
pub use self::index::{IndexEvent, IndexNotice, IndexOptions};
pub use self::listen::{Running, Timeouts};
use self::metrics::Metrics;
pub use self::share::Share;
use self::sums::Sums;
use self::throttle::Throttle;
use self::uploads::Uploads;

/// Why a server does not start or an account cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate or its key cannot be read, made or used.
    #[error("the certificate {}: {what}", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file of accounts.
    #[error("the accounts in {}: {what}", file.display())]
    Accounts {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// What a server is to be.
#[derive(Debug)]
pub struct Options {
    /// Where to listen, for TCP and UDP alike.
    pub listen: Vec<SocketAddr>,
    /// What is shared.
    pub shares: Vec<Share>,
    /// Who may come in.
    pub accounts: Accounts,
    /// How it shows who it is.
    pub certificate: Certificate,
    /// How shares are indexed; without it none is, and each search reads every file.
    pub index: Option<IndexOptions>,
    /// How long clients may take.
    pub timeouts: Timeouts,
}

/// What every request needs to know.
#[derive(Debug)]
pub(crate) struct App {
    pub shares: BTreeMap<String, Arc<Share>>,
    pub accounts: Accounts,
    pub throttle: Throttle,
    pub audit: Audit,
    /// What WebDAV clients hold locked.
    pub locks: Locks,
    /// What WebDAV clients noted of entries.
    pub properties: Properties,
    /// Checksums that were made already.
    pub sums: Sums,
    /// Chunk trees that were made already, or are being made.
    pub chunks: Chunks,
    /// Uploads that can be gone on with.
    pub uploads: Uploads,
    /// What a monitor is told.
    pub metrics: Metrics,
    /// Names of temporaries.
    pub temps: TempNames,
    /// Becomes true when the server is to stop: what has no end of its own ends then.
    pub stopped: watch::Receiver<bool>,
}

impl App {
    fn new(
        shares: BTreeMap<String, Arc<Share>>,
        accounts: Accounts,
        audit: Audit,
        properties: Properties,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            shares,
            accounts,
            throttle: Throttle::default(),
            audit,
            locks: Locks::default(),
            properties,
            sums: Sums::default(),
            chunks: Chunks::default(),
            uploads: Uploads::default(),
            metrics: Metrics::default(),
            temps: TempNames::new("api"),
            stopped,
        }
    }
}

/// Starts to listen; the server runs until it is stopped.
///
/// # Errors
/// If an address cannot be listened on, or what is done cannot be written down.
pub async fn start(options: Options) -> Result<Running, ServeError> {
    let (stop, stopped) = watch::channel(false);
    let (mut shares, mut indexing) = (BTreeMap::new(), JoinSet::new());
    for mut share in options.shares {
        if let Some(options) = options.index.as_ref().filter(|_| share.indexed) {
            share.index = Index::start(&share, options, stopped.clone(), &mut indexing);
        }
        shares.insert(share.name.clone(), Arc::new(share));
    }
    let audit = Audit::start(options.accounts.file().to_owned())?;
    let properties = Properties::open(options.accounts.file())?;
    let app = App::new(shares, options.accounts, audit, properties, stopped);
    let (uploads, mut stopped) = (app.uploads.clone(), app.stopped.clone());
    tokio::spawn(async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
        uploads.give_up();
    });
    let connections = app.metrics.connections.clone();
    let router = api::router(Arc::new(app));
    let (listen, certificate) = (&options.listen, &options.certificate);
    listen::start(router, stop, indexing, (listen, options.timeouts), certificate, &connections).await
}
