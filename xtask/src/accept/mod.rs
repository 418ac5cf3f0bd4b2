//! Acceptance on real trees: everything is compared, nothing is believed.

mod edit;
mod walk;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Result;
use crate::measure::{Usage, measure};
use crate::tools::{build_release, target_dir, thousands};
use walk::{Facts, Walk, walk};

/// Where this acceptance works, and the program.
struct Ground {
    sitta: PathBuf,
    dir: PathBuf,
}

/// One run of the program.
struct Done {
    report: Value,
    code: i32,
    usage: Usage,
}

impl Done {
    fn count(&self, key: &str) -> u64 {
        self.report[key].as_u64().unwrap_or(u64::MAX)
    }

    /// Fails unless the report says exactly this.
    fn expect(&self, what: &str, counts: &[(&str, u64)]) -> Result {
        for (key, wanted) in counts {
            let told = self.count(key);
            if told != *wanted {
                return Err(format!("{what}: the report says {key} {told}, not {wanted}").into());
            }
        }
        Ok(())
    }
}

pub fn run(args: &[String]) -> Result {
    let (mut sources, mut parent) = (Vec::new(), None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--dir" => parent = Some(PathBuf::from(args.next().ok_or("--dir needs a folder")?)),
            source => sources.push(fs::canonicalize(source).map_err(|e| format!("{source}: {e}"))?),
        }
    }
    if sources.is_empty() {
        return Err("which trees? cargo xtask accept SRC… [--dir DIR]".into());
    }
    let sitta = build_release()?;
    let parent = parent.map_or_else(target_dir, Ok)?;
    let ground = Ground { sitta, dir: parent.join(format!("accept-{}", std::process::id())) };
    fs::create_dir_all(&ground.dir)?;
    let result = sources.iter().enumerate().try_for_each(|(i, source)| ground.accept(i, source));
    println!("deleting {}", ground.dir.display());
    fs::remove_dir_all(&ground.dir)?;
    result?;
    println!("accepted");
    Ok(())
}

impl Ground {
    fn accept(&self, number: usize, source: &Path) -> Result {
        println!("\n{}", source.display());
        let (first, second) = (self.dir.join(format!("{number}-first")), self.dir.join(format!("{number}-second")));
        let tree = walk(source)?;
        println!(
            "  holds {} files and links, {} directories, {:.1} MiB, {} special",
            thousands(tree.files()),
            thousands(tree.dirs()),
            tree.bytes() as f64 / f64::from(1 << 20),
            tree.specials()
        );
        // What was there before us cannot be edited: the mirror of the mirror is put through the changes.
        self.first_mirror(source, &tree, &first)?;
        let tree = walk(&first)?;
        self.first_mirror(&first, &tree, &second)?;
        for round in 0..3 {
            self.edited_mirror(&first, &second, round)?;
        }
        Ok(())
    }

    fn first_mirror(&self, from: &Path, tree: &Walk, to: &Path) -> Result {
        let done = self.mirror("first mirror", from, to, tree.entries())?;
        done.expect(
            "first mirror",
            &[("copied", tree.files()), ("updated", 0), ("deleted", 0), ("moved", 0), ("bytes", tree.bytes())],
        )?;
        let special = done.report["problems"].as_array().map_or(0, Vec::len) as u64;
        let code = if tree.specials() == 0 { 0 } else { 3 };
        if special != tree.specials() || done.code != code {
            return Err(format!("{special} problems, exit {}: {}", done.code, done.report["problems"]).into());
        }
        compare(tree, to)?;
        self.diff(from, to, tree.specials() > 0)?;
        self.no_change(from, to, tree)
    }

    fn no_change(&self, from: &Path, to: &Path, tree: &Walk) -> Result {
        let done = self.mirror("second run", from, to, tree.entries())?;
        let nothing = [("copied", 0), ("updated", 0), ("deleted", 0), ("moved", 0), ("bytes", 0)];
        done.expect("second run", &nothing)?;
        done.expect("second run", &[("unchanged", tree.files())])
    }

