//! `sitta conflicts`: what both sides of a sync had changed, and settling it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use sitta_ops::{Keep, Unsettled, conflicts, settle};
use sitta_store::Flow;
use sitta_tree::{Entry, Kind, OnConflict, Policy, Printable, RelPath, Side};

use super::block_on;
use super::moving::{self, Pair};
use crate::args::{self, ConflictsArgs, ConflictsVerb, ResolveArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::open;
use crate::render::failure::{self, Sides};
use crate::render::{json as shown, units};
use crate::signals::stop_on_signals;

pub fn run(context: &Context, args: ConflictsArgs) -> Outcome {
    match args.verb {
        Some(ConflictsVerb::Resolve(resolve)) => block_on(self::resolve(context, &resolve)),
        None => block_on(list(context, &args.locations)),
    }
}

/// The pair of two locations, as a sync with its usual options has it.
async fn pair(context: &Context, locations: &[OsString]) -> Outcome<Pair> {
    let sides = [open(context, &locations[0]).await?, open(context, &locations[1]).await?];
    let flow = Arc::new(Flow::default());
    stop_on_signals(&flow, &context.console).forever();
    let policy = Policy::Sync(OnConflict::KeepBoth);
    let options = moving::usual(policy)?;
    Ok(Pair { sides, options, state: moving::state(context)?, flow, recorder: None })
}

async fn unsettled(pair: &Pair) -> Outcome<Vec<Unsettled>> {
    let [left, right] = pair.sides.each_ref().map(|side| side.store.clone());
    let found = conflicts(left, right, &pair.options, &pair.state, &pair.flow).await;
    found.map_err(|error| failure::run_error(&error, "conflicts", &pair.names()))
}

async fn list(context: &Context, locations: &[OsString]) -> Outcome {
    let pair = pair(context, locations).await?;
    let found = unsettled(&pair).await?;
    let names = pair.names();
    let exit = if found.is_empty() { Exit::Done } else { Exit::Conflicts };
    let mut out = context.out();
    if context.json {
        for conflict in &found {
            out.line(value(conflict))?;
        }
        out.line(shown::plain_report("conflicts", &[("conflicts", found.len().into())]))?;
    } else {
        for conflict in &found {
            for line in describe(context, conflict, &names) {
                out.line(line)?;
            }
        }
    }
    out.flush()?;
    if !context.json && !context.quiet {
        let console = &context.console;
        match found.len() as u64 {
            0 => console.line(format!("{}no conflicts", console.style.head("Done"))),
            n => {
                console.line(format!("{}{}", console.style.head("Conflicts"), units::count(n)));
                console.line(format!(
                    "{} `sitta conflicts resolve PATH --keep left|right|both` settles one",
                    console.style.accent("hint:")
                ));
            }
        }
    }
    Ok(exit)
}

fn value(conflict: &Unsettled) -> Value {
    let mut object = shown::with_path(json!({"event": "conflict"}), "path", &conflict.path);
    if let Some(copy) = &conflict.copy {
        object = shown::with_path(object, "copy", copy);
        object["copy_of"] = conflict.side.map(|side| shown::side_name(side, true)).into();
    }
    let facts = |entry: &Option<Entry>| {
        entry.as_ref().map(|entry| json!({"size": entry.size, "modified": units::utc_time(entry.meta.mtime)}))
    };
    object["left"] = facts(&conflict.versions[0]).into();
    object["right"] = facts(&conflict.versions[1]).into();
    if conflict.copy.is_some() {
        object["copied"] = facts(&conflict.copied).into();
    }
    object
}

/// A conflict in lines: the path, and below it each version.
pub fn describe(context: &Context, conflict: &Unsettled, names: &Sides) -> Vec<String> {
    let zone = context.zone();
    let facts = |entry: &Entry| {
        let what = match entry.kind {
            Kind::Dir => "a folder".to_owned(),
            Kind::Symlink => format!("a link to {}", Printable(&entry.target)),
            _ => units::size(entry.size),
        };
        format!("{what}, {}", units::local_time(entry.meta.mtime, &zone))
    };
    let mut lines = vec![conflict.path.to_string()];
    let told = |entry: &Option<Entry>| entry.as_ref().map_or("is gone".to_owned(), facts);
    match (&conflict.copy, conflict.side) {
        (None, _) => {
            for side in [Side::Left, Side::Right] {
                let label = names.label(side);
                lines.push(format!("  {:<6}{label}: {}", word(side), told(&conflict.versions[side as usize])));
            }
        }
        (Some(copy), side) => {
            let stays = side.map_or("stays", |side| word(side.other()));
            let aside = side.map_or("aside", word);
            let now = conflict.versions[0].as_ref().or(conflict.versions[1].as_ref()).cloned();
            lines.push(format!("  {stays:<6}under this name: {}", told(&now)));
            lines.push(format!("  {aside:<6}{}: {}", Printable(copy.name()), told(&conflict.copied)));
        }
    }
    lines
}

fn word(side: Side) -> &'static str {
    match side {
        Side::Left => "left",
        Side::Right => "right",
    }
}

