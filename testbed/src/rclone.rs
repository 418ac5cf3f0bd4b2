//! rclone as a WebDAV server, which keeps times; and as what our speed is compared with.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::{Process, free_port, need};

/// `rclone serve webdav`.
#[derive(Debug)]
pub struct RcloneDav {
    home: TempDir,
    port: u16,
    _process: Process,
}

impl RcloneDav {
    /// Starts one with an empty folder.
    ///
    /// # Panics
    /// If it is missing, or does not start.
    pub fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let (root, port) = (home.path().join("root"), free_port());
        std::fs::create_dir(&root).expect("a folder");
        let mut command = Command::new(need("rclone"));
        command.args(["serve", "webdav", "--config", "", "--addr"]);
        command.arg(format!("127.0.0.1:{port}")).arg(&root);
        let process = Process::start(&mut command, home.path().join("log")).wait_for(port);
        Self { home, port, _process: process }
    }

    /// The folder that is served.
    pub fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    /// Where it is.
    pub fn dav(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}
