//! Buckets of any server that speaks S3.
//!
//! A path is a key below a prefix; directories are implied by what they hold. Modification times and permissions are
//! kept as rclone keeps them, in user metadata (`mtime`, `mode`); listings do not tell these, so a version is told by
//! its ETag.
//!
//! **Preconditions.** "Nothing stands there" is left to the server (`If-None-Match: *`) where it enforces that, which
//! is tried out at the third write that needs it; before, and on servers that do not, a HEAD right before the write
//! tells. "This version stands there" always costs a HEAD, whose ETag the write then names (`If-Match`). What stands
//! *below* a path is not looked at: S3 holds `a` and `a/b` side by side, so nothing is lost by it, and a scan says so.

mod ahead;
mod batch;
mod client;
mod conditions;
mod copy;
mod list;
mod multipart;
mod object;
mod read;
#[cfg(test)]
mod tests;
mod write;
mod xml;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use reqsign_aws_v4::Credential;
use reqwest::Url;
use sitta_tree::{Entry, Fingerprint, Kind, Meta, RelPath, SideTraits, Tree};
use tokio::sync::Semaphore;

use self::client::{Client, Server};
use self::conditions::Conditions;
use crate::together::Lanes;
use crate::web::Web;
use crate::{
    Access, ByteStream, Capabilities, Change, Displaced, Error, ErrorKind, Fetched, Flow, OWN_DIR, Precondition,
    Remote, Result, S3Access, ScanOptions, Store, TEMP_PREFIX, What, Write, Written,
};

/// Sizes that decide how a thing is sent; tests take smaller ones.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// What is larger is sent in parts.
    whole: u64,
    /// The least size of a part, the last one apart.
    part: u64,
    /// The most parts.
    parts: u64,
    /// What is larger is copied in parts.
    copy: u64,
}

impl Limits {
    const S3: Self = Self { whole: 8 << 20, part: 8 << 20, parts: 10_000, copy: 5 << 30 };
}

/// How much may be held in memory to be sent, in units of [`UNIT`].
const MEMORY: usize = 128;
const UNIT: u64 = 1 << 20;
/// How many requests in flight at most.
const CONCURRENCY: usize = 32;

/// Opens a bucket. Nothing is asked of the server yet.
pub async fn open(remote: &Remote, access: &Access) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(S3Store::new(remote, access, Limits::S3)?))
}

