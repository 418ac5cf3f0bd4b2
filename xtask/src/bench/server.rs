//! Servers of folders by HTTPS whose CPU time is read off: ours and nginx.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sitta_testbed::certificate::Certificate;
use sitta_testbed::{Process, free_port, nginx};

use super::{Bench, peers};
use crate::Result;
use crate::measure::Usage;

/// A running server of one folder, on the loopback device.
pub struct Server {
    pub name: &'static str,
    /// Where the folder begins: a file's path may follow.
    pub files: String,
    pub port: u16,
    process: Process,
}

impl Server {
    /// `sitta serve`, with a state of its own.
    pub fn sitta(bench: &Bench, folder: &Path, certificate: &Certificate) -> Result<Self> {
        let (home, port) = (home(bench, "sitta")?, free_port());
        let mut command = bench.sitta(&["serve", "-q"]);
        command.arg("--share").arg(format!("files={}", folder.display()));
        command.args(["--listen", &format!("127.0.0.1:{port}")]).env("XDG_STATE_HOME", home.join("state"));
        command.arg("--tls-certificate").arg(&certificate.certificate).arg("--tls-key").arg(&certificate.key);
        let process = Process::start(&mut command, home.join("log")).wait_for(port);
        let files = format!("https://127.0.0.1:{port}/api/v1/shares/files/files/");
        Ok(Self { name: "sitta", files, port, process })
    }

    /// nginx as it comes, with a log of requests, as ours has; none if it is not here.
    pub fn nginx(bench: &Bench, folder: &Path, certificate: &Certificate) -> Result<Option<Self>> {
        let Some(program) = peers::peer("nginx") else { return Ok(None) };
        let (home, port) = (home(bench, "nginx")?, free_port());
        fs::create_dir_all(home.join("tmp"))?;
        let (shown, aside) = (home.display(), nginx::temp_paths(&home));
        let (shows, key) = (certificate.certificate.display(), certificate.key.display());
        let user = if crate::tools::is_root() { "user root;\n" } else { "" };
        let config = format!(
            "{user}daemon off;\nworker_processes auto;\npid {shown}/pid;\nerror_log stderr;\nevents {{}}\n\
             http {{\naccess_log {shown}/access.log;\ndefault_type application/octet-stream;\nsendfile on;\n\
             tcp_nopush on;\nkeepalive_requests 1000000000;\n{aside}\
             server {{\nlisten 127.0.0.1:{port} ssl http2;\nssl_certificate {shows};\nssl_certificate_key {key};\n\
             root {};\n}}\n}}\n",
            folder.display()
        );
        fs::write(home.join("nginx.conf"), config)?;
        let mut command = Command::new(program);
        command.args(["-e", "stderr", "-c"]).arg(home.join("nginx.conf"));
        let process = Process::start(&mut command, home.join("log")).wait_for(port);
        Ok(Some(Self { name: "nginx", files: format!("https://127.0.0.1:{port}/"), port, process }))
    }

    /// The CPU seconds of all its processes so far, and their memory at its peak, in bytes.
    pub fn used(&self) -> Result<(f64, u64)> {
        let (mut ticks, mut memory) = (0, 0);
        for process in fs::read_dir("/proc")?.flatten() {
            // One that has just ended is none of ours: a server's processes last.
            let Ok(stat) = fs::read_to_string(process.path().join("stat")) else { continue };
            // After the name, which may hold anything, in parentheses (proc_pid_stat(5)).
            let fields: Vec<&str> =
                stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace().collect();
            let number = |field: usize| fields.get(field).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
            if number(2) == u64::from(self.process.id()) {
                ticks += (11..=14).map(number).sum::<u64>();
                memory += peak(&process.path())?;
            }
        }
        Ok((ticks as f64 / rustix::param::clock_ticks_per_second() as f64, memory))
    }

    /// What it uses while something is done; gives what that gives, too.
    pub fn during<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(Usage, T)> {
        let (before, started) = (self.used()?.0, std::time::Instant::now());
        let done = work()?;
        let wall = started.elapsed().as_secs_f64();
        let (after, memory) = self.used()?;
        Ok((Usage { cpu: after - before, wall, memory }, done))
    }
}

/// A certificate for all servers of one case.
pub fn certificate(bench: &Bench) -> Result<Certificate> {
    if sitta_testbed::find("openssl").is_none() {
        return Err("openssl is missing: --install brings it".into());
    }
    Ok(Certificate::make(&home(bench, "certificate")?))
}

fn home(bench: &Bench, name: &str) -> Result<PathBuf> {
    let home = bench.dir.join(format!("server-{name}"));
    fs::create_dir_all(&home)?;
    Ok(home)
}

/// A process's memory at its peak, in bytes.
fn peak(process: &Path) -> Result<u64> {
    let status = fs::read_to_string(process.join("status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no VmHWM")?;
    Ok(kibibytes.trim().parse::<u64>()? << 10)
}
