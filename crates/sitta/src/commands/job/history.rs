//! `sitta history`: what was run, and how it ended.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use sitta_jobs::notify::sum_up;
use sitta_jobs::{Counts, Ended, Ending, History, Queued, Run, log_file};
use sitta_ops::RunRecord;

use super::states::is_alive;
use super::{failed, find, open_history, stamp};
use crate::args::HistoryArgs;
use crate::commands::{moving, serve, typed};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Out;
use crate::render::table::{Align, Table};
use crate::render::{failure, units};

/// What the list tells of each run.
pub const COLUMNS: [(&str, Align); 8] = [
    ("BEGAN", Align::Left),
    ("JOB", Align::Left),
    ("RESULT", Align::Left),
    ("CHANGED", Align::Right),
    ("PROBLEMS", Align::Right),
    ("SENT", Align::Right),
    ("TOOK", Align::Right),
    ("RUN", Align::Left),
];

/// One run: of a job, or of a verb that somebody typed.
enum Entry {
    Job(Box<Run>),
    Typed(Box<RunRecord>),
}

pub fn history(context: &Context, args: &HistoryArgs) -> Outcome {
    if args.audit {
        return serve::audit(context, args.limit);
    }
    if args.commands {
        return typed::tell(context, args.limit as usize);
    }
    let history = open_history(context)?;
    let mut out = context.out();
    if let Some(id) = &args.run {
        let entry = by_id(context, &history, id)?;
        one(context, &history, &mut out, &entry)?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    if let Some(name) = &args.job {
        // A job that was taken out of the config still has a history.
        if history.runs(Some(name), 1).map_err(|error| failed(&error))?.is_empty() {
            find(context, name)?;
        }
    }
    let entries = entries(context, &history, args.job.as_deref(), args.limit)?;
    if context.json {
        entries.iter().try_for_each(|entry| out.line(object(context, entry)))?;
        out.line(json!({
            "event": "report", "verb": "history", "outcome": "success", "problems": [], "runs": entries.len(),
        }))?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    if entries.is_empty() {
        out.line("Nothing was run so far")?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&COLUMNS.map(|(_, align)| align));
    table.row(COLUMNS.map(|(head, _)| head.to_owned()).to_vec());
    entries.iter().for_each(|entry| table.row(row(context, entry)));
    table.lines().try_for_each(|line| out.line(line))?;
    out.flush()?;
    Ok(Exit::Done)
}

/// The newest first. What a job did is not told a second time as the runs of its verb.
fn entries(context: &Context, history: &History, job: Option<&str>, limit: u32) -> Outcome<Vec<Entry>> {
    let runs = history.runs(job, limit).map_err(|error| failed(&error))?;
    let mut entries: Vec<(Timestamp, Entry)> = Vec::new();
    if job.is_none() {
        let of_jobs = OfJobs::read(history)?;
        let state = moving::state(context)?;
        let mut asked = limit;
        loop {
            let runs = state.runs(asked).map_err(|error| failure::state(&error))?;
            let all = (runs.len() as u32) < asked;
            let typed: Vec<RunRecord> = runs.into_iter().filter(|run| !of_jobs.has(run)).collect();
            if all || typed.len() >= limit as usize {
                let entry = |run: RunRecord| (run.started.parse().unwrap_or_default(), Entry::Typed(Box::new(run)));
                entries.extend(typed.into_iter().map(entry));
                break;
            }
            asked = asked.saturating_mul(4);
        }
    }
    entries.extend(runs.into_iter().map(|run| (run.started, Entry::Job(Box::new(run)))));
    entries.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    entries.truncate(limit as usize);
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// What the state knows that jobs have done.
struct OfJobs {
    steps: HashSet<String>,
    spans: HashMap<u32, Vec<(Timestamp, Timestamp)>>,
}

impl OfJobs {
    fn read(history: &History) -> Outcome<Self> {
        let steps = history.steps().map_err(|error| failed(&error))?;
        Ok(Self { steps, spans: history.spans().map_err(|error| failed(&error))? })
    }

    /// Whether it is a step of a job's run, or a round of its watched sync: a run's id names its process.
    fn has(&self, run: &RunRecord) -> bool {
        let process = run.id.rsplit_once('-').and_then(|(_, rest)| rest.split_once('.')?.0.parse().ok());
        let spans = process.and_then(|pid: u32| self.spans.get(&pid)).map(Vec::as_slice).unwrap_or_default();
        let began: Timestamp = run.started.parse().unwrap_or_default();
        // Its time is told to the second.
        let second = jiff::SignedDuration::from_secs(1);
        let within = |(from, to): &(Timestamp, Timestamp)| began.duration_since(*from) > -second && began <= *to;
        self.steps.contains(&run.id) || spans.iter().any(within)
    }
}

fn by_id(context: &Context, history: &History, id: &str) -> Outcome<Entry> {
    let runs = history.like(id).map_err(|error| failed(&error))?;
    let of_jobs = OfJobs::read(history)?;
    let mut typed = moving::state(context)?.runs_like(id).map_err(|error| failure::state(&error))?;
    // Whoever writes the whole id of a job's step means it.
    typed.retain(|run| run.id == *id || !of_jobs.has(run));
    let mut fitting: Vec<Entry> = runs.into_iter().map(|run| Entry::Job(Box::new(run))).collect();
    fitting.extend(typed.into_iter().map(|run| Entry::Typed(Box::new(run))));
    let whole = fitting.iter().position(|entry| match entry {
        Entry::Job(run) => run.id == *id,
        Entry::Typed(run) => run.id == *id,
    });
    if let Some(whole) = whole {
        return Ok(fitting.swap_remove(whole));
    }
    match (fitting.pop(), fitting.is_empty()) {
        (Some(entry), true) => Ok(entry),
        (Some(_), false) => {
            Err(Failure::usage(format!("several runs have an id that begins with '{id}'")).hint("write more of it"))
        }
        (None, _) => Err(Failure::failed(format!("there is no run '{id}' in the history"))
            .hint("`sitta history` lists the newest; older ones are forgotten after keep_history")),
    }
}

/// How a run ended, or that it goes on.
fn result(run: &Run) -> &'static str {
    match &run.end {
        Some((_, ending)) => ending.ended.name(),
        None if is_alive(run.pid) => "running",
        None => "interrupted",
    }
}

fn row(context: &Context, entry: &Entry) -> Vec<String> {
    let zone = context.zone();
    let (began, job, result, counts, seconds, id) = match entry {
        Entry::Job(run) => {
            let ending = run.end.as_ref().map(|(_, ending)| ending);
            let counts = ending.map(|ending| ending.counts);
            (
                stamp(run.started, &zone),
                run.job.clone(),
                result(run).to_owned(),
                counts,
                ending.map(|e| e.seconds),
                &run.id,
            )
        }
        Entry::Typed(run) => {
            let result = run.outcome.clone().unwrap_or_else(|| "interrupted".to_owned());
            let counts = run.outcome.as_ref().map(|_| counts(run));
            (super::local(&run.started), format!("({})", run.verb), result, counts, seconds(run), &run.id)
        }
    };
    let told = |n: fn(&Counts) -> u64| counts.as_ref().map(|counts| units::count(n(counts))).unwrap_or_default();
    vec![
        began,
        job,
        result,
        told(|counts| counts.copied + counts.updated + counts.deleted + counts.moved),
        told(|counts| counts.problems),
        counts.as_ref().map(|counts| units::size(counts.bytes)).unwrap_or_default(),
        seconds
            .and_then(|s| std::time::Duration::try_from_secs_f64(s).ok())
            .map(units::duration)
            .unwrap_or_default(),
        id.clone(),
    ]
}

fn counts(run: &RunRecord) -> Counts {
    let RunRecord { copied, updated, deleted, moved, unchanged, bytes, problems, .. } = *run;
    Counts { copied, updated, deleted, moved, unchanged, bytes, problems, ..Counts::default() }
}

fn seconds(run: &RunRecord) -> Option<f64> {
    let at = |text: &str| text.parse::<Timestamp>().ok();
    Some(at(run.ended.as_deref()?)?.duration_since(at(&run.started)?).as_secs_f64())
}

/// As JSON: of the list.
fn object(context: &Context, entry: &Entry) -> Value {
    match entry {
        Entry::Job(run) => {
            let log = context.state_dir().ok().map(|dir| log_file(dir, &run.job, &run.id).display().to_string());
            let mut object = json!({
                "event": "run", "run": run.id, "job": run.job, "verb": run.verb, "cause": run.cause.name(),
                "started": run.started.to_string(), "ended": run.end.as_ref().map(|(at, _)| at.to_string()),
                "outcome": result(run), "log": log,
            });
            if let Some((_, ending)) = &run.end {
                object["exit"] = ending.exit.into();
                add(&mut object, ending.seconds, &ending.counts);
                object["problem_list"] = json!(ending.problems);
                object["message"] = json!(ending.message);
                object["steps"] = json!(ending.steps);
                if !ending.named.is_empty() {
                    object["named_steps"] = json!(ending.named);
                }
            }
            object
        }
        Entry::Typed(run) => {
            let mut object = json!({
                "event": "run", "run": run.id, "job": null, "verb": run.verb, "cause": "hand",
                "started": run.started, "ended": run.ended,
                "outcome": run.outcome.as_deref().unwrap_or(Ended::Interrupted.name()),
                "steps": [{"run": run.id, "from": run.places[0], "to": run.places[1]}],
            });
            if let Some(seconds) = seconds(run) {
                add(&mut object, seconds, &counts(run));
            }
            object
        }
    }
}

fn add(object: &mut Value, seconds: f64, counts: &Counts) {
    object["seconds"] = seconds.into();
    if let (Some(object), Value::Object(counts)) = (object.as_object_mut(), json!(counts)) {
        object.extend(counts);
    }
}

/// One run, with all that is known of it.
fn one(context: &Context, history: &History, out: &mut Out, entry: &Entry) -> Outcome<()> {
    if context.json {
        let mut object = object(context, entry);
        object["notifications"] = told(history, entry)?.iter().map(notification).collect::<Vec<_>>().into();
        out.line(object)?;
        return out.line(json!({
            "event": "report", "verb": "history", "outcome": "success", "problems": [], "runs": 1,
        }));
    }
    facts(context, history, entry)?.into_iter().try_for_each(|line| out.line(line))
}

/// All that is known of a job's run, a line each.
pub fn facts_of(context: &Context, history: &History, run: Run) -> Outcome<Vec<String>> {
    facts(context, history, &Entry::Job(Box::new(run)))
}

/// A run as the list shows it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its id.
    pub run: String,
    /// A cell for each of the [`COLUMNS`].
    pub cells: Vec<String>,
}

/// Runs of jobs as the list shows them.
pub fn list_of(context: &Context, runs: Vec<Run>) -> Vec<Listed> {
    let one = |run: Run| Listed { run: run.id.clone(), cells: row(context, &Entry::Job(Box::new(run))) };
    runs.into_iter().map(one).collect()
}

fn told(history: &History, entry: &Entry) -> Outcome<Vec<Queued>> {
    match entry {
        Entry::Job(run) => history.told_of(&run.id).map_err(|error| failed(&error)),
        Entry::Typed(_) => Ok(Vec::new()),
    }
}

fn facts(context: &Context, history: &History, entry: &Entry) -> Outcome<Vec<String>> {
    let told = told(history, entry)?;
    let mut table = Table::new(&[Align::Left, Align::Left]);
    let mut fact = |name: &str, text: String| {
        if !text.is_empty() {
            table.row(vec![name.to_owned(), text]);
        }
    };
    let zone = context.zone();
    match entry {
        Entry::Job(run) => {
            fact("Run", run.id.clone());
            fact("Job", format!("{} ({}, by {})", run.job, run.verb, run.cause.name()));
            fact("Began", stamp(run.started, &zone));
            match &run.end {
                Some((at, ending)) => {
                    fact("Ended", stamp(*at, &zone));
                    fact("Result", sum_up(ending));
                    ending
                        .steps
                        .iter()
                        .for_each(|step| fact("Step", format!("{} → {}   {}", step.from, step.to, step.run)));
                    ending.named.iter().for_each(|named| fact(&named.step, named.line()));
                }
                None => fact("Result", format!("{} (process {})", result(run), run.pid)),
            }
            let log = log_file(context.state_dir()?, &run.job, &run.id);
            let gone = if log.exists() { "" } else { " (gone)" };
            fact("Log", format!("{}{gone}", context.shorten(&log.display().to_string())));
            told.iter().for_each(|message| fact("Told", told_line(message, &zone)));
        }
        Entry::Typed(run) => {
            fact("Run", run.id.clone());
            fact("Verb", run.verb.clone());
            fact("Began", super::local(&run.started));
            fact("Ended", run.ended.as_deref().map(super::local).unwrap_or_default());
            fact("Step", format!("{} → {}", run.places[0], run.places[1]));
            let ended = run.outcome.as_deref().and_then(Ended::from_name).unwrap_or(Ended::Interrupted);
            let seconds = seconds(run).unwrap_or_default();
            fact("Result", sum_up(&Ending { counts: counts(run), seconds, ..Ending::of(ended, 0) }));
        }
    }
    let mut lines: Vec<String> = table.lines().collect();
    if let Entry::Job(run) = entry
        && let Some((_, ending)) = &run.end
    {
        if let Some(message) = &ending.message {
            lines.push(String::new());
            lines.extend(message.lines().map(str::to_owned));
        }
        if !ending.problems.is_empty() {
            lines.extend(["", "Problems"].map(str::to_owned));
            let mut table = Table::new(&[Align::Left, Align::Left]);
            ending.problems.iter().for_each(|note| table.row(vec![note.path.clone(), note.message.clone()]));
            lines.extend(table.lines().map(|line| format!("  {line}")));
            let more = ending.counts.problems.saturating_sub(ending.problems.len() as u64);
            if more > 0 {
                lines.push(format!("  … and {} more, in the log", units::count(more)));
            }
        }
    }
    Ok(lines)
}

fn told_line(message: &Queued, zone: &jiff::tz::TimeZone) -> String {
    let name = &message.notify;
    let why = message.error.as_deref().unwrap_or("not tried yet");
    match (message.sent, message.next) {
        (Some(at), _) => format!("{name}   sent {}", stamp(at, zone)),
        (None, Some(at)) => format!("{name}   not sent: {why}; tried again after {}", stamp(at, zone)),
        (None, None) => format!("{name}   given up: {why}"),
    }
}

fn notification(message: &Queued) -> Value {
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "notify": message.notify, "subject": message.message.subject, "sent": at(message.sent), "tries": message.tries,
        "again": at(message.next), "error": message.error,
    })
}