struct S3Store {
    client: Arc<Client>,
    /// What all keys begin with: empty, or ending with a slash.
    prefix: String,
    limits: Limits,
    conditions: Conditions,
    ahead: ahead::Ahead,
    configured: Option<bool>,
    memory: Arc<Semaphore>,
    lanes: Lanes,
    in_flight: usize,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("client", &self.client)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl S3Store {
    fn new(remote: &Remote, access: &Access, limits: Limits) -> Result<Self> {
        let location: Arc<str> = remote.to_string().into();
        let mut prefix = remote.path.clone();
        if prefix.split('/').any(|part| part == "." || part == "..") {
            // The path of a URL cannot hold these: they would be resolved on the way.
            let what = "a prefix with a '.' or '..' part cannot be asked for";
            return Err(Error::new(ErrorKind::Unsupported, &location, None, what));
        }
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        let web = Web::new(&location, &access.web)?;
        let server = server(remote, &access.s3, &location)?;
        let client = Client::new(&location, web, server, credential(remote, access, &location)?)?;
        let configured = access.s3.conditional_writes;
        let in_flight = access.transfers.unwrap_or(CONCURRENCY).max(1);
        Ok(Self {
            client: Arc::new(client),
            prefix,
            limits,
            conditions: Conditions::new(configured),
            ahead: ahead::Ahead::default(),
            configured,
            memory: Arc::new(Semaphore::new(MEMORY)),
            lanes: Lanes::new(in_flight),
            in_flight,
        })
    }

    fn error(&self, kind: ErrorKind, path: &RelPath, what: impl Into<String>) -> Error {
        self.client.error(kind, path, what)
    }

    /// The key of a path.
    fn key(&self, path: &RelPath) -> Result<String> {
        self.client.check_key(path, &[self.prefix.as_bytes(), path.as_bytes()].concat())
    }

    /// What all keys below a directory begin with.
    fn below(&self, dir: &RelPath) -> Result<String> {
        match dir.is_root() {
            true => Ok(self.prefix.clone()),
            false => self.client.check_key(dir, &[self.prefix.as_bytes(), dir.as_bytes(), b"/"].concat()),
        }
    }
}

/// Whose requests these are; none: anybody's.
fn credential(remote: &Remote, access: &Access, location: &Arc<str>) -> Result<Option<Credential>> {
    let id = remote.user.as_ref().or(access.s3.key_id.as_ref()).or(access.user.as_ref());
    let secret = remote.password.as_ref().or(access.s3.secret.as_ref()).or(access.password.as_ref());
    let token = access.s3.session_token.as_ref().map(|token| token.expose().to_owned());
    let half = |what: &str| Err(Error::new(ErrorKind::Auth, location, None, what));
    match (id, secret) {
        (None, None) => Ok(None),
        (Some(_), None) => half("an access key id without its secret"),
        (None, Some(_)) => half("a secret access key without its id"),
        (Some(id), Some(secret)) => Ok(Some(Credential {
            access_key_id: id.clone(),
            secret_access_key: secret.expose().to_owned(),
            session_token: token,
            expires_in: None,
        })),
    }
}

fn server(remote: &Remote, access: &S3Access, location: &Arc<str>) -> Result<Server> {
    let endpoint = match &access.endpoint {
        None => None,
        Some(text) => {
            let text = if text.contains("://") { text.clone() } else { format!("https://{text}") };
            let url = Url::parse(&text).ok().filter(|url| url.scheme().starts_with("http") && url.has_host());
            let wrong =
                || Error::new(ErrorKind::Unsupported, location, None, "the endpoint is no http[s]:// address");
            Some(url.ok_or_else(wrong)?)
        }
    };
    let host = endpoint.as_ref().and_then(Url::host_str);
    let amazon = host.is_none_or(|host| host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"));
    // Certificates of *.s3.… hold for one label only.
    let nameable = !remote.host.contains('.');
    Ok(Server {
        endpoint,
        path_style: access.path_style.unwrap_or(!(amazon && nameable)),
        bucket: remote.host.clone(),
        region: access.region.clone().unwrap_or_else(|| "us-east-1".into()),
    })
}

fn is_ours(dir: &RelPath, name: &[u8]) -> bool {
    name.starts_with(TEMP_PREFIX.as_bytes()) || (dir.is_root() && name == OWN_DIR.as_bytes())
}

#[async_trait]
impl Store for S3Store {
    fn location(&self) -> &str {
        self.client.location()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            traits: SideTraits {
                mtime_precision: 1,
                modes: true,
                owners: false,
                xattrs: false,
                symlinks: false,
                dirs: false,
                folds_names: false,
                stable_ids: false,
            },
            rename: true,
            atomic_preconditions: self.configured == Some(true),
            hard_links: false,
            writable: true,
            lists_meta: false,
            verifies: true,
            concurrency: self.in_flight,
            batch: 256,
            batches: 2,
        }
    }

    fn requests(&self) -> u64 {
        self.client.requests()
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Tree> {
        self.scan_all(options).await
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        self.list_dir(dir).await
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        if path.is_root() {
            return match self.check_bucket().await {
                Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
                Ok(()) => Ok(Some(Entry::new(Kind::Dir))),
            };
        }
        match self.stands(path).await {
            Err(error) if error.kind == ErrorKind::Unsupported => Ok(None),
            stands => Ok(stands?.entry()),
        }
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        self.read_range(path, range).await
    }

    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        self.fetch_version(path, version, offset).await
    }

    async fn write(&self, write: Write, flow: &Arc<Flow>) -> Result<Written> {
        if flow.is_cancelled() {
            return Err(self.error(ErrorKind::Cancelled, &write.path, "cancelled"));
        }
        match &write.what {
            _ if write.path.is_root() => Err(self.error(ErrorKind::IsADirectory, &write.path, "the root itself")),
            What::File(source) => self.write_file(&write, source, flow).await,
            // Implied by what goes into it.
            What::Dir => Ok(Written { entry: Entry::new(Kind::Dir), content: None }),
            What::Symlink(_) => Err(self.error(ErrorKind::Unsupported, &write.path, "S3 keeps no symbolic links")),
            What::Link(_) => Err(self.error(ErrorKind::Unsupported, &write.path, "S3 keeps no hard links")),
        }
    }

    async fn write_batch(&self, writes: Vec<Write>, flow: &Arc<Flow>) -> Vec<Result<Written>> {
        let changes = writes.into_iter().map(Change::Write).collect();
        let results = self.apply(changes, flow).await;
        results.into_iter().map(|result| result.map(|written| written.expect("a write leaves something"))).collect()
    }

    async fn apply(&self, changes: Vec<Change>, flow: &Arc<Flow>) -> Vec<Result<Option<Written>>> {
        self.apply_all(changes, flow).await
    }

    async fn remove(&self, path: &RelPath, expect: Precondition, displaced: Displaced) -> Result<()> {
        self.remove_one(path, &expect, &displaced).await
    }

    async fn rename(&self, from: &RelPath, to: &RelPath, expect: Precondition) -> Result<Written> {
        self.rename_object(from, to, &expect).await
    }

    async fn set_meta(&self, path: &RelPath, meta: &Meta, expect: Precondition) -> Result<Written> {
        self.set_object_meta(path, meta, &expect).await
    }

    /// An answered request is as safe as S3 makes it.
    async fn sync(&self) -> Result<()> {
        Ok(())
    }

    /// Buckets are never made: that decides over money and rights. A missing one is told here, before anything is sent.
    async fn create_root(&self) -> Result<()> {
        match self.check_bucket().await {
            Err(error) if matches!(error.kind, ErrorKind::Denied | ErrorKind::Unsupported) => Ok(()),
            result => result,
        }
    }
}
