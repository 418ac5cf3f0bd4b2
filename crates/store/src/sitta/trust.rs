//! Whom to take for the server: certificates are known by their fingerprints from the first time they are met, as hosts
//! are to ssh, unless an authority vouches for them.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

use super::wire::hex;

/// The file of known servers: `host:port sha256:…` in each line; and which server is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownServer {
    /// The file. It is made when the first server is met.
    pub file: PathBuf,
    /// `host:port`
    pub server: String,
}

/// The certificate's fingerprint as people compare it.
pub fn fingerprint(certificate: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(certificate)))
}

/// Another certificate than at first.
#[derive(Debug)]
struct Other {
    known: KnownServer,
    then: String,
    now: String,
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { known, then, now } = self;
        write!(
            f,
            "{} shows another certificate than before: {now}, and not {then}. Somebody may be in between; if the \
             server was given a new one, remove its line from {}",
            known.server,
            known.file.display()
        )
    }
}

impl std::error::Error for Other {}

impl KnownServer {
    fn known(&self) -> Option<String> {
        let text = fs::read_to_string(&self.file).ok()?;
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.filter(|(server, _)| *server == self.server).map(|(_, print)| print.trim().to_owned()).next_back()
    }

    fn remember(&self, print: &str) -> std::io::Result<()> {
        if let Some(dir) = self.file.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&self.file)?;
        file.write_all(format!("{} {print}\n", self.server).as_bytes())
    }
}

/// Lets in whom an authority vouches for, who was met before, and who is met for the first time.
#[derive(Debug)]
pub(crate) struct Verifier {
    known: KnownServer,
    roots: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    /// Two connections at once meet a server once.
    meeting: Mutex<()>,
}

impl Verifier {
    pub fn new(known: KnownServer, roots: RootCertStore, provider: Arc<CryptoProvider>) -> Self {
        let roots = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok();
        Self { known, roots, provider, meeting: Mutex::new(()) }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let _meeting = self.meeting.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let print = fingerprint(end_entity);
        let known = self.known.known();
        if known.as_ref() == Some(&print) {
            return Ok(ServerCertVerified::assertion());
        }
        let vouched = self.roots.as_ref().and_then(|roots| {
            roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).ok()
        });
        if let Some(vouched) = vouched {
            return Ok(vouched);
        }
        let failed = |error: Arc<dyn std::error::Error + Send + Sync>| {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(error)))
        };
        match known {
            Some(then) => Err(failed(Arc::new(Other { known: self.known.clone(), then, now: print }))),
            None => match self.known.remember(&print) {
                Ok(()) => Ok(ServerCertVerified::assertion()),
                Err(error) => {
                    let file = self.known.file.display();
                    Err(failed(Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(format!(
                        "it could not be remembered in {file}: {error}"
                    )))))
                }
            },
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
