//! Folders of SSH servers, over SFTP version 3 with OpenSSH's extensions.
//!
//! `sftp://[user@]host[:port]/path` is an absolute path, `sftp://host/~/path` one in the login directory. Owners are
//! told and set only when the login is `root`. A file is replaced in one step by `posix-rename@openssh.com`; where a
//! server lacks that, the old one is moved aside, the new one takes its place, the old one goes: nothing is lost at any
//! moment, but for a moment nothing stands at the path. Times of links are set by `lsetstat@openssh.com`, and nowhere
//! else. Times are whole seconds from 1970 to 2106.

mod connect;
mod known_hosts;
mod listing;
mod login;
mod packet;
mod pool;
mod protocol;
mod requests;
mod session;
mod site;
mod transfer;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use self::connect::Target;
use self::pool::Pool;
use self::protocol::SftpProtocol;
use crate::remote::RemoteStore;
use crate::{Access, Error, ErrorKind, Remote, Result, Store};

/// Calls in flight: what keeps a few connections busy over some distance.
const CONCURRENCY: usize = 32;

/// Connects.
pub async fn open(remote: &Remote, access: &Access) -> Result<Arc<dyn Store>> {
    let location: Arc<str> = remote.to_string().into();
    let error = |kind, what: &str| Error::new(kind, &location, None, what);
    let Some(user) = remote.user.clone().or_else(|| access.user.clone()) else {
        return Err(error(ErrorKind::Auth, "a user must be named: sftp://USER@HOST/PATH"));
    };
    let owners = user == "root";
    let pool = Pool::new(Target {
        location: location.clone(),
        host: remote.host.clone(),
        port: remote.port.unwrap_or(22),
        user,
        password: remote.password.clone().or_else(|| access.password.clone()),
        ssh: access.ssh.clone(),
        timeout: access.web.timeout,
        requests: Arc::new(AtomicU64::new(0)),
    });
    let session = pool.session().await?;
    let parts = |path: &str| {
        path.split('/').filter(|part| !part.is_empty() && *part != ".").fold(Vec::new(), |mut path, part| {
            path.push(b'/');
            path.extend_from_slice(part.as_bytes());
            path
        })
    };
    let root = match remote.path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        None => parts(&remote.path),
        Some(rest) => {
            let told = |failure: session::Failure| error(ErrorKind::Other, &failure.text());
            let mut home = protocol::home(&session).await.map_err(told)?.to_vec();
            while home.last() == Some(&b'/') {
                home.pop();
            }
            home.extend(parts(rest));
            home
        }
    };
    let concurrency = access.transfers.unwrap_or(CONCURRENCY).max(1);
    Ok(Arc::new(RemoteStore::new(SftpProtocol::new(pool, root, owners, concurrency))))
}
