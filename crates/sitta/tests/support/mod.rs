//! What the end-to-end tests share: a world of its own for each test, the program run in it, trees to make and compare.

#![allow(dead_code, unused_imports, reason = "each test file uses another part of it")]

mod blob;
mod pty;
mod rng;
mod server;
mod story;
mod tree;

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

pub use blob::Blob;
pub use pty::Terminal;
pub use rng::Rng;
pub use server::Server;
pub use story::{Files, Story};
pub use tree::*;

/// A user without any rights: `nobody`.
pub const NOBODY: u32 = 65534;

/// No run of these tests takes longer; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// Two folders to keep in step and a home of its own for the program, gone at the end.
pub struct World {
    root: PathBuf,
    pub src: PathBuf,
    pub dst: PathBuf,
    pub state: PathBuf,
    binary: PathBuf,
    as_nobody: bool,
}

impl World {
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("sitta-test-").tempdir().expect("a temporary folder").keep();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).expect("chmod");
        let world = Self {
            src: root.join("src"),
            dst: root.join("dst"),
            state: root.join("state"),
            binary: PathBuf::from(env!("CARGO_BIN_EXE_sitta")),
            as_nobody: false,
            root,
        };
        for dir in [&world.src, &world.dst, &world.state, &world.path("config"), &world.path("home")] {
            fs::create_dir(dir).expect("mkdir");
        }
        world
    }

    /// A world whose program runs as a user without rights, also when the tests run as root.
    pub fn unprivileged() -> Self {
        let mut world = Self::new();
        if is_root() {
            // The build's folder may be closed to others.
            let copy = world.path("sitta");
            fs::copy(&world.binary, &copy).expect("copy the program");
            world.binary = copy;
            world.as_nobody = true;
            world.give_away();
        }
        world
    }

    /// Gives everything in the world to the user that the program runs as.
    pub fn give_away(&self) {
        if self.as_nobody {
            run_tool("chown", &["-R", "-h", &format!("{NOBODY}:{NOBODY}"), &self.root.to_string_lossy()]);
        }
    }

    /// A path in this world, outside of both folders.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The program, not yet started, without arguments.
    pub fn command(&self) -> Command {
        let mut command = if self.as_nobody {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}")]);
            command.args(["--clear-groups", "--"]).arg(&self.binary);
            command
        } else {
            Command::new(&self.binary)
        };
        self.furnish(&mut command);
        command
    }

    /// Gives any command this world's environment.
    pub fn furnish(&self, command: &mut Command) {
        command
            .env("HOME", self.path("home"))
            .env("XDG_STATE_HOME", &self.state)
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm")
            .env_remove("RUST_BACKTRACE")
            .env_remove("NO_COLOR")
            .current_dir(&self.root)
            .stdin(Stdio::null());
    }

    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Runs the program to its end.
    pub fn sitta<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        let mut command = self.command();
        command.args(args);
        finish(start(&mut command))
    }

    /// `sitta VERB SRC DST` with `--json` and `options`, not yet started.
    pub fn verb(&self, verb: &str, options: &[&str]) -> Command {
        let mut command = self.command();
        command.arg(verb).arg(&self.src).arg(&self.dst).arg("--json").args(options);
        command
    }

    /// Mirrors the source to the destination.
    pub fn mirror(&self, options: &[&str]) -> Run {
        finish(start(&mut self.verb("mirror", options)))
    }

    /// Mirrors and demands that it went well and both are the same.
    #[track_caller]
    pub fn mirror_well(&self, options: &[&str]) -> Run {
        let run = self.mirror(options);
        run.expect_code(0);
        assert_same(&self.src, &self.dst);
        assert_no_temporaries(&self.dst);
        run
    }

    /// Mirrors once more and demands that there was nothing to do.
    #[track_caller]
    pub fn nothing_to_do(&self, options: &[&str]) {
        let run = self.mirror(options);
        run.expect_code(0);
        run.expect_counts([0, 0, 0, 0]);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // `rm` copes with paths of any depth; a test that failed leaves its world behind only if asked to.
        if std::thread::panicking() && std::env::var_os("SITTA_TEST_KEEP").is_some() {
            eprintln!("kept {}", self.root.display());
            return;
        }
        let _ = Command::new("chmod").args(["-R", "u+rwx"]).arg(&self.root).stderr(Stdio::null()).status();
        let _ = Command::new("rm").arg("-rf").arg(&self.root).status();
    }
}

