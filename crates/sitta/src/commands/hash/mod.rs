//! `sitta hash`: checksums of files, printed or verified.

mod check;
mod sum;

use std::ffi::OsStr;
use std::io::Read;
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use serde_json::json;
use sitta_store::sum::{Hasher, of_file};
use sitta_store::{ScanOptions, Store};
use sitta_tree::{Kind, Printable, Problem, ProblemKind, RelPath};

use super::block_on;
use super::listing::{self, full_path, locations, prefix};
use crate::args::{Algo, HashArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{Named, open_entry};
use crate::output::Out;
use crate::render::{failure, json as shown};

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
}

fn print(context: &Context, args: &HashArgs) -> Outcome {
    let algo = args.algo.unwrap_or(Algo::Blake3);
    let mut out = context.out();
    let mut problems: Vec<(String, Problem)> = Vec::new();
    let mut files = 0u64;
    block_on(async {
        for text in locations(&args.locations) {
            if text == "-" {
                tell(context, &mut out, algo, &hash_input(algo)?, b"-")?;
                files += 1;
                continue;
            }
            let (label, work) = gather(context, args, text, &mut problems).await?;
            let mut hashes = std::pin::pin!(in_parallel(work, move |work: &Work| {
                let (store, path) = (work.store.clone(), work.path.clone());
                async move { of_file(&store, &path, algo.sum()).await }
            }));
            while let Some((work, result)) = hashes.next().await {
                match result {
                    Ok(hash) => {
                        files += 1;
                        tell(context, &mut out, algo, &hash, &work.name)?;
                    }
                    Err(error) => {
                        let why = error.source.to_string();
                        problems.push((label.clone(), Problem::new(work.path, error.problem_kind(false), why)));
                    }
                }
            }
        }
        Ok(())
    })?;
    listing::finish(context, out, "hash", &problems, json!({"files": files}))
}

fn tell(context: &Context, out: &mut Out, algo: Algo, hash: &str, name: &[u8]) -> Outcome<()> {
    if context.json {
        let mut object = json!({"event": "hash", "algo": algo.sum().name(), "hash": hash});
        shown::add_bytes(&mut object, "path", name);
        return out.line(object);
    }
    // The escapes of these lines leave most of what steers a terminal as it is; a terminal gets none of it.
    let unsafe_there = || {
        let rest: Vec<u8> = name.iter().copied().filter(|b| *b != b'\\').collect();
        Printable(&rest).to_string().as_bytes() != rest
    };
    if context.out_is_terminal && unsafe_there() {
        return out.line(format!("{hash}  {}", Printable(name)));
    }
    out.bytes(&sum::line(hash, name))?;
    out.bytes(b"\n")
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
    if let Named::Entry(path, _) = named {
        return Ok((opened.label, vec![Work { store: opened.store, path, name: start }]));
    }
    let scanned = opened.store.scan(&ScanOptions::default()).await;
    let tree = scanned.map_err(|error| failure::looking(&opened.label, &error))?;
    let mut paths: Vec<RelPath> =
        tree.ids().filter(|id| tree.kind(*id) == Kind::File).map(|id| tree.path(id)).collect();
    paths.sort();
    let there = tree.problems.into_iter().filter(|problem| problem.kind != ProblemKind::Special);
    problems.extend(there.map(|problem| (opened.label.clone(), problem)));
    let work = |path: RelPath| {
        let name = full_path(&start, &path);
        Work { store: opened.store.clone(), path, name }
    };
    Ok((opened.label.clone(), paths.into_iter().map(work).collect()))
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
