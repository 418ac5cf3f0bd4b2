//! What is measured, and against whom.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::peers::command;
use super::{Bench, Contender, Target, data, delta, load, loss, pack, remote, search, serve, sync, table};
use crate::Result;
use crate::measure::measure;
use crate::tools::thousands;

type Case = fn(&Bench) -> Result;

/// All cases by name.
pub const ALL: &[(&str, Case)] = &[
    ("scan", scan),
    ("no-change", no_change),
    ("small", small),
    ("large", large),
    ("hash", hash),
    ("memory", memory),
    ("pack", pack::pack),
    ("unpack", pack::unpack),
    ("search", search::search),
    ("s3", remote::s3),
    ("smb", remote::smb),
    ("sftp", remote::sftp),
    ("sync", sync::sync),
    ("delta", delta::delta),
    ("latency", sync::latency),
    ("latency-of-peers", sync::latency_of_peers),
    ("download", serve::download),
    ("requests", serve::requests),
    ("loss", loss::loss),
    ("load", load::load),
];

pub(super) fn us<'a>(command: impl Fn(usize) -> Command + 'a) -> Contender<'a> {
    Contender { name: "sitta", target: None, command: Box::new(command) }
}

/// Adds a peer if it is on this machine; `build` completes its command for a round.
pub(super) fn add<'a>(
    list: &mut Vec<Contender<'a>>,
    name: &'static str,
    program: &str,
    target: Option<Target>,
    build: impl Fn(&mut Command, usize) + 'a,
) {
    if let Some(start) = command(program) {
        let command = move |round| {
            let mut command = start();
            build(&mut command, round);
            command
        };
        list.push(Contender { name, target, command: Box::new(command) });
    }
}

impl Bench {
    /// A smaller number when in a hurry.
    pub(super) fn size(&self, full: usize) -> usize {
        if self.quick { full / 20 } else { full }
    }

    /// The tree that is only looked at.
    fn wide_tree(&self) -> Result<(PathBuf, usize)> {
        let (dir, files) = (self.dir.join("wide"), self.size(200_000));
        if !dir.exists() {
            println!("making {} files …", thousands(files as u64));
            data::files(&dir, files, 100, 0)?;
        }
        Ok((dir, files))
    }
}

/// Every name, size and time of a large tree. `find -size` and `fd --size` have to stat each file, as we do.
fn scan(bench: &Bench) -> Result {
    let (tree, files) = bench.wide_tree()?;
    let tree = &tree;
    let mut list = vec![us(move |_| {
        let mut command = bench.sitta(&["du"]);
        command.arg(tree);
        command
    })];
    add(&mut list, "find", "find", Some(Target::Cpu(0.70)), |c, _| {
        c.arg(tree).args(["-size", "+1000000k"]);
    });
    add(&mut list, "du", "du", Some(Target::Cpu(1.0)), |c, _| {
        c.arg("-s").arg(tree);
    });
    add(&mut list, "fd", "fd", None, |c, _| {
        c.args(["--unrestricted", "--size", "+1t", "."]).arg(tree);
    });
    add(&mut list, "rclone size", "rclone", None, |c, _| {
        c.args(["-q", "size"]).arg(tree);
    });
    table::print(&format!("scan of {} files, warm", thousands(files as u64)), &bench.race(7, list)?);
    Ok(())
}

/// A mirror that has nothing to do: each tool on a destination that it made itself.
fn no_change(bench: &Bench) -> Result {
    let files = bench.size(40_000);
    let (from, to) = (&bench.dir.join("still"), &bench.dir.join("still-of"));
    println!("\nmaking {} files …", thousands(files as u64));
    data::files(from, files, 50, 2_000)?;
    std::fs::create_dir_all(to)?;
    let mut list = vec![us(move |_| bench.mirror(from, &to.join("sitta")))];
    add(&mut list, "cp -au", "cp", None, |c, _| {
        c.arg("-au").arg(from.join(".")).arg(to.join("cp"));
    });
    add(&mut list, "rsync -a", "rsync", Some(Target::Cpu(0.65)), |c, _| {
        c.args(["-a", "--delete"]).arg(from.join("")).arg(to.join("rsync"));
    });
    add(&mut list, "rclone sync", "rclone", Some(Target::Cpu(0.15)), |c, _| {
        c.args(["-q", "sync"]).arg(from).arg(to.join("rclone"));
    });
    table::print(&format!("mirror with no change, {} files", thousands(files as u64)), &bench.race(7, list)?);
    Ok(())
}

