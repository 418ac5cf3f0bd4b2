//! How jobs stand, in Prometheus' text exposition format, version 0.0.4.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use jiff::Timestamp;

use crate::{Ended, NamedStep, Run, Standing};

/// How a named step ends.
const STEP_OUTCOMES: [&str; 3] = ["done", "failed", "skipped"];

/// What is told of one job.
#[derive(Debug)]
pub struct JobState {
    /// Its name.
    pub job: String,
    /// Whether it runs at the moment.
    pub running: bool,
    /// How it stands; none if it was never run nor seen by the daemon.
    pub standing: Option<Standing>,
    /// Its last run that has ended.
    pub last: Option<Run>,
    /// When it is due next.
    pub next: Option<Timestamp>,
    /// How many of its runs in the history ended in which way.
    pub tally: Vec<(Ended, u64)>,
}

/// What a metric is for a job; none if it is nothing yet.
type Value<'v> = &'v dyn Fn(&JobState) -> Option<f64>;

/// All metrics. `waiting`: messages that could not be sent yet.
pub fn text(jobs: &[JobState], waiting: usize) -> String {
    let mut out = Text(String::new());
    let last = |state: &JobState| state.last.as_ref().and_then(|run| run.end.clone());
    let seconds = |at: Timestamp| at.as_millisecond() as f64 / 1000.0;
    let simple: [(&str, &str, Value<'_>); 8] = [
        ("running", "Whether the job runs at the moment.", &|state| Some(f64::from(u8::from(state.running)))),
        ("last_success_timestamp_seconds", "When the job last succeeded.", &|state| {
            state.standing.and_then(|standing| standing.succeeded).map(seconds)
        }),
        ("last_run_timestamp_seconds", "When the job's last run ended.", &|state| {
            last(state).map(|(at, _)| seconds(at))
        }),
        ("last_run_duration_seconds", "How long the job's last run took.", &|state| {
            last(state).map(|(_, ending)| ending.seconds)
        }),
        ("last_run_sent_bytes", "File bytes that the job's last run sent.", &|state| {
            last(state).map(|(_, ending)| ending.counts.bytes as f64)
        }),
        ("last_run_problems", "Files that the job's last run could not process.", &|state| {
            last(state).map(|(_, ending)| ending.counts.problems as f64)
        }),
        ("next_run_timestamp_seconds", "When the job is due next.", &|state| state.next.map(seconds)),
        ("alarm", "Whether the job has not succeeded for longer than its alert_after.", &|state| {
            Some(f64::from(u8::from(state.standing.is_some_and(|standing| standing.alarm.is_some()))))
        }),
    ];
    for (name, help, value) in simple {
        out.family(&format!("sitta_job_{name}"), help);
        for state in jobs {
            if let Some(value) = value(state) {
                out.sample(&format!("sitta_job_{name}"), &[("job", &state.job)], value);
            }
        }
    }
    out.family("sitta_job_last_run_outcome", "1 for the way in which the job's last run ended, 0 for the others.");
    for state in jobs {
        for ended in Ended::ALL {
            if let Some((_, ending)) = last(state) {
                let is = f64::from(u8::from(ending.ended == ended));
                let labels = [("job", state.job.as_str()), ("outcome", ended.name())];
                out.sample("sitta_job_last_run_outcome", &labels, is);
            }
        }
    }
    out.family("sitta_job_last_run_files", "What became of files and links in the job's last run.");
    for state in jobs {
        if let Some((_, ending)) = last(state) {
            let counts = ending.counts;
            for (what, n) in [
                ("copied", counts.copied),
                ("updated", counts.updated),
                ("deleted", counts.deleted),
                ("moved", counts.moved),
                ("unchanged", counts.unchanged),
            ] {
                out.sample("sitta_job_last_run_files", &[("job", &state.job), ("what", what)], n as f64);
            }
        }
    }
    // What was left out took no time, and is told by its outcome alone.
    out.family("sitta_job_last_run_step_duration_seconds", "How long a named step of the job's last run took.");
    for (state, step) in steps(jobs).filter(|(_, step)| step.state != "skipped") {
        let labels = [("job", state.job.as_str()), ("step", step.step.as_str())];
        out.sample("sitta_job_last_run_step_duration_seconds", &labels, step.seconds);
    }
    out.family(
        "sitta_job_last_run_step_outcome",
        "1 for the way in which a named step of the job's last run ended, 0 for the others.",
    );
    for (state, step) in steps(jobs) {
        for outcome in STEP_OUTCOMES {
            let is = f64::from(u8::from(step.state == outcome));
            let labels = [("job", state.job.as_str()), ("step", step.step.as_str()), ("outcome", outcome)];
            out.sample("sitta_job_last_run_step_outcome", &labels, is);
        }
    }
    out.family("sitta_job_history_runs", "How many of the job's runs in the history ended in which way.");
    for state in jobs {
        for (ended, n) in &state.tally {
            let labels = [("job", state.job.as_str()), ("outcome", ended.name())];
            out.sample("sitta_job_history_runs", &labels, *n as f64);
        }
    }
    out.family("sitta_notifications_waiting", "Messages that could not be sent yet and are tried again.");
    out.sample("sitta_notifications_waiting", &[], waiting as f64);
    out.0
}

/// The named steps of last runs.
fn steps(jobs: &[JobState]) -> impl Iterator<Item = (&JobState, &NamedStep)> {
    jobs.iter().flat_map(|state| {
        let ending = state.last.as_ref().and_then(|run| run.end.as_ref()).map(|(_, ending)| ending);
        ending.into_iter().flat_map(|ending| &ending.named).map(move |step| (state, step))
    })
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<_> = labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escape(text))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

/// Writes the metrics where a collector (node_exporter's textfile collector, say) takes them up: whole or not at all.
pub fn write(file: &Path, text: &str) -> io::Result<()> {
    let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary).and_then(|mut file| file.write_all(text.as_bytes()));
    let renamed = written.and_then(|()| fs::rename(&temporary, file));
    if renamed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    renamed
}

#[cfg(test)]
mod tests;
