//! A run as JSON: one object a line. The fields are documented in docs/json.md and are only ever added to.

use std::collections::BTreeMap;
use std::io::{BufWriter, Stdout, Write, stdout};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use sitta_jobs::NamedStep;
use sitta_ops::archive::{StepName, StepState};
use sitta_ops::{Event, Held, Report, Sink, Step};
use sitta_tree::{Outcome as Settled, Problem, RelPath, Side, Summary};

use super::units;
use crate::exit::Failure;

/// What is written is handed over at the latest after so long, as long as something happens.
const HAND_OVER: Duration = Duration::from_millis(50);

/// Prints a run's events; the report is printed last, by [`Json::report`] or [`Json::failure`].
#[derive(Debug, Clone)]
pub struct Json {
    two_way: bool,
    /// What a report is called: of several runs, `report` is only the last line of all.
    report: &'static str,
    /// How named steps ended: what seemed to have gone well may fail later.
    steps: Arc<Mutex<BTreeMap<StepName, NamedStep>>>,
    writer: Arc<Mutex<(BufWriter<Stdout>, Instant)>>,
}

impl Json {
    /// There is one of it. `two_way`: its sides are left and right.
    pub fn new(two_way: bool) -> Self {
        let writer = (BufWriter::with_capacity(64 * 1024, stdout()), Instant::now());
        Self { two_way, report: "report", steps: Arc::default(), writer: Arc::new(Mutex::new(writer)) }
    }

    /// The same, for one run of several: its report is a `pair`.
    pub fn of_several(&self) -> Self {
        Self { report: "pair", ..self.clone() }
    }

    /// The same, for one job of several: its report is a `job_report`.
    pub fn of_job(&self, two_way: bool) -> Self {
        Self { report: "job_report", two_way, steps: Arc::default(), ..self.clone() }
    }

    /// Writes one object. A reader that left is no reason to stop a run half way.
    fn write(&self, object: &Value, at_once: bool) {
        let mut guard = self.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (writer, handed_over) = &mut *guard;
        let _ = serde_json::to_writer(&mut *writer, object);
        let _ = writer.write_all(b"\n");
        if at_once || handed_over.elapsed() > HAND_OVER {
            let _ = writer.flush();
            *handed_over = Instant::now();
        }
    }

    /// The last line.
    pub fn report(&self, report: &Report, failure: Option<&Failure>) {
        let mut value = report_value(report, failure, self.two_way);
        value["event"] = self.report.into();
        self.write(&value, true);
    }

    /// Any other object, handed over at once.
    pub fn object(&self, object: &Value) {
        self.write(object, true);
    }

    /// The last line, of a verb that counts things of its own.
    pub fn last(&self, report: &Value) {
        let mut value = report.clone();
        value["event"] = self.report.into();
        self.write(&value, true);
    }

    /// The last line of a run that was not begun.
    pub fn failure(&self, verb: &str, failure: &Failure) {
        let mut value = failure_value(verb, failure);
        let steps = self.steps.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !steps.is_empty() {
            value["steps"] = json!(steps.values().collect::<Vec<_>>());
        }
        self.last(&value);
    }
}

