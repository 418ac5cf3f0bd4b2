//! Samba with a share.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::Process;

/// The user that all of them know, and as whom the share's files are made.
pub const USER: &str = "sitta-test";
/// That user's password.
pub const PASSWORD: &str = "pass word 1";
/// The share's name.
pub const SHARE: &str = "share";

/// What a Samba is to be like.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The folder to share; none: one of its own.
    pub folder: Option<PathBuf>,
    /// Further lines of the share's section, such as `read only = yes`.
    pub share: Vec<&'static str>,
    /// Further lines of the global section, such as `server smb encrypt = required`.
    pub global: Vec<&'static str>,
}

/// A running Samba; stopped when it is dropped.
#[derive(Debug)]
pub struct Samba {
    home: TempDir,
    folder: PathBuf,
    port: u16,
    process: Process,
}

impl Samba {
    /// One with a share that can be written to.
    pub fn start() -> Self {
        Self::with(&Options::default())
    }

    /// One as `options` say.
    ///
    /// # Panics
    /// If it does not start, or not as root: only root may run an smbd that serves several users.
    pub fn with(options: &Options) -> Self {
        assert!(rustix::process::geteuid().is_root(), "tests with Samba must run as root");
        need_user();
        let home = tempfile::tempdir().expect("a temporary folder");
        open_to_all(home.path());
        let folder = options.folder.clone().unwrap_or_else(|| home.path().join("files"));
        std::fs::create_dir_all(&folder).expect("the share's folder");
        open_to_all(&folder);
        let port = crate::free_port();
        let config = home.path().join("smb.conf");
        std::fs::write(&config, configuration(home.path(), &folder, port, options)).expect("smb.conf");
        set_password(&config);
        let process = run(home.path(), port);
        Self { home, folder, port, process }
    }

    /// The share's folder on this machine.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the share is, without a user: `smb://127.0.0.1:PORT/share`.
    pub fn url(&self) -> String {
        format!("smb://127.0.0.1:{}/{SHARE}", self.port)
    }

    /// Stops it as a crash does, with every connection.
    pub fn kill(&mut self) {
        self.process.kill().expect("smbd ends");
    }

    /// Starts it again after [`Samba::kill`], at the same port with the same files.
    pub fn restart(&mut self) {
        self.process = run(self.home.path(), self.port);
    }

    /// Stops it in its tracks: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`Samba::freeze`].
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).expect("a process id");
        rustix::process::kill_process_group(group, signal).expect("it runs");
    }
}

/// The Unix account that Samba's own account needs.
fn need_user() {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _held = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let known = || {
        let passwd = std::fs::read_to_string("/etc/passwd").expect("the users of this machine");
        passwd.lines().any(|line| line.split(':').next() == Some(USER))
    };
    if known() {
        return;
    }
    let made = Command::new(crate::need("useradd")).args(["-M", "-s", "/usr/sbin/nologin", USER]).output();
    let made = made.expect("useradd runs");
    // Another test process may have come first.
    assert!(known(), "useradd: {}", String::from_utf8_lossy(&made.stderr));
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).expect("permissions");
}

fn configuration(home: &Path, folder: &Path, port: u16, options: &Options) -> String {
    let mut text = String::from("[global]\n");
    for line in [
        "server role = standalone server",
        "interfaces = 127.0.0.1/8",
        "bind interfaces only = yes",
        "disable netbios = yes",
        "load printers = no",
        "printing = bsd",
        "printcap name = /dev/null",
        "disable spoolss = yes",
        "log level = 0",
    ] {
        let _ = writeln!(text, "{line}");
    }
    let home = home.display();
    let _ = writeln!(text, "smb ports = {port}\npassdb backend = tdbsam:{home}/passdb.tdb");
    for what in ["private dir", "state directory", "cache directory", "lock directory", "pid directory"] {
        let _ = writeln!(text, "{what} = {home}/run");
    }
    let _ = writeln!(text, "ncalrpc dir = {home}/run/ncalrpc\nlog file = {home}/log.%m");
    options.global.iter().for_each(|line| text.extend([line, "\n"]));
    let folder = folder.display();
    let _ = writeln!(text, "[{SHARE}]\npath = {folder}\nread only = no\nforce user = {USER}");
    options.share.iter().for_each(|line| text.extend([line, "\n"]));
    text
}

fn set_password(config: &Path) {
    std::fs::create_dir_all(config.with_file_name("run")).expect("smbd's folder");
    let mut setting = Command::new(crate::need("smbpasswd"))
        .arg("-c")
        .arg(config)
        .args(["-a", "-s", USER])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("smbpasswd runs");
    let mut input = setting.stdin.take().expect("piped");
    write!(input, "{PASSWORD}\n{PASSWORD}\n").expect("smbpasswd listens");
    drop(input);
    let set = setting.wait_with_output().expect("smbpasswd ends");
    assert!(set.status.success(), "smbpasswd: {}", String::from_utf8_lossy(&set.stderr));
}

fn run(home: &Path, port: u16) -> Process {
    let mut smbd = Command::new(crate::need("smbd"));
    smbd.arg("-s").arg(home.join("smb.conf")).args(["--foreground", "--no-process-group"]);
    Process::start(&mut smbd, home.join("smbd.log")).wait_for(port)
}
