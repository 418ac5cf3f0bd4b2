//! The end of a run in words.

use std::collections::BTreeMap;

use sitta_ops::{Outcome as Ended, Report};
use sitta_tree::{Conflict, Outcome as Settled, Printable, Problem, ProblemKind};

use super::course::Course;
use super::failure::Sides;
use super::style::Style;
use super::table::{Align, Table};
use super::{steps, units};
use crate::hints;

/// So many problems are listed unless all are asked for.
const LISTED: usize = 100;

/// `12,408 files are the same`
pub fn same(files: u64) -> String {
    match files {
        0 => "there are no files".to_owned(),
        1 => "1 file is the same".to_owned(),
        n => format!("{} files are the same", units::count(n)),
    }
}

/// The lines that end a run. A quiet one tells only what is not as it should be.
pub fn lines(
    report: &Report,
    course: &Course,
    sides: &Sides,
    style: Style,
    quiet: bool,
    verbose: bool,
) -> Vec<String> {
    let mut lines = Vec::new();
    let continued = " ".repeat(11);
    let summary = summary(report, course);
    if report.problems.is_empty() {
        let head = match report.outcome {
            Ended::Interrupted => "Stopped",
            _ if report.dry_run => "Dry run",
            _ => "Done",
        };
        if !quiet {
            lines.push(format!("{}{summary}", style.head(head)));
        }
    } else {
        let stopped = report.outcome == Ended::Interrupted;
        let entries = units::counted(report.problems.len() as u64, "file", "files");
        let failed = format!("{entries} could not be {}", processed(&report.problems));
        lines.push(format!("{}, but {failed}", style.accent(if stopped { "Stopped" } else { "Done" })));
        lines.extend(problems(&report.problems, verbose));
        if !quiet {
            lines.push(format!("{continued}{summary}"));
        }
    }
    if !quiet && !report.dry_run && report.archive.is_none() {
        lines.extend(old_versions(report, course).map(|line| format!("{continued}{line}")));
    }
    if report.outcome == Ended::Interrupted {
        lines.push(format!("{continued}what was begun is whole; run it again to go on"));
    }
    let mut hinted: Vec<&str> = Vec::new();
    for problem in &report.problems {
        if let Some(hint) = hints::problem(problem.kind).filter(|hint| !hinted.contains(hint)) {
            hinted.push(hint);
        }
    }
    lines.extend(hinted.into_iter().map(|hint| format!("{} {hint}", style.accent("hint:"))));
    lines.extend(conflicts(report, sides, style));
    lines
}

/// `31 copied, 12 updated, 3 moved, 2 deleted, 12,360 unchanged · 84.2 MiB in 7.5 s`
fn summary(report: &Report, course: &Course) -> String {
    if report.dry_run {
        return "nothing was changed".to_owned();
    }
    if let Some(archive) = &report.archive {
        return steps::summary(report, archive);
    }
    let counts = [
        (report.copied, "copied"),
        (report.updated, "updated"),
        (report.moved, "moved"),
        (report.deleted, "deleted"),
    ];
    let mut parts: Vec<String> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", units::count(*n))).collect();
    for (n, word) in [(course.dirs_made, "made"), (course.dirs_removed, "removed")] {
        if n > 0 {
            parts.push(format!("{} {word}", units::counted(n, "folder", "folders")));
        }
    }
    let took = units::duration(report.took);
    if parts.is_empty() && report.problems.is_empty() && report.held.is_empty() && report.outcome == Ended::Success
    {
        return format!("nothing to do: {} ({took})", same(report.unchanged));
    }
    if parts.is_empty() {
        parts.push("nothing changed".to_owned());
    }
    if report.unchanged > 0 {
        parts.push(format!("{} unchanged", units::count(report.unchanged)));
    }
    let sent = if report.bytes > 0 { format!("{} in ", units::size(report.bytes)) } else { String::new() };
    format!("{} · {sent}{took}", parts.join(", "))
}