impl Sink for Json {
    fn event(&self, event: Event) {
        let object = match &event {
            Event::Started { verb, run, left, right } => {
                let (from, to) = (side_name(Side::Left, self.two_way), side_name(Side::Right, self.two_way));
                json!({"event": "started", "verb": verb, "run": run, from: left, to: right})
            }
            Event::Recovered { temporaries } => json!({"event": "recovered", "temporaries": temporaries}),
            Event::Scanned { side, location, files, bytes, took } => json!({
                "event": "scanned", "side": side_name(*side, self.two_way), "location": location,
                "files": files, "bytes": bytes, "seconds": took.as_secs_f64(),
            }),
            Event::Planned(summary) => planned(summary),
            Event::Would(step) => self::step("would", step, self.two_way),
            Event::Sending { path, size } => with_path(json!({"event": "sending", "bytes": size}), "path", path),
            Event::Done(step) => self::step("done", step, self.two_way),
            Event::Syncing => json!({"event": "syncing"}),
            Event::Problem(problem) => {
                let mut object = problem_value(problem);
                object["event"] = "problem".into();
                object
            }
            Event::Conflict(conflict) => {
                let mut object = conflict_value(conflict, self.two_way);
                object["event"] = "conflict".into();
                object
            }
            Event::Expired { side, emptied } => json!({
                "event": "expired", "side": side_name(*side, self.two_way), "runs": emptied.runs.len(),
                "files": emptied.files(), "bytes": emptied.bytes(),
                "problems": emptied.problems.iter().map(problem_value).collect::<Vec<_>>(),
            }),
            Event::Watching { side, location, every } => json!({
                "event": "watching", "side": side_name(*side, self.two_way), "location": location,
                "every": every.map(|every| every.as_secs_f64()),
            }),
            Event::Away { side, why, again_in } => json!({
                "event": "away", "side": side_name(*side, self.two_way), "message": why,
                "again_in": again_in.as_secs_f64(),
            }),
            Event::Back { side } => json!({"event": "back", "side": side_name(*side, self.two_way)}),
            Event::Held(held) => {
                let mut object = held_value(held, self.two_way);
                object["event"] = "held".into();
                object
            }
            Event::Step(told) => {
                let named = NamedStep::of(told);
                let mut object = json!(named);
                object["event"] = "step".into();
                if told.state != StepState::Begun {
                    let mut all = self.steps.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    all.insert(told.step, named);
                }
                object
            }
            // Printed by whoever knows the exit code.
            Event::Finished(_) => return,
        };
        self.write(&object, !matches!(event, Event::Would(_) | Event::Sending { .. } | Event::Done(_)));
    }
}

/// The stable name of a side.
pub fn side_name(side: Side, two_way: bool) -> &'static str {
    match (side, two_way) {
        (Side::Left, true) => "left",
        (Side::Right, true) => "right",
        (Side::Left, false) => "from",
        (Side::Right, false) => "to",
    }
}

fn planned(summary: &Summary) -> Value {
    json!({
        "event": "planned", "new": summary.new, "changed": summary.changed, "moved": summary.moved,
        "deleted": summary.deleted, "unchanged": summary.unchanged, "bytes": summary.bytes,
    })
}

fn step(event: &str, step: &Step, two_way: bool) -> Value {
    let object = json!({
        "event": event, "what": step.what.name(), "side": side_name(step.side, two_way), "bytes": step.bytes,
    });
    let object = with_path(object, "path", &step.path);
    match &step.from {
        Some(from) => with_path(object, "old_path", from),
        None => object,
    }
}

/// Adds a path under `key`, and its bytes in hexadecimal under `key_bytes` if it is not UTF-8.
pub fn with_path(mut object: Value, key: &str, path: &RelPath) -> Value {
    add_bytes(&mut object, key, path.as_bytes());
    object
}

/// Adds raw bytes as text, and in hexadecimal too if they are not UTF-8.
pub fn add_bytes(object: &mut Value, key: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object[key] = text.into(),
        Err(_) => {
            object[key] = sitta_tree::Printable(bytes).to_string().into();
            object[format!("{key}_bytes")] = hex(bytes).into();
        }
    }
}

/// Two digits a byte.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A problem without its event name.
pub fn problem_value(problem: &Problem) -> Value {
    with_path(json!({"kind": problem.kind.name(), "message": problem.message}), "path", &problem.path)
}

fn held_value(held: &Held, two_way: bool) -> Value {
    let side_name = |side: Side| side_name(side, two_way);
    match held {
        Held::Deletes { side, planned, limit, of } => {
            json!({"kind": "deletes", "side": side_name(*side), "planned": planned, "limit": limit, "of": of})
        }
        Held::Emptied { side, held } => json!({"kind": "emptied", "side": side_name(*side), "held": held}),
        Held::Missing { side } => json!({"kind": "missing", "side": side_name(*side)}),
        Held::Replaced { side } => json!({"kind": "replaced", "side": side_name(*side)}),
        Held::Empty => json!({"kind": "empty"}),
        Held::Stale { newest, age, max_age } => json!({
            "kind": "stale", "newest": newest.and_then(units::utc_time), "age": newest.map(|_| age.as_secs_f64()),
            "max_age": max_age.as_secs_f64(),
        }),
        Held::Exists { name } => json!({"kind": "exists", "name": name}),
    }
}