/// A first copy of many small files, each time to a new destination.
fn small(bench: &Bench) -> Result {
    let files = bench.size(4_000);
    let (from, to) = (&bench.dir.join("small"), &bench.dir.join("small-of"));
    data::files(from, files, 50, 8_000)?;
    std::fs::create_dir_all(to)?;
    let mut list = vec![us(move |round| bench.mirror(from, &to.join(format!("sitta{round}"))))];
    add(&mut list, "cp -a", "cp", None, |c, round| {
        c.arg("-a").arg(from).arg(to.join(format!("cp{round}")));
    });
    add(&mut list, "rsync -a", "rsync", Some(Target::Cpu(0.45)), |c, round| {
        c.arg("-a").arg(from.join("")).arg(to.join(format!("rsync{round}")));
    });
    add(&mut list, "rclone copy", "rclone", None, |c, round| {
        c.args(["-q", "copy"]).arg(from).arg(to.join(format!("rclone{round}")));
    });
    table::print(&format!("first copy of {} small files", thousands(files as u64)), &bench.race(7, list)?);
    Ok(())
}

/// A first copy of one large file, each time to a new destination.
fn large(bench: &Bench) -> Result {
    let mebibytes = bench.size(1024);
    let (from, to) = (&bench.dir.join("large"), &bench.dir.join("large-of"));
    data::large(&from.join("file"), mebibytes)?;
    std::fs::create_dir_all(to)?;
    let mut list = vec![us(move |round| bench.mirror(from, &to.join(format!("sitta{round}"))))];
    add(&mut list, "cp -a", "cp", None, |c, round| {
        c.arg("-a").arg(from).arg(to.join(format!("cp{round}")));
    });
    add(&mut list, "rsync -a", "rsync", Some(Target::Cpu(0.6)), |c, round| {
        c.arg("-a").arg(from.join("")).arg(to.join(format!("rsync{round}")));
    });
    add(&mut list, "rclone copy", "rclone", None, |c, round| {
        c.args(["-q", "copy"]).arg(from).arg(to.join(format!("rclone{round}")));
    });
    table::print(&format!("first copy of one file of {mebibytes} MiB"), &bench.race(3, list)?);
    Ok(())
}

fn hash(bench: &Bench) -> Result {
    let mebibytes = bench.size(1024);
    let file = &bench.dir.join("large/file");
    if !file.exists() {
        data::large(file, mebibytes)?;
    }
    let mut list = vec![us(move |_| {
        let mut command = bench.sitta(&["hash"]);
        command.arg(file);
        command
    })];
    add(&mut list, "b3sum", "b3sum", None, |c, _| {
        c.arg(file);
    });
    table::print(&format!("BLAKE3 of {mebibytes} MiB"), &bench.race(7, list)?);
    Ok(())
}

/// Peak memory of a first mirror of a large tree against the promise of 60 MiB + 120 bytes an entry.
fn memory(bench: &Bench) -> Result {
    let (tree, files) = bench.wide_tree()?;
    let empty = bench.dir.join("empty");
    std::fs::create_dir_all(&empty)?;
    let to = bench.dir.join("wide-of");
    let mut rows = Vec::new();
    let entries = files + files / 100;
    for (name, command) in [
        ("nothing", bench.mirror(&empty, &bench.dir.join("empty-of"))),
        ("first mirror", bench.mirror(&tree, &to)),
        ("no change", bench.mirror(&tree, &to)),
    ] {
        let (usage, status) = measure(&command, Stdio::null())?;
        if !status.success() {
            return Err(format!("{command:?}: {status}").into());
        }
        rows.push((name, usage));
    }
    table::print_memory(entries, &rows);
    Ok(())
}
