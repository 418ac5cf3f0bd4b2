//! `sitta trash restore`.

use serde_json::json;
use sitta_ops::trash::{Restored, Trashed};
use sitta_store::OWN_DIR;
use sitta_tree::{Kind, Problem, ProblemKind, RelPath};

use super::{Place, relative, report, run_facts, when};
use crate::args::TrashRestoreArgs;
use crate::commands::block_on;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::hints;
use crate::render::table::{Align, Table};
use crate::render::{json as shown, units};

/// So many versions are named unless all are asked for.
const NAMED: usize = 10;

pub fn run(context: &Context, args: &TrashRestoreArgs) -> Outcome {
    let paths: Vec<RelPath> = args.paths.iter().map(|path| relative(path)).collect::<Outcome<_>>()?;
    let to = args.to.as_deref().map(relative).transpose()?;
    if to.is_some() && paths.len() > 1 {
        return Err(Failure::usage("--to says where one thing goes, and several were named")
            .hint("name a folder that holds them, or bring them back one after the other"));
    }
    block_on(async {
        let place = Place::open(context, &args.of).await?;
        let wanted = find(&place, args, &paths, to.as_ref()).await?;
        let restored = place.trash.restore(&wanted, args.force).await.map_err(|error| place.failed(&error))?;
        tell(context, &place, &restored)
    })
}

/// The versions that are meant, and where each of them goes. Nothing is done if one of them is not there.
async fn find(
    place: &Place,
    args: &TrashRestoreArgs,
    paths: &[RelPath],
    to: Option<&RelPath>,
) -> Outcome<Vec<(Trashed, RelPath)>> {
    let runs = place.runs().await?;
    let run = args.run.as_ref().map(|wanted| place.pick(&runs, wanted)).transpose()?;
    let mut wanted = Vec::with_capacity(paths.len());
    for path in paths {
        let to = to.unwrap_or(path);
        if to.is_within(&place.dir) || to.parts().next() == Some(OWN_DIR.as_bytes()) {
            return Err(Failure::usage(format!("{to} is where old versions are kept")).hint("choose another path"));
        }
        match place.trash.find(path, run.as_ref()).await.map_err(|error| place.failed(&error))? {
            Some(version) if to.is_root() && version.entry.kind != Kind::Dir => {
                return Err(Failure::usage(format!("{path} is not a folder")).hint("say in --to what it shall be"));
            }
            Some(version) => wanted.push((version, to.clone())),
            None => {
                let mut there = Vec::new();
                for run in run.iter().chain(&runs).take(if run.is_some() { 1 } else { runs.len() }) {
                    let contents = place.trash.contents(run, &RelPath::root()).await;
                    let contents = contents.map_err(|error| place.failed(&error))?;
                    there.extend(contents.versions.into_iter().map(|version| version.path));
                }
                return Err(place.not_there(path, &there).note("nothing was changed"));
            }
        }
    }
    Ok(wanted)
}

fn tell(context: &Context, place: &Place, restored: &Restored) -> Outcome {
    let occupied = restored
        .occupied
        .iter()
        .map(|path| Problem::new(path.clone(), ProblemKind::Changed, "left as it is: something stands there now"));
    let problems: Vec<Problem> = occupied.chain(restored.problems.iter().cloned()).collect();
    let exit = match problems.is_empty() {
        _ if place.flow.is_cancelled() => Exit::Interrupted,
        true => Exit::Done,
        false => Exit::Partial,
    };
    let displaced = restored.displaced.as_ref().map(|run| place.trash.location(run));
    let bytes: u64 = restored.versions.iter().map(|(version, _)| version.entry.size).sum();
    if context.json {
        let mut out = context.out();
        for (version, to) in &restored.versions {
            let mut object = shown::with_path(json!({"event": "restored"}), "path", to);
            object = shown::with_path(object, "old_path", &version.path);
            run_facts(&mut object, &version.run);
            out.line(object)?;
        }
        let told: Vec<_> = problems.iter().map(shown::problem_value).collect();
        let n = restored.versions.len();
        out.line(report(
            place,
            exit,
            json!({"problems": told, "restored": n, "bytes": bytes, "trash": displaced}),
        ))?;
        out.flush()?;
        return Ok(exit);
    }
    if !context.quiet {
        for line in what_came_back(context, restored, bytes) {
            context.console.line(line);
        }
    }
    if !problems.is_empty() {
        let files = units::counted(problems.len() as u64, "file", "files");
        let style = context.console.style;
        context.console.line(format!("{}, but {files} could not be brought back", style.accent("Done")));
        let mut table = Table::new(&[Align::Left, Align::Left]);
        problems.iter().for_each(|problem| table.row(vec![problem.path.to_string(), problem.message.clone()]));
        table.lines().for_each(|line| context.console.line(format!("  {line}")));
        let mut help: Vec<&str> = Vec::new();
        if !restored.occupied.is_empty() {
            help.push("with --force, what stands there goes to the trash; --to brings it back under another path");
        }
        for hint in restored.problems.iter().filter_map(|problem| hints::problem(problem.kind)) {
            if !help.contains(&hint) {
                help.push(hint);
            }
        }
        help.iter().for_each(|hint| context.console.line(format!("{} {hint}", style.accent("hint:"))));
    }
    if let Some(displaced) = displaced.filter(|_| !context.quiet) {
        context.console.line(format!("{}what stood there is in {displaced}", " ".repeat(11)));
    }
    Ok(exit)
}

/// Each version in a line; of many, how many there are.
fn what_came_back(context: &Context, restored: &Restored, bytes: u64) -> Vec<String> {
    let head = context.console.style.head("Restored");
    let versions = &restored.versions;
    if versions.len() > NAMED && !context.verbose {
        let files = units::counted(versions.len() as u64, "file", "files");
        return vec![format!("{head}{files} · {}", units::size(bytes))];
    }
    let mut table = Table::new(&[Align::Left, Align::Right, Align::Left]);
    for (version, to) in versions {
        let name = if *to == version.path { to.to_string() } else { format!("{} → {to}", version.path) };
        let size = if version.entry.kind == Kind::File { units::size(version.entry.size) } else { String::new() };
        table.row(vec![name, size, format!("of {}", when(context, &version.run))]);
    }
    table.lines().map(|line| format!("{head}{line}")).collect()
}
