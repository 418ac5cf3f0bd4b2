//! Histories on real servers: one server for many of them, each in a folder or below a prefix of its own.

use std::path::Path;
use std::sync::Arc;

use sitta_serve::{Accounts, Certificate, Options, Running, Timeouts};
use sitta_store::local::LocalStore;
use sitta_store::sitta::trust::KnownServer;
use sitta_store::{Access, Location, Password, Result, Store, s3, sitta, smb};
use sitta_testbed::s3::{KEY_ID, S3Server, SECRET};
use sitta_testbed::samba::{PASSWORD, Samba, USER};
use sitta_tree::SideTraits;
use tokio::runtime::{Builder, Runtime};

use super::folder::Folder;
use super::hands::Hands;
use super::history::Opener;
use super::objects::Objects;

/// One side of a history.
pub struct Place {
    pub hands: Box<dyn Hands>,
    pub open: Opener,
    pub traits: SideTraits,
}

/// The store at a URL, without the retries that stand before it otherwise.
async fn connect(url: &str, access: &Access) -> Result<Arc<dyn Store>> {
    match Location::parse(url).unwrap() {
        Location::Remote(remote) if url.starts_with("s3:") => s3::open(&remote, access).await,
        Location::Remote(remote) if url.starts_with("sitta:") => sitta::open(&remote, access).await,
        Location::Remote(remote) => smb::open(&remote, access).await,
        other => panic!("{other:?} is no server"),
    }
}

fn opener(url: &str, access: &Access) -> Opener {
    let (url, access) = (url.to_owned(), access.clone());
    Box::new(move || {
        let (url, access) = (url.clone(), access.clone());
        Box::pin(async move { connect(&url, &access).await.unwrap() })
    })
}

pub struct Bucket {
    access: Access,
    /// Where users' calls run.
    runtime: Runtime,
    _server: S3Server,
}

impl Bucket {
    pub fn new(server: S3Server) -> Self {
        server.create_bucket("bucket");
        let mut access = Access::default();
        access.s3.endpoint = Some(server.endpoint());
        access.s3.key_id = Some(KEY_ID.into());
        access.s3.secret = Some(Password::new(SECRET));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { access, runtime, _server: server }
    }

    pub fn place(&self, name: &str) -> Place {
        let url = format!("s3://bucket/{name}");
        let (at, access) = (url.clone(), self.access.clone());
        let store = self.runtime.block_on(async move { connect(&at, &access).await.unwrap() });
        let traits = store.capabilities().traits;
        let hands = Objects::remote(store, self.runtime.handle().clone());
        Place { hands: Box::new(hands), open: opener(&url, &self.access), traits }
    }
}

pub struct Share {
    server: Samba,
    access: Access,
    owner: u32,
}

impl Share {
    pub fn new() -> Self {
        let server = Samba::start();
        let access =
            Access { user: Some(USER.into()), password: Some(Password::new(PASSWORD)), ..Access::default() };
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd.lines().find(|line| line.split(':').next() == Some(USER)).unwrap();
        let owner = line.split(':').nth(2).unwrap().parse().unwrap();
        Self { server, access, owner }
    }

    pub fn place(&self, name: &str) -> Place {
        let root = self.server.folder().join(name);
        let aside = self.server.folder().with_file_name("aside").join(name);
        let hands = Box::new(Folder::new(root, aside, Some(self.owner)));
        let url = format!("{}/{name}", self.server.url());
        let runtime = Runtime::new().unwrap();
        let traits = runtime.block_on(connect(&url, &self.access)).unwrap().capabilities().traits;
        Place { hands, open: opener(&url, &self.access), traits }
    }

    /// Its folder on this machine.
    pub fn folder(&self) -> &Path {
        self.server.folder()
    }
}

/// A server of our own that shares a folder.
pub struct Sitta {
    dir: tempfile::TempDir,
    running: Running,
    access: Access,
    runtime: Runtime,
}

impl Sitta {
    pub fn new(dir: tempfile::TempDir) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = dir.path().join("shared");
        std::fs::create_dir(&shared).unwrap();
        let store = Arc::new(LocalStore::open(&shared).unwrap());
        let options = Options {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            shares: vec![sitta_serve::Share::new("files", store, true)],
            accounts: Accounts::open(&dir.path().join("server.db")).unwrap(),
            certificate: Certificate::own(&dir.path().join("tls"), &["localhost".into()]).unwrap(),
            index: None,
            timeouts: Timeouts::default(),
        };
        let running = runtime.block_on(sitta_serve::start(options)).unwrap();
        let mut access = Access::default();
        access.web.known = Some(KnownServer { file: dir.path().join("known"), server: String::new() });
        Self { dir, running, access, runtime }
    }

    pub fn place(&self, name: &str) -> Place {
        let root = self.dir.path().join("shared").join(name);
        std::fs::create_dir_all(&root).unwrap();
        let hands = Box::new(Folder::new(root, self.dir.path().join("aside").join(name), None));
        let url = format!("sitta://{}/files/{name}", self.running.addresses()[0]);
        let (at, access) = (url.clone(), self.access.clone());
        let store = self.runtime.block_on(async move { connect(&at, &access).await.unwrap() });
        Place { hands, open: opener(&url, &self.access), traits: store.capabilities().traits }
    }
}
