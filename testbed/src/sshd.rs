//! sshd with SFTP.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Process, free_port, need};

/// How a server is to be.
#[derive(Debug, Clone)]
pub struct SshdOptions {
    /// What serves SFTP: `internal-sftp`, with `-R` for read-only, with `-P posix-rename,…` without these requests.
    pub subsystem: String,
    /// Types of its host keys, as ssh-keygen names them.
    pub host_keys: Vec<&'static str>,
    /// Further lines of its configuration.
    pub lines: Vec<String>,
}

impl Default for SshdOptions {
    fn default() -> Self {
        Self { subsystem: "internal-sftp".into(), host_keys: vec!["ed25519"], lines: Vec::new() }
    }
}

/// An OpenSSH server on a loopback port, with keys of its own, in a temporary folder.
#[derive(Debug)]
pub struct Sshd {
    home: TempDir,
    port: u16,
    process: Process,
}

impl Sshd {
    /// A server that lets in whoever holds [`Sshd::identity`], as any user.
    pub fn start() -> Self {
        Self::with(&SshdOptions::default())
    }

    /// A server with these options.
    ///
    /// # Panics
    /// If it does not start.
    pub fn with(options: &SshdOptions) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        for kind in &options.host_keys {
            keygen(&home.path().join(format!("host_{kind}")), kind, "");
        }
        keygen(&home.path().join("id"), "ed25519", "");
        std::fs::copy(home.path().join("id.pub"), home.path().join("authorized_keys")).expect("a copy");
        std::fs::create_dir(home.path().join("files")).expect("a folder");
        open_to_all(home.path());
        open_to_all(&home.path().join("files"));
        write_config(home.path(), port, options);
        let process = launch(home.path(), port);
        let server = Self { home, port, process };
        server.learn("known_hosts");
        server
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A folder that everybody may write to.
    pub fn files(&self) -> PathBuf {
        self.home.path().join("files")
    }

    /// Its temporary folder: keys, configuration, log.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The private key that opens it.
    pub fn identity(&self) -> PathBuf {
        self.home.path().join("id")
    }

    /// A file of known hosts with all of its host keys, for its own port.
    pub fn known_hosts(&self) -> PathBuf {
        self.home.path().join("known_hosts")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The public host key of this type, as its `.pub` file holds it: type, key, comment.
    pub fn host_key(&self, kind: &str) -> String {
        let file = self.home.path().join(format!("host_{kind}.pub"));
        std::fs::read_to_string(file).expect("a public key")
    }

    /// Writes a file of known hosts in its folder, as it would be met at another port (a proxy's).
    pub fn known_at(&self, port: u16) -> PathBuf {
        let known = std::fs::read_to_string(self.known_hosts()).expect("known hosts");
        let path = self.home.path().join(format!("known_hosts_{port}"));
        std::fs::write(&path, known.replace(&format!(":{}", self.port), &format!(":{port}"))).expect("written");
        path
    }

    /// Makes a new private key (ed25519, rsa, ecdsa) in its folder that opens it too, with a passphrase or `""`.
    pub fn another_identity(&self, name: &str, kind: &str, passphrase: &str) -> PathBuf {
        let path = self.home.path().join(name);
        keygen(&path, kind, passphrase);
        let line = std::fs::read_to_string(path.with_extension("pub")).expect("a public key");
        let keys = self.home.path().join("authorized_keys");
        let all = std::fs::read_to_string(&keys).expect("the keys so far") + &line;
        std::fs::write(keys, all).expect("written");
        path
    }

    /// Stops it as a crash does, with every connection.
    pub fn kill(&mut self) {
        // The processes that serve connections have left its process group.
        let mut found = vec![self.process.id()];
        let mut next = 0;
        while let Some(pid) = found.get(next) {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            next += 1;
        }
        for pid in found.into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.process.kill();
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        self.kill();
        self.process = launch(self.home.path(), self.port);
    }

    /// Starts it again on the same port with another host key of this type, as another machine would be.
    pub fn restart_with_another_key(&mut self, kind: &str) {
        let path = self.home.path().join(format!("host_{kind}"));
        std::fs::remove_file(&path).expect("the old key");
        keygen(&path, kind, "");
        self.restart();
    }

    fn learn(&self, name: &str) {
        let keys = std::fs::read_dir(self.home.path()).expect("its folder").flatten();
        let keys = keys.filter(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            name.starts_with("host_") && name.ends_with(".pub")
        });
        let lines = keys.map(|file| {
            let key = std::fs::read_to_string(file.path()).expect("a public key");
            format!("[127.0.0.1]:{} {key}", self.port)
        });
        std::fs::write(self.home.path().join(name), lines.collect::<String>()).expect("written");
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let all = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(dir, all).expect("permissions");
}

fn write_config(home: &Path, port: u16, options: &SshdOptions) {
    let dir = home.display();
    let mut lines = vec![
        format!("Port {port}"),
        "ListenAddress 127.0.0.1".into(),
        format!("PidFile {dir}/pid"),
        format!("AuthorizedKeysFile {dir}/authorized_keys"),
        "StrictModes no".into(),
        "UseDNS no".into(),
        "MaxStartups 100".into(),
        "PermitRootLogin yes".into(),
        format!("Subsystem sftp {}", options.subsystem),
        // A subsystem that is a program is started by the user's shell, which shall not run what it finds at home.
        format!("SetEnv HOME={dir}"),
    ];
    lines.extend(options.host_keys.iter().map(|kind| format!("HostKey {dir}/host_{kind}")));
    // The first of several counts: what a test asks for stands before what it could contradict.
    lines.extend(options.lines.iter().cloned());
    lines.extend(["UsePAM no".into(), "KbdInteractiveAuthentication no".into()]);
    std::fs::write(home.join("sshd_config"), lines.join("\n") + "\n").expect("written");
}

fn launch(home: &Path, port: u16) -> Process {
    // Where it goes to without privileges; the system's own service makes it at each start.
    let _ = std::fs::create_dir_all("/run/sshd");
    // It starts itself again for each connection, by its absolute path.
    let mut command = Command::new(need("sshd"));
    command.args(["-D", "-e", "-f"]).arg(home.join("sshd_config"));
    Process::start(&mut command, home.join("log")).wait_for(port)
}

/// Makes a key pair.
///
/// # Panics
/// If ssh-keygen fails.
pub fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let _ = std::fs::remove_file(path);
    let mut command = Command::new(need("ssh-keygen"));
    command.args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"]).arg(path);
    let output = command.stdin(Stdio::null()).output().expect("ssh-keygen runs");
    assert!(output.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&output.stderr));
}

