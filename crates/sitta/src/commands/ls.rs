//! `sitta ls`: what folders hold, several merged into one sorted listing.

use std::collections::BTreeMap;

use serde_json::json;
use sitta_tree::{Kind, Printable, RelPath};

use super::block_on;
use super::listing::{self, Choice, Found, Item, gather_all, locations};
use crate::args::{LsArgs, Sort};
use crate::context::Context;
use crate::exit::Outcome;
use crate::output::Out;
use crate::render::table::{Align, Table};
use crate::render::{json as shown, units};

/// Clocks and file systems differ by so much in what they say of one and the same version.
const TOLERANCE: u64 = 2_000_000_000;

pub fn run(context: &Context, args: &LsArgs) -> Outcome {
    let choice = Choice::new(&args.selection)?;
    let texts = locations(&args.locations);
    // Merged listings say which version is newer.
    let times = args.long || context.json || texts.len() > 1;
    let mut found = block_on(gather_all(context, &texts, &choice, args.recursive, times))?;
    // Two folders of one store are told apart by their whole location.
    let names: Vec<String> = found.iter().map(|found| found.opened.name.clone()).collect();
    for found in &mut found {
        if names.iter().filter(|name| **name == found.opened.name).count() > 1 {
            found.opened.name.clone_from(&found.opened.label);
        }
    }
    let rows = merge(&found, choice.sort);
    let mut out = context.out();
    if context.json {
        print_json(&mut out, &found, &rows)?;
    } else if args.long || texts.len() > 1 {
        print_long(context, &mut out, &found, &rows)?;
    } else {
        for row in &rows {
            let mut line = listing::name(context, row.path.as_bytes());
            line.extend_from_slice(if row.shown().kind == Kind::Dir { b"/\n" } else { b"\n" });
            out.bytes(&line)?;
        }
    }
    let problems: Vec<_> = found
        .iter()
        .flat_map(|found| found.problems.iter().map(|problem| (found.opened.label.clone(), problem.clone())))
        .collect();
    listing::finish(context, out, "ls", &problems, json!({"entries": rows.len()}))
}

/// A name, and what stands there at each location.
#[derive(Debug)]
struct Row<'f> {
    path: &'f RelPath,
    /// The location's index, and what it holds there.
    at: Vec<(usize, &'f Item)>,
}

impl Row<'_> {
    /// The version that the line tells of: the newest one.
    fn shown(&self) -> &Item {
        let newest = self.at.iter().map(|(_, item)| item).reduce(|a, b| if b.mtime > a.mtime { b } else { a });
        newest.expect("at one location at least")
    }
}

fn merge(found: &[Found], sort: Sort) -> Vec<Row<'_>> {
    let mut merged: BTreeMap<&RelPath, Row<'_>> = BTreeMap::new();
    for (index, found) in found.iter().enumerate() {
        for item in &found.items {
            let row = merged.entry(&item.path).or_insert_with(|| Row { path: &item.path, at: Vec::new() });
            row.at.push((index, item));
        }
    }
    let mut rows: Vec<_> = merged.into_values().collect();
    match sort {
        Sort::Name => {}
        Sort::Size => rows.sort_by_key(|row| std::cmp::Reverse(row.shown().size)),
        Sort::Time => rows.sort_by_key(|row| std::cmp::Reverse(row.shown().mtime)),
    }
    rows
}

fn print_long(context: &Context, out: &mut Out, found: &[Found], rows: &[Row<'_>]) -> Outcome<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let several = found.len() > 1;
    let mut align = vec![Align::Left, Align::Right, Align::Left];
    let mut head = vec!["NAME".to_owned(), "SIZE".to_owned(), "MODIFIED".to_owned()];
    if several {
        align.push(Align::Left);
        head.push("WHERE".to_owned());
    }
    let zone = context.zone();
    let mut table = Table::new(&align);
    table.row(head);
    for row in rows {
        let item = row.shown();
        let name = row.path.to_string();
        let (name, size) = match item.kind {
            Kind::Dir => (format!("{name}/"), String::new()),
            Kind::Symlink => (format!("{name} → {}", Printable(&item.target)), String::new()),
            Kind::File => (name, units::size(item.size)),
            Kind::Unknown => (name, item.kind_name().to_owned()),
        };
        let mut cells = vec![name, size, units::local_time(item.mtime, &zone)];
        if several {
            cells.push(place(found, row));
        }
        table.row(cells);
    }
    out.table(&table, context.out_style)?;
    Ok(())
}

/// `nas, server (differs: server is newer)`
fn place(found: &[Found], row: &Row<'_>) -> String {
    let names: Vec<&str> = row.at.iter().map(|(index, _)| &*found[*index].opened.name).collect();
    let mut text = names.join(", ");
    if let Some(difference) = difference(found, row) {
        text.push_str(&format!(" (differs: {difference})"));
    }
    text
}

fn difference(found: &[Found], row: &Row<'_>) -> Option<String> {
    let (first, rest) = row.at.split_first()?;
    let first = first.1;
    if rest.iter().any(|(_, item)| item.kind != first.kind) {
        let kinds: Vec<_> =
            row.at.iter().map(|(i, item)| format!("{} in {}", item.kind_name(), found[*i].opened.name)).collect();
        return Some(kinds.join(", "));
    }
    match first.kind {
        Kind::Symlink if rest.iter().any(|(_, item)| item.target != first.target) => Some("another target".into()),
        Kind::File => {
            let newest = row.at.iter().max_by_key(|(_, item)| item.mtime)?;
            let older = |item: &Item| !item.mtime.same_within(newest.1.mtime, TOLERANCE);
            if row.at.iter().any(|(_, item)| older(item)) {
                return Some(format!("{} is newer", found[newest.0].opened.name));
            }
            rest.iter().any(|(_, item)| item.size != first.size).then(|| "the sizes".into())
        }
        _ => None,
    }
}

fn print_json(out: &mut Out, found: &[Found], rows: &[Row<'_>]) -> Outcome<()> {
    for row in rows {
        let mut object = shown::with_path(json!({"event": "entry"}), "path", row.path);
        if let (Some(object), Some(facts)) = (object.as_object_mut(), listing::facts(row.shown()).as_object_mut()) {
            object.append(facts);
        }
        let versions = row.at.iter().map(|(index, item)| {
            let mut facts = listing::facts(item);
            facts["location"] = found[*index].opened.name.as_str().into();
            facts
        });
        object["where"] = versions.collect();
        object["differs"] = difference(found, row).is_some().into();
        out.line(object)?;
    }
    Ok(())
}
