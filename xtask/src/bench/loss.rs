//! Downloads over a long line that loses packets: one TCP stream, and what `sitta get` makes of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sitta_testbed::relay::Line;
use sitta_testbed::tunnel::Tunnel;
use sitta_testbed::{Process, free_port};

use super::{Bench, data, peers};
use crate::Result;
use crate::tools::{find, is_root};

/// The line: 400 Mbit/s, and 40 ms there and back.
const RATE: u64 = 50_000_000;
const DELAY: Duration = Duration::from_millis(20);

/// How much is downloaded; by what is slow less, so that it ends.
const MEBIBYTES: usize = 50;
const FEW_MEBIBYTES: usize = 4;

/// How many packets of a thousand are lost, and how many times as fast as one TCP stream UDP is to be then.
const LINES: [(u64, Option<f64>); 3] = [(0, None), (10, Some(30.0)), (30, Some(60.0))];

/// `sitta serve` at one end of a line, for a client at the other.
struct Far<'a> {
    bench: &'a Bench,
    tunnel: Tunnel,
    home: PathBuf,
    port: u16,
    token: String,
    _process: Process,
}

impl<'a> Far<'a> {
    fn start(bench: &'a Bench, folder: &Path) -> Result<Self> {
        let tunnel = Tunnel::new(Line { delay: DELAY, rate: Some(RATE), lost: 0 }, "cubic")?;
        let (home, port) = (bench.dir.join("server-far"), free_port());
        std::fs::create_dir_all(&home)?;
        let state = home.join("state");
        let made = bench.sitta(&["user", "token", "bench"]).env("XDG_STATE_HOME", &state).output()?;
        let token = String::from_utf8(made.stdout)?.trim().to_owned();
        let mut command = tunnel.command(0, &bench.sitta);
        command.args(["serve", "-q", "--share"]).arg(format!("files={}", folder.display()));
        command.args(["--listen", &format!("{}:{port}", Tunnel::ADDRESSES[0])]);
        command.env("XDG_STATE_HOME", &state).env("XDG_CONFIG_HOME", home.join("nothing"));
        let process = Process::start(&mut command, home.join("log"));
        let far = Self { bench, tunnel, home, port, token, _process: process };
        let config = far.home.join("config.toml");
        let store = format!("url = \"sitta://{}:{port}/files\"", Tunnel::ADDRESSES[0]);
        std::fs::write(config, format!("[store.far]\n{store}\ntoken = {{ env = \"BENCH_TOKEN\" }}\n"))?;
        far.wait()?;
        Ok(far)
    }

    /// Until it answers.
    fn wait(&self) -> Result {
        let end = Instant::now() + Duration::from_secs(30);
        while self.curl("", 5)?.0 == 0 {
            if Instant::now() > end {
                return Err(format!("the far server does not answer: {}", self._process.log()).into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// One TCP stream for so many seconds at most: how many bytes came, and in which time.
    fn curl(&self, file: &str, seconds: u32) -> Result<(u64, f64)> {
        let mut curl = self.tunnel.command(1, peers::peer("curl").ok_or("curl is missing: --install brings it")?);
        curl.args(["--silent", "--insecure", "--http1.1", "--output", "/dev/null"]);
        curl.args(["--max-time", &seconds.to_string(), "--write-out", "%{size_download} %{time_total}"]);
        curl.args(["--header", &format!("Authorization: Bearer {}", self.token)]);
        curl.arg(format!("https://{}:{}/api/v1/shares/files/files/{file}", Tunnel::ADDRESSES[0], self.port));
        let output = String::from_utf8(curl.output()?.stdout)?;
        let (bytes, time) = output.split_once(' ').ok_or("curl tells no figures")?;
        Ok((bytes.parse()?, time.parse()?))
    }

    /// `sitta get`: the bytes, and the time.
    fn get(&self, transport: &str, file: &Path) -> Result<(u64, f64)> {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let to = self.home.join("got");
        let mut command = self.tunnel.command(1, &self.bench.sitta);
        command.args(["get", "-q", "--no-cache", "--transport", transport, "--config"]);
        command.arg(self.home.join("config.toml")).arg("--ca").arg(self.certificate());
        command.arg(format!("far:{name}")).arg(&to);
        command.env("BENCH_TOKEN", &self.token).env("XDG_STATE_HOME", self.home.join("client"));
        let started = Instant::now();
        run(command)?;
        let time = started.elapsed().as_secs_f64();
        let size = to.metadata()?.len();
        std::fs::remove_file(to)?;
        match size == file.metadata()?.len() {
            true => Ok((size, time)),
            false => Err(format!("{size} bytes of {} came", file.display()).into()),
        }
    }

    fn certificate(&self) -> PathBuf {
        self.home.join("state/sitta/server/certificate.pem")
    }
}

fn run(mut command: Command) -> Result {
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Throughput by TCP and by UDP where packets are lost.
pub fn loss(bench: &Bench) -> Result {
    if !is_root() || find(&["ip"]).is_none() {
        println!("\nloss: network namespaces are for root, with `ip` of the Debian package iproute2");
        return Ok(());
    }
    let folder = bench.dir.join("served-far");
    let (large, few) = (folder.join("large"), folder.join("few"));
    data::large(&large, MEBIBYTES)?;
    data::large(&few, FEW_MEBIBYTES)?;
    let far = Far::start(bench, &folder)?;
    let rounds = bench.rounds.unwrap_or(if bench.quick { 1 } else { 3 });
    println!("\ndownload at 400 Mbit/s, 40 ms there and back, MB/s");
    println!(
        "  {:<6} {:>10} {:>12} {:>12} {:>12}   {:>14}   target",
        "lost", "TCP cubic", "get by TCP", "get by UDP", "get", "UDP/TCP cubic"
    );
    for (lost, target) in LINES {
        far.tunnel.set(Line { delay: DELAY, rate: Some(RATE), lost });
        let slow = if lost == 0 { &large } else { &few };
        let mut samples = [(); 4].map(|()| Vec::new());
        for _ in 0..rounds {
            let figures =
                [far.curl("large", 20)?, far.get("tcp", slow)?, far.get("udp", &large)?, far.get("auto", &large)?];
            for (samples, (bytes, time)) in samples.iter_mut().zip(figures) {
                samples.push(bytes as f64 / 1e6 / time);
            }
        }
        let [tcp, by_tcp, by_udp, auto] = samples.map(|mut samples| {
            samples.sort_by(f64::total_cmp);
            samples[samples.len() / 2]
        });
        let ratio = by_udp / tcp;
        let verdict = target.map_or(String::new(), |target| {
            format!("≥ {target:.0} {}", if ratio >= target { "met" } else { "MISSED" })
        });
        let lost = format!("{} %", lost as f64 / 10.0);
        println!("  {lost:<6} {tcp:>10.2} {by_tcp:>12.2} {by_udp:>12.2} {auto:>12.2}   {ratio:>14.1}   {verdict}");
    }
    Ok(())
}
