//! `sitta hash`: checksums of files, printed or verified.

mod check;
mod sum;

use std::ffi::OsStr;
use std::io::Read;
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use serde_json::json;
use sitta_store::look::{Item, Place};
use sitta_store::sum::{Hasher, of_file};
use sitta_store::{ScanOptions, Store};
use sitta_tree::{Kind, Printable, Problem, ProblemKind, RelPath, Time};

use super::block_on;
use super::listing::{self, full_path, locations, prefix};
use crate::args::{Algo, HashArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{Named, open_entry};
use crate::output::Out;
use crate::render::table::{Align, Table};
use crate::render::{failure, json as shown, units};

pub fn run(context: &Context, args: &HashArgs) -> Outcome {
    match &args.check {
        Some(list) => check::run(context, args, list),
        None => print(context, args),
    }
}

/// One file to hash.
struct Work {
    store: Arc<dyn Store>,
    path: RelPath,
    /// As it is printed.
    name: Vec<u8>,
    /// Its size and time, if they are told.
    facts: Option<(u64, Time)>,
}

fn print(context: &Context, args: &HashArgs) -> Outcome {
    let algo = args.algo.unwrap_or(Algo::Blake3);
    let mut sums = Sums::new(context, algo, args.long);
    let mut problems: Vec<(String, Problem)> = Vec::new();
    block_on(async {
        for text in locations(&args.locations) {
            if text == "-" {
                sums.tell(&hash_input(algo)?, b"-", None)?;
                continue;
            }
            let (label, work) = gather(context, args, text, &mut problems).await?;
            let mut hashes = std::pin::pin!(in_parallel(work, move |work: &Work| {
                let (store, path) = (work.store.clone(), work.path.clone());
                async move { of_file(&store, &path, algo.sum()).await }
            }));
            while let Some((work, result)) = hashes.next().await {
                match result {
                    Ok(hash) => sums.tell(&hash, &work.name, work.facts)?,
                    Err(error) => {
                        let why = error.source.to_string();
                        problems.push((label.clone(), Problem::new(work.path, error.problem_kind(false), why)));
                    }
                }
            }
        }
        Ok(())
    })?;
    let files = sums.files;
    listing::finish(context, sums.end()?, "hash", &problems, json!({"files": files}))
}

/// Checksums as they are told: in lines that other programs verify, or in a table.
struct Sums<'c> {
    context: &'c Context,
    algo: Algo,
    out: Out,
    long: bool,
    table: Table,
    files: u64,
}

impl<'c> Sums<'c> {
    fn new(context: &'c Context, algo: Algo, long: bool) -> Self {
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Left, Align::Left]);
        let head = ["NAME", "SIZE", "MODIFIED"].map(str::to_owned).into_iter();
        table.row(head.chain([algo.sum().name().to_uppercase()]).collect());
        Self { context, algo, out: context.out(), long, table, files: 0 }
    }

    fn tell(&mut self, hash: &str, name: &[u8], facts: Option<(u64, Time)>) -> Outcome<()> {
        self.files += 1;
        if self.context.json {
            let mut object = json!({"event": "hash", "algo": self.algo.sum().name(), "hash": hash});
            shown::add_bytes(&mut object, "path", name);
            if let Some((size, mtime)) = facts {
                object["size"] = size.into();
                object["modified"] = units::utc_time(mtime).into();
            }
            return self.out.line(object);
        }
        if self.long {
            let size = facts.map_or_else(|| "-".to_owned(), |(size, _)| units::size(size));
            let modified = units::local_time(facts.map_or_else(Time::default, |(_, at)| at), &self.context.zone());
            self.table.row(vec![Printable(name).to_string(), size, modified, hash.to_owned()]);
            return Ok(());
        }
        // The escapes of these lines leave most of what steers a terminal as it is; a terminal gets none of it.
        let unsafe_there = || {
            let rest: Vec<u8> = name.iter().copied().filter(|b| *b != b'\\').collect();
            Printable(&rest).to_string().as_bytes() != rest
        };
        if self.context.out_is_terminal && unsafe_there() {
            return self.out.line(format!("{hash}  {}", Printable(name)));
        }
        self.out.bytes(&sum::line(hash, name))?;
        self.out.bytes(b"\n")
    }

    fn end(mut self) -> Outcome<Out> {
        if self.long && !self.context.json && self.files > 0 {
            self.out.table(&self.table, self.context.out_style)?;
        }
        Ok(self.out)
    }
}

/// The files at a location, sorted.
async fn gather(
    context: &Context,
    args: &HashArgs,
    text: &OsStr,
    problems: &mut Vec<(String, Problem)>,
) -> Outcome<(String, Vec<Work>)> {
    let (opened, named) = open_entry(context, text).await?;
    let start = if args.locations.is_empty() { Vec::new() } else { prefix(text, &opened) };
    if let Named::Entry(path, entry) = named {
        let facts = args.long.then_some((entry.size, entry.meta.mtime));
        return Ok((opened.label, vec![Work { store: opened.store, path, name: start, facts }]));
    }
    let scanned = opened.store.scan(&ScanOptions::default()).await;
    let tree = scanned.map_err(|error| failure::looking(&opened.label, &error))?;
    let files = tree.ids().filter(|id| tree.kind(*id) == Kind::File);
    let mut items: Vec<Item> = files.map(|id| Item::new(tree.path(id), tree.entry(id))).collect();
    items.sort_by(|a, b| a.path.cmp(&b.path));
    let mut untold = tree.problems;
    if args.long && !opened.store.capabilities().lists_meta {
        let place = Place { store: opened.store.clone(), base: RelPath::root() };
        items = place.with_times(items, &mut untold).await;
    }
    let there = untold.into_iter().filter(|problem| problem.kind != ProblemKind::Special);
    problems.extend(there.map(|problem| (opened.label.clone(), problem)));
    let work = |item: Item| {
        let name = full_path(&start, &item.path);
        let facts = args.long.then_some((item.size, item.mtime));
        Work { store: opened.store.clone(), path: item.path, name, facts }
    };
    Ok((opened.label.clone(), items.into_iter().map(work).collect()))
}

/// Does the work on all processors; the results in its order.
fn in_parallel<T, R, F>(work: Vec<T>, task: impl Fn(&T) -> F) -> impl Stream<Item = (T, R)>
where
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let in_flight = std::thread::available_parallelism().map_or(4, |n| n.get() * 4);
    stream::iter(work)
        .map(move |work| {
            let task = task(&work);
            async move { (work, tokio::spawn(task).await.expect("hashing does not panic")) }
        })
        .buffered(in_flight)
}

/// Hashes standard input.
fn hash_input(algo: Algo) -> Outcome<String> {
    let mut hasher = Hasher::new(algo.sum());
    let mut buffer = vec![0; 256 * 1024];
    let mut input = std::io::stdin().lock();
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable_input(&error)),
        }
    }
}

fn unreadable_input(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, "standard input could not be read").note(error.to_string())
}
