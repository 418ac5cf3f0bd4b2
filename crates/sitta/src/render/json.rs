//! A run as JSON: one object a line. The fields are documented in docs/json.md and are only ever added to.

use std::io::{BufWriter, Stdout, Write, stdout};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use sitta_ops::{Event, Held, Report, Sink, Step};
use sitta_tree::{Outcome as Settled, Problem, RelPath, Side, Summary};

use crate::exit::Failure;

/// What is written is handed over at the latest after so long, as long as something happens.
const HAND_OVER: Duration = Duration::from_millis(50);

/// Prints a run's events; the report is printed last, by [`Json::report`] or [`Json::failure`].
#[derive(Debug)]
pub struct Json {
    writer: Mutex<(BufWriter<Stdout>, Instant)>,
}

impl Json {
    /// There is one of it.
    pub fn new() -> Self {
        Self { writer: Mutex::new((BufWriter::with_capacity(64 * 1024, stdout()), Instant::now())) }
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
        self.write(&report_value(report, failure), true);
    }

    /// The last line of a run that was not begun.
    pub fn failure(&self, verb: &str, failure: &Failure) {
        self.write(&failure_value(verb, failure), true);
    }
}

impl Sink for Json {
    fn event(&self, event: Event) {
        let object = match &event {
            Event::Started { verb, run, left, right } => {
                json!({"event": "started", "verb": verb, "run": run, "from": left, "to": right})
            }
            Event::Recovered { temporaries } => json!({"event": "recovered", "temporaries": temporaries}),
            Event::Scanned { side, location, files, bytes, took } => json!({
                "event": "scanned", "side": side_name(*side), "location": location,
                "files": files, "bytes": bytes, "seconds": took.as_secs_f64(),
            }),
            Event::Planned(summary) => planned(summary),
            Event::Would(step) => self::step("would", step),
            Event::Sending { path, size } => with_path(json!({"event": "sending", "bytes": size}), "path", path),
            Event::Done(step) => self::step("done", step),
            Event::Syncing => json!({"event": "syncing"}),
            Event::Problem(problem) => {
                let mut object = problem_value(problem);
                object["event"] = "problem".into();
                object
            }
            Event::Held(held) => {
                let mut object = held_value(held);
                object["event"] = "held".into();
                object
            }
            // Printed by whoever knows the exit code.
            Event::Finished(_) => return,
        };
        self.write(&object, !matches!(event, Event::Would(_) | Event::Sending { .. } | Event::Done(_)));
    }
}

/// The stable name of a side.
pub fn side_name(side: Side) -> &'static str {
    match side {
        Side::Left => "from",
        Side::Right => "to",
    }
}

fn planned(summary: &Summary) -> Value {
    json!({
        "event": "planned", "new": summary.new, "changed": summary.changed, "moved": summary.moved,
        "deleted": summary.deleted, "unchanged": summary.unchanged, "bytes": summary.bytes,
    })
}

fn step(event: &str, step: &Step) -> Value {
    let object = json!({
        "event": event, "what": step.what.name(), "side": side_name(step.side), "bytes": step.bytes,
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

fn held_value(held: &Held) -> Value {
    match held {
        Held::Deletes { planned, limit, of } => {
            json!({"kind": "deletes", "planned": planned, "limit": limit, "of": of})
        }
        Held::Emptied { side, held } => json!({"kind": "emptied", "side": side_name(*side), "held": held}),
        Held::Missing { side } => json!({"kind": "missing", "side": side_name(*side)}),
        Held::Replaced { side } => json!({"kind": "replaced", "side": side_name(*side)}),
    }
}

fn conflict_value(conflict: &sitta_tree::Conflict) -> Value {
    let object = match &conflict.outcome {
        Settled::KeptBoth(side, path) => {
            with_path(json!({"kept": "both", "renamed": side_name(*side)}), "to", path)
        }
        Settled::Won(side) => json!({"kept": side_name(*side)}),
        Settled::Left => json!({"kept": "left"}),
    };
    with_path(object, "path", &conflict.path)
}

fn report_value(report: &Report, failure: Option<&Failure>) -> Value {
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
        "conflict_list": report.conflicts.iter().map(conflict_value).collect::<Vec<_>>(),
        "problems": report.problems.iter().map(problem_value).collect::<Vec<_>>(),
        "held": report.held.iter().map(held_value).collect::<Vec<_>>(),
        "bytes": report.bytes,
        "requests": report.requests,
        "seconds": report.took.as_secs_f64(),
        "trash": report.trash,
        "dry_run": report.dry_run,
    });
    if let Some(failure) = failure {
        object["error"] = error_value(failure);
    }
    object
}

/// The report of a run that was not begun, or of a verb that has nothing else to tell.
pub fn failure_value(verb: &str, failure: &Failure) -> Value {
    let mut object = json!({"event": "report", "verb": verb, "outcome": failure.exit.outcome()});
    if matches!(verb, "copy" | "mirror") {
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
