//! Python's `http.server`: an index page of its own, no ranges, no ETags, a connection for each request.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::{Process, free_port, need};

/// `python3 -m http.server`.
#[derive(Debug)]
pub struct PythonHttp {
    home: TempDir,
    port: u16,
    _process: Process,
}

impl PythonHttp {
    /// Starts one with an empty folder.
    ///
    /// # Panics
    /// If it is missing, or does not start.
    pub fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let (root, port) = (home.path().join("root"), free_port());
        std::fs::create_dir(&root).expect("a folder");
        let mut command = Command::new(need("python3"));
        command.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]).arg(&root).arg(port.to_string());
        let process = Process::start(&mut command, home.path().join("log")).wait_for(port);
        Self { home, port, _process: process }
    }

    /// The folder that is served.
    pub fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    /// Where it is.
    pub fn files(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}
