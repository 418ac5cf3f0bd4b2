//! Shares of SMB 2 and 3 servers: Windows, Samba, network disks ([MS-SMB2]).
//!
//! What can go together goes in one message (opening, doing, closing), so that most operations cost one round trip;
//! large files are sent and read in pieces with several in flight. Everything that opens a file runs in a task of its
//! own to its end, so that whoever stops waiting leaves nothing open.

mod calls;
mod facts;
mod failure;
mod link;
mod list;
mod names;
mod pool;
mod protocol;
mod transfer;
mod upload;
mod wire;

use std::sync::Arc;

use self::link::Target;
use self::pool::Pool;
use self::protocol::SmbProtocol;
use crate::remote::RemoteStore;
use crate::{Access, Error, ErrorKind, Password, Remote, Result, Store};

/// The port of SMB over TCP.
const PORT: u16 = 445;

/// Connects and logs in. Without a user, as a guest.
pub async fn open(remote: &Remote, access: &Access) -> Result<Arc<dyn Store>> {
    let location: Arc<str> = remote.to_string().into();
    let mut parts = remote.path.split('/').filter(|part| !part.is_empty());
    let Some(share) = parts.next() else {
        return Err(Error::new(ErrorKind::Unsupported, &location, None, "smb:// needs a share: smb://host/share"));
    };
    let root = sitta_tree::RelPath::new(parts.collect::<Vec<_>>().join("/"))
        .map_err(|error| Error::new(ErrorKind::Unsupported, &location, None, format!("its path {error}")))?;
    let given = remote.user.as_deref().or(access.user.as_deref()).unwrap_or_default();
    let (domain, user) = given.split_once(['\\', ';']).unwrap_or(("", given));
    let password = remote.password.as_ref().or(access.password.as_ref()).map_or("", Password::expose);
    let target = Target {
        host: remote.host.clone(),
        port: remote.port.unwrap_or(PORT),
        share: share.to_owned(),
        user: user.to_owned(),
        password: if user.is_empty() { String::new() } else { password.to_owned() },
        domain: domain.to_owned(),
        timeout: access.web.timeout,
    };
    let protocol = SmbProtocol::open(Pool::new(target, &location), root, access.transfers).await?;
    Ok(Arc::new(RemoteStore::new(protocol)))
}
