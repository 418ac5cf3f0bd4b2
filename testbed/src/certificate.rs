//! Certificates for servers on this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A certificate that signs itself, for localhost and 127.0.0.1.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate, in PEM form: what a client has to trust.
    pub certificate: PathBuf,
    /// Its private key, in PEM form.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one in `dir`, with openssl.
    pub fn make(dir: &Path) -> Self {
        Self::make_for(dir, 30)
    }

    /// Makes one that ends after so many days.
    pub fn make_for(dir: &Path, days: u32) -> Self {
        let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
        let status = Command::new(crate::need("openssl"))
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                &days.to_string(),
            ])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .status()
            .expect("openssl runs");
        assert!(status.success(), "openssl: {status}");
        Self { certificate, key }
    }
}
