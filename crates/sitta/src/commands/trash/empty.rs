//! `sitta trash empty`.

use std::io::BufRead;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sitta_ops::trash::Emptied;
use sitta_tree::Time;

use super::{Place, nothing, report, run_facts, when};
use crate::args::TrashEmptyArgs;
use crate::commands::block_on;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::render::table::{Align, Table};
use crate::render::{json as shown, units};

pub fn run(context: &Context, args: &TrashEmptyArgs) -> Outcome {
    block_on(empty(context, args))
}

async fn empty(context: &Context, args: &TrashEmptyArgs) -> Outcome {
    let before = args.older_than.map(|age| {
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        let at = Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN);
        Time::new(at.as_second(), 0)
    });
    let asks = before.is_none() && !args.yes && !args.dry_run;
    if asks && !context.can_ask {
        return Err(Failure::usage("all old versions would be gone for good, and nobody is there to be asked")
            .note("nothing was removed")
            .hint("add --yes; --older-than 30d removes only what is older, --dry-run nothing"));
    }
    let place = Place::open(context, &args.of).await?;
    if asks {
        let there = place.trash.empty(before, true).await.map_err(|error| place.failed(&error))?;
        if there.runs.is_empty() {
            return tell(context, &place, &there, false, true);
        }
        context.console.prompt(&format!("{} will be gone for good. Go on? [y/N] ", amount(&there)));
        let mut answer = String::new();
        let typed = std::io::stdin().lock().read_line(&mut answer).unwrap_or(0);
        if typed == 0 {
            context.console.line("");
        }
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Err(Failure::failed("nothing was removed: the answer was not yes"));
        }
    }
    let emptied = place.trash.empty(before, args.dry_run).await.map_err(|error| place.failed(&error))?;
    tell(context, &place, &emptied, args.dry_run, before.is_none())
}

/// `12 files of 3 runs (1.2 GiB)`
fn amount(emptied: &Emptied) -> String {
    format!(
        "{} of {} ({})",
        units::counted(emptied.files(), "file", "files"),
        units::counted(emptied.runs.len() as u64, "run", "runs"),
        units::size(emptied.bytes())
    )
}

/// `all`: everything in the trash was meant.
fn tell(context: &Context, place: &Place, emptied: &Emptied, dry_run: bool, all: bool) -> Outcome {
    let exit = if emptied.problems.is_empty() { Exit::Done } else { Exit::Partial };
    let mut out = context.out();
    if context.json {
        for gone in &emptied.runs {
            let mut object = json!({"event": "run"});
            run_facts(&mut object, &gone.run);
            object["files"] = gone.files.into();
            object["bytes"] = gone.bytes.into();
            out.line(object)?;
        }
        let problems: Vec<_> = emptied.problems.iter().map(shown::problem_value).collect();
        let more = json!({
            "problems": problems, "runs": emptied.runs.len(), "files": emptied.files(), "bytes": emptied.bytes(),
            "busy": emptied.busy, "dry_run": dry_run,
        });
        out.line(report(place, exit, more))?;
        out.flush()?;
        return Ok(exit);
    }
    if dry_run && !emptied.runs.is_empty() {
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Right, Align::Left]);
        table.row(["TRASHED", "FILES", "SIZE", "RUN"].map(str::to_owned).into());
        for gone in &emptied.runs {
            let files = units::count(gone.files);
            table.row(vec![when(context, &gone.run), files, units::size(gone.bytes), gone.run.id.to_string()]);
        }
        out.table(&table, context.out_style)?;
        out.flush()?;
    }
    let console = &context.console;
    for problem in &emptied.problems {
        console.warning(format!("{} could not be removed: {}", problem.path, problem.message));
    }
    if context.quiet {
        return Ok(exit);
    }
    if !emptied.runs.is_empty() {
        console.line(match dry_run {
            true => format!("{}{} would be gone", console.style.head("Dry run"), amount(emptied)),
            false => format!("{}{} gone for good", console.style.head("Removed"), amount(emptied)),
        });
    } else if emptied.problems.is_empty() && emptied.busy == 0 {
        console.line(format!("{}{}", console.style.head("Trash"), nothing(place, all)));
    }
    if emptied.busy > 0 {
        let runs = units::counted(emptied.busy, "run that may", "runs that may");
        console.line(format!("{}{runs} be at work right now: left alone", console.style.head("Trash")));
    }
    Ok(exit)
}
