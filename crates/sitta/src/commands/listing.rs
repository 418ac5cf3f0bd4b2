//! What `ls` and `find` have in common: what is chosen, gathered and told of it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use futures::future::try_join_all;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use memchr::memmem::Finder;
use serde_json::{Value, json};
use sitta_store::{ScanOptions, Store};
use sitta_tree::{Filter, Kind, NodeId, Printable, Problem, ProblemKind, RelPath, Time, Tree, Unknown};

use crate::args::{Selection, Sort};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{Named, Opened, open_entry};
use crate::output::Out;
use crate::render::{failure, json as shown, units};

/// What a listing is narrowed to.
#[derive(Debug)]
pub struct Choice {
    filter: Arc<Filter>,
    /// Times take part in the choice.
    timed: bool,
    contains: Option<Finder<'static>>,
    pub sort: Sort,
}

impl Choice {
    /// What the options mean.
    pub fn new(selection: &Selection) -> Outcome<Self> {
        let mut filter = Filter::new();
        for glob in &selection.glob {
            let (pattern, added) = match glob.strip_prefix('!') {
                Some(pattern) => (pattern, filter.exclude(pattern)),
                None => (&**glob, filter.include(glob)),
            };
            added.map_err(|error| {
                Failure::usage(format!("the pattern '{pattern}' cannot be understood")).note(error.to_string())
            })?;
        }
        selection.ext.iter().for_each(|ext| filter.extension(ext.as_bytes()));
        filter.sizes(selection.min_size, selection.max_size);
        filter.modified(when(selection.since.as_deref(), "--since")?, when(selection.until.as_deref(), "--until")?);
        let timed = selection.since.is_some() || selection.until.is_some() || selection.sort == Sort::Time;
        let contains = selection.contains.as_ref().map(|text| Finder::new(text.as_bytes()).into_owned());
        Ok(Self { filter: Arc::new(filter), timed, contains, sort: selection.sort })
    }

    /// Whether the entry is one to show, as far as its name and metadata tell.
    fn shows(&self, item: &Item) -> bool {
        let path = item.path.as_bytes();
        let only_files = self.filter.asks_files() || self.contains.is_some();
        match item.kind {
            Kind::Dir => !only_files && self.filter.selects(path, true),
            Kind::File => self.filter.selects(path, false) && self.filter.admits_file(path, item.size, item.mtime),
            Kind::Symlink | Kind::Unknown => !only_files && self.filter.selects(path, false),
        }
    }
}

/// A point in time that an option names.
pub fn when(text: Option<&str>, option: &str) -> Outcome<Option<Time>> {
    let parse = |text| units::parse_when(text, Timestamp::now(), &jiff::tz::TimeZone::system());
    text.map(parse).transpose().map_err(|why| Failure::usage(format!("{option}: {why}")))
}

/// An entry of a listing.
#[derive(Debug, Clone)]
pub struct Item {
    pub path: RelPath,
    pub kind: Kind,
    pub size: u64,
    pub mtime: Time,
    pub target: Box<[u8]>,
    pub unknown: Option<Unknown>,
}

impl Item {
    fn of(tree: &Tree, id: NodeId) -> Self {
        Self {
            path: tree.path(id),
            kind: tree.kind(id),
            size: tree.size(id),
            mtime: tree.mtime(id),
            target: tree.target(id).into(),
            unknown: tree.unknown(id),
        }
    }

    fn new(path: RelPath, entry: sitta_tree::Entry) -> Self {
        let unknown = entry.unknown;
        Self { path, kind: entry.kind, size: entry.size, mtime: entry.meta.mtime, target: entry.target, unknown }
    }

