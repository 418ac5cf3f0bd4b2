//! `sitta archive`: packs a folder or one file into one dated file, and keeps so many of those.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use sitta_ops::archive::{self, ArchiveOptions, Format, Origin, StepName};
use sitta_ops::{Event, Report, RunError, Sink};
use sitta_store::Flow;
use sitta_store::wrap::Bucket;
use sitta_tree::retention::Keep;
use sitta_tree::template::{Names, Template, TemplateError};

use super::{block_on, moving};
use crate::args::ArchiveArgs;
use crate::context::{Context, host_name};
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{Named, Opened, Target, nature, open_entry, open_target, unknown_ending};
use crate::render::failure::{self, Sides};
use crate::render::human::Human;
use crate::render::json::Json;
use crate::render::steps;
use crate::signals::stop_on_signals;

/// How archives are named that go into a folder.
const USUAL_NAME: &str = "{job}-{date}-{time}.tar.zst";

pub fn run(context: &Context, args: &ArchiveArgs) -> Outcome {
    let json = context.json.then(|| Json::new(false));
    let result = block_on(pack(context, args, json.as_ref()));
    if let (Err(failure), Some(json)) = (&result, &json) {
        json.failure("archive", failure);
    }
    result
}

async fn pack(context: &Context, args: &ArchiveArgs, json: Option<&Json>) -> Outcome {
    let job = args.job.clone().unwrap_or_else(|| name_of(context, &args.source));
    let (flow, packed) = (Arc::new(Flow::default()), Arc::new(Flow::default()));
    // What is wrong with the command is told before anything is gone to.
    let written = written_name(args)?;
    let checked = checked(args, written.as_deref().unwrap_or(USUAL_NAME), &job)?;
    stop_on_signals(&flow, &context.console);
    let sides = |to: &Opened, from: &str| Sides {
        labels: [from.to_owned(), to.label.clone()],
        locations: [String::new(), to.store.location().to_owned()],
        two_way: false,
    };
    let (source, named) = match open_entry(context, &args.source).await {
        Ok(opened) => opened,
        Err(failure) => return Err(unreached(context, args, json, failure).await),
    };
    let Target { opened: to, name } = match open_target(context, &args.destination).await {
        Ok(target) => target,
        Err(failure) => {
            if failure.exit != Exit::Usage {
                told(context, json, StepName::Upload, &failure);
            }
            return Err(failure);
        }
    };
    let to = match args.limit_rate {
        Some(rate) => moving::limited(to, &Bucket::new(rate)),
        None => to,
    };
    let (template, format) = match name {
        Some(_) => checked,
        None => self::checked(args, USUAL_NAME, &job)?,
    };
    let nature = nature(context, &args.source)?;
    let origin = Origin {
        store: source.store.clone(),
        file: match named {
            Named::Folder => None,
            Named::Entry(path, entry) => Some((path, entry)),
        },
        is_remote: nature.is_remote,
        is_inside: nature.is_inside,
    };
    let filter = moving::rules(&args.rules.0)?;
    let (now, local) = steps::now(&context.zone());
    let options = ArchiveOptions {
        template,
        format,
        level: level(args, format)?,
        filter: (!filter.is_empty()).then(|| Arc::new(filter)),
        max_age: args.max_age,
        keep: args.keep.iter().cloned().fold(Keep::default(), Keep::or),
        replace: !args.no_overwrite,
        verify: !args.no_verify,
        dry_run: args.dry_run,
        force_empty: args.force_empty,
        now,
        local,
    };
    let mut sides = sides(&to, &source.label);
    sides.locations[0] = source.store.location().to_owned();
    let human = json.is_none().then(|| Human::new(context, sides.clone(), args.dry_run, &packed));
    let sink: &dyn Sink = match (&human, json) {
        (_, Some(json)) => json,
        (Some(human), _) => human,
        (None, None) => &(),
    };
    let state = moving::state(context)?;
    let result = archive::archive(&origin, &to.store, &options, &state, sink, &flow, &packed).await;
    if let Some(human) = &human {
        human.stop_progress();
    }
    end(context, result, &sides, human.as_ref(), json)
}

fn end(
    context: &Context,
    result: Result<Report, RunError>,
    sides: &Sides,
    human: Option<&Human>,
    json: Option<&Json>,
) -> Outcome {
    let report = result.map_err(|error| {
        if let (RunError::Held(held), Some(json)) = (&error, json) {
            json.event(Event::Held(held.clone()));
        }
        failure::run_error(&error, "archive", sides)
    })?;
    if let Some(human) = human {
        human.finish(&report, context)?;
    }
    if let Some(json) = json {
        json.report(&report, None);
    }
    Ok(moving::exit(&report))
}

