//! What `ls` and `find` have in common: what is chosen, gathered and told of it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use futures::future::try_join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
pub use sitta_store::look::Item;
use sitta_store::look::{self, Place, Wanted};
use sitta_tree::{Kind, Printable, Problem, RelPath, Time};

use crate::args::{Selection, Sort};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{Named, Opened, open_entry};
use crate::output::Out;
use crate::render::{failure, json as shown, units};

/// What a listing is narrowed to, and its order.
#[derive(Debug)]
pub struct Choice {
    inner: look::Choice,
    pub sort: Sort,
}

impl Choice {
    /// What the options mean.
    pub fn new(selection: &Selection) -> Outcome<Self> {
        let wanted = Wanted {
            globs: selection.glob.clone(),
            extensions: selection.ext.iter().map(|ext| ext.as_bytes().to_vec()).collect(),
            min_size: selection.min_size,
            max_size: selection.max_size,
            since: when(selection.since.as_deref(), "--since")?,
            until: when(selection.until.as_deref(), "--until")?,
            contains: selection.contains.as_ref().map(|text| text.as_bytes().to_vec()),
            name: None,
            by_time: selection.sort == Sort::Time,
        };
        let inner = look::Choice::new(&wanted).map_err(|wrong| {
            Failure::usage(format!("the pattern '{}' cannot be understood", wrong.pattern))
                .note(wrong.error.to_string())
        })?;
        Ok(Self { inner, sort: selection.sort })
    }
}

/// A point in time that an option names.
pub fn when(text: Option<&str>, option: &str) -> Outcome<Option<Time>> {
    let parse = |text| units::parse_when(text, Timestamp::now(), &jiff::tz::TimeZone::system());
    text.map(parse).transpose().map_err(|why| Failure::usage(format!("{option}: {why}")))
}

/// What JSON tells of an entry, without its path.
pub fn facts(item: &Item) -> Value {
    let mut facts = json!({"kind": item.kind_name()});
    if item.kind == Kind::File {
        facts["size"] = item.size.into();
    }
    facts["modified"] = units::utc_time(item.mtime).into();
    if item.kind == Kind::Symlink {
        shown::add_bytes(&mut facts, "target", &item.target);
    }
    facts
}

/// What was found at one location.
#[derive(Debug)]
pub struct Found {
    pub opened: Opened,
    /// The location is this file, not a folder.
    pub is_file: bool,
    pub items: Vec<Item>,
    pub problems: Vec<Problem>,
}

/// The locations that were given, or the current folder.
pub fn locations(given: &[OsString]) -> Vec<&OsStr> {
    if given.is_empty() { vec![OsStr::new(".")] } else { given.iter().map(OsString::as_os_str).collect() }
}

/// Looks at all locations at the same time.
pub async fn gather_all(
    context: &Context,
    texts: &[&OsStr],
    choice: &Choice,
    recursive: bool,
    times: bool,
) -> Outcome<Vec<Found>> {
    try_join_all(texts.iter().map(|text| gather(context, text, choice, recursive, times))).await
}

/// Looks at a location, one directory of it or all below. `times`: they are shown.
async fn gather(context: &Context, text: &OsStr, choice: &Choice, recursive: bool, times: bool) -> Outcome<Found> {
    let (opened, named) = open_entry(context, text).await?;
    let place = Place { store: opened.store.clone(), base: RelPath::root() };
    let mut problems = Vec::new();
    let is_file = matches!(named, Named::Entry(..));
    let items = match named {
        Named::Entry(path, entry) => {
            let items = place.choose(vec![Item::new(path, *entry)], &choice.inner, times, &mut problems).await;
            place.containing(items, &choice.inner, usize::MAX, &mut problems).await
        }
        _ => {
            let found = place.find(&choice.inner, recursive, times, &mut problems).await;
            found.map_err(|error| failure::looking(&opened.label, &error))?
        }
    };
    Ok(Found { opened, is_file, items, problems })
}

/// Raw bytes into files and pipes; on a terminal nothing that steers it.
pub fn name(context: &Context, bytes: &[u8]) -> Vec<u8> {
    if context.out_is_terminal { Printable(bytes).to_string().into_bytes() } else { bytes.to_vec() }
}

/// `folder/a`: an entry's path as it is reached from where the program was started.
pub fn full_path(prefix: &[u8], path: &RelPath) -> Vec<u8> {
    let mut full = prefix.to_vec();
    if !full.is_empty() && !full.ends_with(b"/") && !full.ends_with(b":") && !path.is_root() {
        full.push(b'/');
    }
    full.extend_from_slice(path.as_bytes());
    full
}

/// What paths below a location begin with: as it was written, but never with a password.
pub fn prefix(text: &OsStr, opened: &Opened) -> Vec<u8> {
    let is_url = text.as_bytes().windows(3).any(|part| part == b"://");
    if is_url { opened.label.clone().into_bytes() } else { text.as_bytes().to_vec() }
}

/// Says what could not be looked at, and closes the output: the last line of JSON is the report.
pub fn finish(
    context: &Context,
    mut out: Out,
    verb: &str,
    problems: &[(String, Problem)],
    mut report: Value,
) -> Outcome {
    let exit = if problems.is_empty() { Exit::Done } else { Exit::Partial };
    if context.json {
        let list: Vec<Value> = problems
            .iter()
            .map(|(location, problem)| {
                let mut object = shown::problem_value(problem);
                object["location"] = location.as_str().into();
                object
            })
            .collect();
        let mut object = json!({"event": "report", "verb": verb, "outcome": exit.outcome(), "problems": list});
        if let (Some(object), Some(more)) = (object.as_object_mut(), report.as_object_mut()) {
            object.append(more);
        }
        out.line(object)?;
    }
    out.flush()?;
    if !context.json {
        for (location, problem) in problems {
            let path = if problem.path.is_root() { String::new() } else { format!("{} in ", problem.path) };
            context.console.warning(format!("{path}{location} could not be read: {}", problem.message));
        }
    }
    Ok(exit)
}
