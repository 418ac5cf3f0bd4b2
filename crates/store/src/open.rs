//! From a location to the store that is there.

use std::path::PathBuf;
use std::sync::Arc;

use crate::local::LocalStore;
use crate::web::WebOptions;
use crate::wrap::{Backoff, Retried};
use crate::{Error, ErrorKind, Location, Password, Remote, Result, Scheme, Store};
use crate::{archive, http, s3, sftp, sitta, smb, webdav};

/// What it takes to get into a place, besides its location. What a URL holds itself (user, password) comes first.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The user, where the URL names none.
    pub user: Option<String>,
    /// The password for that user; for S3 the secret access key; for SFTP also the passphrase of a private key.
    pub password: Option<Password>,
    /// A bearer token, for WebDAV and HTTP.
    pub token: Option<Password>,
    /// How many calls shall be in flight at most; none: what suits the server.
    pub transfers: Option<usize>,
    /// How downloads come from a sitta.
    pub downloads: Downloads,
    /// Certificates and timeouts of what speaks HTTP. The timeout counts for all servers.
    pub web: WebOptions,
    /// For SFTP.
    pub ssh: SshAccess,
    /// For S3.
    pub s3: S3Access,
}

/// How downloads come from a sitta.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Downloads {
    /// Over one connection with all else (HTTP/2): as suits many files.
    #[default]
    Together,
    /// Each over a connection of its own (HTTP/1.1): as suits parts of a large file, which do not wait for one another
    /// where a packet was lost.
    Apart,
    /// By UDP (HTTP/3), which keeps its pace where packets are lost.
    Udp,
}

/// Keys and trust for SFTP.
#[derive(Debug, Clone, Default)]
pub struct SshAccess {
    /// Files of known hosts, in the format of OpenSSH; a host that none of them knows is refused.
    pub known_hosts: Vec<PathBuf>,
    /// Private keys to try, in order; those that are not there are passed over.
    pub identities: Vec<PathBuf>,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
}

/// Where S3 is, and who asks.
#[derive(Debug, Clone, Default)]
pub struct S3Access {
    /// The server, as `http[s]://host[:port]`; none: Amazon's for the region.
    pub endpoint: Option<String>,
    /// The region; none: `us-east-1`.
    pub region: Option<String>,
    /// The access key's id.
    pub key_id: Option<String>,
    /// The secret access key.
    pub secret: Option<Password>,
    /// The session token of temporary credentials.
    pub session_token: Option<Password>,
    /// Whether the bucket stands in the path rather than in the host's name; none: as suits the endpoint.
    pub path_style: Option<bool>,
    /// Whether the server enforces conditional writes; none: tried out when it first matters.
    pub conditional_writes: Option<bool>,
}

/// Opens a place: connects, logs in, and says what is wrong if that fails. A root that is not there is no failure yet.
pub async fn open(location: &Location, access: &Access) -> Result<Arc<dyn Store>> {
    match location {
        Location::Local(path) => Ok(Arc::new(LocalStore::open(path)?)),
        Location::Remote(remote) => {
            let store = connect(remote, access).await?;
            Ok(Arc::new(Retried::new(store, Backoff::default())))
        }
        Location::Named { name, .. } => {
            let what = format!("'{name}' is a name from the config, not a place");
            Err(Error::new(ErrorKind::Unsupported, &location.to_string().into(), None, what))
        }
        Location::Inside { archive, inner } => {
            let Some((dir, name)) = archive.split_file() else {
                let what = "an archive is a file";
                return Err(Error::new(ErrorKind::Unsupported, &location.to_string().into(), None, what));
            };
            let outside = Box::pin(open(&dir, access)).await?;
            archive::open(outside, &name, inner, &location.to_string()).await
        }
    }
}

async fn connect(remote: &Remote, access: &Access) -> Result<Arc<dyn Store>> {
    match remote.scheme {
        Scheme::S3 => s3::open(remote, access).await,
        Scheme::Smb => smb::open(remote, access).await,
        Scheme::Sftp => sftp::open(remote, access).await,
        Scheme::Webdav | Scheme::Webdavs => webdav::open(remote, access).await,
        Scheme::Http | Scheme::Https => http::open(remote, access).await,
        Scheme::Sitta => sitta::open(remote, access).await,
    }
}
