//! `sitta config`: is it right, how is it understood, what may stand in it.

mod connect;

use serde_json::json;

use crate::args::ConfigVerb;
use crate::config::{Config, Secret};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Out;
use crate::render::table::{Align, Table};
use crate::render::units::counted;

pub fn run(context: &Context, verb: ConfigVerb) -> Outcome {
    let mut out = context.out();
    match verb {
        ConfigVerb::Check(args) => return check(context, out, args.connect),
        ConfigVerb::Show => show(context, &mut out)?,
        ConfigVerb::Schema => out.line(schema()?)?,
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn schema() -> Outcome<String> {
    let schema = schemars::schema_for!(Config);
    serde_json::to_string_pretty(&schema)
        .map_err(|error| Failure::failed("the schema could not be made").note(error.to_string()))
}

fn show(context: &Context, out: &mut Out) -> Outcome<()> {
    let config = context.config()?;
    if context.json {
        out.line(json!({"event": "config", "file": context.config_file.display().to_string(), "config": config}))?;
        return out.line(json!({"event": "report", "verb": "config", "outcome": "success", "problems": []}));
    }
    let text = toml::to_string(config)
        .map_err(|error| Failure::failed("the config could not be written as TOML").note(error.to_string()))?;
    out.line(format!("# {}", context.config_file.display()))?;
    out.bytes(text.as_bytes())
}

fn check(context: &Context, mut out: Out, connect: bool) -> Outcome {
    let config = context.config()?;
    let file = context.config_file.display().to_string();
    let secrets = secrets(config);
    if context.json {
        for (table, key, secret) in &secrets {
            let source = secret.source(context, key);
            out.line(json!({"event": "password", "table": table, "key": key, "source": source}))?;
        }
        out.flush()?;
        let unreached = if connect { connect::check(context, &mut out, config)? } else { 0 };
        let exit = ended(unreached);
        let mut report = json!({
            "event": "report", "verb": "config", "outcome": exit.outcome(), "problems": [], "file": file,
            "stores": config.store.len(), "jobs": config.job.len(), "notifications": config.notify.len(),
        });
        if connect {
            report["unreached"] = unreached.into();
        }
        out.line(report)?;
        out.flush()?;
        return Ok(exit);
    }
    if !context.config_file.exists() {
        out.line(format!("There is no config at {file}; none is needed for paths and URLs"))?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    let count = |n: usize, one, many| counted(n as u64, one, many);
    out.line(format!(
        "{file} is right: {}, {}, {}",
        count(config.store.len(), "store", "stores"),
        count(config.job.len(), "job", "jobs"),
        count(config.notify.len(), "notification", "notifications")
    ))?;
    let mut table = Table::new(&[Align::Left, Align::Left]);
    secrets.iter().for_each(|(name, key, secret)| table.row(vec![name.clone(), secret.source(context, key)]));
    table.lines().try_for_each(|line| out.line(format!("  {line}")))?;
    out.flush()?;
    let exit = ended(if connect { connect::check(context, &mut out, config)? } else { 0 });
    out.flush()?;
    Ok(exit)
}

fn ended(unreached: usize) -> Exit {
    if unreached == 0 { Exit::Done } else { Exit::Failed }
}

/// All secrets, each with its table and key.
fn secrets(config: &Config) -> Vec<(String, &'static str, &Secret)> {
    let stores = config.store.iter().flat_map(|(name, store)| {
        store.secrets().map(move |(key, secret)| (format!("[store.{name}]"), key, secret))
    });
    let people = config.notify.iter().flat_map(|(name, notify)| {
        notify.secrets().map(move |(key, secret)| (format!("[notify.{name}]"), key, secret))
    });
    stores.chain(people).collect()
}
