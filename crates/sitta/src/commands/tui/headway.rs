//! How far a run is, gathered from the JSON that it prints.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::Value;
use sitta_jobs::words;
use sitta_ops::StepKind;
use sitta_tree::{Printable, Summary};

use crate::render::course::steps;
use crate::render::human::plan_line;
use crate::render::progress::{Rate, View};
use crate::render::units;

/// So many of the last things that happened are kept, and so many problems.
const KEPT: usize = 200;

/// A rate counts as known from here on.
const KNOWN: Duration = Duration::from_millis(500);

/// What a step has to tell: that it goes on, what it found, why it failed or was left out.
fn step_text(event: &Value) -> String {
    let text = event["text"].as_str().map(safe).unwrap_or_default();
    match event["state"].as_str().unwrap_or_default() {
        "begun" => "…".to_owned(),
        "done" => {
            let took = event["seconds"].as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            format!("{text}{}", took.map(|took| format!("   {}", units::duration(took))).unwrap_or_default())
        }
        state => format!("{state}: {text}"),
    }
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct End {
    /// The exit code; none if a signal ended it.
    pub exit: Option<i32>,
    /// `success`, `held` …
    pub outcome: String,
    /// What could not be done, why, and a hint.
    pub error: Vec<String>,
}

/// How far a run is.
#[derive(Debug, Default)]
pub struct Headway {
    /// Its id in the history, once it has one.
    pub run: Option<String>,
    /// A word and a text for what came before anything was sent.
    pub opening: Vec<(String, String)>,
    /// Named steps of an archive, and what each has to tell.
    pub steps: Vec<(String, String)>,
    /// The last things that happened: a word and a text.
    pub done: VecDeque<(String, String)>,
    /// What could not be done: where, and why.
    pub problems: VecDeque<(String, String)>,
    /// How many of those there were.
    pub problem_count: u64,
    /// So often it was asked to stop.
    pub stops: u32,
    /// How it ended, once it has.
    pub end: Option<End>,
    plan: Option<Summary>,
    files: u64,
    flowed: u64,
    flowed_before: u64,
    entries: u64,
    since: Option<Instant>,
    moving: Option<String>,
    syncing: bool,
    watched: bool,
    rate: Rate,
    speed: f64,
    report: Option<Value>,
    /// What it said beside its JSON.
    said: Vec<String>,
}

impl Headway {
    /// Takes notice of an event.
    pub fn note(&mut self, event: &Value, now: Instant) {
        let number = |key: &str| event[key].as_u64().unwrap_or(0);
        let word = |key: &str| safe(event[key].as_str().unwrap_or_default());
        match event["event"].as_str().unwrap_or_default() {
            "job" => self.run = event["run"].as_str().map(str::to_owned),
            "pulse" => {
                (self.flowed, self.entries) = (number("bytes"), number("entries"));
                if self.plan.is_some() {
                    self.speed = self.rate.update(now, self.flowed);
                }
            }
            "recovered" => {
                self.open("Recovered", "an earlier run was interrupted; what it left is in order now".into())
            }
            "scanned" => {
                let files = units::counted(number("files"), "file", "files");
                let size = units::size(number("bytes"));
                self.open("Scanned", format!("{}   {files}   {size}", word("location")));
            }
            "planned" => self.planned(event, now),
            "sending" => (self.moving, self.syncing) = (Some(word("path")), false),
            "syncing" => self.syncing = true,
            "done" => self.did(event),
            "step" => self.step(word("step"), step_text(event)),
            "problem" => {
                self.problem_count += 1;
                keep(&mut self.problems, (word("path"), word("message")));
            }
            "conflict" => keep(&mut self.done, ("Conflict".into(), word("path"))),
            "held" => keep(&mut self.done, ("Held back".into(), word("kind"))),
            "watching" => {
                self.watched = true;
                self.open("Watching", word("location"));
            }
            "away" => keep(&mut self.done, ("Away".into(), word("message"))),
            "back" => keep(&mut self.done, ("Back".into(), "the place is there again".into())),
            "report" | "job_report" => self.report = Some(event.clone()),
            _ => {}
        }
    }

    /// Takes notice of a line that it said beside its events.
    pub fn say(&mut self, line: &str) {
        if self.said.len() < KEPT {
            self.said.push(safe(line));
        }
    }

    /// It has ended.
    pub fn ended(&mut self, exit: Option<i32>) {
        let report = self.report.take().unwrap_or(Value::Null);
        let of_job = report["jobs"].get(0).cloned().unwrap_or_else(|| report.clone());
        let text = |value: &Value| value.as_str().map(safe);
        let error = [&of_job["error"], &report["error"]].into_iter().find(|error| error.is_object());
        let mut lines: Vec<String> = Vec::new();
        if let Some(error) = error {
            lines.extend(text(&error["message"]));
            lines
                .extend(error["notes"].as_array().into_iter().flatten().filter_map(text).map(|n| format!("  {n}")));
            lines.extend(text(&error["hint"]).map(|hint| format!("hint: {hint}")));
        } else if exit != Some(0) {
            lines.append(&mut self.said);
        }
        let outcome = of_job["outcome"].as_str().unwrap_or("failed").to_owned();
        self.end = Some(End { exit, outcome, error: lines });
    }

    /// The word for what it does now, the parts of a bar with its numbers, and what is being moved.
    pub fn now(&self, now: Instant) -> (&'static str, Vec<String>, Option<&str>) {
        let Some(plan) = self.plan else {
            let word = if self.stops > 0 { "Stopping" } else { "Scanning" };
            return (word, vec![units::counted(self.entries, "entry", "entries")], None);
        };
        if self.watched && self.files >= steps(&plan) {
            return ("Watching", vec!["changes are taken up as they happen".to_owned()], None);
        }
        let elapsed = self.since.map(|since| now.saturating_duration_since(since)).unwrap_or_default();
        let view = View {
            files: (self.files, steps(&plan)),
            bytes: (self.flowed.saturating_sub(self.flowed_before).min(plan.bytes), plan.bytes),
            speed: if elapsed > KNOWN { self.speed } else { 0.0 },
            elapsed,
        };
        let word = match (self.stops, self.syncing) {
            (1.., _) => "Stopping",
            (_, true) => "Syncing",
            _ => "Sending",
        };
        (word, view.parts(), self.moving.as_deref())
    }

    fn open(&mut self, word: &str, text: String) {
        self.opening.push((word.to_owned(), text));
    }

    fn planned(&mut self, event: &Value, now: Instant) {
        let number = |key: &str| event[key].as_u64().unwrap_or(0);
        let plan = Summary {
            new: number("new"),
            changed: number("changed"),
            moved: number("moved"),
            deleted: number("deleted"),
            unchanged: number("unchanged"),
            bytes: number("bytes"),
        };
        self.open("Plan", plan_line(&plan));
        // Of several pairs, each has a plan of its own.
        (self.plan, self.files, self.flowed_before) = (Some(plan), 0, self.flowed);
        (self.since, self.syncing) = (Some(now), false);
        self.rate = Rate::default();
        self.speed = self.rate.update(now, self.flowed);
    }

    fn did(&mut self, event: &Value) {
        const ALL: [StepKind; 7] = [
            StepKind::Copy,
            StepKind::Update,
            StepKind::Meta,
            StepKind::MakeDir,
            StepKind::Move,
            StepKind::Delete,
            StepKind::RemoveDir,
        ];
        let Some(what) = ALL.into_iter().find(|kind| event["what"] == kind.name()) else { return };
        if !matches!(what, StepKind::MakeDir | StepKind::RemoveDir) {
            self.files += 1;
        }
        let path = safe(event["path"].as_str().unwrap_or_default());
        let text = match (event["old_path"].as_str(), what) {
            (Some(old), _) => format!("{} → {path}", safe(old)),
            (None, StepKind::MakeDir | StepKind::RemoveDir) => format!("{path}/"),
            (None, StepKind::Copy | StepKind::Update) => {
                format!("{path}   {}", units::size(event["bytes"].as_u64().unwrap_or(0)))
            }
            (None, _) => path,
        };
        keep(&mut self.done, (words::done(what).to_owned(), text));
    }

    fn step(&mut self, name: String, text: String) {
        match self.steps.iter_mut().find(|(known, _)| *known == name) {
            Some((_, told)) => *told = text,
            None => self.steps.push((name, text)),
        }
    }
}

fn keep(list: &mut VecDeque<(String, String)>, entry: (String, String)) {
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(entry);
}

/// So that no text can steer the terminal. What was escaped before stays as it is.
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for part in text.split_inclusive('\\') {
        let (plain, slash) = part.strip_suffix('\\').map_or((part, ""), |plain| (plain, "\\"));
        out.push_str(&Printable(plain.as_bytes()).to_string());
        out.push_str(slash);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(events: &[Value]) -> Headway {
        let (mut headway, now) = (Headway::default(), Instant::now());
        events.iter().for_each(|event| headway.note(event, now));
        headway
    }

    #[test]
    fn what_flowed_before_the_plan_does_not_count_as_sent() {
        let plan = json!({"event": "planned", "new": 2, "changed": 0, "moved": 0, "deleted": 0, "unchanged": 5, "bytes": 4096});
        let headway = after(&[
            json!({"event": "pulse", "bytes": 1000, "entries": 7}),
            plan,
            json!({"event": "sending", "path": "a\u{1b}[2J", "bytes": 4096}),
            json!({"event": "done", "what": "copy", "path": "x", "bytes": 9}),
            json!({"event": "pulse", "bytes": 3048, "entries": 7}),
        ]);
        let (word, parts, moving) = headway.now(Instant::now());
        assert_eq!((word, moving), ("Sending", Some("a\\u{1b}[2J")));
        assert_eq!(parts[1..3], ["1/2 files", "2.0/4.0 KiB"]);
        assert!(parts[0].ends_with("50 %"), "{parts:?}");
    }

    #[test]
    fn an_end_without_a_report_tells_what_was_said() {
        let mut headway = Headway::default();
        headway.say("error: no config");
        headway.ended(Some(2));
        let end = headway.end.expect("it ended");
        assert_eq!((end.outcome.as_str(), end.error), ("failed", vec!["error: no config".to_owned()]));
    }

    #[test]
    fn the_error_of_a_job_is_told_with_its_hint() {
        let error = json!({"message": "the job docs is running", "notes": ["it is process 7"], "hint": "wait"});
        let job = json!({"job": "docs", "outcome": "failed", "error": error});
        let mut headway = after(&[json!({"event": "report", "outcome": "failed", "jobs": [job]})]);
        headway.ended(Some(1));
        let end = headway.end.expect("it ended");
        assert_eq!(end.error, ["the job docs is running", "  it is process 7", "hint: wait"]);
    }

    #[test]
    fn escapes_are_not_escaped_twice() {
        assert_eq!(safe("a\\x1b\u{7}"), "a\\x1b\\u{7}");
    }
}
