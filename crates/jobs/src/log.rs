//! A run's log: plain text for people, one line for each thing that happened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sitta_ops::archive::StepState;
use sitta_ops::{Event, Held, Step, StepKind};
use sitta_tree::Side;

use crate::NamedStep;
use crate::words::{count, counted, done, duration, size};

/// A log that has grown to so many bytes becomes the older half, and a new one is begun: a watched sync may go on for
/// months.
const LARGE: u64 = 16 << 20;

/// Where the log of a run is, in the folder of the state.
pub fn log_file(dir: &Path, job: &str, run: &str) -> PathBuf {
    dir.join("logs").join(job).join(format!("{run}.log"))
}

/// The log of a run that goes on.
#[derive(Debug)]
pub struct RunLog {
    path: PathBuf,
    zone: TimeZone,
    writer: BufWriter<File>,
    written: u64,
    /// What stands at the top of each file.
    head: String,
    labels: [String; 2],
    failed: Option<io::Error>,
}

impl RunLog {
    /// Begins a log that only this user can read; names of files are nobody else's business.
    pub fn begin(path: PathBuf, head: &str, zone: TimeZone) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let writer = BufWriter::new(open(&path)?);
        let labels = [String::new(), String::new()];
        let mut log = Self { path, zone, writer, written: 0, head: head.to_owned(), labels, failed: None };
        log.raw(&format!("{head}\n"));
        Ok(log)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line with the time before it; more lines of the text come below.
    pub fn line(&mut self, now: Timestamp, word: &str, text: &str) {
        let at = now.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let text = text.replace('\n', &format!("\n{}", " ".repeat(at.len() + 13)));
        self.raw(&format!("{at}  {word:<10} {text}"));
    }

    fn raw(&mut self, line: &str) {
        if self.failed.is_some() {
            return;
        }
        self.written += line.len() as u64 + 1;
        if let Err(error) = writeln!(self.writer, "{line}") {
            self.failed = Some(error);
        } else if self.written > LARGE
            && let Err(error) = self.turn_over()
        {
            self.failed = Some(error);
        }
    }

    fn turn_over(&mut self) -> io::Result<()> {
        self.writer.flush()?;
        fs::rename(&self.path, self.path.with_extension("older.log"))?;
        self.writer = BufWriter::new(open(&self.path)?);
        self.written = 0;
        self.raw(&format!(
            "{}\n(what came before is in {})\n",
            self.head.clone(),
            "the .older.log beside this one"
        ));
        Ok(())
    }

    /// Hands over what is buffered; says what went wrong, if anything did. A log that cannot be written is no reason not to
    /// do the work.
    pub fn flush(&mut self) -> Option<&io::Error> {
        if let (None, Err(error)) = (&self.failed, self.writer.flush()) {
            self.failed = Some(error);
        }
        self.failed.as_ref()
    }

    /// Notes an event.
    pub fn event(&mut self, now: Timestamp, event: &Event) {
        let label = |log: &Self, side: Side| log.labels[side as usize].clone();
        match event {
            Event::Started { verb, run, left, right } => {
                self.labels = [left.clone(), right.clone()];
                self.line(now, "Started", &format!("{verb} {left} → {right}   (run {run})"));
            }
            Event::Recovered { temporaries } => {
                let left = counted(*temporaries, "unfinished file", "unfinished files");
                let text = format!("an earlier run was interrupted; what it left is in order now ({left} removed)");
                self.line(now, "Recovered", &text);
            }
            Event::Scanned { location, files, bytes, took, .. } => {
                let files = counted(*files, "file", "files");
                self.line(
                    now,
                    "Scanned",
                    &format!("{location}   {files}   {}   {}", size(*bytes), duration(*took)),
                );
            }
            Event::Planned(plan) => {
                let counts = [
                    (plan.new, "new"),
                    (plan.changed, "changed"),
                    (plan.moved, "moved"),
                    (plan.deleted, "deleted"),
                    (plan.unchanged, "unchanged"),
                ];
                let parts: Vec<_> = counts.iter().map(|(n, word)| format!("{} {word}", count(*n))).collect();
                self.line(now, "Plan", &format!("{} · {} to send", parts.join(" · "), size(plan.bytes)));
            }
            Event::Would(step) => self.step(now, "Would", step),
            Event::Done(step) => self.step(now, done(step.what), step),
            Event::Step(told) => {
                let line = NamedStep::of(told).line();
                match &told.state {
                    StepState::Begun => return,
                    StepState::Done(_) => {
                        self.line(now, told.step.name(), &format!("{line}   {}", duration(told.took)));
                    }
                    StepState::Failed(_) | StepState::Skipped(_) => self.line(now, told.step.name(), &line),
                }
            }
            Event::Conflict(conflict) => self.line(now, "Conflict", &format!("{}", conflict.path)),
            Event::Problem(problem) => {
                let (path, kind) = (&problem.path, problem.kind.name());
                self.line(now, "Problem", &format!("{path}   {} ({kind})", problem.message));
            }
            Event::Held(held) => {
                let text = self.held(held);
                self.line(now, "Held back", &text);
            }
            Event::Expired { side, emptied } => {
                let (files, label) = (counted(emptied.files(), "old version", "old versions"), label(self, *side));
                self.line(now, "Trash", &format!("{files} of {label} gone for good ({})", size(emptied.bytes())));
            }
            Event::Watching { location, .. } => self.line(now, "Watching", location),
            Event::Away { side, why, again_in } => {
                let text = format!("{}: {why}; tried again in {}", label(self, *side), duration(*again_in));
                self.line(now, "Away", &text);
            }
            Event::Back { side } => {
                let text = label(self, *side);
                self.line(now, "Back", &text);
            }
            Event::Sending { .. } | Event::Syncing | Event::Finished(_) => return,
        }
        // Steps come by the thousand; the rest may be what somebody waits for.
        if !matches!(event, Event::Would(_) | Event::Done(_)) {
            self.flush();
        }
    }

    fn step(&mut self, now: Timestamp, word: &str, step: &Step) {
        let path = match &step.from {
            Some(from) => format!("{from} → {}", step.path),
            None => step.path.to_string(),
        };
        let sent = matches!(step.what, StepKind::Copy | StepKind::Update);
        let sent = if sent { format!("   {}", size(step.bytes)) } else { String::new() };
        self.line(now, word, &format!("{path}{sent}"));
    }

    fn held(&self, held: &Held) -> String {
        let label = |side: &Side| &self.labels[*side as usize];
        match held {
            Held::Deletes { side, planned, limit, of } => format!(
                "{} of {} files of {} would be deleted, but at most {} may be",
                count(*planned),
                count(*of),
                label(side),
                count(*limit)
            ),
            Held::Emptied { side, held } => {
                format!("{} is empty, but held {} at the last run", label(side), counted(*held, "file", "files"))
            }
            Held::Empty => format!("{} holds nothing to pack", label(&Side::Left)),
            Held::Stale { age, max_age, .. } => format!(
                "the newest file of {} is {} old, but {} is allowed",
                label(&Side::Left),
                duration(*age),
                duration(*max_age)
            ),
            Held::Exists { name } => format!("{name} is there already"),
            Held::Missing { side } => format!("{} is not there", label(side)),
            Held::Replaced { side } => format!("{} is another folder than at the last run", label(side)),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}
