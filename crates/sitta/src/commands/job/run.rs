//! `sitta run`: jobs, one after the other.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use sitta_jobs::notify::start;
use sitta_jobs::{Cause, Ended, History, JobLock, Notes, Recorder, RunLog, Step, log_file};

use super::{about, failed, find, open_history, schedule, stamp, tell, work, zone};
use crate::args::{self, RunArgs};
use crate::commands::moving::Around;
use crate::config::Job;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::render::json;

pub fn run(context: &Context, args: &RunArgs) -> Outcome {
    end_with(args.parent);
    let around = Around::new(context, false);
    let result = match &args.copy {
        Some(copy) => context.with_copy(copy).and_then(|context| all(&context, args, &around)),
        None => all(context, args, &around),
    };
    if let (Err(failure), Some(json)) = (&result, &around.json) {
        json.failure("run", failure);
    }
    result
}

/// The daemon's death is this process's SIGTERM, so that a job is not worked on by two.
fn end_with(parent: Option<u32>) {
    let Some(parent) = parent else { return };
    use rustix::process::{Signal, getpid, getppid, kill_process, set_parent_process_death_signal};
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    let is = getppid().is_some_and(|pid| u32::try_from(pid.as_raw_nonzero().get()) == Ok(parent));
    if !is {
        let _ = kill_process(getpid(), Signal::TERM);
    }
}

fn all(context: &Context, args: &RunArgs, around: &Around) -> Outcome {
    let jobs = args.jobs.iter().map(|name| find(context, name)).collect::<Outcome<Vec<_>>>()?;
    let mut exit = Exit::Done;
    let mut done: Vec<Value> = Vec::new();
    for (name, job) in jobs {
        if around.flow.is_cancelled() {
            exit = exit.worse(Exit::Interrupted);
            break;
        }
        if args.jobs.len() > 1 && around.json.is_none() && !context.quiet {
            context.console.line(format!("{}{name}", context.console.style.head("Job")));
        }
        let mut object = json!({"job": name});
        let result = match args.dry_run {
            true => {
                let json = around.json.as_ref().map(|json| json.of_job(work::is_two_way(job)));
                work::work(context, name, job, true, &around.of_job(json, None))
            }
            false => one(context, name, job, args, around, &mut object),
        };
        let end = result.unwrap_or_else(|failure| {
            if !failure.what.is_empty() {
                context.console.failure(&failure);
                object["error"] = json::error_value(&failure);
            }
            failure.exit
        });
        object["outcome"] = outcome(end).name().into();
        object["exit"] = (end as u8).into();
        done.push(object);
        exit = exit.worse(end);
    }
    if let Some(json) = &around.json {
        let fields = [("outcome", exit.outcome().into()), ("dry_run", args.dry_run.into()), ("jobs", done.into())];
        json.object(&json::plain_report("run", &fields));
    }
    Ok(exit)
}

/// How the history calls an exit code.
pub fn outcome(exit: Exit) -> Ended {
    match exit {
        Exit::Done => Ended::Success,
        Exit::Partial => Ended::Partial,
        Exit::Held => Ended::Held,
        Exit::Conflicts => Ended::Conflicts,
        Exit::Failed | Exit::Usage => Ended::Failed,
        Exit::Interrupted => Ended::Interrupted,
    }
}

