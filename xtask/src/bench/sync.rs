//! Two-way syncs against unison and `rclone bisync`, and how long a change takes with `--watch`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases::add;
use super::{Bench, Contender, Target, data, table};
use crate::Result;
use crate::rng::Rng;
use crate::tools::thousands;

/// So many files are edited between two runs.
const EDITS: usize = 100;
/// A watch has settled when so many changes in turn took less than this.
const SETTLED: usize = 5;
const PATIENCE: Duration = Duration::from_secs(15);
/// No change takes longer, the first sync included.
const LONGEST: Duration = Duration::from_secs(1200);

/// The three tools on the same source, each with a folder of its own for each round.
struct Pairs<'a> {
    bench: &'a Bench,
    from: PathBuf,
    to: PathBuf,
}

impl Pairs<'_> {
    fn contenders<'a>(
        &'a self,
        round_of: impl Fn(usize) -> usize + Copy + 'a,
        targets: [Option<Target>; 2],
    ) -> Vec<Contender<'a>> {
        let other = move |tool: &str, round: usize| self.to.join(format!("{tool}-{}", round_of(round)));
        let mut list = vec![Contender {
            name: "sitta",
            target: None,
            command: Box::new(move |round| {
                let mut command = self.bench.sitta(&["sync", "-q"]);
                command.arg(&self.from).arg(other("sitta", round));
                command
            }),
        }];
        add(&mut list, "unison", "unison", targets[0], move |c, round| {
            c.arg(&self.from).arg(other("unison", round)).args(["-batch", "-auto", "-silent", "-times"]);
            c.args(["-confirmbigdel=false", "-ui", "text"]).env("UNISON", self.to.join("unison-archives"));
            // It keeps no trash of its own folder's.
            c.args(["-ignore", "Name .sitta"]);
        });
        add(&mut list, "rclone bisync", "rclone", targets[1], move |c, round| {
            let other = other("rclone", round);
            let first = !other.exists();
            fs::create_dir_all(&other).expect("a folder");
            c.args(["-q", "bisync"]).arg(&self.from).arg(other).arg("--workdir").arg(self.to.join("bisync-state"));
            c.args(["--exclude", "/.sitta/**", "--max-delete", "90"]);
            if first {
                c.arg("--resync");
            }
        });
        list
    }
}

/// First sync, no change, some changes; 20,000 files of 1 GiB in all.
pub fn sync(bench: &Bench) -> Result {
    let files = bench.size(20_000);
    let pairs = &Pairs { bench, from: bench.dir.join("both"), to: bench.dir.join("both-of") };
    println!("\nmaking {} files …", thousands(files as u64));
    data::files(&pairs.from, files, 50, 107_000)?;
    fs::create_dir_all(&pairs.to)?;
    let (half, some) = (Some(Target::Cpu(0.5)), Some(Target::Cpu(0.6)));
    let title = |what: &str| format!("two-way, {} files, 1 GiB: {what}", thousands(files as u64));
    table::print(&title("first sync"), &bench.race(3, pairs.contenders(|round| round, [half, None]))?);
    table::print(&title("no change"), &bench.race(5, pairs.contenders(|_| 0, [half, None]))?);
    let mut list = pairs.contenders(|_| 0, [some, None]);
    // All take up the same edits: they are made before the first of them starts.
    let ours = list.remove(0);
    let edited = Contender {
        command: Box::new(move |round| {
            edit(&pairs.from, round, files).expect("edits");
            (ours.command)(round)
        }),
        ..ours
    };
    list.insert(0, edited);
    table::print(&title(&format!("{EDITS} changes")), &bench.race(5, list)?);
    Ok(())
}

/// Other bytes of another length in some files all over the tree.
fn edit(root: &Path, round: usize, files: usize) -> Result {
    let mut rng = Rng::seeded(round as u64);
    for nth in 0..EDITS {
        let i = (nth * files / EDITS + round) % files;
        let dir = i / 50;
        let path = root.join(format!("group-{:02}/folder-{dir:04}/file-{i:06}.dat", dir / 40));
        let size = 1_000 + rng.below(50_000);
        fs::write(path, rng.bytes(size))?;
    }
    Ok(())
}

/// A process that is ended with us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long it takes until a small change on one side is seen on the other.
pub fn latency(bench: &Bench) -> Result {
    watched(bench, "a small tree", bench.size(2_000))?;
    watched(bench, "a large tree", bench.size(1_000_000))
}

fn watched(bench: &Bench, what: &str, files: usize) -> Result {
    let title = format!("change latency with --watch, {what} of {} files", thousands(files as u64));
    let (left, right) = (bench.dir.join(format!("watched-{files}")), bench.dir.join(format!("watched-{files}-of")));
    data::files(&left, files, 100, 0)?;
    fs::create_dir_all(&right)?;
    let mut command = bench.sitta(&["sync", "--watch", "--json"]);
    command.arg(&left).arg(&right).stdout(Stdio::null()).stderr(Stdio::null());
    let sitta = Running(command.spawn()?);
    let mut times = changes(&left, &right, if bench.quick { 20 } else { 200 })?;
    let usage = fs::read_to_string(format!("/proc/{}/status", sitta.0.id()))?;
    let memory = usage.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim().to_owned();
    drop(sitta);
    print_latency(&title, "sitta", &mut times, &memory);
    Ok(())
}

