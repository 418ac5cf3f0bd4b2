//! `sitta serve` and nginx in turn: the same files, the same certificate, the same clients; what counts is the server's
//! CPU time.

use std::path::Path;
use std::process::Command;

use reqwest::Method;
use sitta_testbed::certificate::Certificate;

use super::client::Client;
use super::server::{self, Server};
use super::{Bench, Outcome, Target, data, peers, table};
use crate::Result;
use crate::measure::Usage;
use crate::tools::{must, thousands};

/// The large file.
const FILE: &str = "file";

/// Requests for small files are counted by so many.
const MANY: f64 = 100_000.0;

/// What is done with a server in one round; gives what the server used.
type Round<'a> = Box<dyn Fn() -> Result<Usage> + 'a>;

impl Bench {
    /// Lets all do the same work in turn, and prints the median of each; the first is us.
    fn serve(&self, title: &str, rounds: usize, sides: Vec<(&'static str, Option<Target>, Round)>) -> Result {
        let rounds = self.rounds.unwrap_or(if self.quick { 1 } else { rounds });
        let mut samples = vec![Vec::new(); sides.len()];
        for round in 0..=rounds {
            for ((_, _, work), samples) in sides.iter().zip(&mut samples) {
                let usage = work()?;
                if round > 0 {
                    samples.push(usage);
                }
            }
        }
        let outcome = |((name, target, _), samples): ((&'static str, Option<Target>, _), Vec<Usage>)| Outcome {
            name,
            target,
            usage: table::median(&samples),
        };
        table::print(title, &sides.into_iter().zip(samples).map(outcome).collect::<Vec<_>>());
        Ok(())
    }
}

/// One large file by each version of HTTP.
pub fn download(bench: &Bench) -> Result {
    let (folder, mebibytes) = (bench.dir.join("served-large"), if bench.quick { 256 } else { 1024 });
    data::large(&folder.join(FILE), mebibytes)?;
    let certificate = &server::certificate(bench)?;
    let sitta = &Server::sitta(bench, &folder, certificate)?;
    let nginx = &Server::nginx(bench, &folder, certificate)?;
    for (version, option, target) in [("1.1", "--http1.1", 1.1), ("2", "--http2", 1.3)] {
        let mut sides: Vec<(_, _, Round)> = vec![("sitta", None, Box::new(|| by_curl(sitta, certificate, option)))];
        if let Some(nginx) = nginx {
            let work = Box::new(|| by_curl(nginx, certificate, option));
            sides.push(("nginx", Some(Target::Cpu(target)), work));
        }
        bench.serve(&format!("server of {mebibytes} MiB by HTTP/{version}, TLS"), 5, sides)?;
    }
    let size = (mebibytes as u64) << 20;
    let mut sides: Vec<(_, _, Round)> = vec![("sitta", None, Box::new(|| by_quic(sitta, certificate, size)))];
    if let Some(nginx) = nginx {
        // nginx of Debian has no HTTP/3.
        let work = Box::new(|| by_curl(nginx, certificate, "--http1.1"));
        sides.push(("nginx HTTP/1.1", Some(Target::Cpu(2.2)), work));
    }
    bench.serve(&format!("server of {mebibytes} MiB by HTTP/3"), 5, sides)
}

fn by_curl(server: &Server, certificate: &Certificate, version: &str) -> Result<Usage> {
    let curl = peers::command("curl").ok_or("curl is missing: --install brings it")?;
    let mut command = curl();
    command.args(["--silent", "--show-error", "--fail", version, "--output", "/dev/null"]);
    command.arg("--cacert").arg(&certificate.certificate).arg(format!("{}{FILE}", server.files));
    Ok(server.during(|| must(&mut command))?.0)
}

fn by_quic(server: &Server, certificate: &Certificate, size: u64) -> Result<Usage> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let get = async {
        let mut client = Client::quic(certificate, server.port).await?;
        client.ask(Method::GET, &format!("{}{FILE}", server.files), bytes::Bytes::new()).await
    };
    match server.during(|| runtime.block_on(get))? {
        (usage, (200, received)) if received == size => Ok(usage),
        (_, answer) => Err(format!("by QUIC came {answer:?} instead of {size} bytes").into()),
    }
}

/// Many requests for small files by HTTP/1.1, by wrk.
pub fn requests(bench: &Bench) -> Result {
    let Some(wrk) = peers::command("wrk") else {
        println!("\nrequests: wrk is missing");
        return Ok(());
    };
    let (folder, files) = (bench.dir.join("served-small"), bench.size(2_000));
    data::blocks(&folder, files, 100, 4096)?;
    let certificate = server::certificate(bench)?;
    let sitta = &Server::sitta(bench, &folder, &certificate)?;
    let nginx = &Server::nginx(bench, &folder, &certificate)?;
    let script = &bench.dir.join("wrk.lua");
    std::fs::write(script, WRK)?;
    let seconds = if bench.quick { 2 } else { 10 };
    let ask = |server| by_wrk(wrk(), script, server, files, seconds);
    let mut sides: Vec<(_, _, Round)> = vec![("sitta", None, Box::new(move || ask(sitta)))];
    if let Some(nginx) = nginx {
        sides.push(("nginx", Some(Target::Cpu(1.3)), Box::new(move || ask(nginx))));
    }
    let title = format!("server of {} files of 4 KiB, {MANY} requests on 50 connections", thousands(files as u64));
    bench.serve(&title, 3, sides)
}

/// Asks for files at random, and tells how many answers came, within which time, and how many failed.
const WRK: &str = r#"
local threads = 0
function setup(thread) threads = threads + 1; thread:set("seed", threads) end
function init(args) math.randomseed(seed); files, prefix = tonumber(args[1]), args[2] end
function request()
  local i = math.random(0, files - 1)
  return wrk.format("GET", string.format("%sfolder-%04d/file-%06d.dat", prefix, math.floor(i / 100), i))
end
function done(summary)
  local e = summary.errors
  print("RESULT", summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout)
end
"#;

/// What the server used for [`MANY`] requests.
fn by_wrk(mut wrk: Command, script: &Path, server: &Server, files: usize, seconds: u32) -> Result<Usage> {
    let path = server.files.splitn(4, '/').nth(3).unwrap_or_default();
    wrk.args(["--threads", "2", "--connections", "50", "--duration", &format!("{seconds}s"), "--script"]);
    wrk.arg(script).arg(&server.files).args(["--", &files.to_string(), &format!("/{path}")]);
    let (usage, output) = server.during(|| Ok(wrk.output()?))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let result =
        text.lines().find_map(|line| line.strip_prefix("RESULT")).ok_or_else(|| format!("wrk: {output:?}"))?;
    let result = result.split_whitespace().map(str::parse).collect::<std::result::Result<Vec<f64>, _>>()?;
    let [requests, microseconds, failed] = result[..] else { return Err(format!("wrk: {text}").into()) };
    if failed > 0.0 || requests == 0.0 {
        return Err(format!("{}: {failed} of {requests} requests failed", server.name).into());
    }
    let many = MANY / requests;
    Ok(Usage { cpu: usage.cpu * many, wall: microseconds / 1e6 * many, ..usage })
}
