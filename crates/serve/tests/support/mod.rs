//! A server on a port of its own, and clients of it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use sitta_serve::{Accounts, Certificate, Options, Running, Share};
use sitta_store::local::LocalStore;
use sitta_store::sitta::trust::KnownServer;
use sitta_store::web::WebOptions;
use sitta_store::{Access, Location, Store, sitta};

/// A server that shares one folder as `files`.
pub struct Served {
    pub dir: tempfile::TempDir,
    pub address: SocketAddr,
    pub fingerprint: String,
    running: Option<Running>,
}

impl Served {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A server whose accounts are made by `prepare`.
    pub async fn start_with(prepare: impl FnOnce(&Accounts)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("shared")).expect("made");
        prepare(&Accounts::open(&dir.path().join("server.db")).expect("accounts"));
        let address = "127.0.0.1:0".parse().expect("an address");
        let mut served = Self { dir, address, fingerprint: String::new(), running: None };
        served.start_again().await;
        served
    }

    /// Starts it, where it was before if it was.
    pub async fn start_again(&mut self) {
        let store = Arc::new(LocalStore::open(self.shared()).expect("a folder"));
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = Certificate::own(&self.dir.path().join("tls"), &names).expect("a certificate");
        self.fingerprint = certificate.fingerprint();
        let options = Options {
            listen: vec![self.address],
            shares: vec![Share::new("files", store, true)],
            accounts: Accounts::open(&self.dir.path().join("server.db")).expect("accounts"),
            certificate,
        };
        let running = sitta_serve::start(options).await.expect("started");
        self.address = running.addresses()[0];
        self.running = Some(running);
    }

    pub fn shared(&self) -> PathBuf {
        self.dir.path().join("shared")
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

    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }
}
