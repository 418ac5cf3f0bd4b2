//! Packing and unpacking, against what a shell puts together for it.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::cases::{add, us};
use super::{Bench, Target, data, table};
use crate::Result;
use crate::tools::thousands;

impl Bench {
    /// A tree of some 53 MB, most of it text.
    fn texts(&self) -> Result<std::path::PathBuf> {
        let dir = self.dir.join("texts");
        if !dir.exists() {
            data::texts(&dir, self.size(4_000), 50, 26_000)?;
        }
        Ok(dir)
    }
}

/// `sh -c`, where a pipeline is needed.
fn shell(command: &mut Command, line: &str, from: &Path, to: &Path) {
    command.args(["-c", line, "sh"]).arg(from).arg(to);
}

/// The same tree as a tar compressed by zstd and by gzip, and as a zip.
pub fn pack(bench: &Bench) -> Result {
    let (from, out) = (&bench.texts()?, &bench.dir.join("packed"));
    fs::create_dir_all(out)?;
    let sitta = |ending: &'static str| {
        us(move |_| {
            let mut command = bench.sitta(&["archive", "-q"]);
            command.arg(from).arg(out.join(format!("sitta.{ending}")));
            command
        })
    };
    let mut list = vec![sitta("tar.zst")];
    add(&mut list, "tar | zstd -3 -T0", "zstd", Some(Target::Cpu(0.75)), |c, _| {
        *c = Command::new("sh");
        shell(c, "tar -C \"$1\" -cf - . | zstd -q -3 -T0 -f -o \"$2\"", from, &out.join("peer.tar.zst"));
    });
    add(&mut list, "bsdtar --zstd", "bsdtar", None, |c, _| {
        c.args(["--zstd", "-cf"]).arg(out.join("bsdtar.tar.zst")).arg("-C").arg(from).arg(".");
    });
    let files = thousands(bench.size(4_000) as u64);
    table::print(&format!("pack {files} files into a tar.zst"), &bench.race(7, list)?);
    sizes(out, ".tar.zst")?;

    let mut list = vec![sitta("tar.gz")];
    add(&mut list, "tar | pigz -6", "pigz", Some(Target::Cpu(0.45)), |c, _| {
        *c = Command::new("sh");
        shell(c, "tar -C \"$1\" -cf - . | pigz -6 > \"$2\"", from, &out.join("pigz.tar.gz"));
    });
    add(&mut list, "tar -z", "tar", None, |c, _| {
        c.arg("-czf").arg(out.join("tar.tar.gz")).arg("-C").arg(from).arg(".");
    });
    table::print(&format!("pack {files} files into a tar.gz"), &bench.race(5, list)?);
    sizes(out, ".tar.gz")?;

    let mut list = vec![sitta("zip")];
    add(&mut list, "zip -r", "zip", None, |c, round| {
        *c = Command::new("sh");
        shell(c, "cd \"$1\" && zip -q -r \"$2\" .", from, &out.join(format!("zip-{round}.zip")));
    });
    add(&mut list, "bsdtar --format zip", "bsdtar", None, |c, _| {
        c.args(["--format", "zip", "-cf"]).arg(out.join("bsdtar.zip")).arg("-C").arg(from).arg(".");
    });
    table::print(&format!("pack {files} files into a zip"), &bench.race(5, list)?);
    sizes(out, ".zip")
}

/// How large each of them came out, next to ours.
fn sizes(dir: &Path, ending: &str) -> Result {
    let ours = fs::metadata(dir.join(format!("sitta{ending}")))?.len();
    let mut names: Vec<_> = fs::read_dir(dir)?.flatten().map(|entry| entry.path()).collect();
    names.sort();
    for path in names {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(ending) && !name.starts_with("sitta") {
            let size = fs::metadata(&path)?.len();
            println!("  size {:.3} of {name}", ours as f64 / size as f64);
        }
    }
    Ok(())
}

/// Each sort of archive, made by others, into a new folder.
pub fn unpack(bench: &Bench) -> Result {
    let (from, out) = (&bench.texts()?, &bench.dir.join("unpacked"));
    fs::create_dir_all(out)?;
    let made = |name: &str, line: &str| -> Result<std::path::PathBuf> {
        let (at, mut command) = (bench.dir.join(name), Command::new("sh"));
        shell(&mut command, line, from, &at);
        match command.status()?.success() {
            true => Ok(at),
            false => Err(format!("{command:?} failed").into()),
        }
    };
    let gz = &made("made.tar.gz", "tar -C \"$1\" -czf \"$2\" .")?;
    let zst = &made("made.tar.zst", "tar -C \"$1\" -cf - . | zstd -q -3 -f -o \"$2\"")?;
    let zip = &made("made.zip", "cd \"$1\" && zip -q -r \"$2\" .")?;
    let files = thousands(bench.size(4_000) as u64);
    for (sort, archive) in [("tar.gz", gz), ("tar.zst", zst), ("zip", zip)] {
        let to = move |who: &str, round: usize| out.join(format!("{who}-{sort}-{round}"));
        let mut list = vec![us(move |round| {
            let mut command = bench.sitta(&["unpack", "-q"]);
            command.arg(archive).arg(to("sitta", round));
            command
        })];
        let line = match sort {
            "zip" => "mkdir \"$2\" && unzip -q \"$1\" -d \"$2\"",
            "tar.gz" => "mkdir \"$2\" && tar -xzf \"$1\" -C \"$2\"",
            _ => "mkdir \"$2\" && tar --zstd -xf \"$1\" -C \"$2\"",
        };
        let (name, program) = if sort == "zip" { ("unzip", "unzip") } else { ("tar", "tar") };
        add(&mut list, name, program, Some(Target::Cpu(0.75)), move |c, round| {
            *c = Command::new("sh");
            shell(c, line, archive, &to("peer", round));
        });
        add(&mut list, "bsdtar", "bsdtar", None, move |c, round| {
            *c = Command::new("sh");
            shell(c, "mkdir \"$2\" && bsdtar -xf \"$1\" -C \"$2\"", archive, &to("bsdtar", round));
        });
        table::print(&format!("unpack {files} files of a {sort}"), &bench.race(5, list)?);
    }
    Ok(())
}
