//! A run that was begun here: a process `sitta run JOB --json`, whose lines are read as they come.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::Heard;
use super::headway::Headway;
use crate::context::Context;
use crate::exit::{Failure, Outcome};

/// A run that goes on, or that was just over.
#[derive(Debug, Clone, Default)]
pub struct Live {
    pid: u32,
    headway: Arc<Mutex<Headway>>,
}

impl Live {
    /// Begins a job's run. This process must be the one whose thread does so: the run ends when that is gone.
    pub fn begin(context: &Context, job: &str, send: &Sender<Heard>) -> Outcome<Self> {
        let mut command = program(context)?;
        command
            .args(["run", "--json", "--pulse", "--parent"])
            .arg(std::process::id().to_string())
            .args(["--", job]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C in the wizard or an editor is none of its business.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn();
        let mut child = child.map_err(|error| {
            Failure::failed(format!("the job {job} could not be begun")).note(error.to_string())
        })?;
        let live = Self { pid: child.id(), headway: Arc::default() };
        let (events, said) = (child.stdout.take(), child.stderr.take());
        let talk = live.clone();
        let talk = std::thread::spawn(move || {
            let lines =
                said.map(BufReader::new).into_iter().flat_map(|said| said.split(b'\n').map_while(Result::ok));
            lines.for_each(|line| talk.headway().say(&String::from_utf8_lossy(&line)));
        });
        let (reader, send, job) = (live.clone(), send.clone(), job.to_owned());
        std::thread::spawn(move || {
            let lines =
                events.map(BufReader::new).into_iter().flat_map(|out| out.split(b'\n').map_while(Result::ok));
            for line in lines {
                if let Ok(event) = serde_json::from_slice(&line) {
                    reader.headway().note(&event, Instant::now());
                }
            }
            let _ = talk.join();
            let exit = child.wait().ok().and_then(|status| status.code());
            reader.headway().ended(exit);
            drop(send.send(Heard::Ended(job)));
        });
        Ok(live)
    }

    /// How far it is.
    pub fn headway(&self) -> MutexGuard<'_, Headway> {
        self.headway.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether it goes on.
    pub fn goes_on(&self) -> bool {
        self.headway().end.is_none()
    }

    /// Lets it finish what it has begun; the second time it ends at once.
    pub fn stop(&self) {
        let mut headway = self.headway();
        if headway.end.is_some() {
            return;
        }
        headway.stops += 1;
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::INT);
        }
    }

    /// One that somebody else tells of.
    #[cfg(test)]
    pub fn of(headway: Headway) -> Self {
        Self { pid: 0, headway: Arc::new(Mutex::new(headway)) }
    }
}

/// This program, with the config that this one reads.
pub fn program(context: &Context) -> Outcome<Command> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed("the program's own file cannot be found").note(error.to_string()))?;
    let mut command = Command::new(program);
    command.arg("--config").arg(&context.config_file);
    if let Some(ca) = &context.ca {
        command.arg("--ca").arg(ca);
    }
    Ok(command)
}
