//! What the tests are made of.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use sitta_store::web::WebOptions;
use sitta_store::{
    Access, Displaced, Location, Precondition, Result, Source, SshAccess, Store, TEMP_PREFIX, What, Write, Written,
};
use sitta_testbed::sshd::{Sshd, this_user};
use sitta_tree::{Meta, RelPath, Time};

/// A server, and how to get in.
pub struct Place {
    pub server: Sshd,
    pub access: Access,
}

impl Place {
    pub fn new() -> Self {
        Self::of(Sshd::start())
    }

    pub fn of(server: Sshd) -> Self {
        let ssh = SshAccess {
            known_hosts: vec![server.known_hosts()],
            identities: vec![server.identity()],
            ..SshAccess::default()
        };
        let web = WebOptions { timeout: Duration::from_secs(20), ..WebOptions::default() };
        let access = Access { user: Some(this_user()), ssh, web, ..Access::default() };
        Self { server, access }
    }

    /// The store of a folder of the server's, with this access.
    pub async fn with(&self, access: &Access, port: u16, folder: &str) -> Result<Arc<dyn Store>> {
        let path = self.folder(folder);
        let url = format!("sftp://127.0.0.1:{port}{}", path.display());
        let Location::Remote(remote) = Location::parse(&url).expect("a location") else { panic!("{url}") };
        sitta_store::sftp::open(&remote, access).await
    }

    pub async fn open(&self, folder: &str) -> Result<Arc<dyn Store>> {
        self.with(&self.access, self.server.port(), folder).await
    }

    /// An open store of a folder that is there.
    pub async fn ready(&self, folder: &str) -> Arc<dyn Store> {
        std::fs::create_dir_all(self.folder(folder)).expect("a folder");
        self.open(folder).await.expect("opened")
    }

    /// What the folder is on the server's own disk.
    pub fn folder(&self, folder: &str) -> PathBuf {
        self.server.files().join(folder)
    }
}

pub fn path(text: impl AsRef<[u8]>) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

pub fn new(at: impl AsRef<[u8]>, what: What) -> Write {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let mode = if matches!(what, What::Dir) { 0o755 } else { 0o644 };
    Write {
        path: path(at),
        what,
        meta: Meta { mtime: Time::new(1_600_000_000, 0), mode, ..Meta::default() },
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: format!("{TEMP_PREFIX}{n}").into(),
    }
}

pub async fn put(store: &Arc<dyn Store>, at: &str, content: impl Into<bytes::Bytes>) -> Result<Written> {
    store.write(new(at, What::File(Source::Bytes(content.into()))), &Arc::default()).await
}

pub async fn get(store: &Arc<dyn Store>, at: &RelPath) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut stream = store.read(at, 0..u64::MAX).await?;
    while let Some(piece) = stream.try_next().await? {
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// Bytes in which no part repeats soon.
pub fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// The names in a folder of this machine.
pub fn names(dir: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(dir).expect("a folder").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().as_bytes().to_vec()).collect();
    names.sort();
    names
}