/// Deleting and overwriting always say where the old version is, or that it is gone.
fn old_versions(report: &Report, course: &Course) -> impl Iterator<Item = String> {
    let displaced = report.deleted + course.overwritten;
    let trash: Vec<&str> = report.trash.iter().flatten().map(String::as_str).collect();
    let line = match (trash.is_empty(), displaced) {
        (_, 0) => None,
        (false, _) => Some(format!("old versions are in {}", trash.join(" and "))),
        (true, n) => Some(format!(
            "{} gone; --trash would keep them",
            units::counted(n, "old version is", "old versions are")
        )),
    };
    line.into_iter()
}

fn processed(problems: &[Problem]) -> &'static str {
    let sending = |p: &Problem| !matches!(p.kind, ProblemKind::Unwritable | ProblemKind::Other);
    if problems.iter().all(sending) { "sent" } else { "processed" }
}

/// Each problem in a line; of very many, the first ones and how many of each sort there are.
fn problems(problems: &[Problem], all: bool) -> Vec<String> {
    let shown = if all { problems.len() } else { problems.len().min(LISTED) };
    let mut table = Table::new(&[Align::Left, Align::Left]);
    for problem in &problems[..shown] {
        let path = if problem.path.is_root() { ".".to_owned() } else { problem.path.to_string() };
        table.row(vec![path, problem.message.clone()]);
    }
    let mut lines: Vec<String> = table.lines().map(|line| format!("  {line}")).collect();
    if shown < problems.len() {
        let mut sorts: BTreeMap<&str, u64> = BTreeMap::new();
        problems[shown..].iter().for_each(|problem| *sorts.entry(problem.kind.name()).or_default() += 1);
        let sorts: Vec<_> = sorts.iter().map(|(kind, n)| format!("{} {kind}", units::count(*n))).collect();
        lines.push(format!(
            "  … and {} more ({}): -v lists them all",
            units::count((problems.len() - shown) as u64),
            sorts.join(", ")
        ));
    }
    lines
}

/// What became of conflicts, and what is left for the user.
fn conflicts(report: &Report, sides: &Sides, style: Style) -> Vec<String> {
    let (left, settled): (Vec<_>, Vec<_>) =
        report.conflicts.iter().partition(|conflict| conflict.outcome == Settled::Left);
    let mut lines = Vec::new();
    if !settled.is_empty() {
        let files = units::counted(settled.len() as u64, "file was", "files were");
        lines.push(format!("{}{files} changed on both sides", style.head("Conflicts")));
        lines.extend(settled.iter().take(LISTED).map(|c| format!("  {}", conflict(c, sides, report.dry_run))));
        if settled.iter().any(|conflict| matches!(conflict.outcome, Settled::KeptBoth(..))) {
            lines.push(format!("{} `sitta conflicts A B` lists and settles them", style.accent("hint:")));
        }
    }
    if !left.is_empty() {
        let files = units::counted(left.len() as u64, "conflict is", "conflicts are");
        lines.push(format!("{}{files} left for you: both sides hold something different", style.head("Conflicts")));
        lines.extend(left.iter().map(|conflict| format!("  {}", conflict.path)));
        lines.push(format!(
            "{} neither side was touched; `sitta conflicts resolve PATH --keep left|right|both` settles them",
            style.accent("hint:")
        ));
    }
    lines
}

/// `report.odt   both are kept: that of ~/Documents is report.odt.conflict-1a2b3c4d`
pub fn conflict(conflict: &Conflict, sides: &Sides, dry_run: bool) -> String {
    let path = &conflict.path;
    let (is, goes) = if dry_run { ("would be", "would go") } else { ("is", "went") };
    match &conflict.outcome {
        Settled::KeptBoth(side, copy) => {
            format!("{path}   both are kept: that of {} {is} {}", sides.label(*side), Printable(copy.name()))
        }
        Settled::Won(side) => {
            let (winner, loser) = (sides.label(*side), sides.label(side.other()));
            match (conflict.left, conflict.right) {
                (Some(_), Some(_)) => {
                    format!("{path}   that of {winner} {is} kept, that of {loser} {goes} to the trash")
                }
                _ => format!("{path}   {winner} had deleted it; what {loser} had made of it {goes} to the trash"),
            }
        }
        Settled::Left => format!("{path}   both sides changed it; left for you"),
    }
}

/// Whether conflicts are left for the user.
pub fn leaves_conflicts(report: &Report) -> bool {
    report.conflicts.iter().any(|conflict| conflict.outcome == Settled::Left)
}