/// What a run of the program gave.
pub struct Run {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (out, err) = (self.out(), self.err());
        write!(f, "{}\n--- stdout\n{}\n--- stderr\n{}", self.status, tail(&out), tail(&err))
    }
}

impl Run {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    #[track_caller]
    pub fn expect_code(&self, code: i32) {
        assert!(self.code() == code, "not exit code {code} but {self:?}");
    }

    /// All events.
    #[track_caller]
    pub fn events(&self) -> Vec<serde_json::Value> {
        let text = std::str::from_utf8(&self.stdout).expect("JSON is UTF-8");
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
        text.lines().map(parse).collect()
    }

    /// The report: the last event.
    #[track_caller]
    pub fn report(&self) -> serde_json::Value {
        let last = self.events().pop();
        let last = last.unwrap_or_else(|| panic!("no JSON; {:?}, stderr {}", self.status, tail(&self.err())));
        assert_eq!(last["event"], "report", "the last event is the report");
        last
    }

    /// The report's copied, updated, deleted and moved.
    #[track_caller]
    pub fn expect_counts(&self, counts: [u64; 4]) {
        let report = self.report();
        let told = ["copied", "updated", "deleted", "moved"].map(|key| report[key].as_u64().expect("a number"));
        assert_eq!(told, counts, "copied, updated, deleted, moved in {}", tail(&self.out()));
    }

    /// The paths of the report's problems, sorted.
    #[track_caller]
    pub fn problems(&self) -> Vec<String> {
        let report = self.report();
        let problems = report["problems"].as_array().expect("problems").iter();
        let mut paths: Vec<_> = problems.map(|p| p["path"].as_str().expect("a path").to_owned()).collect();
        paths.sort();
        paths
    }
}

fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(3000);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// Starts a command with both outputs piped.
pub fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Waits for the end of a run; one that hangs is killed, which fails the test by its exit code.
pub fn finish(child: Child) -> Run {
    let pid = child.id();
    let (done, wait) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if wait.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            signal(pid, rustix::process::Signal::KILL);
        }
    });
    let output = child.wait_with_output().expect("wait");
    drop(done);
    watchdog.join().expect("watchdog");
    Run { status: output.status, stdout: output.stdout, stderr: output.stderr }
}

/// Sends a signal to a process that was started here and not yet waited for.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).expect("a pid");
    let _ = rustix::process::kill_process(pid, signal);
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a tool of the system that must succeed.
#[track_caller]
pub fn run_tool(name: &str, args: &[&str]) {
    assert!(try_tool(name, args), "{name} {args:?} failed");
}

/// Runs a tool of the system; whether it succeeded.
pub fn try_tool(name: &str, args: &[&str]) -> bool {
    Command::new(name).args(args).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Says loudly that a test could not do its work here: `cargo xtask test` collects these.
pub fn skipped(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: {why}");
    if let Some(file) = std::env::var_os("SITTA_TEST_SKIPPED") {
        let mut file = fs::File::options().create(true).append(true).open(file).expect("the list of skipped tests");
        writeln!(file, "{test}: {why}").expect("write");
    }
}

/// A small file system mounted for a test.
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts a tmpfs of `size` (as mount's option) at `path`; none where that is not allowed.
    pub fn tmpfs(path: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size},mode=755");
        let at = path.to_str().expect("UTF-8");
        try_tool("mount", &["-t", "tmpfs", "-o", &options, "sitta-test", at]).then(|| Self(path.to_owned()))
    }

    /// Changes an option: another size, `ro`.
    pub fn remount(&self, option: &str) {
        run_tool("mount", &["-o", &format!("remount,{option}"), self.0.to_str().expect("UTF-8")]);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
