//! S3 servers: rclone's, which checks signatures, and moto, which enforces conditional writes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::{Process, free_port, need};

/// The id of the only key that rclone's server admits.
pub const KEY_ID: &str = "AKTESTBED";
/// Its secret.
pub const SECRET: &str = "testbed-secret";

/// A server that speaks S3.
#[derive(Debug)]
pub struct S3Server {
    process: Process,
    port: u16,
    certificate: Option<Certificate>,
    /// Where rclone's buckets are: each is a folder.
    buckets: Option<PathBuf>,
    /// Holds the log and what else the server needs.
    _home: TempDir,
}

impl S3Server {
    /// `rclone serve s3`, over the folders in `dir`: checks signatures and Content-MD5, ignores conditions, tells all
    /// of a listing in one page.
    pub fn rclone(dir: &Path) -> Self {
        Self::rclone_with(dir, None)
    }

    /// As [`S3Server::rclone`], over TLS, with a certificate of its own.
    pub fn rclone_over_tls(dir: &Path) -> Self {
        let certificate = Certificate::make(dir.parent().expect("a folder above the buckets"));
        Self::rclone_with(dir, Some(certificate))
    }

    fn rclone_with(dir: &Path, certificate: Option<Certificate>) -> Self {
        let (home, port) = (tempfile::tempdir().expect("a temporary folder"), free_port());
        let mut command = Command::new(need("rclone"));
        command.args(["serve", "s3", "--vfs-cache-mode", "off", "--config", "/dev/null", "--log-level", "ERROR"]);
        command.args(["--auth-key", &format!("{KEY_ID},{SECRET}")]);
        command.arg("--addr").arg(format!("127.0.0.1:{port}"));
        if let Some(certificate) = &certificate {
            command.arg("--cert").arg(&certificate.certificate).arg("--key").arg(&certificate.key);
        }
        command.arg(dir);
        let process = Process::start(&mut command, home.path().join("log")).wait_for(port);
        Self { process, port, certificate, buckets: Some(dir.to_owned()), _home: home }
    }

    /// moto: enforces conditional writes, lists in pages, checks no keys. Keeps all in memory.
    pub fn moto() -> Self {
        let (home, port) = (tempfile::tempdir().expect("a temporary folder"), free_port());
        let mut command = Command::new(need("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        // Parts stay in memory.
        command.env("MOTO_S3_DEFAULT_KEY_BUFFER_SIZE", "1073741824");
        let process = Process::start(&mut command, home.path().join("log")).wait_for(port);
        Self { process, port, certificate: None, buckets: None, _home: home }
    }

    /// Where it listens: `http[s]://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What a client has to trust, of a server over TLS.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// Makes a bucket.
    pub fn create_bucket(&self, name: &str) {
        if let Some(buckets) = &self.buckets {
            return std::fs::create_dir_all(buckets.join(name)).expect("a folder for the bucket");
        }
        let made = self.rclone_client().args(["mkdir", &format!("t:{name}")]).output().expect("rclone runs");
        assert!(made.status.success(), "no bucket: {}", String::from_utf8_lossy(&made.stderr));
    }

    /// rclone as a client of this server, which it knows as `t:`.
    pub fn rclone_client(&self) -> Command {
        let mut command = Command::new(need("rclone"));
        command
            .args(["--config", "/dev/null", "--retries", "1", "--low-level-retries", "1"])
            .env("RCLONE_CONFIG_T_TYPE", "s3")
            .env("RCLONE_CONFIG_T_PROVIDER", if self.buckets.is_some() { "Rclone" } else { "Other" })
            .env("RCLONE_CONFIG_T_ENDPOINT", self.endpoint())
            .env("RCLONE_CONFIG_T_ACCESS_KEY_ID", KEY_ID)
            .env("RCLONE_CONFIG_T_SECRET_ACCESS_KEY", SECRET)
            .env("RCLONE_CONFIG_T_REGION", "us-east-1")
            .stdin(Stdio::null());
        if let Some(certificate) = &self.certificate {
            command.arg("--ca-cert").arg(&certificate.certificate);
        }
        command
    }

    /// The server's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
