//! A server on a port of its own, and clients of it.

pub mod dav;
pub mod h3;
pub mod indexed;
pub mod through;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sitta_serve::audit::{self, Record};
use sitta_serve::{Accounts, Certificate, IndexOptions, Options, Running, ServeError, Share, Timeouts};
use sitta_store::local::LocalStore;
use sitta_store::sitta::trust::KnownServer;
use sitta_store::web::WebOptions;
use sitta_store::{Access, Location, Store, sitta};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A server that shares one folder as `files`.
pub struct Served {
    pub dir: tempfile::TempDir,
    pub address: SocketAddr,
    pub fingerprint: String,
    /// The certificate that it shows.
    pub certificate: Option<Certificate>,
    /// Folders that are shared beside it from the next start on, and whether they may be written to.
    pub also: Vec<(&'static str, PathBuf, bool)>,
    /// How long clients may take, from the next start on.
    pub timeouts: Timeouts,
    running: Option<Running>,
    share: Option<(Arc<dyn Store>, bool)>,
    /// How it is indexed from the next start on.
    pub index: Option<IndexOptions>,
}

impl Served {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A server whose accounts are made by `prepare`.
    pub async fn start_with(prepare: impl FnOnce(&Accounts)) -> Self {
        Self::start_sharing(prepare, |_| None).await
    }

    /// A server with a certificate that `make` puts into a folder.
    pub async fn with_certificate(make: impl FnOnce(&Path)) -> Self {
        let make = |accounts: &Accounts| {
            let tls = accounts.file().with_file_name("tls");
            std::fs::create_dir(&tls).expect("made");
            make(&tls);
        };
        Self::start_with(make).await
    }

    /// A file of the certificate.
    pub fn tls(&self, name: &str) -> PathBuf {
        self.dir.path().join("tls").join(name)
    }

    /// A server that shares what `share` makes of the folder, and whether it may be written to.
    pub async fn start_sharing(
        prepare: impl FnOnce(&Accounts),
        share: impl FnOnce(PathBuf) -> Option<(Arc<dyn Store>, bool)>,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("shared")).expect("made");
        prepare(&Accounts::open(&dir.path().join("server.db")).expect("accounts"));
        let address = "127.0.0.1:0".parse().expect("an address");
        let share = share(dir.path().join("shared"));
        let (timeouts, fingerprint, also) = (Timeouts::default(), String::new(), Vec::new());
        let (certificate, running, index) = (None, None, None);
        let mut served = Self { dir, address, fingerprint, certificate, also, timeouts, running, share, index };
        served.start_again().await;
        served
    }

    /// Starts it, where it was before if it was.
    pub async fn start_again(&mut self) {
        let mut tries = 100;
        let running = loop {
            tries -= 1;
            match sitta_serve::start(self.options()).await {
                // Somebody's connection has been given the port meanwhile.
                Err(ServeError::Listen { source, .. }) if tries > 0 && source.kind() == ErrorKind::AddrInUse => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                running => break running.expect("started"),
            }
        };
        self.address = running.addresses()[0];
        self.running = Some(running);
    }

    /// What it is to be from the next start on.
    fn options(&mut self) -> Options {
        let folder = || -> Arc<dyn Store> { Arc::new(LocalStore::open(self.shared()).expect("a folder")) };
        let (store, writable) = self.share.clone().unwrap_or_else(|| (folder(), true));
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = Certificate::own(&self.dir.path().join("tls"), &names).expect("a certificate");
        self.fingerprint = certificate.fingerprint();
        self.certificate = Some(certificate.clone());
        let mut shares = vec![Share::new("files", store, writable)];
        for (name, folder, writable) in &self.also {
            let store = LocalStore::open(folder.clone()).expect("a folder");
            shares.push(Share::new(*name, Arc::new(store), *writable));
        }
        Options {
            listen: vec![self.address],
            shares,
            accounts: Accounts::open(&self.dir.path().join("server.db")).expect("accounts"),
            certificate,
            index: self.index.clone(),
            timeouts: self.timeouts,
        }
    }

    pub fn shared(&self) -> PathBuf {
        self.dir.path().join("shared")
    }

    /// A client that takes the server for whom it is.
    pub fn client(&self) -> Client {
        let pem = std::fs::read(self.tls("certificate.pem")).expect("a certificate");
        sitta_store::web::client(&WebOptions { ca: pem, ..WebOptions::default() }).expect("a client")
    }

    /// The URL of something in the share, exactly so.
    pub fn url(&self, what: &str) -> String {
        format!("https://{}/api/v1/shares/files/{what}", self.address)
    }

    /// What stands in the shared folder, sorted, with what is hidden.
    pub fn names(&self, dir: &str) -> Vec<String> {
        let listed = std::fs::read_dir(self.shared().join(dir)).expect("a directory");
        let mut names: Vec<_> =
            listed.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub fn access(&self) -> Access {
        let known = KnownServer { file: self.dir.path().join("known_servers"), server: String::new() };
        Access { web: WebOptions { known: Some(known), ..WebOptions::default() }, ..Access::default() }
    }

    pub async fn open(&self, path: &str) -> Arc<dyn Store> {
        self.open_with(path, &self.access()).await.expect("opened")
    }

    pub async fn open_with(&self, path: &str, access: &Access) -> sitta_store::Result<Arc<dyn Store>> {
        let text = format!("sitta://{}/files/{path}", self.address);
        let Ok(Location::Remote(remote)) = Location::parse(&text) else { panic!("{text}") };
        sitta::open(&remote, access).await
    }

    /// What was written down, once it is so many lines: who did what to what, and how it ended.
    pub async fn audited(&self, lines: usize) -> Vec<String> {
        let line = |r: &Record| {
            format!("{} {} {}/{} {}", r.who, r.what, r.share, String::from_utf8_lossy(&r.path), r.result)
        };
        let mut told = Vec::new();
        for _ in 0..100 {
            let records = audit::read(&self.dir.path().join("server.db"), 100).expect("readable");
            told = records.iter().rev().map(line).collect();
            if told.len() >= lines {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        told
    }

    /// A TLS connection that speaks HTTP/1.1.
    pub async fn connect(&self) -> TlsStream<TcpStream> {
        self.connect_as("http/1.1").await
    }

    /// A TLS connection that speaks this protocol.
    pub async fn connect_as(&self, protocol: &str) -> TlsStream<TcpStream> {
        self.connect_trusting(&self.tls("certificate.pem"), protocol).await
    }

    /// A TLS connection to whoever has a certificate that this one vouches for.
    pub async fn connect_trusting(&self, file: &Path, protocol: &str) -> TlsStream<TcpStream> {
        let config = trusting(file, protocol);
        let stream = TcpStream::connect(self.address).await.expect("connected");
        let name = "localhost".try_into().expect("a name");
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("agreed")
    }

    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }
}

/// TLS for a client that speaks this protocol and trusts this certificate.
pub fn trusting(file: &Path, protocol: &str) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file).expect("a certificate")).expect("added");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    config
}

/// How many files of this name the process holds open.
pub fn open_files(name: &str) -> usize {
    let links =
        std::fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
    links.filter(|link| link.ends_with(name)).count()
}