/// The source could not be gone to: of one inside an archive, it may be the archive that is no good.
async fn unreached(context: &Context, args: &ArchiveArgs, json: Option<&Json>, failure: Failure) -> Failure {
    if failure.exit == Exit::Usage {
        return failure;
    }
    let step = match nature(context, &args.source) {
        Ok(nature) if nature.is_inside => {
            let text = args.source.as_bytes();
            let end = text.windows(2).rposition(|two| two == b"!/").unwrap_or(text.len());
            let outer = open_entry(context, OsStr::from_bytes(&text[..end])).await;
            if matches!(outer, Ok((_, Named::Entry(..)))) { StepName::Extract } else { StepName::Download }
        }
        Ok(nature) if nature.is_remote => StepName::Download,
        _ => StepName::Check,
    };
    told(context, json, step, &failure);
    failure
}

/// Tells the steps of a run that came to nothing before it began.
fn told(context: &Context, json: Option<&Json>, step: StepName, failure: &Failure) {
    let why = failure.notes.first().unwrap_or(&failure.what).clone();
    let sink: &dyn Sink = json.map_or(&(), |json| json as &dyn Sink);
    for told in archive::tell_failed(sink, step, why) {
        if let Some(line) = steps::line(&told, context.console.style, context.verbose).filter(|_| json.is_none()) {
            context.console.line(line);
        }
    }
}

/// The name that was written as the destination's last part, if it is one of an archive.
fn written_name(args: &ArchiveArgs) -> Outcome<Option<String>> {
    let text = args.destination.to_string_lossy();
    let (above, last) = text.rsplit_once(['/', ':']).unwrap_or(("", &text));
    if Template::is_one(above) {
        return Err(Failure::usage(format!("{text} has a placeholder in a folder's name"))
            .note("only the archive's own name may have {date}, {time}, {host} and {job}: that is how old archives are found")
            .hint("write for example nas:db/{date}.tgz"));
    }
    if Format::of(last).is_none() && Template::is_one(last) {
        return Err(unknown_ending(last));
    }
    Ok(Format::of(last).is_some().then(|| last.to_owned()))
}

/// The template and the format that a name stands for.
fn checked(args: &ArchiveArgs, name: &str, job: &str) -> Outcome<(Template, Format)> {
    let host = host_name();
    let template = Template::parse(name, Names { host: &host, job }).map_err(|error| {
        let failure = Failure::usage(format!("the archive cannot be named '{name}'")).note(error.to_string());
        match error {
            TemplateError::Name(..) => failure.hint("name the job otherwise, with --job NAME"),
            _ => failure.hint("write for example {job}-{date}.tgz"),
        }
    })?;
    let format = Format::of(name).ok_or_else(|| unknown_ending(name))?;
    level(args, format)?;
    if !args.keep.is_empty() && !template.has_date() {
        return Err(Failure::usage(format!("--keep cannot tell how old an archive called '{name}' is"))
            .note("its name tells no date; nothing was done")
            .hint("put {date} into the name, as in {job}-{date}.tgz"));
    }
    Ok((template, format))
}

fn level(args: &ArchiveArgs, format: Format) -> Outcome<i32> {
    let level = args.level.unwrap_or(format.usual_level());
    let levels = format.levels();
    match levels.contains(&level) {
        true => Ok(level),
        false => Err(Failure::usage(format!("there is no level {level} for this kind of archive")).hint(format!(
            "write a number from {} to {}",
            levels.start(),
            levels.end()
        ))),
    }
}

/// What `{job}` stands for where nobody says: the last part of the source.
fn name_of(context: &Context, source: &OsStr) -> String {
    let text = source.to_string_lossy();
    let local = nature(context, source).is_ok_and(|nature| !nature.is_remote && !nature.is_inside);
    let whole = std::fs::canonicalize(source).ok().filter(|_| local && !text.contains(':'));
    let whole = whole.map_or(text.into_owned(), |path| path.to_string_lossy().into_owned());
    let mut parts = whole.split(['/', ':', '!']).filter(|part| !matches!(*part, "" | "." | ".."));
    // A user and a password may stand before the host.
    let last = parts.next_back().and_then(|part| part.rsplit('@').next()).unwrap_or("archive");
    last.chars().map(|c| if c.is_control() || c == '\u{fffd}' { '_' } else { c }).collect()
}
