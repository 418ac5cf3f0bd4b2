//! `sitta trash list`.

use futures::StreamExt;
use serde_json::json;
use sitta_ops::trash::Trashed;
use sitta_tree::{Kind, Printable, Problem, RelPath};

use super::{Place, nothing, relative, report, run_facts, when};
use crate::args::TrashListArgs;
use crate::commands::{block_on, listing};
use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::output::Out;
use crate::render::table::{Align, Table};
use crate::render::{json as shown, units};

/// What is told in the end.
#[derive(Default)]
struct Sums {
    runs: u64,
    versions: u64,
    bytes: u64,
    problems: Vec<Problem>,
}

pub fn run(context: &Context, args: &TrashListArgs) -> Outcome {
    block_on(list(context, args))
}

async fn list(context: &Context, args: &TrashListArgs) -> Outcome {
    let paths: Vec<RelPath> = args.paths.iter().map(|path| relative(path)).collect::<Outcome<_>>()?;
    let since = listing::when(args.since.as_deref(), "--since")?;
    let place = Place::open(context, &args.of).await?;
    let mut runs = place.runs().await?;
    if let Some(wanted) = &args.run {
        runs = vec![place.pick(&runs, wanted)?];
    }
    runs.retain(|run| since.is_none_or(|since| run.began >= since));
    let mut out = context.out();
    let mut table = Table::new(&[Align::Left, Align::Right, Align::Left, Align::Left, Align::Left]);
    table.row(["NAME", "SIZE", "MODIFIED", "TRASHED", "RUN"].map(str::to_owned).into());
    let (mut sums, mut there) = (Sums::default(), Vec::new());
    let mut seen = vec![false; paths.len()];
    let mut contents = std::pin::pin!(place.trash.list(runs));
    while let Some(found) = contents.next().await {
        let mut found = found.map_err(|error| place.failed(&error))?;
        sums.problems.append(&mut found.problems);
        if !paths.is_empty() {
            there.extend(found.versions.iter().map(|version| version.path.clone()));
            found.versions.retain(|version| {
                let mut wanted = false;
                for (path, seen) in paths.iter().zip(&mut seen) {
                    let is_within = version.path.is_within(path);
                    *seen |= is_within;
                    wanted |= is_within;
                }
                wanted
            });
        }
        sums.runs += u64::from(!found.versions.is_empty());
        place.trash.fill_in(&mut found.versions).await;
        for version in &found.versions {
            sums.versions += 1;
            sums.bytes += version.entry.size;
            match context.json {
                true => out.line(value(version))?,
                false => table.row(row(context, version)),
            }
        }
    }
    if let Some((path, _)) = paths.iter().zip(&seen).find(|(_, seen)| !**seen) {
        out.flush()?;
        return Err(place.not_there(path, &there));
    }
    if !context.json && sums.versions > 0 {
        print(context, &mut out, &table)?;
    }
    let all = args.since.is_none() && paths.is_empty();
    finish(context, out, &place, &sums, all)
}

fn print(context: &Context, out: &mut Out, table: &Table) -> Outcome<()> {
    out.table(table, context.out_style)?;
    Ok(())
}

fn row(context: &Context, version: &Trashed) -> Vec<String> {
    let entry = &version.entry;
    let path = version.path.to_string();
    let (name, size) = match entry.kind {
        Kind::Symlink => (format!("{path} → {}", Printable(&entry.target)), String::new()),
        Kind::File => (path, units::size(entry.size)),
        Kind::Dir | Kind::Unknown => (path, "unknown".to_owned()),
    };
    let modified = units::local_time(entry.meta.mtime, &context.zone());
    vec![name, size, modified, when(context, &version.run), version.run.id.to_string()]
}

fn value(version: &Trashed) -> serde_json::Value {
    let entry = &version.entry;
    let mut object = shown::with_path(json!({"event": "version"}), "path", &version.path);
    object["kind"] = match entry.kind {
        Kind::File => "file",
        Kind::Symlink => "symlink",
        Kind::Dir | Kind::Unknown => "unknown",
    }
    .into();
    if entry.kind == Kind::File {
        object["size"] = entry.size.into();
    }
    object["modified"] = units::utc_time(entry.meta.mtime).into();
    if entry.kind == Kind::Symlink {
        shown::add_bytes(&mut object, "target", &entry.target);
    }
    run_facts(&mut object, &version.run);
    object
}

fn finish(context: &Context, mut out: Out, place: &Place, sums: &Sums, all: bool) -> Outcome {
    let exit = if sums.problems.is_empty() { Exit::Done } else { Exit::Partial };
    if context.json {
        let problems: Vec<_> = sums.problems.iter().map(shown::problem_value).collect();
        let more = json!({"problems": problems, "runs": sums.runs, "versions": sums.versions, "bytes": sums.bytes});
        out.line(report(place, exit, more))?;
    }
    out.flush()?;
    if context.json {
        return Ok(exit);
    }
    for problem in &sums.problems {
        context.console.warning(format!("{} could not be looked at: {}", problem.path, problem.message));
    }
    if !context.quiet {
        let head = context.console.style.head("Trash");
        context.console.line(match sums.versions {
            0 => format!("{head}{}", nothing(place, all)),
            n => format!(
                "{head}{} of {} · {}",
                units::counted(n, "old version", "old versions"),
                units::counted(sums.runs, "run", "runs"),
                units::size(sums.bytes)
            ),
        });
    }
    Ok(exit)
}
