//! `sitta config`: is it right, how is it understood, what may stand in it.

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
        ConfigVerb::Check => check(context, &mut out)?,
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

fn check(context: &Context, out: &mut Out) -> Outcome<()> {
    let config = context.config()?;
    let file = context.config_file.display().to_string();
    let passwords: Vec<(String, &Secret)> = passwords(config).collect();
    if context.json {
        for (table, secret) in &passwords {
            out.line(json!({"event": "password", "table": table, "source": secret.source()}))?;
        }
        return out.line(json!({
            "event": "report", "verb": "config", "outcome": "success", "problems": [], "file": file,
            "stores": config.store.len(), "jobs": config.job.len(), "notifications": config.notify.len(),
        }));
    }
    if !context.config_file.exists() {
        return out.line(format!("There is no config at {file}; none is needed for paths and URLs"));
    }
    let count = |n: usize, one, many| counted(n as u64, one, many);
    out.line(format!(
        "{file} is right: {}, {}, {}",
        count(config.store.len(), "store", "stores"),
        count(config.job.len(), "job", "jobs"),
        count(config.notify.len(), "notification", "notifications")
    ))?;
    let mut table = Table::new(&[Align::Left, Align::Left]);
    passwords.iter().for_each(|(name, secret)| table.row(vec![name.clone(), secret.source()]));
    table.lines().try_for_each(|line| out.line(format!("  {line}")))
}

fn passwords(config: &Config) -> impl Iterator<Item = (String, &Secret)> {
    let stores =
        config.store.iter().filter_map(|(name, s)| Some((format!("[store.{name}]"), s.password.as_ref()?)));
    let people =
        config.notify.iter().filter_map(|(name, n)| Some((format!("[notify.{name}]"), n.password.as_ref()?)));
    stores.chain(people)
}
