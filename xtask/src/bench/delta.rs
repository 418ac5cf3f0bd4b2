//! One byte of a large file, to a server and from it: what travels, counted at the socket, and the CPU time of both sides.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use sitta_testbed::proxy::Proxy;

use super::peers::command;
use super::{Bench, data};
use crate::Result;
use crate::measure::measure;
use crate::tools::thousands;

/// Bytes that may travel for one.
const TARGET: u64 = 130_000;

/// The kernel counts CPU time in hundredths of a second, for whoever reads it in `/proc`.
const TICKS: f64 = 100.0;

/// A server behind a line on which is counted.
struct Served {
    child: Child,
    proxy: Proxy,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    fn sitta(bench: &Bench, share: &Path) -> Result<Self> {
        let mut command = bench.sitta(&["serve", "--json", "--listen", "127.0.0.1:0", "--share"]);
        command.arg(format!("files={}", share.display())).env("XDG_STATE_HOME", bench.dir.join("server-state"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().ok_or("no output")?).read_line(&mut line)?;
        let told: serde_json::Value = serde_json::from_str(&line)?;
        let address = told["addresses"][0].as_str().ok_or("it does not say where it listens")?;
        let port = address.rsplit(':').next().unwrap_or_default().parse()?;
        Ok(Self { child, proxy: Proxy::to(port) })
    }

    fn rsync(bench: &Bench, folder: &Path, mut daemon: Command) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = bench.dir.join("rsyncd.conf");
        let user = if crate::tools::is_root() { "uid = root\ngid = root\n" } else { "" };
        fs::write(
            &config,
            format!("use chroot = no\n{user}[files]\npath = {}\nread only = no\n", folder.display()),
        )?;
        daemon.args(["--daemon", "--no-detach", "--address=127.0.0.1"]).arg(format!("--port={port}"));
        let child = daemon.arg("--config").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        sleep(Duration::from_millis(500));
        Ok(Self { child, proxy: Proxy::to(port) })
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/files", self.proxy.port())
    }

    fn travelled(&self) -> u64 {
        self.proxy.sent() + self.proxy.received()
    }

    /// CPU seconds of the server and of those it has started and that have ended.
    fn cpu(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: f64 = fields.skip(11).take(4).map(|ticks| ticks.parse::<f64>().unwrap_or(0.0)).sum();
        Ok(ticks / TICKS)
    }

    /// Runs a client. What travelled, the CPU time of both sides, and the time on the clock.
    fn run(&self, client: &Command) -> Result<[f64; 3]> {
        let (bytes, cpu) = (self.travelled(), self.cpu()?);
        let (usage, status) = measure(client, Stdio::null())?;
        if !status.success() {
            return Err(format!("{client:?}: {status}").into());
        }
        // The server may have something to put away yet.
        sleep(Duration::from_millis(300));
        Ok([(self.travelled() - bytes) as f64, usage.cpu + self.cpu()? - cpu, usage.wall])
    }
}

/// What is done to the file: a byte changed, or one put in.
fn edit(file: &Path, round: usize, inserts: bool) -> Result {
    let mut bytes = fs::read(file)?;
    let at = bytes.len() / 7 * (round % 6 + 1) + 12_345;
    match inserts {
        true => bytes.insert(at, 7),
        false => bytes[at] ^= 1,
    }
    fs::write(file, bytes)?;
    Ok(())
}

fn median(samples: &[[f64; 3]]) -> [f64; 3] {
    std::array::from_fn(|figure| {
        let mut figures: Vec<f64> = samples.iter().map(|sample| sample[figure]).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    })
}

/// Both ways, with both sorts of edits, in turn with rsync's own protocol.
pub fn delta(bench: &Bench) -> Result {
    let mebibytes = if bench.quick { 64 } else { 1024 };
    let folder = |name: &str| -> Result<PathBuf> {
        let dir = bench.dir.join("delta").join(name);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    };
    let rsync = command("rsync");
    let rounds = bench.rounds.unwrap_or(if bench.quick { 1 } else { 3 });
    for up in [true, false] {
        // The edited side; and who shall get it, for each of the two.
        let (source, ours, theirs) = (folder("source")?, folder("ours")?, folder("theirs")?);
        data::large(&source.join("large"), mebibytes)?;
        let shares = |copy: &Path| if up { copy.to_owned() } else { source.clone() };
        let server = Served::sitta(bench, &shares(&ours))?;
        let daemon = match &rsync {
            Some(rsync) => Some(Served::rsync(bench, &shares(&theirs), rsync())?),
            None => None,
        };
        let sitta = || {
            let (url, mut command) = (server.url("sitta"), bench.sitta(&["mirror", "-q"]));
            match up {
                true => command.arg(&source).arg(url),
                false => command.arg(url).arg(&ours),
            };
            command
        };
        let peer = |daemon: &Served| {
            let (url, mut command) = (daemon.url("rsync") + "/", rsync.as_ref().expect("it is here")());
            command.arg("-t");
            match up {
                true => command.arg(source.join("large")).arg(url),
                false => command.arg(url + "large").arg(&theirs),
            };
            command
        };
        server.run(&sitta())?;
        if let Some(daemon) = &daemon {
            daemon.run(&peer(daemon))?;
        }
        for inserts in [false, true] {
            let mut samples = [Vec::new(), Vec::new()];
            for round in 0..rounds {
                // Times of rsync are whole seconds.
                sleep(Duration::from_secs(1));
                edit(&source.join("large"), round, inserts)?;
                samples[0].push(server.run(&sitta())?);
                if let Some(daemon) = &daemon {
                    samples[1].push(daemon.run(&peer(daemon))?);
                }
            }
            let what = if inserts { "one byte put in" } else { "one byte changed" };
            let way = if up { "to a server" } else { "from a server" };
            println!("\n{what}, {mebibytes} MiB, {way}");
            println!("  {:<14} {:>14} {:>15} {:>9}", "", "bytes on wire", "CPU s, both", "wall s");
            for (name, samples) in
                ["sitta", "rsync"].iter().zip(&samples).filter(|(_, samples)| !samples.is_empty())
            {
                let [bytes, cpu, wall] = median(samples);
                let aim = if bytes as u64 <= TARGET { "met" } else { "MISSED" };
                let aim = if *name == "sitta" { format!("≤ {} {aim}", thousands(TARGET)) } else { String::new() };
                println!("  {name:<14} {:>14} {cpu:>15.2} {wall:>9.2}   {aim}", thousands(bytes as u64));
            }
        }
        drop((server, daemon));
        fs::remove_dir_all(bench.dir.join("delta"))?;
    }
    Ok(())
}