/// Waits until the first sync is over and what it stirred up has settled, then makes some changes and takes the time of
/// each, in turn on both sides.
fn changes(left: &Path, right: &Path, count: usize) -> Result<Vec<Duration>> {
    let mut rng = Rng::seeded(7);
    let mut times = Vec::with_capacity(count);
    let mut settled = 0;
    for n in 0.. {
        let (from, to) = if n % 2 == 0 { (left, right) } else { (right, left) };
        let took = change(from, to, n)?;
        if settled == SETTLED {
            times.push(took);
        } else {
            settled = if took < PATIENCE { settled + 1 } else { 0 };
        }
        if times.len() == count {
            break;
        }
        sleep(Duration::from_millis(150 + rng.below(150) as u64));
    }
    Ok(times)
}

/// How long it takes until a new small file is seen on the other side.
fn change(from: &Path, to: &Path, n: usize) -> Result<Duration> {
    let name = format!("change-{n}");
    let start = Instant::now();
    fs::write(from.join(&name), format!("change {n}"))?;
    while !to.join(&name).exists() {
        // The first one waits for the first sync, too.
        if start.elapsed() > LONGEST {
            return Err(format!("a change did not arrive within {LONGEST:?}").into());
        }
        sleep(Duration::from_micros(500));
    }
    Ok(start.elapsed())
}

fn print_latency(title: &str, name: &str, times: &mut [Duration], memory: &str) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    let (p50, p99) = (at(50), at(99));
    let verdict = |met| if met { "met" } else { "MISSED" };
    println!("\n{title}");
    println!(
        "  {name:<14} p50 {p50:.0} ms (≤ 60 ms {})   p99 {p99:.0} ms (≤ 250 ms {})   peak {memory}",
        verdict(p50 <= 60.0),
        verdict(p99 <= 250.0)
    );
}

/// Unison and syncthing, watching the same kind of pair.
pub fn latency_of_peers(bench: &Bench) -> Result {
    let count = if bench.quick { 5 } else { 30 };
    if let Some(unison) = super::peers::command("unison") {
        let (left, right) = (bench.dir.join("unison-left"), bench.dir.join("unison-right"));
        data::files(&left, bench.size(2_000), 100, 0)?;
        fs::create_dir_all(&right)?;
        let mut command = unison();
        command.arg(&left).arg(&right).args(["-batch", "-auto", "-silent", "-ui", "text", "-repeat", "1"]);
        command.env("UNISON", bench.dir.join("unison-watched")).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running(command.spawn()?);
        let mut times = changes(&left, &right, count)?;
        drop(running);
        print_latency("change latency, looking every second", "unison", &mut times, "");
    }
    if let Some(syncthing) = super::peers::command("syncthing") {
        let mut times = syncthing_changes(bench, &syncthing, count)?;
        print_latency("change latency, with its shortest delay", "syncthing", &mut times, "");
    }
    Ok(())
}

/// Two syncthings on this machine that know each other and share a folder.
fn syncthing_changes(bench: &Bench, syncthing: &dyn Fn() -> Command, count: usize) -> Result<Vec<Duration>> {
    let homes = ["left", "right"].map(|side| bench.dir.join(format!("syncthing-{side}")));
    let folders = ["left", "right"].map(|side| bench.dir.join(format!("syncthing-{side}-files")));
    let ports = [sitta_testbed::free_port(), sitta_testbed::free_port()];
    let guis = [sitta_testbed::free_port(), sitta_testbed::free_port()];
    let mut ids = Vec::new();
    for (home, folder) in homes.iter().zip(&folders) {
        fs::create_dir_all(folder)?;
        let made = syncthing().arg("generate").arg("--home").arg(home).arg("--no-default-folder").output()?;
        if !made.status.success() {
            return Err(format!("syncthing generate: {}", String::from_utf8_lossy(&made.stderr)).into());
        }
        let id = syncthing().arg("--home").arg(home).arg("--device-id").output()?;
        ids.push(String::from_utf8(id.stdout)?.trim().to_owned());
    }
    data::files(&folders[0], bench.size(2_000), 100, 0)?;
    let mut running = Vec::new();
    for (at, home) in homes.iter().enumerate() {
        let device = |n: usize| {
            format!(
                "<device id=\"{}\" name=\"d{n}\"><address>tcp://127.0.0.1:{}</address></device>",
                ids[n], ports[n]
            )
        };
        let config = format!(
            "<configuration version=\"36\"><folder id=\"both\" path=\"{}\" type=\"sendreceive\" fsWatcherEnabled=\"true\" \
             fsWatcherDelayS=\"1\">\
             <device id=\"{}\"/><device id=\"{}\"/></folder>{}{}<gui enabled=\"true\"><address>127.0.0.1:{}</address></gui>\
             <options><listenAddress>tcp://127.0.0.1:{}</listenAddress><globalAnnounceEnabled>false</globalAnnounceEnabled>\
             <localAnnounceEnabled>false</localAnnounceEnabled><relaysEnabled>false</relaysEnabled>\
             <natEnabled>false</natEnabled><urAccepted>-1</urAccepted><crashReportingEnabled>false</crashReportingEnabled>\
             <autoUpgradeIntervalH>0</autoUpgradeIntervalH><startBrowser>false</startBrowser></options></configuration>",
            folders[at].display(),
            ids[0],
            ids[1],
            device(0),
            device(1),
            guis[at],
            ports[at]
        );
        fs::write(home.join("config.xml"), config)?;
        let mut command = syncthing();
        command.arg("serve").arg("--home").arg(home).args(["--no-browser", "--no-restart", "--no-upgrade"]);
        running.push(Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?));
    }
    sleep(Duration::from_secs(3));
    for Running(child) in &mut running {
        if let Some(status) = child.try_wait()? {
            return Err(format!("syncthing did not start: {status}").into());
        }
    }
    let times = changes(&folders[0], &folders[1], count);
    drop(running);
    times
}
