//! What a user sees, word for word. `INSTA_UPDATE=always cargo test -p sitta --test golden` takes over what changed;
//! then read the diff.

mod archive;
mod errors;
mod get;
mod help;
mod jobs;
mod json;
mod looking;
mod moving;
mod stores;
mod sync;
mod trash;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// A folder with a home of its own for the program.
struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("sitta-golden-").tempdir().expect("a folder");
        fs::create_dir(dir.path().join("home")).expect("mkdir");
        Self { dir }
    }

    /// With a folder `src` of three files.
    fn with_source() -> Self {
        let stage = Self::new();
        stage.write("src/a.txt", "alpha", 1);
        stage.write("src/b.txt", "beta beta", 2);
        stage.write("src/sub/c.txt", "gamma", 3);
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file that was last modified on that day of January 2026.
    fn write(&self, name: &str, text: &str, day: u64) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        fs::write(&path, text).expect("write");
        // 2026-01-01T12:00:00Z
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_268_800 + (day - 1) * 86_400);
        File::options().write(true).open(&path).expect("open").set_modified(at).expect("touch");
    }

    fn remove(&self, name: &str) {
        let path = self.path(name);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("remove");
    }

    /// Runs `sitta` with these words; gives all that was said, and the exit code.
    fn run(&self, line: &str) -> String {
        self.run_with(line, "")
    }

    fn run_with(&self, line: &str, input: &str) -> String {
        self.run_in(line, input, &[])
    }

    /// With these variables in the environment.
    fn run_in(&self, line: &str, input: &str, variables: &[(&str, &str)]) -> String {
        let input_file = self.path("home/input");
        fs::write(&input_file, input).expect("write");
        let output = Command::new(env!("CARGO_BIN_EXE_sitta"))
            .args(line.split_whitespace())
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.path("home"))
            .env("TZ", "UTC")
            .env("TERM", "xterm")
            // The keyring of whoever runs the tests is none of theirs.
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
            .envs(variables.iter().copied())
            .stdin(Stdio::from(File::open(input_file).expect("open")))
            .output()
            .expect("the program starts");
        let mut said = format!("$ sitta {line}\n");
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        if !output.stderr.is_empty() {
            said.push_str("--- stderr\n");
            said.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        said.push_str(&format!(
            "--- exit {}\n",
            output.status.code().map_or("by signal".into(), |c| c.to_string())
        ));
        said.replace(&*self.dir.path().to_string_lossy(), "/W")
    }
}

/// Compares what was said with what is kept, but for what differs from run to run.
fn golden(name: &str, said: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, replacement) in [
        (r"\b\d+\.\d s\b", "[time]"),
        (r"\b\d+ h \d\d min old\b", "[age] old"),
        (r#""age":[0-9.e]+"#, r#""age":[time]"#),
        (r"\d{8}T\d{6}Z-[0-9a-f]+-\d+(\.\d+)?(-[0-9]+)?", "[run]"),
        (r#""seconds":[0-9.e-]+"#, r#""seconds":[time]"#),
        (r"process \d+", "process [pid]"),
        (r"conflict-[0-9a-f]{8}", "conflict-[hash]"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
    ] {
        settings.add_filter(pattern, replacement);
    }
    settings.bind(|| insta::assert_snapshot!(name, said));
}
