//! `--policy ask`: conflicts are shown one after the other, and settled as the user says.

use std::io::BufRead;

use sitta_ops::{Keep, Report, Unsettled, settle};
use sitta_tree::{Outcome as Settled, Side};

use crate::commands::conflicts::describe;
use crate::commands::moving::Pair;
use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::render::failure;

/// Asks about each conflict that was left, if somebody is there.
pub async fn settle_left(context: &Context, pair: &Pair, report: &Report, exit: Exit) -> Outcome {
    let mut left = Vec::new();
    for conflict in report.conflicts.iter().filter(|conflict| conflict.outcome == Settled::Left) {
        left.push(conflict.path.clone());
    }
    if left.is_empty() || !context.can_ask || pair.options.dry_run {
        return Ok(exit);
    }
    let mut open = left.len();
    let names = pair.names();
    for path in left {
        let mut versions = [None, None];
        for (version, side) in versions.iter_mut().zip(&pair.sides) {
            *version = side.store.stat(&path).await.map_err(|error| failure::looking(&side.label, &error))?;
        }
        let conflict = Unsettled { path, copy: None, side: None, versions, copied: None };
        for line in describe(context, &conflict, &names) {
            context.console.line(line);
        }
        let Some(keep) = ask(context) else { continue };
        let [left, right] = pair.sides.each_ref().map(|side| side.store.clone());
        let settled = settle([left, right], &conflict, keep, &pair.options, &pair.state, &(), &pair.flow).await;
        let report = settled.map_err(|error| failure::run_error(&error, "sync", &names))?;
        for problem in &report.problems {
            context.console.warning(format!("{}: {}", problem.path, problem.message));
        }
        open -= usize::from(report.problems.is_empty());
    }
    Ok(if open == 0 && exit == Exit::Conflicts { Exit::Done } else { exit })
}

/// What the user wants; none to leave it as it is.
fn ask(context: &Context) -> Option<Keep> {
    loop {
        context.console.prompt("  keep [l]eft, [r]ight, [b]oth, or [s]kip? ");
        let mut answer = String::new();
        if std::io::stdin().lock().read_line(&mut answer).unwrap_or(0) == 0 {
            context.console.line("");
            return None;
        }
        match answer.trim() {
            "l" | "left" => return Some(Keep::Side(Side::Left)),
            "r" | "right" => return Some(Keep::Side(Side::Right)),
            "b" | "both" => return Some(Keep::Both),
            "s" | "skip" => return None,
            _ => {}
        }
    }
}
