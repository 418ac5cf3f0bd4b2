//! `sitta archive`: packs a folder or one file into one dated file, and keeps so many of those.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use sitta_ops::archive::{self, ArchiveOptions, Origin, StepName};
use sitta_ops::{Event, Report, RunError, Sink};
use sitta_store::Location;
use sitta_store::wrap::Bucket;
use sitta_tree::retention::Keep;

use super::block_on;
use super::moving::{self, Around};
use crate::archive_name::{self, USUAL_NAME, Wish};
use crate::args::ArchiveArgs;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{Named, Opened, Target, location, nature, open_entry, open_target};
use crate::render::failure::{self, Sides};
use crate::render::human::Human;
use crate::render::json::Json;
use crate::render::steps;

pub fn run(context: &Context, args: &ArchiveArgs, around: &Around) -> Outcome {
    let result = block_on(pack(context, args, around));
    if let (Err(failure), Some(json)) = (&result, &around.json) {
        json.failure("archive", failure);
    }
    result
}

async fn pack(context: &Context, args: &ArchiveArgs, around: &Around) -> Outcome {
    let job = args.job.clone().map_or_else(|| name_of(&args.source), Ok)?;
    let packed = &around.packed;
    let json = around.json.as_ref();
    // What is wrong with the command is told before anything is gone to.
    let wish = Wish { level: args.level, cleans: !args.keep.is_empty() };
    let destination = location(&args.destination)?;
    let written = archive_name::written(&destination, args.destination.as_bytes())?;
    let checked = archive_name::checked(written.as_deref().unwrap_or(USUAL_NAME), &job, wish)?;
    around.arm(context);
    let sides = |to: &Opened, from: &str| Sides {
        labels: [from.to_owned(), to.label.clone()],
        locations: [String::new(), to.store.location().to_owned()],
        two_way: false,
    };
    let (source, named) = match open_entry(context, &args.source).await {
        Ok(opened) => opened,
        Err(failure) => return Err(unreached(context, args, around, failure).await),
    };
    let Target { opened: to, name } = match open_target(context, &args.destination).await {
        Ok(target) => target,
        Err(failure) => {
            if failure.exit != Exit::Usage {
                told(context, args, around, StepName::Upload, &failure);
            }
            return Err(failure);
        }
    };
    let to = match args.limit_rate {
        Some(rate) => moving::limited(to, &Bucket::new(rate)),
        None => to,
    };
    let (template, format, level) = match name {
        Some(_) => checked,
        None => archive_name::checked(USUAL_NAME, &job, wish)?,
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
        level,
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
    let human = json.is_none().then(|| Human::new(context, sides.clone(), args.dry_run, packed));
    let readers = around.readers(human.as_ref(), json);
    let state = moving::state(context)?;
    let result = archive::archive(&origin, &to.store, &options, &state, &readers, &around.flow, packed).await;
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
async fn unreached(context: &Context, args: &ArchiveArgs, around: &Around, failure: Failure) -> Failure {
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
    told(context, args, around, step, &failure);
    failure
}

/// Tells the steps of a run that came to nothing before it began.
fn told(context: &Context, args: &ArchiveArgs, around: &Around, step: StepName, failure: &Failure) {
    let why = failure.notes.first().unwrap_or(&failure.what).clone();
    let (is_remote, is_inside) =
        nature(context, &args.source).map_or((false, false), |nature| (nature.is_remote, nature.is_inside));
    let (readers, shown) = (around.readers(None, around.json.as_ref()), around.json.is_none());
    for told in archive::tell_failed(&readers, step, why, is_remote, is_inside) {
        if let Some(line) = steps::line(&told, context.console.style, context.verbose).filter(|_| shown) {
            context.console.line(line);
        }
    }
}

/// What `{job}` stands for where nobody says: the last part of the source.
fn name_of(source: &OsStr) -> Outcome<String> {
    let name = last_part(&location(source)?).unwrap_or("archive".to_owned());
    Ok(name.chars().map(|c| if c.is_control() || c == '\u{fffd}' { '_' } else { c }).collect())
}

/// The last part of a location; of a server's root, the server.
fn last_part(location: &Location) -> Option<String> {
    let last = |path: &str| {
        let part = path.split(['/', ':', '!']).rfind(|part| !matches!(*part, "" | "." | ".."));
        part.map(str::to_owned)
    };
    match location {
        Location::Local(path) => {
            let whole = std::fs::canonicalize(path);
            last(&whole.as_ref().unwrap_or(path).to_string_lossy())
        }
        Location::Remote(remote) => last(&remote.path).or_else(|| Some(remote.host.clone())),
        Location::Named { name, path } => last(path).or_else(|| Some(name.clone())),
        Location::Inside { archive, inner } => last(inner).or_else(|| last_part(archive)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_called_after_the_last_part_of_their_source() {
        for (source, name) in [
            ("/nowhere/docs/", "docs"),
            ("/nowhere/me@example.org", "me@example.org"),
            ("smb://me:hu@sh@nas/share/db", "db"),
            ("sftp://me:hush@host/", "host"),
            ("https://host/data.zip?signature=hush", "data.zip"),
            ("https://host/data.zip!/dump/db.sql", "db.sql"),
            ("https://host/data.zip!/", "data.zip"),
            ("nas:", "nas"),
            ("nas:a/b", "b"),
            ("/", "archive"),
        ] {
            assert_eq!(name_of(OsStr::new(source)).expect(source), name);
        }
    }
}
