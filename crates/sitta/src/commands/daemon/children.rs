//! The processes that the daemon has begun.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};

use super::Heard;
use crate::args::Cause;
use crate::context::Context;
use crate::exit::{Failure, Outcome};

/// A job's process.
struct Child {
    pid: u32,
    watched: bool,
    since: Instant,
}

/// All of them, by job.
pub struct Children {
    program: PathBuf,
    send: Sender<Heard>,
    running: BTreeMap<String, Child>,
}

impl Children {
    pub fn new(send: Sender<Heard>) -> Outcome<Self> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::failed("the program's own file cannot be found").note(error.to_string()))?;
        Ok(Self { program, send, running: BTreeMap::new() })
    }

    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    pub fn has(&self, job: &str) -> bool {
        self.running.contains_key(job)
    }

    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.running.keys()
    }

    /// How many run that come to an end by themselves.
    pub fn working(&self) -> usize {
        self.running.values().filter(|child| !child.watched).count()
    }

    /// Begins a job's run. What it says beyond its log is said among the daemon's own lines.
    pub fn begin(&mut self, context: &Context, job: &str, cause: Cause) -> Outcome<()> {
        let cause_name = cause.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let mut command = Command::new(&self.program);
        command.args(["run", job, "--quiet", "--no-progress", "--cause", &cause_name, "--parent"]);
        command.arg(std::process::id().to_string()).arg("--config").arg(&context.config_file);
        if let Some(copy) = context.config_copy() {
            command.arg("--copy").arg(copy);
        }
        if let Some(ca) = &context.ca {
            command.arg("--ca").arg(ca);
        }
        // Standard output of the daemon is its own.
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let mut child = child.map_err(|error| {
            Failure::failed(format!("the job {job} could not be begun")).note(error.to_string())
        })?;
        let (pid, send, name) = (child.id(), self.send.clone(), job.to_owned());
        self.running.insert(name.clone(), Child { pid, watched: cause == Cause::Watch, since: Instant::now() });
        std::thread::spawn(move || {
            let code = child.wait().ok().and_then(|status| status.code());
            drop(send.send(Heard::Ended(name, code)));
        });
        Ok(())
    }

    /// One has ended: whether it was a watched sync, and how long it went on.
    pub fn remove(&mut self, job: &str) -> (bool, Duration) {
        self.running.remove(job).map_or((false, Duration::ZERO), |child| (child.watched, child.since.elapsed()))
    }

    /// Lets all finish what they have begun.
    pub fn stop(&self) {
        self.running.values().for_each(|child| signal(child, Signal::TERM));
    }

    /// Stops the watched ones, and those that are `gone` from the config.
    pub fn stop_watched(&self, gone: &[String]) {
        let ends = |(name, child): &(&String, &Child)| child.watched || gone.contains(name);
        self.running.iter().filter(ends).for_each(|(_, child)| signal(child, Signal::TERM));
    }

    /// Ends all at once; what they leave is put in order by their next runs.
    pub fn kill(&self) {
        self.running.values().for_each(|child| signal(child, Signal::KILL));
    }
}

fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}