/// A user of this machine who may log in with a password, and may do little: made when first asked for, and kept.
///
/// # Panics
/// If the tests do not run as root, who alone can make users and check passwords.
pub fn password_user() -> (&'static str, &'static str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    const USER: &str = "sitta-test";
    const PASSWORD: &str = "correct horse";
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    assert!(
        rustix::process::getuid().is_root(),
        "only root can make the user whose password is tried: run as root"
    );
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    if !known.lines().any(|line| line.starts_with(&format!("{USER}:"))) {
        let status = Command::new(need("useradd")).args(["-M", "-d", "/tmp", "-s", "/bin/sh", USER]).status();
        assert!(status.expect("useradd runs").success(), "useradd");
    }
    let mut child = Command::new(need("chpasswd")).stdin(Stdio::piped()).spawn().expect("chpasswd runs");
    let mut stdin = child.stdin.take().expect("its input");
    std::io::Write::write_all(&mut stdin, format!("{USER}:{PASSWORD}\n").as_bytes()).expect("a password");
    drop(stdin);
    assert!(child.wait().expect("it ends").success(), "chpasswd");
    (USER, PASSWORD)
}

/// The user that the tests run as.
pub fn this_user() -> String {
    let output = Command::new(need("id")).arg("-un").output().expect("id runs");
    String::from_utf8(output.stdout).expect("a name").trim().to_owned()
}

/// An ssh-agent that holds keys.
#[derive(Debug)]
pub struct Agent {
    socket: PathBuf,
    _process: Process,
}

impl Agent {
    /// Starts one in `dir`, with these private keys (without passphrases).
    ///
    /// # Panics
    /// If it does not start, or refuses a key.
    pub fn start(dir: &Path, keys: &[PathBuf]) -> Self {
        let socket = dir.join("agent");
        let mut command = Command::new(need("ssh-agent"));
        command.arg("-D").arg("-a").arg(&socket);
        let process = Process::start(&mut command, dir.join("agent.log"));
        let end = std::time::Instant::now() + crate::PATIENCE;
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(std::time::Instant::now() < end, "the agent did not start:\n{}", process.log());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let output = Command::new(need("ssh-add")).args(keys).env("SSH_AUTH_SOCK", &socket).output();
        let output = output.expect("ssh-add runs");
        assert!(output.status.success(), "ssh-add: {}", String::from_utf8_lossy(&output.stderr));
        Self { socket, _process: process }
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The system's own client gets in: the server is a real one.
    #[test]
    fn serves() {
        let mut server = Sshd::start();
        std::fs::write(server.files().join("hello"), "x").expect("written");
        let list = |server: &Sshd| {
            let mut sftp = Command::new(need("sftp"));
            sftp.args(["-q", "-b", "/dev/stdin", "-o", "IdentitiesOnly=yes", "-o"])
                .arg(format!("UserKnownHostsFile={}", server.known_hosts().display()))
                .args(["-P", &server.port().to_string(), "-i"])
                .arg(server.identity())
                .arg(format!("{}@127.0.0.1:{}", this_user(), server.files().display()));
            let output = sftp.stdin(Stdio::null()).output().expect("sftp runs");
            (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (ok, said) = list(&server);
        assert!(ok, "{said}\n{}", server.log());
        server.restart();
        assert!(list(&server).0);
        server.restart_with_another_key("ed25519");
        assert!(!list(&server).0, "the key is another one");
    }
}
