//! More than two folders: the hub with each of the others, until nothing is left to do.

use serde_json::{Value, json};
use sitta_ops::Report;
use sitta_tree::Side;

use super::tell;
use crate::commands::moving::Pair;
use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::render::json::{self, Json};

/// What comes to the hub from one folder goes to those before it in a second round; nothing is left for a third unless
/// somebody works on them meanwhile.
const ROUNDS: usize = 3;

pub async fn run(context: &Context, pairs: &[Pair], json: Option<&Json>) -> Outcome {
    let mut ends = vec![Exit::Done; pairs.len()];
    let mut reports: Vec<Option<Report>> = vec![None; pairs.len()];
    let mut due: Vec<bool> = vec![true; pairs.len()];
    for _ in 0..ROUNDS {
        for (index, pair) in pairs.iter().enumerate() {
            if !std::mem::take(&mut due[index]) || pair.flow.is_cancelled() {
                continue;
            }
            say_which(context, pair, json);
            match pair.run(context, json.map(|json| json.of_several()).as_ref()).await {
                Ok((exit, report, held)) => {
                    held.iter().for_each(|held| context.console.failure(held));
                    ends[index] = exit;
                    // What changed in the hub is news for all others.
                    if report.changed[Side::Left as usize] && !pair.options.dry_run {
                        (0..pairs.len()).filter(|other| *other != index).for_each(|other| due[other] = true);
                    }
                    match &mut reports[index] {
                        Some(all) => all.add(report),
                        none => *none = Some(report),
                    }
                }
                Err(failure) => ends[index] = tell(context, pair, &failure),
            }
        }
    }
    let exit = ends.into_iter().fold(Exit::Done, Exit::worse);
    if let Some(json) = json {
        json.last(&all_told(&reports, exit));
    }
    Ok(exit)
}

fn say_which(context: &Context, pair: &Pair, json: Option<&Json>) {
    if json.is_none() && !context.quiet {
        let [hub, spoke] = pair.sides.each_ref().map(|side| side.label.as_str());
        context.console.line(format!("{}{hub} and {spoke}", context.console.style.head("Pair")));
    }
}

/// One report for all pairs.
fn all_told(reports: &[Option<Report>], exit: Exit) -> Value {
    let all: Vec<&Report> = reports.iter().flatten().collect();
    let sum = |count: fn(&Report) -> u64| json!(all.iter().map(|report| count(report)).sum::<u64>());
    let problems: Vec<Value> = all.iter().flat_map(|report| &report.problems).map(json::problem_value).collect();
    json::plain_report(
        "sync",
        &[
            ("outcome", exit.outcome().into()),
            ("pairs", reports.len().into()),
            ("copied", sum(|report| report.copied)),
            ("updated", sum(|report| report.updated)),
            ("deleted", sum(|report| report.deleted)),
            ("moved", sum(|report| report.moved)),
            ("unchanged", sum(|report| report.unchanged)),
            ("conflicts", sum(|report| report.conflicts.len() as u64)),
            ("bytes", sum(|report| report.bytes)),
            ("requests", sum(|report| report.requests)),
            ("seconds", json!(all.iter().map(|report| report.took.as_secs_f64()).sum::<f64>())),
            ("problems", problems.into()),
        ],
    )
}