    /// The stable name of its kind, as in JSON.
    pub fn kind_name(&self) -> &'static str {
        match (self.kind, self.unknown) {
            (Kind::File, _) => "file",
            (Kind::Dir, _) => "dir",
            (Kind::Symlink, _) => "symlink",
            (Kind::Unknown, Some(Unknown::Special)) => "special",
            (Kind::Unknown, _) => "unknown",
        }
    }

    /// What JSON tells of it, without its path.
    pub fn facts(&self) -> Value {
        let mut facts = json!({"kind": self.kind_name()});
        if self.kind == Kind::File {
            facts["size"] = self.size.into();
        }
        facts["modified"] = units::utc_time(self.mtime).into();
        if self.kind == Kind::Symlink {
            shown::add_bytes(&mut facts, "target", &self.target);
        }
        facts
    }
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
    let unreadable = |error| failure::looking(&opened.label, &error);
    let mut problems = Vec::new();
    let is_file = matches!(named, Named::Entry(..));
    let mut items: Vec<Item> = if let Named::Entry(path, entry) = named {
        vec![Item::new(path, *entry)]
    } else if recursive {
        // Where listings tell no times, those are asked for before anything is left out by them.
        let early = !choice.timed || opened.store.capabilities().lists_meta;
        let options = ScanOptions { filter: early.then(|| choice.filter.clone()), ..ScanOptions::default() };
        let tree = opened.store.scan(&options).await.map_err(unreadable)?;
        problems = tree.problems.clone();
        tree.ids().skip(1).map(|id| Item::of(&tree, id)).collect()
    } else {
        let entries = opened.store.list(&RelPath::root()).await.map_err(unreadable)?;
        let path = |name: &[u8]| RelPath::new(name).expect("a store gives valid names");
        entries.into_iter().map(|(name, entry)| Item::new(path(&name), entry)).collect()
    };
    if !opened.store.capabilities().lists_meta && (times || choice.timed) {
        items = with_times(&opened.store, items, &mut problems).await;
    }
    items.retain(|item| choice.shows(item));
    items.sort_by(|a, b| a.path.cmp(&b.path));
    if let Some(finder) = &choice.contains {
        items = containing(&opened.store, items, finder, &mut problems).await;
    }
    // A special file that is only listed is no problem.
    problems.retain(|problem| problem.kind != ProblemKind::Special);
    Ok(Found { opened, is_file, items, problems })
}

/// Asks for the times that the listing did not tell, a request a file.
async fn with_times(store: &Arc<dyn Store>, items: Vec<Item>, problems: &mut Vec<Problem>) -> Vec<Item> {
    let mut asked = stream::iter(items)
        .map(|item| async move {
            let untold = item.kind == Kind::File && item.mtime == Time::default();
            let told = if untold { store.stat(&item.path).await } else { Ok(None) };
            (item, told)
        })
        .buffered(store.capabilities().concurrency.max(1));
    let mut timed = Vec::new();
    while let Some((item, told)) = asked.next().await {
        timed.push(match told {
            Ok(Some(entry)) => Item { mtime: entry.meta.mtime, ..item },
            Ok(None) => item,
            Err(error) => {
                let path = item.path.clone();
                problems.push(Problem::new(path, error.problem_kind(false), error.source.to_string()));
                item
            }
        });
    }
    timed
}

/// Keeps the files in which the text stands, in their order.
async fn containing(
    store: &Arc<dyn Store>,
    items: Vec<Item>,
    finder: &Finder<'static>,
    problems: &mut Vec<Problem>,
) -> Vec<Item> {
    let in_flight = store.capabilities().concurrency.max(2);
    let mut searched = stream::iter(items)
        .map(|item| {
            let (store, finder) = (store.clone(), finder.clone());
            async move {
                let task = tokio::spawn(async move { (holds(&store, &item.path, &finder).await, item) });
                task.await.expect("searching does not panic")
            }
        })
        .buffered(in_flight);
    let mut kept = Vec::new();
    while let Some((result, item)) = searched.next().await {
        match result {
            Ok(true) => kept.push(item),
            Ok(false) => {}
            Err(error) => {
                problems.push(Problem::new(item.path, error.problem_kind(false), error.source.to_string()));
            }
        }
    }
    kept
}

async fn holds(store: &Arc<dyn Store>, path: &RelPath, finder: &Finder<'_>) -> sitta_store::Result<bool> {
    let mut bytes = store.read(path, 0..u64::MAX).await?;
    // The text may begin in one piece and end in the next.
    let overlap = finder.needle().len().saturating_sub(1);
    let mut window: Vec<u8> = Vec::new();
    while let Some(piece) = bytes.next().await {
        window.extend_from_slice(&piece?);
        if finder.find(&window).is_some() {
            return Ok(true);
        }
        window.drain(..window.len().saturating_sub(overlap));
    }
    Ok(finder.needle().is_empty())
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
