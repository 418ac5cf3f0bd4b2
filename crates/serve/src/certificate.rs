//! How a server shows who it is: a certificate of its own making, or one that it was given.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sitta_store::sitta::trust;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::ServeError;

/// Where a certificate and its key stand, both as PEM.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The certificate, and those above it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A certificate with its key. Clones show the same one, also when it was renewed.
#[derive(Debug, Clone)]
pub struct Certificate {
    files: CertificateFiles,
    shown: Arc<Shown>,
}

/// The certificate that new connections see.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl Shown {
    fn now(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}

impl Certificate {
    /// Reads one.
    ///
    /// # Errors
    /// If a file cannot be read or holds something else, or if the key is another one's.
    pub fn read(files: &CertificateFiles) -> Result<Self, ServeError> {
        let shown = Arc::new(Shown(RwLock::new(read(files)?)));
        Ok(Self { files: files.clone(), shown })
    }

    /// The one in `dir`, which is made at the first start. `names` are those that the server goes by.
    ///
    /// # Errors
    /// If it can be neither read nor made.
    pub fn own(dir: &Path, names: &[String]) -> Result<Self, ServeError> {
        let files = CertificateFiles { certificate: dir.join("certificate.pem"), key: dir.join("key.pem") };
        if !files.certificate.exists() {
            make(dir, &files, names)?;
        }
        Self::read(&files)
    }

    /// What people and clients compare: `sha256:` and the hash of the certificate.
    pub fn fingerprint(&self) -> String {
        self.shown.now().end_entity_cert().map(|own| trust::fingerprint(own)).unwrap_or_default()
    }

    /// Where it stands.
    pub fn file(&self) -> &Path {
        &self.files.certificate
    }

    /// When it ends; none if it does not say so in a way that can be understood.
    pub fn ends(&self) -> Option<Timestamp> {
        let shown = self.shown.now();
        let (_, read) = X509Certificate::from_der(shown.end_entity_cert().ok()?).ok()?;
        Timestamp::from_second(read.validity().not_after.timestamp()).ok()
    }

    /// Shows what stands in the files from now on to whoever connects; whether that is another certificate than before.
    ///
    /// # Errors
    /// If that cannot be used: then the one before goes on being shown. In the moment in which one file was replaced and the
    /// other was not yet, that is so too.
    pub fn renew(&self) -> Result<bool, ServeError> {
        let read = read(&self.files)?;
        let mut shown = self.shown.0.write().unwrap_or_else(PoisonError::into_inner);
        let other = shown.cert != read.cert;
        if other {
            *shown = read;
        }
        Ok(other)
    }

    /// TLS with it, for these protocols (ALPN).
    pub(crate) fn config(&self, protocols: &[&[u8]]) -> Result<ServerConfig, ServeError> {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| wrong(self.file(), &error))?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.shown.clone());
        // Early data (0-RTT) can be sent again by whoever recorded it: none is taken, by TCP or by QUIC.
        config.max_early_data_size = 0;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}

fn read(files: &CertificateFiles) -> Result<Arc<CertifiedKey>, ServeError> {
    let file = &files.certificate;
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(|error| wrong(file, &error))?.collect();
    let chain = chain.map_err(|error| wrong(file, &error))?;
    if chain.is_empty() {
        return Err(wrong(file, &"it holds none"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
    let key = CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| wrong(file, &error))?;
    Ok(Arc::new(key))
}

fn wrong(file: &Path, what: &dyn std::fmt::Display) -> ServeError {
    ServeError::Certificate { file: file.to_owned(), what: what.to_string() }
}

fn make(dir: &Path, files: &CertificateFiles, names: &[String]) -> Result<(), ServeError> {
    let failed = |what: &dyn std::fmt::Display| wrong(&files.certificate, what);
    let mut params = CertificateParams::new(names.to_vec()).map_err(|error| failed(&error))?;
    params.distinguished_name.push(DnType::CommonName, "sitta");
    // Known by its fingerprint, it needs no end; browsers want one.
    params.not_after = rcgen::date_time_ymd(2099, 12, 31);
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let made = params.self_signed(&key).map_err(|error| failed(&error))?;
    fs::create_dir_all(dir).map_err(|error| failed(&error))?;
    write(&files.key, &key.serialize_pem())?;
    write(&files.certificate, &made.pem())
}

/// Whole or not at all, and for nobody else to read.
fn write(file: &Path, text: &str) -> Result<(), ServeError> {
    let failed = |error: std::io::Error| wrong(file, &error);
    let beside = file.with_extension("new");
    let mut out =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(failed)?;
    out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(failed)?;
    fs::rename(&beside, file).map_err(failed)
}
