//! Jobs: run, listed, looked back on.

pub mod history;
pub mod jobs;
mod run;
mod states;
pub mod tell;
mod work;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sitta_jobs::notify::About;
use sitta_jobs::{History, JobError, Schedule};

pub use history::history;
pub use jobs::jobs;
pub use run::{next, run};
pub use states::states;
pub use work::places;

use crate::config::{Config, Job};
use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::hints;

/// Runs are forgotten after so many days unless the config says otherwise.
const KEPT_DAYS: u64 = 90;

/// A job of the config, by its name.
fn find<'c>(context: &'c Context, name: &str) -> Outcome<(&'c String, &'c Job)> {
    let config = context.config()?;
    if let Some(found) = config.job.get_key_value(name) {
        return Ok(found);
    }
    let file = context.shorten(&context.config_file.display().to_string());
    let failure = Failure::usage(format!("there is no job named '{name}'"))
        .note(format!("it would be [job.{name}] in {file}"));
    Err(match hints::nearest(name, config.job.keys().map(String::as_str)) {
        Some(nearest) => failure.hint(format!("did you mean {nearest} ?")),
        None => failure.hint("`sitta jobs` lists all jobs"),
    })
}

/// What jobs did.
pub fn open_history(context: &Context) -> Outcome<History> {
    let history = History::open(context.state_dir()?, Timestamp::now()).map_err(|error| failed(&error))?;
    if let Some(aside) = history.was_damaged() {
        context.console.warning(format!("the history was damaged; it was set aside as {}", aside.display()));
    }
    Ok(history)
}

/// What went wrong around a job.
pub fn failed(error: &JobError) -> Failure {
    match error {
        JobError::Busy { job, pid, since } if job == "daemon" => {
            Failure::failed(format!("a daemon is running since {}", local(since)))
                .note(format!("it is process {pid}; this one did nothing"))
                .hint(format!("to let it take up a changed config: kill -HUP {pid}; to end it: kill {pid}"))
        }
        JobError::Busy { job, pid, since } => {
            Failure::failed(format!("the job {job} is running since {}", local(since)))
                .note(format!("it is process {pid}; nothing was done by this one"))
                .hint(format!("wait until it is done, or end it with `kill {pid}`: nothing is lost"))
        }
        JobError::History { path, message } => {
            Failure::failed(format!("the history could not be used: {}", path.display()))
                .note(message.clone())
                .hint(
                    "see that there is room and that you may write there, or set XDG_STATE_HOME to another folder",
                )
        }
        JobError::File { path, source } => Failure::failed(format!("{} could not be used", path.display()))
            .note(source.to_string())
            .hint("see that there is room and that you may write there"),
    }
}

fn local(utc: &str) -> String {
    let at = utc.parse::<Timestamp>();
    at.map_or_else(|_| utc.to_owned(), |at| stamp(at, &TimeZone::system()))
}

/// `2026-09-26 10:12:04`
fn stamp(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The time zone of a job's schedule.
fn zone(config: &Config, job: &Job) -> TimeZone {
    let named = job.time_zone.as_ref().or(config.daemon.time_zone.as_ref());
    named.map_or_else(TimeZone::system, crate::config::Zone::zone)
}

/// A job's schedule, if it has one.
fn schedule(config: &Config, job: &Job) -> Option<Schedule> {
    // It was checked when the config was read.
    Schedule::parse(&job.schedule.as_ref()?.0, zone(config, job)).ok()
}

/// What people are told of a job.
fn about(config: &Config, name: &str, job: &Job) -> About {
    About {
        job: name.to_owned(),
        verb: job.verb.name().to_owned(),
        from: job.source_text(),
        to: job.target_text(),
        host: host(),
        zone: zone(config, job),
    }
}

/// What this machine calls itself.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
