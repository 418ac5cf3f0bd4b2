//! Shares of another sitta, over its HTTP interface.
//!
//! `sitta://[user@]host[:port]/share/path`, always over TLS. What the share's store keeps and promises, this one does;
//! extended attributes are not sent. Many small changes go in one request; large files go one by one, side by side.
//! The server hashes what it writes, and the hash is compared with that of what was sent. Of a large file that replaces
//! an old version, or is to replace one here, only what differs travels (`delta`);
//! one that was cut off on its way goes on where it stopped (`resume`).

pub mod batch;
mod client;
mod delta;
pub mod feed;
pub mod quic;
mod resume;
mod search;
mod store;
pub mod trust;
pub mod wire;

use std::sync::Arc;

use sitta_tree::RelPath;

use self::client::Client;
use self::store::SittaStore;
use crate::http::site::{Follow, Site, encoded};
use crate::{Access, Downloads, Error, ErrorKind, Remote, Result, Store};

/// The port that servers listen on unless told otherwise.
pub const PORT: u16 = 7474;

/// What a server goes by among those that are known: `host:port`.
pub fn server_name(remote: &Remote) -> String {
    format!("{}:{}", remote.host, remote.port.unwrap_or(PORT))
}

/// Connects, and asks what the share can do.
pub async fn open(remote: &Remote, access: &Access) -> Result<Arc<dyn Store>> {
    let location: Arc<str> = remote.to_string().into();
    let (share, base) =
        remote.path.trim_matches('/').split_once('/').unwrap_or((remote.path.trim_matches('/'), ""));
    let parts: Vec<_> = base.split('/').filter(|part| !part.is_empty()).collect();
    let base = RelPath::new(parts.join("/"))
        .map_err(|error| Error::new(ErrorKind::Unsupported, &location, None, error.to_string()))?;
    let remote = Remote { port: Some(remote.port.unwrap_or(PORT)), ..remote.clone() };
    let mut access = access.clone();
    access.web.multiplexed = access.downloads != Downloads::Apart;
    if let Some(known) = &mut access.web.known {
        known.server = server_name(&remote);
    }
    let path = format!("api/v1/shares/{}", encoded(share.as_bytes()));
    let mut site = Site::at(&remote, &access, Follow::SameServer, &path)?;
    site.location = location;
    let port = remote.port.unwrap_or(PORT);
    let quic = match access.downloads {
        Downloads::Udp => Some(quic::Quic::new(&site.location, &remote.host, port, &access.web)?),
        Downloads::Together | Downloads::Apart => None,
    };
    let mut client = Client { site, base, quic, chunks: false, resumes: false, copies: false, xattrs: false };
    let told = client.share().await?;
    (client.chunks, client.resumes) = (told.chunks, told.resumes);
    (client.copies, client.xattrs) = (told.copies, told.xattrs);
    let in_flight = access.transfers.unwrap_or(store::IN_FLIGHT).max(1);
    Ok(Arc::new(SittaStore::new(client, &told, in_flight)))
}
