//! `sitta hash --check`: whether files still are what a list of checksums says, in the words of coreutils.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use serde_json::json;
use sitta_store::Store;
use sitta_store::sum::of_file;
use sitta_tree::{Printable, RelPath};

use super::super::block_on;
use super::sum::{self, Listed};
use super::{Work, in_parallel, unreadable_input};
use crate::args::{Algo, HashArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{Opened, open, open_local};
use crate::output::Out;
use crate::render::json as shown;

/// What is counted.
#[derive(Debug, Default)]
struct Count {
    files: u64,
    malformed: u64,
    unreadable: u64,
    different: u64,
}

pub fn run(context: &Context, args: &HashArgs, list: &Path) -> Outcome {
    if args.locations.len() > 1 {
        return Err(Failure::usage("--check takes one location at most: where the names in the list start from"));
    }
    block_on(verify(context, args, list))
}

async fn verify(context: &Context, args: &HashArgs, list: &Path) -> Outcome {
    let base = match args.locations.first() {
        Some(text) => Some(open(context, text).await?),
        None => None,
    };
    let mut count = Count::default();
    let text = read(list)?;
    let hint = list.file_name().and_then(OsStr::to_str).and_then(sum::hint);
    let mut work = Vec::new();
    for line in text.split(|b| *b == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#")) {
        let listed = Listed::parse(line).map(|listed| (listed.algos(args.algo, hint), listed));
        match listed {
            Some((algos, listed)) if !algos.is_empty() => {
                work.push((place(base.as_ref(), &listed.name)?, algos, listed));
            }
            _ => count.malformed += 1,
        }
    }
    if work.is_empty() {
        return Err(Failure::failed(format!("{}: no properly formatted checksum lines found", list.display()))
            .hint("a line is a checksum, two blanks and a name, as `sitta hash` prints them"));
    }
    let mut out = context.out();
    let mut results = std::pin::pin!(in_parallel(work, |(work, algos, listed): &(Work, Vec<Algo>, Listed)| {
        let (store, path) = (work.store.clone(), work.path.clone());
        let (algos, expected) = (algos.clone(), listed.hash.clone());
        async move { is_same(&store, &path, &algos, &expected).await }
    }));
    while let Some(((work, ..), result)) = results.next().await {
        count.files += 1;
        let verdict = match result {
            Ok(true) => "OK",
            Ok(false) => {
                count.different += 1;
                "FAILED"
            }
            Err(error) => {
                count.unreadable += 1;
                if !context.json {
                    context.console.line(format!("sitta: {}: {}", Printable(&work.name), error.source));
                }
                "FAILED open or read"
            }
        };
        tell(context, &mut out, &work.name, verdict)?;
    }
    finish(context, out, &count)
}

/// Whether a file has the checksum. Where the list does not say of which sort it is, each that it may be is tried.
async fn is_same(
    store: &Arc<dyn Store>,
    path: &RelPath,
    algos: &[Algo],
    expected: &str,
) -> sitta_store::Result<bool> {
    for algo in algos {
        if of_file(store, path, algo.sum()).await? == expected {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read(list: &Path) -> Outcome<Vec<u8>> {
    if list == Path::new("-") {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text).map_err(|error| unreadable_input(&error))?;
        return Ok(text);
    }
    fs::read(list).map_err(|error| {
        Failure::failed(format!("the list {} could not be read", list.display())).note(error.to_string())
    })
}

/// Where a listed name is: below the location that was given, or as the shell would take it.
fn place(base: Option<&Opened>, name: &[u8]) -> Outcome<Work> {
    let Some(base) = base else {
        let (store, path) = open_local(Path::new(OsStr::from_bytes(name)))?;
        return Ok(Work { store, path, name: name.to_vec(), facts: None });
    };
    let bare = name.strip_prefix(b"./").unwrap_or(name);
    let path = RelPath::new(bare).map_err(|error| {
        Failure::failed(format!("the list names '{}', which {error}", Printable(name)))
            .note(format!("names start from {}", base.label))
    })?;
    Ok(Work { store: base.store.clone(), path, name: name.to_vec(), facts: None })
}

fn tell(context: &Context, out: &mut Out, name: &[u8], verdict: &str) -> Outcome<()> {
    if context.json {
        let verdict = match verdict {
            "OK" => "ok",
            "FAILED" => "different",
            _ => "unreadable",
        };
        let mut object = json!({"event": "check", "verdict": verdict});
        shown::add_bytes(&mut object, "path", name);
        return out.line(object);
    }
    if context.quiet && verdict == "OK" {
        return Ok(());
    }
    if context.out_is_terminal {
        return out.line(format!("{}: {verdict}", Printable(name)));
    }
    // As coreutils do: only what would break the line is escaped here.
    let breaks = name.iter().any(|b| matches!(b, b'\n' | b'\r'));
    let (_, escaped) = sum::escape(name);
    out.bytes(if breaks { b"\\" } else { b"" })?;
    out.bytes(if breaks { &escaped } else { name })?;
    out.line(format!(": {verdict}"))
}

fn finish(context: &Context, mut out: Out, count: &Count) -> Outcome {
    let exit = match count {
        Count { different: 1.., .. } => Exit::Failed,
        Count { unreadable: 1.., .. } => Exit::Partial,
        _ => Exit::Done,
    };
    if context.json {
        out.line(json!({
            "event": "report", "verb": "hash", "outcome": exit.outcome(), "files": count.files,
            "different": count.different, "unreadable": count.unreadable, "malformed": count.malformed,
            "problems": [],
        }))?;
    }
    out.flush()?;
    let warnings = [
        (count.malformed, "line is improperly formatted", "lines are improperly formatted"),
        (count.unreadable, "listed file could not be read", "listed files could not be read"),
        (count.different, "computed checksum did NOT match", "computed checksums did NOT match"),
    ];
    for (n, one, many) in warnings.into_iter().filter(|(n, ..)| *n > 0 && !context.json) {
        context.console.line(format!("sitta: WARNING: {n} {}", if n == 1 { one } else { many }));
    }
    Ok(exit)
}