async fn resolve(context: &Context, args: &ResolveArgs) -> Outcome {
    let keep = match args.keep {
        args::Keep::Left => Keep::Side(Side::Left),
        args::Keep::Right => Keep::Side(Side::Right),
        args::Keep::Both => Keep::Both,
    };
    let (mut settled, mut exit) = (0_u64, Exit::Done);
    for path in &args.paths {
        let (pair, path) = match &args.of {
            Some(locations) => (pair(context, locations).await?, relative(path)?),
            None => find(context, path).await?,
        };
        let found = unsettled(&pair).await?;
        let meant: Vec<_> = found.iter().filter(|c| c.path == path || c.copy.as_ref() == Some(&path)).collect();
        if meant.is_empty() {
            return Err(none_there(&path, &found));
        }
        let names = pair.names();
        for conflict in meant {
            if keep != Keep::Both && conflict.copy.is_some() && conflict.side.is_none() {
                return Err(unknown_side(conflict));
            }
            let [left, right] = pair.sides.each_ref().map(|side| side.store.clone());
            let stores = [left, right];
            let report = settle(stores, conflict, keep, &pair.options, &pair.state, &(), &pair.flow).await;
            let report = report.map_err(|error| failure::run_error(&error, "conflicts", &names))?;
            for problem in &report.problems {
                context.console.warning(format!("{}: {}", problem.path, problem.message));
                exit = Exit::Partial;
            }
            settled += 1;
            tell(context, conflict, keep, report.trash.iter().flatten().next());
        }
    }
    if context.json {
        let mut out = context.out();
        let outcome = ("outcome", Value::from(exit.outcome()));
        out.line(shown::plain_report("conflicts", &[outcome, ("settled", settled.into())]))?;
        out.flush()?;
    }
    Ok(exit)
}

fn tell(context: &Context, conflict: &Unsettled, keep: Keep, trash: Option<&String>) {
    if context.json || context.quiet {
        return;
    }
    let what = match keep {
        Keep::Side(side) => format!("the {} version stays", word(side)),
        Keep::Both => "both versions stay, each under a name of its own".to_owned(),
    };
    let trash = trash.map(|trash| format!("; the other is in {trash}")).unwrap_or_default();
    context.console.line(format!("{}{}: {what}{trash}", context.console.style.head("Settled"), conflict.path));
}

fn relative(path: &OsStr) -> Outcome<RelPath> {
    RelPath::new(path.as_bytes()).map_err(|error| {
        Failure::usage(format!("'{}' {error}", Printable(path.as_bytes())))
            .hint("write the path as `sitta conflicts A B` lists it")
    })
}

/// The pair that a path belongs to: one that has a side above it, or the only one with such a conflict.
async fn find(context: &Context, path: &OsStr) -> Outcome<(Pair, RelPath)> {
    let state = moving::state(context)?;
    let known = state.two_way_pairs().map_err(|error| failure::state(&error))?;
    if known.is_empty() {
        return Err(Failure::usage("no folders were kept in step so far").hint("name the two folders: --of A B"));
    }
    if let Ok(absolute) = std::path::absolute(Path::new(path)) {
        for key in &known {
            for root in [&key.left, &key.right] {
                if let Ok(below) = absolute.strip_prefix(root)
                    && absolute.symlink_metadata().is_ok()
                    && let Ok(below) = RelPath::new(below.as_os_str().as_bytes())
                {
                    let locations = [OsString::from(&key.left), OsString::from(&key.right)];
                    return Ok((pair(context, &locations).await?, below));
                }
            }
        }
    }
    let wanted = relative(path)?;
    let (mut candidates, mut others) = (Vec::new(), Vec::new());
    for key in &known {
        let locations = [OsString::from(&key.left), OsString::from(&key.right)];
        // One that is not there at the moment has no conflicts that could be settled.
        let Ok(pair) = pair(context, &locations).await else { continue };
        let Ok(found) = unsettled(&pair).await else { continue };
        if found.iter().any(|c| c.path == wanted || c.copy.as_ref() == Some(&wanted)) {
            candidates.push(pair);
        } else {
            others.extend(found);
        }
    }
    match candidates.len() {
        1 => Ok((candidates.remove(0), wanted)),
        0 => Err(none_there(&wanted, &others)),
        _ => Err(Failure::usage(format!("{wanted} is in conflict in several pairs of folders"))
            .hint("say which one: --of A B")),
    }
}

fn none_there(path: &RelPath, found: &[Unsettled]) -> Failure {
    let failure = Failure::failed(format!("{path} is not in conflict")).note("nothing was changed");
    let names: Vec<String> = found.iter().map(|conflict| conflict.path.to_string()).collect();
    match crate::hints::nearest(&path.to_string(), names.iter().map(String::as_str)) {
        Some(nearest) => failure.hint(format!("did you mean {nearest}?")),
        None => failure.hint("`sitta conflicts A B` lists those there are"),
    }
}

fn unknown_side(conflict: &Unsettled) -> Failure {
    let copy = conflict.copy.as_ref().map(ToString::to_string).unwrap_or_default();
    Failure::failed(format!("it is not known which side's version {copy} is"))
        .note("what was remembered of the run that made it is lost; nothing was changed")
        .hint("look at both, then delete the one that you do not want, or add --keep both")
}
