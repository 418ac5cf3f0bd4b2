//! `sitta du`: what folders add up to.

use std::cmp::Reverse;
use std::ffi::OsStr;

use futures::future::try_join_all;
use serde_json::json;
use sitta_store::ScanOptions;
use sitta_tree::{Kind, NodeId, Printable, Problem, ProblemKind, RelPath, Tree};

use super::block_on;
use super::listing::{self, full_path, locations, prefix};
use crate::args::{DuArgs, DuSort};
use crate::context::Context;
use crate::exit::Outcome;
use crate::open::{Named, open_entry};
use crate::output::Out;
use crate::render::table::{Align, Table};
use crate::render::{failure, json as shown, units};

/// What a folder adds up to, with everything below.
#[derive(Debug, Clone, Default)]
struct Sum {
    path: Vec<u8>,
    bytes: u64,
    files: u64,
}

pub fn run(context: &Context, args: &DuArgs) -> Outcome {
    let (mut sums, mut total, mut problems) = (Vec::new(), Sum::default(), Vec::new());
    let texts = locations(&args.locations);
    let looked = block_on(try_join_all(texts.iter().map(|text| look(context, text, args.depth))))?;
    for (mut found, there) in looked {
        problems.extend(there);
        let own = found.last().cloned().unwrap_or_default();
        total = Sum { path: Vec::new(), bytes: total.bytes + own.bytes, files: total.files + own.files };
        if args.sort == DuSort::Size {
            let inside = found.len() - 1;
            found[..inside].sort_by_key(|sum| Reverse(sum.bytes));
        }
        sums.append(&mut found);
    }
    let mut out = context.out();
    print(context, &mut out, &sums, (texts.len() > 1).then_some(&total))?;
    listing::finish(context, out, "du", &problems, json!({"bytes": total.bytes, "files": total.files}))
}

/// What a location adds up to, itself last; and what could not be looked at.
async fn look(context: &Context, text: &OsStr, depth: usize) -> Outcome<(Vec<Sum>, Vec<(String, Problem)>)> {
    let (opened, named) = open_entry(context, text).await?;
    let start = prefix(text, &opened);
    if let Named::Entry(_, entry) = named {
        return Ok((vec![Sum { path: start, bytes: entry.size, files: 1 }], Vec::new()));
    }
    let scanned = opened.store.scan(&ScanOptions::default()).await;
    let tree = scanned.map_err(|error| failure::looking(&opened.label, &error))?;
    let there = tree.problems.iter().filter(|problem| problem.kind != ProblemKind::Special);
    let problems = there.map(|problem| (opened.label.clone(), problem.clone())).collect();
    Ok((add_up(&tree, &start, depth), problems))
}

/// Folders down to `depth`, the location itself last, as `du` has it.
fn add_up(tree: &Tree, start: &[u8], depth: usize) -> Vec<Sum> {
    let mut sums = vec![(0u64, 0u64); tree.len()];
    // Children stand behind their directory: from the end on, every child is complete before its parent.
    let ids: Vec<NodeId> = tree.ids().collect();
    for id in ids.iter().rev() {
        if matches!(tree.kind(*id), Kind::File | Kind::Symlink) {
            sums[id.index()] = (tree.size(*id), 1);
        }
        if *id != NodeId::ROOT {
            let (bytes, files) = sums[id.index()];
            let above = &mut sums[tree.parent(*id).index()];
            (above.0, above.1) = (above.0 + bytes, above.1 + files);
        }
    }
    let mut shown: Vec<(RelPath, Sum)> = ids
        .iter()
        .filter(|id| tree.kind(**id) == Kind::Dir && **id != NodeId::ROOT)
        .map(|id| (tree.path(*id), sums[id.index()]))
        .filter(|(path, _)| path.depth() <= depth)
        .map(|(path, (bytes, files))| {
            let full = full_path(start, &path);
            (path, Sum { path: full, bytes, files })
        })
        .collect();
    shown.sort_by(|a, b| a.0.cmp(&b.0));
    let (bytes, files) = sums[0];
    shown.into_iter().map(|(_, sum)| sum).chain([Sum { path: start.to_vec(), bytes, files }]).collect()
}

fn print(context: &Context, out: &mut Out, sums: &[Sum], total: Option<&Sum>) -> Outcome<()> {
    if context.json {
        for sum in sums {
            let mut object = json!({"event": "folder"});
            shown::add_bytes(&mut object, "path", &sum.path);
            object["bytes"] = sum.bytes.into();
            object["files"] = sum.files.into();
            out.line(object)?;
        }
        return Ok(());
    }
    let mut table = Table::new(&[Align::Right, Align::Right, Align::Left]);
    let cells =
        |sum: &Sum, path: String| vec![units::size(sum.bytes), units::counted(sum.files, "file ", "files"), path];
    for sum in sums {
        table.row(cells(sum, Printable(&sum.path).to_string()));
    }
    if let Some(total) = total {
        table.row(cells(total, "total".to_owned()));
    }
    table.lines().try_for_each(|line| out.line(line))
}