/// Runs one job, and takes down all about it.
fn one(context: &Context, name: &str, job: &Job, args: &RunArgs, around: &Around, object: &mut Value) -> Outcome {
    let config = context.config()?;
    let dir = context.state_dir()?;
    let history = Arc::new(open_history(context)?);
    let lock = JobLock::take(dir, name).map_err(|error| failed(&error))?;
    let now = Timestamp::now();
    for killed in history.end_killed(name, now).map_err(|error| failed(&error))? {
        context.console.warning(format!("the run {killed} was interrupted; this one goes on where it was"));
    }
    let text = job.schedule.as_ref().map(|schedule| schedule.0.as_str());
    let standing = history.see(name, text, now).map_err(|error| failed(&error))?;
    let id = history
        .begin(name, job.verb.name(), cause(args.cause), std::process::id(), now)
        .map_err(|error| failed(&error))?;
    let path = log_file(dir, name, &id);
    let log = RunLog::begin(path.clone(), &head(context, name, job, &id, args, now), zone(config, job));
    if let Err(error) = &log {
        context.console.warning(format!("the log {} cannot be written: {error}", path.display()));
    }
    let notes = Running { history: history.clone(), job: name.to_owned(), run: id.clone() };
    let recorder = Arc::new(Recorder::new(log.ok(), Box::new(notes), Timestamp::now));
    object["run"] = id.as_str().into();
    object["log"] = path.display().to_string().into();
    let json = around.json.as_ref().map(|json| json.of_job(work::is_two_way(job)));
    if let Some(json) = &json {
        json.object(&json!({"event": "job", "job": name, "run": id, "verb": job.verb.name(), "log": path.display().to_string()}));
    }
    let about = about(config, name, job);
    tell::pings(context, job, &start(&about, &id), &recorder);
    let (began, around) = (Instant::now(), around.of_job(json, Some(recorder.clone())));
    let pulse = args.pulse.then(|| Pulse::start(&around));
    let result = work::work(context, name, job, false, &around);
    drop(pulse);
    let (exit, message) = match &result {
        Ok(exit) => (*exit, None),
        Err(failure) => (failure.exit, Some(failure.to_string()).filter(|text| !text.is_empty())),
    };
    let ended = outcome(exit);
    let (ending, broken) = recorder.finish(ended, exit as u8, message, began.elapsed().as_secs_f64());
    if let Some(error) = broken {
        context.console.warning(format!("the log {} is not whole: {error}", path.display()));
    }
    history.end(&id, &ending, Timestamp::now()).map_err(|error| failed(&error))?;
    if let (Err(failure), None) = (&result, &around.json) {
        context.console.failure(failure);
    }
    let to_tell = tell::Ended { name, job, about: &about, run: &id, log: &path, alarm: standing.alarm };
    to_tell.queue(&history, config)?;
    drop(lock);
    tell::after(context, &history)?;
    if around.json.is_none() && !context.quiet {
        let path = context.shorten(&path.display().to_string());
        context.console.line(format!("{}{path}", context.console.style.head("Log")));
    }
    match result {
        Ok(exit) => Ok(exit),
        // It was said above the line with the log.
        Err(failure) if around.json.is_none() => Err(Failure::new(failure.exit, "")),
        Err(failure) => Err(failure),
    }
}

fn cause(cause: args::Cause) -> Cause {
    match cause {
        args::Cause::Hand => Cause::Hand,
        args::Cause::Schedule => Cause::Schedule,
        args::Cause::CatchUp => Cause::CatchUp,
        args::Cause::Watch => Cause::Watch,
    }
}

/// What stands at the top of a log.
fn head(context: &Context, name: &str, job: &Job, id: &str, args: &RunArgs, now: Timestamp) -> String {
    let zone = match context.config() {
        Ok(config) => zone(config, job),
        Err(_) => context.zone(),
    };
    let why = cause(args.cause).name();
    let at = format!("{} {}", stamp(now, &zone), now.to_zoned(zone.clone()).strftime("%Z"));
    let (verb, from, to) = (job.verb.name(), job.source_text(), job.target_text());
    format!("{name}: {verb} {from} → {to}\nrun {id} ({why}), process {}, {at}", std::process::id())
}

/// Tells how much has flowed so far, again and again, until it is dropped.
struct Pulse(Option<mpsc::Sender<()>>, Option<JoinHandle<()>>);

impl Pulse {
    /// Between two beats.
    const PAUSE: Duration = Duration::from_millis(200);

    fn start(around: &Around) -> Self {
        let Some(json) = around.json.clone() else { return Self(None, None) };
        let (flow, packed) = (around.flow.clone(), around.packed.clone());
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(Self::PAUSE) == Err(mpsc::RecvTimeoutError::Timeout) {
                // What an archive's headway is counted by is what was packed.
                let bytes = if packed.bytes() > 0 { packed.bytes() } else { flow.bytes() };
                json.object(&json!({"event": "pulse", "bytes": bytes, "entries": flow.entries()}));
            }
        });
        Self(Some(stop), Some(thread))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        drop(self.0.take());
        self.1.take().map(JoinHandle::join);
    }
}

/// Notes in the history how a run goes on; what cannot be noted now shows when it ends.
struct Running {
    history: Arc<History>,
    job: String,
    run: String,
}

impl Notes for Running {
    fn step(&self, step: &Step) {
        let _ = self.history.add_step(&self.run, step);
    }

    fn watched(&self, in_step: bool) {
        let _ = self.history.set_watched(&self.job, in_step, Timestamp::now());
    }
}

/// When a job is due next; a time that is past means as soon as a daemon runs.
pub fn next(
    context: &Context,
    history: &History,
    name: &str,
    job: &Job,
    now: Timestamp,
) -> Outcome<Option<Timestamp>> {
    let Some(schedule) = schedule(context.config()?, job) else { return Ok(None) };
    let standing = history.standing(name).map_err(|error| failed(&error))?;
    Ok(schedule.due(standing.map_or(now, |standing| standing.since()), now))
}
