//! How all jobs of the config stand.

use jiff::Timestamp;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use sitta_jobs::metrics::JobState;
use sitta_jobs::{History, Run};

use super::{failed, run};
use crate::context::Context;
use crate::exit::Outcome;

/// One for each job.
pub fn states(context: &Context, history: &History) -> Outcome<Vec<JobState>> {
    let now = Timestamp::now();
    let config = context.config()?;
    let one = |(name, job): (&String, &crate::config::Job)| {
        Ok(JobState {
            job: name.clone(),
            running: running(history, name)?.is_some(),
            standing: history.standing(name).map_err(|error| failed(&error))?,
            last: history.last_ended(name, None).map_err(|error| failed(&error))?,
            next: run::next(context, history, name, job, now)?,
            tally: history.tally(name).map_err(|error| failed(&error))?,
        })
    };
    config.job.iter().map(one).collect()
}

/// The run of a job that goes on, if there is one.
pub fn running(history: &History, name: &str) -> Outcome<Option<Run>> {
    let unfinished = history.unfinished().map_err(|error| failed(&error))?;
    Ok(unfinished.into_iter().find(|run| run.job == name && is_alive(run.pid)))
}

/// Whether there is such a process; its lock is not tried, for somebody may want it this very moment.
pub fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(Errno::SRCH)))
}
