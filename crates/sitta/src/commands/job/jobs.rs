//! `sitta jobs`: how each job ended last, and when it runs next.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use sitta_jobs::metrics::JobState;
use sitta_jobs::{History, JobError, JobLock, Run};

use super::states::{running, states};
use super::{failed, find, open_history, zone};
use crate::args::JobsArgs;
use crate::config::{Config, Job};
use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::render::table::{Align, Table};

pub fn jobs(context: &Context, args: &JobsArgs) -> Outcome {
    let config = context.config()?;
    let named = args.jobs.iter().map(|name| find(context, name)).collect::<Outcome<Vec<_>>>()?;
    let history = open_history(context)?;
    let mut shown = states(context, &history)?;
    shown.retain(|state| named.is_empty() || named.iter().any(|(name, _)| **name == state.job));
    let mut out = context.out();
    let now = Timestamp::now();
    if context.json {
        for state in &shown {
            let running = running(&history, &state.job)?;
            out.line(object(state, &config.job[&state.job], running.as_ref()))?;
        }
        let report = json!({
            "event": "report", "verb": "jobs", "outcome": "success", "problems": [], "jobs": shown.len(),
            "daemon": daemon(context)?,
        });
        out.line(report)?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    if shown.is_empty() {
        let file = context.shorten(&context.config_file.display().to_string());
        out.line(format!("There are no jobs in {file}; each is a table [job.NAME]"))?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[Align::Left; 5]);
    table.row(["JOB", "WHAT", "LAST", "WHEN", "NEXT"].map(str::to_owned).to_vec());
    for state in &shown {
        let Line { job, what, last, when, next, .. } = line(context, &history, state, now)?;
        table.row(vec![job, what, last, when, next]);
    }
    table.lines().try_for_each(|line| out.line(line))?;
    out.flush()?;
    if wait(config, &shown) && daemon(context)?.is_none() && !context.quiet {
        let hint = context.console.style.accent("hint:");
        context
            .console
            .line(format!("{hint} no daemon is running, so nothing runs by itself: `sitta schedule install`"));
    }
    Ok(Exit::Done)
}

/// A job as the list shows it.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its name.
    pub job: String,
    /// `mirror ~/Documents → nas:documents`
    pub what: String,
    /// How it ended last, or that it runs.
    pub last: String,
    /// When that was, or since when it runs.
    pub when: String,
    /// When it runs next.
    pub next: String,
    /// Its run that goes on.
    pub running: Option<Run>,
}

/// What the list shows of a job.
pub fn line(context: &Context, history: &History, state: &JobState, now: Timestamp) -> Outcome<Line> {
    let config = context.config()?;
    let job = &config.job[&state.job];
    let zone = zone(config, job);
    let (from, to) = (context.shorten(&job.source_text()), context.shorten(&job.target_text()));
    let what = format!("{} {from} → {to}", job.verb.name());
    let running = running(history, &state.job)?;
    let (last, when) = last(state, running.as_ref(), &zone);
    let next = next(state, job, &zone, now);
    Ok(Line { job: state.job.clone(), what, last, when, next, running })
}

/// Whether any of these jobs waits for a daemon.
pub fn wait(config: &Config, states: &[JobState]) -> bool {
    states.iter().any(|state| state.next.is_some() || config.job[&state.job].watch)
}

fn last(state: &JobState, running: Option<&Run>, zone: &TimeZone) -> (String, String) {
    let at = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string();
    let alarm = if state.standing.is_some_and(|standing| standing.alarm.is_some()) { " (alarm)" } else { "" };
    match (running, &state.last) {
        (Some(run), _) => (format!("running{alarm}"), format!("since {}", at(run.started))),
        (None, Some(run)) => {
            let (ended, ending) = run.end.as_ref().expect("it has ended");
            (format!("{}{alarm}", ending.ended.name()), at(*ended))
        }
        (None, None) => (format!("never{alarm}"), String::new()),
    }
}

fn next(state: &JobState, job: &Job, zone: &TimeZone, now: Timestamp) -> String {
    match state.next {
        Some(at) if at <= now => "due".to_owned(),
        Some(at) => at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
        None if job.watch => "always".to_owned(),
        None => "by hand".to_owned(),
    }
}

fn object(state: &JobState, job: &Job, running: Option<&Run>) -> Value {
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let last = state.last.as_ref().and_then(|run| {
        let (ended, ending) = run.end.as_ref()?;
        Some(json!({
            "run": run.id, "outcome": ending.ended.name(), "started": run.started.to_string(),
            "ended": ended.to_string(), "seconds": ending.seconds,
        }))
    });
    let standing = state.standing;
    json!({
        "event": "job", "job": state.job, "verb": job.verb.name(), "from": job.source_text(), "to": job.target_text(),
        "schedule": job.schedule.as_ref().map(|schedule| &schedule.0), "watch": job.watch,
        "running": running.map(|run| json!({"run": run.id, "pid": run.pid, "since": run.started.to_string()})),
        "last": last, "succeeded": at(standing.and_then(|standing| standing.succeeded)),
        "alarm": at(standing.and_then(|standing| standing.alarm)), "next": at(state.next),
    })
}

/// The process of the daemon, if one runs.
pub fn daemon(context: &Context) -> Outcome<Option<u32>> {
    match JobLock::daemon(context.state_dir()?) {
        Ok(_) => Ok(None),
        Err(JobError::Busy { pid, .. }) => Ok(Some(pid)),
        Err(error) => Err(failed(&error)),
    }
}
