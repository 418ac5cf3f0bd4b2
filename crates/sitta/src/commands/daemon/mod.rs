//! `sitta daemon`: runs jobs when they are due, and watched syncs all the time.
//!
//! Each run is a process of its own (`sitta run JOB`): one that crashes takes nothing with it, and a changed config holds
//! from the next run on. All that the daemon decides is decided here, in one thread, from messages.

mod children;
mod metrics;

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use sitta_jobs::{History, JobLock};

use self::children::Children;
use super::job::{failed, next, open_history, tell};
use crate::args::{Cause, DaemonArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::render::json;

/// The clock is looked at at least so often: it may be set, and the machine may sleep.
const LOOK: Duration = Duration::from_secs(20);

/// Alarms are raised and messages sent again at most so often.
const CHORES: Duration = Duration::from_secs(60);

/// So many jobs run at once unless the config says otherwise.
const PARALLEL: usize = 2;

/// A watched sync that ended is begun again after the first of these, later up to the last.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// One that went on for so long counts as one that worked.
const WORKED: Duration = Duration::from_secs(600);

/// What the daemon hears of.
enum Heard {
    /// A signal.
    Signal(i32),
    /// A job's process ended.
    Ended(String, Option<i32>),
}

pub fn run(context: Context, args: &DaemonArgs) -> Outcome {
    let (send, heard) = mpsc::channel();
    listen(&send)?;
    if args.once && JobLock::daemon(context.state_dir()?).is_err() {
        // What is due is seen to by the one that runs.
        return Ok(Exit::Done);
    }
    let mut daemon = Daemon::new(context, args, send)?;
    let exit = daemon.go(&heard, args.once)?;
    if daemon.context.json {
        let mut out = daemon.context.out();
        out.line(json::plain_report(
            "daemon",
            &[("outcome", exit.outcome().into()), ("runs", daemon.begun.into())],
        ))?;
        out.flush()?;
    }
    Ok(exit)
}

/// Signals become messages.
fn listen(send: &Sender<Heard>) -> Outcome<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| Failure::failed("signals cannot be heard").note(error.to_string()))?;
    let send = send.clone();
    std::thread::spawn(move || signals.forever().for_each(|signal| drop(send.send(Heard::Signal(signal)))));
    Ok(())
}

struct Daemon {
    context: Context,
    history: History,
    children: Children,
    /// Watched syncs that ended, and jobs that could not begin: when it is tried again, and after what pause.
    again: BTreeMap<String, (Instant, Duration)>,
    chores: Option<Instant>,
    stopping: bool,
    /// A run that was killed goes on at once.
    interrupted: Vec<String>,
    begun: u64,
    _lock: JobLock,
}

impl Daemon {
    fn new(context: Context, args: &DaemonArgs, send: Sender<Heard>) -> Outcome<Self> {
        let dir = context.state_dir()?.clone();
        let history = open_history(&context)?;
        let lock = JobLock::daemon(&dir).map_err(|error| failed(&error))?;
        // What is wrong with it is better known now than at night.
        let context = take_up(&context)?;
        let config = context.config()?;
        let now = Timestamp::now();
        let mut interrupted = Vec::new();
        for run in history.unfinished().map_err(|error| failed(&error))? {
            // Whoever holds a job's lock is at work on it.
            let Ok(_lock) = JobLock::take(&dir, &run.job) else { continue };
            let killed = history.end_killed(&run.job, now).map_err(|error| failed(&error))?;
            if killed.is_empty() {
                continue;
            }
            say(&context, &run.job, &format!("was interrupted: {}", killed.join(", ")));
            if config.job.get(&run.job).is_some_and(|job| job.schedule.is_some()) {
                interrupted.push(run.job);
            }
        }
        if let Some(address) = args.metrics.or(config.daemon.metrics) {
            metrics::serve(&context, address)?;
        }
        let children = Children::new(send)?;
        let (again, chores) = (BTreeMap::new(), None);
        Ok(Self { context, history, children, again, chores, stopping: false, interrupted, begun: 0, _lock: lock })
    }