    fn edited_mirror(&self, from: &Path, to: &Path, round: u64) -> Result {
        let before = walk(from)?;
        edit::edit(from, &before, round)?;
        let after = walk(from)?;
        let (mut new, mut changed, mut gone) = (0, 0, 0);
        for (path, facts) in after.leaves() {
            match before.0.get(path) {
                Some(old) if old == facts => {}
                Some(Facts::Dir { .. }) | None => new += 1,
                Some(_) => changed += 1,
            }
        }
        for (path, _) in before.leaves() {
            gone += u64::from(after.0.get(path).is_none_or(|facts| matches!(facts, Facts::Dir { .. })));
        }

        let what = format!("edits {}: {new} new, {changed} changed, {gone} gone", round + 1);
        let done = self.mirror(&what, from, to, after.entries())?;
        // Which of the new and gone ones are renames is for the planner to find; one that was renamed and got another
        // mode besides counts as both.
        let (moved, updated) = (done.count("moved"), done.count("updated"));
        let odd = updated < changed || updated > changed + moved;
        if odd || done.count("copied") + moved != new || done.count("deleted") + moved != gone {
            return Err(format!("{what}, but the report says {}", done.report).into());
        }
        compare(&after, to)?;
        self.diff(from, to, after.specials() > 0)?;
        self.no_change(from, to, &after)
    }

    fn mirror(&self, what: &str, from: &Path, to: &Path, entries: u64) -> Result<Done> {
        let log = self.dir.join("events.json");
        let mut command = Command::new(&self.sitta);
        command.args(["mirror", "--json", "--max-delete", "100%"]).arg(from).arg(to);
        command.env("XDG_STATE_HOME", self.dir.join("state")).env("XDG_CONFIG_HOME", self.dir.join("config"));
        let (usage, status) = measure(&command, fs::File::create(&log)?.into())?;
        let events = fs::read_to_string(&log)?;
        let last = events.lines().last().ok_or_else(|| format!("{what}: no report, {status}"))?;
        let done = Done { report: serde_json::from_str(last)?, code: status.code().unwrap_or(-1), usage };
        if !matches!(done.code, 0 | 3) {
            return Err(format!("{what}: {status}: {last}").into());
        }

        let mib = f64::from(1 << 20);
        let limit = 60.0 * mib + 120.0 * entries as f64;
        let verdict = if done.usage.memory as f64 <= limit { "within" } else { "ABOVE" };
        println!(
            "  {what}: {:.2} s, CPU {:.2} s, peak memory {:.1} MiB, {verdict} {:.1} MiB",
            usage.wall,
            usage.cpu,
            usage.memory as f64 / mib,
            limit / mib
        );
        Ok(done)
    }

    /// What `diff` has to say: nothing. Where special files are in the source it says so, which is right.
    fn diff(&self, from: &Path, to: &Path, specials: bool) -> Result {
        let mut command = Command::new("diff");
        command.args(["-r", "--no-dereference", "--exclude=.sitta"]).arg(from).arg(to).stdin(Stdio::null());
        let output = command.env("LC_ALL", "C").output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let odd = text.lines().find(|line| !(specials && line.starts_with("Only in")));
        match odd {
            Some(line) => Err(format!("diff: {line}").into()),
            None if output.stderr.is_empty() => Ok(()),
            None => Err(String::from_utf8_lossy(&output.stderr).into()),
        }
    }
}

/// Modes, owners, times, link targets, kinds: all the same.
fn compare(tree: &Walk, to: &Path) -> Result {
    let copy = walk(to)?;
    let kept: BTreeMap<_, _> = tree.0.iter().filter(|(_, facts)| **facts != Facts::Special).collect();
    let odd = kept.iter().find(|(path, facts)| copy.0.get(**path) != Some(**facts));
    if let Some((path, facts)) = odd {
        return Err(format!("{path:?} is {facts:?} and arrived as {:?}", copy.0.get(*path)).into());
    }
    match copy.0.iter().find(|(path, _)| !kept.contains_key(path)) {
        Some((path, _)) => Err(format!("{path:?} is at the destination only").into()),
        None => Ok(()),
    }
}
