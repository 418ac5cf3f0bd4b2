//! `sitta find`: the paths of everything below folders that fits.

use std::cmp::Reverse;

use serde_json::json;

use super::block_on;
use super::listing::{self, Choice, full_path, gather_all, locations, prefix};
use crate::args::{FindArgs, Sort};
use crate::context::Context;
use crate::exit::Outcome;
use crate::render::json as shown;

pub fn run(context: &Context, args: &FindArgs) -> Outcome {
    let choice = Choice::new(&args.selection)?;
    let mut out = context.out();
    let (mut problems, mut entries) = (Vec::new(), 0);
    let all = block_on(gather_all(context, &locations(&args.locations), &choice, true, context.json))?;
    for (text, mut found) in locations(&args.locations).into_iter().zip(all) {
        match choice.sort {
            Sort::Name => {}
            Sort::Size => found.items.sort_by_key(|item| Reverse(item.size)),
            Sort::Time => found.items.sort_by_key(|item| Reverse(item.mtime)),
        }
        let start = if args.locations.is_empty() { Vec::new() } else { prefix(text, &found.opened) };
        for item in &found.items {
            let path = if found.is_file { start.clone() } else { full_path(&start, &item.path) };
            if context.json {
                let mut object = json!({"event": "entry"});
                shown::add_bytes(&mut object, "path", &path);
                if let (Some(object), Some(facts)) = (object.as_object_mut(), listing::facts(item).as_object_mut())
                {
                    object.append(facts);
                }
                out.line(object)?;
            } else if args.null {
                out.bytes(&path)?;
                out.bytes(b"\0")?;
            } else {
                out.bytes(&listing::name(context, &path))?;
                out.bytes(b"\n")?;
            }
        }
        entries += found.items.len();
        problems.extend(found.problems.into_iter().map(|problem| (found.opened.label.clone(), problem)));
    }
    listing::finish(context, out, "find", &problems, json!({"entries": entries}))
}