fn conflict_value(conflict: &sitta_tree::Conflict, two_way: bool) -> Value {
    let side_name = |side: Side| side_name(side, two_way);
    let object = match &conflict.outcome {
        Settled::KeptBoth(side, path) => {
            with_path(json!({"kept": "both", "renamed": side_name(*side)}), "copy", path)
        }
        Settled::Won(side) => json!({"kept": side_name(*side)}),
        // Of a sync, `left` is a side.
        Settled::Left => json!({"kept": if two_way { "undecided" } else { "left" }}),
    };
    with_path(object, "path", &conflict.path)
}

fn report_value(report: &Report, failure: Option<&Failure>, two_way: bool) -> Value {
    let conflicts: Vec<Value> = report.conflicts.iter().map(|conflict| conflict_value(conflict, two_way)).collect();
    let held: Vec<Value> = report.held.iter().map(|held| held_value(held, two_way)).collect();
    let trash: Vec<&String> = report.trash.iter().flatten().collect();
    let mut object = json!({
        "event": "report",
        "verb": report.verb,
        "run": report.run,
        "outcome": report.outcome.name(),
        "copied": report.copied,
        "updated": report.updated,
        "deleted": report.deleted,
        "moved": report.moved,
        "unchanged": report.unchanged,
        "conflicts": report.conflicts.len(),
        "conflict_list": conflicts,
        "problems": report.problems.iter().map(problem_value).collect::<Vec<_>>(),
        "held": held,
        "bytes": report.bytes,
        "requests": report.requests,
        "seconds": report.took.as_secs_f64(),
        "trash": trash.last(),
        "trash_list": trash,
        "dry_run": report.dry_run,
    });
    if let Some(archive) = &report.archive {
        object["archive"] = json!({"name": archive.name, "bytes": archive.size, "content": archive.content});
        object["steps"] = json!(report.steps.iter().map(NamedStep::of).collect::<Vec<_>>());
    }
    if let Some(failure) = failure {
        object["error"] = error_value(failure);
    }
    object
}

/// The report of a verb that counts things of its own; `outcome` is `success` unless it is among them.
pub fn plain_report(verb: &str, fields: &[(&str, Value)]) -> Value {
    let mut object = json!({"event": "report", "verb": verb, "outcome": "success", "problems": []});
    for (name, value) in fields {
        object[*name] = value.clone();
    }
    object
}

/// The report of a run that was not begun, or of a verb that has nothing else to tell.
pub fn failure_value(verb: &str, failure: &Failure) -> Value {
    let mut object = json!({"event": "report", "verb": verb, "outcome": failure.exit.outcome()});
    if matches!(verb, "copy" | "mirror" | "sync" | "archive" | "unpack") {
        for count in ["copied", "updated", "deleted", "moved", "unchanged", "conflicts", "bytes", "requests"] {
            object[count] = 0.into();
        }
        object["seconds"] = 0.0.into();
    }
    object["problems"] = json!([]);
    object["error"] = error_value(failure);
    object
}

/// What could not be done, why, and what helps.
pub fn error_value(failure: &Failure) -> Value {
    let mut error = Map::new();
    error.insert("message".into(), failure.what.as_str().into());
    error.insert("notes".into(), failure.notes.clone().into());
    error.insert("hint".into(), failure.hint.clone().map_or(Value::Null, Value::from));
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_not_utf8_carry_their_bytes() {
        let plain = with_path(json!({}), "path", &RelPath::new("a\nb\\é").unwrap());
        assert_eq!(plain, json!({"path": "a\nb\\é"}));
        let raw = with_path(json!({}), "path", &RelPath::new(b"a\xff").unwrap());
        assert_eq!(raw, json!({"path": "a\\xff", "path_bytes": "61ff"}));
    }

    #[test]
    fn failures_are_reports_too() {
        let failure = Failure::usage("no such store").note("why").hint("so");
        let value = failure_value("mirror", &failure);
        assert_eq!((&value["event"], &value["outcome"]), (&json!("report"), &json!("failed")));
        assert_eq!(value["error"], json!({"message": "no such store", "notes": ["why"], "hint": "so"}));
    }
}
