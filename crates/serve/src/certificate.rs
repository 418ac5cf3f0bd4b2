//! How a server shows who it is: a certificate of its own making, or one that it was given.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sitta_store::sitta::trust;

use crate::ServeError;

/// Where a certificate and its key stand, both as PEM.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The certificate, and those above it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    file: PathBuf,
}

impl Certificate {
    /// Reads one.
    ///
    /// # Errors
    /// If a file cannot be read or holds something else.
    pub fn read(files: &CertificateFiles) -> Result<Self, ServeError> {
        let file = &files.certificate;
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(file).map_err(|error| wrong(file, &error))?.collect();
        let chain = chain.map_err(|error| wrong(file, &error))?;
        if chain.is_empty() {
            return Err(wrong(file, &"it holds none"));
        }
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
        let made = Self { chain, key, file: file.clone() };
        made.config(&[])?;
        Ok(made)
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
        self.chain.first().map(|own| trust::fingerprint(own)).unwrap_or_default()
    }

    /// TLS with it, for these protocols (ALPN).
    pub(crate) fn config(&self, protocols: &[&[u8]]) -> Result<ServerConfig, ServeError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_no_client_auth().with_single_cert(self.chain.clone(), self.key.clone_key())
            })
            .map_err(|error| wrong(&self.file, &error))?;
        // Early data (0-RTT) can be sent again by whoever recorded it: none is taken, by TCP or by QUIC.
        config.max_early_data_size = 0;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
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
