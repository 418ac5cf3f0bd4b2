//! Real servers for the tests and benchmarks: each is started on a loopback port of its own, in a temporary folder, and
//! stopped when it is dropped.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub mod apache;
pub mod certificate;
pub mod collector;
pub mod exim;
pub mod nginx;
pub mod proxy;
pub mod python;
pub mod rclone;
pub mod relay;
pub mod s3;
pub mod samba;
pub mod sshd;
pub mod tunnel;

/// How long a server may take to answer. Generous: the machine may be busy with builds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program: from the project's private Python environment, or on the PATH, or where Debian keeps daemons.
pub fn find(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("testbed lies in the repository");
    let mut places = vec![root.join(".venv/bin")];
    places.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    places.extend(["/usr/sbin".into(), "/sbin".into()]);
    places.into_iter().map(|place| place.join(name)).find(|path| path.is_file())
}

/// A program that a test cannot do without; `cargo xtask test` installs all of them.
///
/// # Panics
/// If it is not there: a test that needs it fails, and says what is missing.
pub fn need(name: &str) -> PathBuf {
    find(name)
        .unwrap_or_else(|| panic!("{name} is missing: run `cargo xtask test`, which installs what the tests need"))
}

/// A loopback port that nobody uses at the moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// A server's process; stopped, with all it has started, when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` in a process group of its own, with its output in the file `log`.
    pub fn start(command: &mut Command, log: PathBuf) -> Self {
        use std::os::unix::process::CommandExt;
        let file = File::create(&log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("the same file"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, log }
    }

    /// Waits until somebody listens at the port.
    ///
    /// # Panics
    /// With the server's log, if it ends or nobody listens for too long.
    pub fn wait_for(mut self, port: u16) -> Self {
        let end = Instant::now() + PATIENCE;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        loop {
            if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
                return self;
            }
            let ended = self.child.try_wait().expect("its state is known");
            assert!(
                ended.is_none() && Instant::now() < end,
                "the server did not start ({ended:?}):\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id, which is also its process group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it as a crash does, with all it has started.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw)
            && self.child.try_wait()?.is_none()
        {
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL)?;
        }
        self.child.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
