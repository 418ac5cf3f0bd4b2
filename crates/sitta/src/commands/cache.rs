//! `sitta cache`: what was downloaded and is kept for the next time.

use serde_json::json;
use sitta_ops::cache::{Cache, CacheError};

use crate::args::{CacheArgs, CacheVerb};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::render::table::{Align, Table};
use crate::render::{json as shown, units};

pub fn run(context: &Context, args: &CacheArgs) -> Outcome {
    match args.verb {
        CacheVerb::Show => show(context),
        CacheVerb::Clear => clear(context),
    }
}

/// The cache, if the config sets one up; and what is wrong with it, if it is of no use.
pub fn open(context: &Context) -> Outcome<Option<Result<Cache, CacheError>>> {
    let Some(limit) = context.config()?.cache.limit().filter(|limit| *limit > 0) else { return Ok(None) };
    let dir = context.cache_dir()?.join("downloads");
    Ok(Some(Cache::open(&dir, limit)))
}

/// The cache as it is there, whatever its limit.
fn there(context: &Context) -> Outcome<Option<Cache>> {
    let dir = context.cache_dir()?.join("downloads");
    let limit = context.config()?.cache.limit().unwrap_or_default();
    if limit == 0 && !dir.exists() {
        return Ok(None);
    }
    Cache::open(&dir, limit).map(Some).map_err(|error| failed(&error))
}

fn failed(error: &CacheError) -> Failure {
    Failure::failed("the cache cannot be used")
        .note(error.to_string())
        .hint("what is in it was downloaded and can be again: that folder may be removed")
}

fn show(context: &Context) -> Outcome {
    let cache = there(context)?;
    let limit = cache.as_ref().map_or(0, Cache::limit);
    let kept = cache.map(|cache| cache.files().map_err(|error| failed(&error))).transpose()?.unwrap_or_default();
    let bytes: u64 = kept.iter().map(|kept| kept.about.size).sum();
    let mut out = context.out();
    if context.json {
        for kept in &kept {
            let mut object = shown::with_path(json!({"event": "cached"}), "path", &kept.about.path);
            object["location"] = kept.about.location.as_str().into();
            object["size"] = kept.about.size.into();
            object["hash"] = kept.about.hash.to_string().into();
            object["used"] = kept.used.to_string().into();
            out.line(object)?;
        }
        out.line(json!({
            "event": "report", "verb": "cache", "outcome": "success", "problems": [],
            "files": kept.len(), "bytes": bytes, "max_size": limit,
        }))?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    if !kept.is_empty() {
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Left, Align::Left]);
        table.row(["NAME", "SIZE", "USED", "FROM"].map(str::to_owned).to_vec());
        let zone = context.zone();
        for kept in &kept {
            let used = sitta_tree::Time::new(kept.used.as_second(), 0);
            let about = &kept.about;
            let (name, size) = (about.path.to_string(), units::size(about.size));
            table.row(vec![name, size, units::local_time(used, &zone), about.location.clone()]);
        }
        out.table(&table, context.out_style)?;
    }
    out.flush()?;
    context.say(match limit {
        0 => "downloads are not cached: the config has no max_size in [cache]".to_owned(),
        limit => format!("{} of {} in {}", units::size(bytes), units::size(limit), files(kept.len())),
    });
    Ok(Exit::Done)
}

fn clear(context: &Context) -> Outcome {
    let cleared = match there(context)? {
        Some(cache) => cache.clear().map_err(|error| failed(&error))?,
        None => (0, 0),
    };
    if context.json {
        let mut out = context.out();
        out.line(json!({
            "event": "report", "verb": "cache", "outcome": "success", "problems": [],
            "files": cleared.0, "bytes": cleared.1,
        }))?;
        out.flush()?;
    }
    context.say(format_args!("{} removed from the cache, {}", files(cleared.0), units::size(cleared.1)));
    Ok(Exit::Done)
}

fn files(n: usize) -> String {
    units::counted(n as u64, "file", "files")
}
