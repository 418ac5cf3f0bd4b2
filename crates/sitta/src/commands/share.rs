//! `sitta share`: what the server shares, as the config says it.

use serde_json::json;
use toml_edit::{DocumentMut, Item};

use super::init::draft::{self, Form, Section};
use super::init::write;
use crate::args::{ShareAddArgs, ShareArgs, ShareVerb};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::render::table::{Align, Table};

pub fn run(context: &Context, args: &ShareArgs) -> Outcome {
    match &args.verb {
        ShareVerb::Add(args) => add(context, args),
        ShareVerb::List => list(context),
        ShareVerb::Remove { name } => remove(context, name),
    }
}

fn add(context: &Context, args: &ShareAddArgs) -> Outcome {
    let before = write::read(&context.config_file)?;
    let mut share = Section::new("share", &args.name);
    // In the config, a path starts from the config's folder; here, from where the user is.
    share.key("location", from_here(&args.location));
    if args.read_only {
        share.key("read_only", true);
    }
    if args.follow_links {
        share.key("follow_links", true);
    }
    let text = draft::add(before.as_deref().unwrap_or_default(), &[share], Form::File)?;
    // What makes no sense is not written.
    context.with_text(&text)?;
    put(context, &text)?;
    context.say(format_args!("{} is shared by `sitta serve` from its next start on", args.name));
    Ok(Exit::Done)
}

/// The location as the config has to name it.
fn from_here(location: &str) -> String {
    use sitta_store::Location;
    match Location::parse(location) {
        Ok(Location::Local(path)) if path.is_relative() && !location.starts_with("~/") && location != "~" => {
            std::path::absolute(&path).map_or_else(|_| location.to_owned(), |path| path.display().to_string())
        }
        _ => location.to_owned(),
    }
}

fn list(context: &Context) -> Outcome {
    let shares = &context.config()?.share;
    let mut out = context.out();
    if context.json {
        for (name, share) in shares {
            let location = share.location.location.to_string();
            out.line(json!({
                "event": "share", "name": name, "location": location, "read_only": share.read_only,
                "follow_links": share.follow_links,
            }))?;
        }
        out.flush()?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[Align::Left; 3]);
    table.row(["NAME", "OPEN FOR", "LOCATION"].map(str::to_owned).to_vec());
    for (name, share) in shares {
        let how = if share.read_only { "reading" } else { "reading and writing" };
        let links = if share.follow_links { ", links followed" } else { "" };
        table.row(vec![name.clone(), format!("{how}{links}"), share.location.location.to_string()]);
    }
    for line in table.lines() {
        out.line(line)?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn remove(context: &Context, name: &str) -> Outcome {
    let missing =
        || Failure::usage(format!("the config has no share called '{name}'")).hint("`sitta share list` shows them");
    let text = write::read(&context.config_file)?.ok_or_else(missing)?;
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| Failure::usage("the config is no TOML").note(error.to_string()))?;
    let shares = document.get_mut("share").and_then(Item::as_table_like_mut).ok_or_else(missing)?;
    shares.remove(name).ok_or_else(missing)?;
    if shares.is_empty() {
        document.remove("share");
    }
    put(context, &document.to_string())?;
    context.say(format_args!("{name} is shared no more from the server's next start on; what it holds stays"));
    Ok(Exit::Done)
}

fn put(context: &Context, text: &str) -> Outcome<()> {
    write::replace(&context.config_file, text).map_err(|error| {
        Failure::failed(format!("{} could not be written", context.config_file.display()))
            .note(error.to_string())
            .note("nothing was written")
    })
}
