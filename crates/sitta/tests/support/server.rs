//! `sitta serve`, for the tests that go to it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::Signal;

use super::{World, signal};

/// A server that shares the world's destination as `docs`.
pub struct Server {
    pub child: Child,
    pub address: String,
    pub fingerprint: String,
}

impl Server {
    pub fn start(world: &World, at: &str) -> Self {
        Self::sharing(world, at, &world.dst, "server-state")
    }

    /// A server that shares this folder, with a state of its own.
    pub fn sharing(world: &World, at: &str, folder: &Path, state: &str) -> Self {
        let mut command = world.command();
        let share = format!("docs={}", folder.display());
        command.args(["serve", "--json", "--listen", at, "--share", &share]);
        command.env("XDG_STATE_HOME", world.path(state));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        let told: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((told["event"].as_str(), told["shares"][0]["name"].as_str()), (Some("serving"), Some("docs")));
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        Self { child, address: text(&told["addresses"][0]), fingerprint: text(&told["fingerprint"]) }
    }

    pub fn url(&self) -> String {
        format!("sitta://{}/docs", self.address)
    }

    pub fn end(&mut self, how: Signal) -> Option<i32> {
        signal(self.child.id(), how);
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(Signal::KILL);
    }
}

impl Server {
    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.rsplit_once(':').expect("host:port").1.parse().expect("a port")
    }
}
