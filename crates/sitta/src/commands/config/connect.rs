//! `sitta config check --connect`: whether each store of the config can be gone to. Nothing is written anywhere.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use serde_json::json;
use sitta_tree::RelPath;

use super::super::block_on;
use crate::config::Config;
use crate::context::Context;
use crate::exit::Outcome;
use crate::open::open_named;
use crate::output::Out;
use crate::render::{failure, json as shown, units};

/// So many are gone to at the same time.
const AT_ONCE: usize = 16;

/// Goes to each store; tells how it went as soon as that is known and all before it are; gives how many could not be
/// reached.
pub fn check(context: &Context, out: &mut Out, config: &Config) -> Outcome<usize> {
    let width = config.store.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    block_on(async {
        let visits = config.store.keys().map(|name| async move {
            let started = Instant::now();
            (name, visit(context, name).await, started.elapsed())
        });
        let mut visits = stream::iter(visits).buffered(AT_ONCE);
        let mut unreached = 0;
        while let Some((name, result, took)) = visits.next().await {
            unreached += usize::from(result.is_err());
            if context.json {
                out.line(event(name, &result, took, config))?;
            } else {
                tell(out, &format!("{name:width$}"), &result, took)?;
            }
            out.flush()?;
        }
        Ok(unreached)
    })
}

/// How many entries there are.
async fn visit(context: &Context, name: &str) -> Outcome<u64> {
    let opened = open_named(context, name).await?;
    let entries = opened.store.list(&RelPath::root()).await;
    entries.map(|entries| entries.len() as u64).map_err(|error| failure::looking(&opened.label, &error))
}

fn tell(out: &mut Out, name: &str, result: &Outcome<u64>, took: Duration) -> Outcome<()> {
    let took = units::duration(took);
    match result {
        Ok(entries) => out
            .line(format!("  {name}   can be reached: {} ({took})", units::counted(*entries, "entry", "entries"))),
        Err(failure) => {
            let margin = " ".repeat(name.chars().count());
            let label = format!("{}: ", name.trim_end());
            out.line(format!("  {name}   {}", failure.what.strip_prefix(&label).unwrap_or(&failure.what)))?;
            failure.notes.iter().try_for_each(|note| out.line(format!("  {margin}     {note}")))?;
            failure.hint.iter().try_for_each(|hint| out.line(format!("  {margin}   hint: {hint}")))
        }
    }
}

fn event(name: &str, result: &Outcome<u64>, took: Duration, config: &Config) -> serde_json::Value {
    let location = config.store.get(name).map(|store| store.url.location.to_string());
    let mut object = json!({"event": "store", "name": name, "location": location, "reached": result.is_ok()});
    match result {
        Ok(entries) => object["entries"] = (*entries).into(),
        Err(failure) => object["error"] = shown::error_value(failure),
    }
    object["seconds"] = took.as_secs_f64().into();
    object
}
