//! Sitta and its peers on the same data, in turn: A B A B …

mod cases;
mod client;
mod data;
mod delta;
mod load;
mod loss;
mod pack;
mod peers;
mod remote;
mod search;
mod serve;
mod server;
mod sync;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::measure::{Usage, measure};
use crate::tools::build_release;

const HELP: &str = "\
cargo xtask bench [OPTIONS]

  --dir DIR     where the data goes, on the disk to measure (default: the target directory); needs some 30 GB
  --only NAME   one of: scan, no-change, small, large, hash, memory, pack, unpack, search, s3, smb, sftp, sync, delta,
                latency, latency-of-peers, download, requests, loss, load; may be given more than once
  --rounds N    timed rounds (default 5; 3 for large files)
  --quick       little data and few rounds: shows that it works, not how fast
  --install     installs first what is missing: servers and peers from Debian (as root), PyPI and crates.io, the
                latter two into private places
";

/// How to go about it.
struct Bench {
    /// The program.
    sitta: PathBuf,
    /// Everything that is made lies here and is deleted at the end.
    dir: PathBuf,
    rounds: Option<usize>,
    quick: bool,
}

/// A ratio to aim at.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// Of CPU time.
    Cpu(f64),
    /// Of time on the clock.
    Wall(f64),
}

/// One of those who do the same work.
struct Contender<'a> {
    name: &'static str,
    /// The ratio, ours to this peer's, that we aim at.
    target: Option<Target>,
    /// The command for one round; round 0 is not timed.
    command: Box<dyn Fn(usize) -> Command + 'a>,
}

/// What one of them needed.
struct Outcome {
    name: &'static str,
    target: Option<Target>,
    usage: Usage,
}

pub fn run(args: &[String]) -> Result {
    let (mut only, mut dir, mut rounds, mut quick, mut install) = (Vec::new(), None, None, false, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--dir" => dir = Some(PathBuf::from(value()?)),
            "--only" => only.push(value()?.clone()),
            "--rounds" => rounds = Some(value()?.parse()?),
            "--quick" => quick = true,
            "--install" => install = true,
            "-h" | "--help" => {
                print!("{HELP}");
                return Ok(());
            }
            other => return Err(format!("unknown option {other}\n\n{HELP}").into()),
        }
    }
    if install {
        peers::install();
    }
    peers::report_missing();

    let sitta = build_release()?;
    let parent = match dir {
        Some(dir) => dir,
        None => crate::tools::target_dir()?,
    };
    let dir = parent.join(format!("bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let bench = Bench { sitta, dir, rounds, quick };
    let result = bench.cases(&only);
    println!("\ndeleting {}", bench.dir.display());
    std::fs::remove_dir_all(&bench.dir)?;
    result
}

impl Bench {
    fn cases(&self, only: &[String]) -> Result {
        if let Some(unknown) = only.iter().find(|name| !cases::ALL.iter().any(|(known, _)| known == name)) {
            return Err(format!("there is no case `{unknown}`\n\n{HELP}").into());
        }
        println!(
            "{} · medians · CPU is user + system",
            if self.quick { "QUICK: figures mean little" } else { "full size" }
        );
        for (name, case) in cases::ALL {
            if only.is_empty() || only.iter().any(|wanted| wanted == name) {
                case(self)?;
            }
        }
        Ok(())
    }

    /// The program with a state of its own, quiet.
    fn sitta(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.sitta);
        command.args(args).env("XDG_STATE_HOME", self.dir.join("state"));
        command.env("XDG_CONFIG_HOME", self.dir.join("config")).env("XDG_CACHE_HOME", self.dir.join("cache"));
        command
    }

    /// `sitta mirror`, quiet.
    fn mirror(&self, from: &Path, to: &Path) -> Command {
        let mut command = self.sitta(&["mirror", "-q"]);
        command.arg(from).arg(to);
        command
    }

    /// Lets all do the same work in turn, and gives the median of each; the first is us.
    fn race(&self, rounds: usize, contenders: Vec<Contender>) -> Result<Vec<Outcome>> {
        let rounds = self.rounds.unwrap_or(if self.quick { 1 } else { rounds });
        let mut samples = vec![Vec::new(); contenders.len()];
        for round in 0..=rounds {
            for (contender, samples) in contenders.iter().zip(&mut samples) {
                let command = (contender.command)(round);
                // What the last one wrote shall not burden the next.
                rustix::fs::sync();
                let (usage, status) = measure(&command, Stdio::null())?;
                if !status.success() {
                    return Err(format!("{command:?}: {status}").into());
                }
                if round > 0 {
                    samples.push(usage);
                }
            }
        }
        let outcome = |(contender, samples): (Contender, Vec<Usage>)| Outcome {
            name: contender.name,
            target: contender.target,
            usage: table::median(&samples),
        };
        Ok(contenders.into_iter().zip(samples).map(outcome).collect())
    }
}