    fn go(&mut self, heard: &Receiver<Heard>, once: bool) -> Outcome {
        let jobs = self.context.config()?.job.len();
        let count = crate::render::units::counted(jobs as u64, "job", "jobs");
        say(&self.context, "daemon", &format!("began, with {count}"));
        let mut worst = Exit::Done;
        loop {
            let mut wait = LOOK;
            if !self.stopping {
                wait = self.begin_what_is_due(once)?.min(LOOK);
                self.chores()?;
            }
            if self.children.is_empty() && (self.stopping || once) {
                say(&self.context, "daemon", "ended");
                return Ok(worst);
            }
            match heard.recv_timeout(wait) {
                Ok(Heard::Signal(SIGHUP)) => self.reload(),
                Ok(Heard::Signal(_)) if self.stopping => self.children.kill(),
                Ok(Heard::Signal(_)) => {
                    self.stopping = true;
                    say(&self.context, "daemon", "stops; what was begun is finished or undone");
                    self.children.stop();
                }
                Ok(Heard::Ended(job, code)) => {
                    let exit = self.ended(&job, code)?;
                    worst = if once { worst.worse(exit) } else { Exit::Done };
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(worst),
            }
        }
    }

    /// Begins each job whose time has come, as long as there is room; gives how long nothing has to be done.
    fn begin_what_is_due(&mut self, once: bool) -> Outcome<Duration> {
        let config = self.context.config()?;
        let parallel = config.daemon.parallel.map_or(PARALLEL, |n| usize::from(n.get()));
        let now = Timestamp::now();
        let mut wait = LOOK;
        let mut due = Vec::new();
        for (name, job) in &config.job {
            if self.children.has(name) {
                continue;
            }
            let again = self.again.get(name).and_then(|(at, _)| at.checked_duration_since(Instant::now()));
            if let Some(left) = again {
                wait = wait.min(left);
                continue;
            }
            if job.watch {
                if !once {
                    due.push((Timestamp::MIN, name.clone(), Cause::Watch));
                }
                continue;
            }
            let Some(schedule) = &job.schedule else { continue };
            self.history.see(name, Some(&schedule.0), now).map_err(|error| failed(&error))?;
            let Some(at) = next(&self.context, &self.history, name, job, now)? else { continue };
            let is_left = self.interrupted.contains(name);
            if at <= now || is_left {
                // A minute late is not late.
                let late = is_left || now.duration_since(at).as_secs() > 90;
                due.push((at, name.clone(), if late { Cause::CatchUp } else { Cause::Schedule }));
            } else if let Ok(left) = Duration::try_from(at.duration_since(now)) {
                wait = wait.min(left + Duration::from_millis(5));
            }
        }
        // Who has waited longest comes first.
        due.sort_by_key(|(at, ..)| *at);
        for (_, name, cause) in due {
            if cause != Cause::Watch && self.children.working() >= parallel {
                continue;
            }
            self.interrupted.retain(|job| *job != name);
            say(&self.context, &name, &format!("begins ({})", cause_name(cause)));
            match self.children.begin(&self.context, &name, cause) {
                Ok(()) => self.begun += 1,
                Err(failure) => {
                    self.context.console.failure(&failure);
                    wait = wait.min(AGAIN.0);
                }
            }
        }
        Ok(wait)
    }

    fn ended(&mut self, job: &str, code: Option<i32>) -> Outcome<Exit> {
        let (watched, took) = self.children.remove(job);
        let exit = match code {
            Some(0) => Exit::Done,
            Some(3) => Exit::Partial,
            Some(4) => Exit::Held,
            Some(5) => Exit::Conflicts,
            Some(130) => Exit::Interrupted,
            _ => Exit::Failed,
        };
        let how = code.map_or_else(|| "by a signal".to_owned(), |code| format!("with exit code {code}"));
        say(&self.context, job, &format!("ended {how} after {}", crate::render::units::duration(took)));
        if code.is_none()
            && let Ok(_lock) = JobLock::take(self.context.state_dir()?, job)
        {
            self.history.end_killed(job, Timestamp::now()).map_err(|error| failed(&error))?;
        }
        // One that could not even begin, as it is run by hand say, is still due.
        let begins_again = watched || self.is_due(job)?;
        if begins_again {
            let before = self.again.get(job).map_or(AGAIN.0 / 2, |(_, pause)| *pause);
            let pause = if took > WORKED { AGAIN.0 } else { (before * 2).min(AGAIN.1) };
            self.again.insert(job.to_owned(), (Instant::now() + pause, pause));
        } else {
            self.again.remove(job);
        }
        Ok(exit)
    }

    fn is_due(&self, name: &str) -> Outcome<bool> {
        let Some(job) = self.context.config()?.job.get(name) else { return Ok(false) };
        let now = Timestamp::now();
        Ok(next(&self.context, &self.history, name, job, now)?.is_some_and(|at| at <= now))
    }

    /// Raises alarms and sends what waits.
    fn chores(&mut self) -> Outcome<()> {
        if self.chores.is_some_and(|at| at.elapsed() < CHORES) {
            return Ok(());
        }
        self.chores = Some(Instant::now());
        // What fails now is tried again in a minute; the daemon goes on.
        if let Err(failure) = tell::after(&self.context, &self.history) {
            self.context.console.failure(&failure);
        }
        Ok(())
    }

    /// Takes up the config as it is now; a wrong one changes nothing.
    fn reload(&mut self) {
        match take_up(&self.context) {
            Ok(context) => {
                let gone: Vec<String> =
                    self.children.names().filter(|name| !is_wanted(&context, name)).cloned().collect();
                self.context = context;
                self.again.clear();
                // A watched sync takes up what has changed when it begins again.
                self.children.stop_watched(&gone);
                say(&self.context, "daemon", "has taken up the changed config");
            }
            Err(failure) => {
                let failure = Failure {
                    hint: failure.hint.or(Some("the config as it was before holds on".into())),
                    ..failure
                };
                let failure = failure.note("the changed config was not taken up");
                self.context.console.failure(&failure);
            }
        }
    }
}

/// The config as it is now, in a copy that holds for all runs until the next one is taken up.
fn take_up(context: &Context) -> Outcome<Context> {
    if !context.config_file.exists() {
        return context.reload();
    }
    let copy = context.state_dir()?.join("daemon-config.toml");
    let new = copy.with_extension("new");
    let failed = |error: std::io::Error| {
        Failure::failed(format!("the config could not be copied to {}", new.display())).note(error.to_string())
    };
    // With its permissions, for passwords stand in closed files only.
    std::fs::copy(&context.config_file, &new).map_err(failed)?;
    let taken = context.with_copy(&new);
    match taken {
        Ok(_) => {
            std::fs::rename(&new, &copy).map_err(failed)?;
            context.with_copy(&copy)
        }
        Err(failure) => {
            let _ = std::fs::remove_file(&new);
            Err(failure)
        }
    }
}

fn is_wanted(context: &Context, name: &str) -> bool {
    context.config().is_ok_and(|config| config.job.contains_key(name))
}

fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Hand => "by hand",
        Cause::Schedule => "scheduled",
        Cause::CatchUp => "catching up",
        Cause::Watch => "watching",
    }
}

/// A line for the journal, or an event.
fn say(context: &Context, who: &str, what: &str) {
    if context.json {
        let mut out = context.out();
        let _ = out.line(json!({"event": "daemon", "at": Timestamp::now().to_string(), "job": who, "what": what}));
        let _ = out.flush();
    } else if !context.quiet {
        let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
        context.console.line(format!("{now}   {who} {what}"));
    }
}
