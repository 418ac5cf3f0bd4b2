//! A run as a person follows it: lines on standard error, and of a dry run the plan on standard output.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use sitta_jobs::words::done;
use sitta_ops::trash::Emptied;
use sitta_ops::{Event, Report, Sink, Step, StepKind};
use sitta_store::Flow;
use sitta_tree::{Side, Summary};

use super::course::{Course, Look};
use super::failure::{self, Sides};
use super::progress::Progress;
use super::table::{Align, Table};
use super::{result, steps, units};
use crate::context::Context;
use crate::exit::Outcome;
use crate::output::Console;

/// Shows a run.
#[derive(Debug)]
pub struct Human {
    console: Arc<Console>,
    quiet: bool,
    verbose: bool,
    dry_run: bool,
    sides: Sides,
    /// Changes are taken up as they happen, and each is told in a line.
    live: AtomicBool,
    /// It goes by named steps, each of which tells what it found.
    by_steps: AtomicBool,
    flow: Arc<Flow>,
    course: Arc<Mutex<Course>>,
    progress: Mutex<Option<Progress>>,
}

impl Human {
    /// Shows a run between two sides.
    pub fn new(context: &Context, sides: Sides, dry_run: bool, flow: &Arc<Flow>) -> Self {
        let course = Arc::new(Mutex::new(Course::default()));
        let progress =
            context.progress.then(|| Progress::start(course.clone(), flow.clone(), context.console.clone()));
        Self {
            console: context.console.clone(),
            quiet: context.quiet,
            verbose: context.verbose,
            dry_run,
            sides,
            live: AtomicBool::new(false),
            by_steps: AtomicBool::new(false),
            flow: flow.clone(),
            course,
            progress: Mutex::new(progress),
        }
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Removes the progress line for good.
    pub fn stop_progress(&self) {
        self.progress.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    }

    /// Says how it ended.
    pub fn finish(&self, report: &Report, context: &Context) -> Outcome<()> {
        self.stop_progress();
        let mut course = self.course();
        if report.dry_run {
            self.plan(&mut course, context)?;
        }
        for line in result::lines(report, &course, &self.sides, self.console.style, self.quiet, self.verbose) {
            self.console.line(line);
        }
        Ok(())
    }

    /// What a dry run would do, sorted by path.
    fn plan(&self, course: &mut Course, context: &Context) -> Outcome<()> {
        let mut out = context.out();
        course.would.sort_by(|a, b| a.path.cmp(&b.path));
        let mut table = Table::new(&[Align::Left, Align::Left, Align::Right]);
        for step in &course.would {
            table.row(vec![would(step.what).to_owned(), what(step) + &self.towards(step), size(step)]);
        }
        for line in table.lines() {
            out.line(line)?;
        }
        let summary = course.plan.unwrap_or_default();
        out.line(format!("{}{}", context.out_style.head("Plan"), plan_line(&summary)))?;
        out.flush()
    }

    /// Which side a step changes, where it may be either.
    fn towards(&self, step: &Step) -> String {
        if self.sides.two_way { format!(" → {}", self.sides.label(step.side)) } else { String::new() }
    }

    /// A line of its own for what happens while both sides are watched.
    fn live(&self, event: &Event) {
        let line = match event {
            Event::Done(step) => {
                let (head, size) = (self.console.style.head(done(step.what)), size(step));
                let size = if size.is_empty() { size } else { format!("   {size}") };
                format!("{head}{}{}{size}", what(step), self.towards(step))
            }
            Event::Conflict(conflict) => {
                format!("{}{}", self.console.style.head("Conflict"), result::conflict(conflict, &self.sides, false))
            }
            Event::Problem(problem) => {
                format!("{}{}   {}", self.console.style.head("Problem"), problem.path, problem.message)
            }
            Event::Held(held) => {
                let failure = failure::held(held, &self.sides, false);
                format!("{}{failure}", self.console.style.head("Held back"))
            }
            Event::Away { side, why, again_in } => {
                let again = units::duration(*again_in);
                let label = self.sides.label(*side);
                format!("{}{label}: {why}; tried again in {again}, and then on", self.console.style.head("Away"))
            }
            Event::Back { side } => {
                format!("{}{}", self.console.style.head("Back"), self.sides.label(*side))
            }
            Event::Expired { side, emptied } => return self.expired(*side, emptied),
            _ => return,
        };
        self.console.line(format!("{}   {line}", jiff::Zoned::now().strftime("%H:%M:%S")));
    }

    /// What the trash of a side let go of, and what it could not.
    fn expired(&self, side: Side, emptied: &Emptied) {
        let label = self.sides.label(side);
        if !emptied.runs.is_empty() {
            let versions = units::counted(emptied.files(), "old version", "old versions");
            let size = units::size(emptied.bytes());
            let head = self.console.style.head("Trash");
            self.console.line(format!("{head}{versions} of {label} gone for good: kept long enough ({size})"));
        }
        if let Some(problem) = emptied.problems.first() {
            let more = match emptied.problems.len() {
                1 => String::new(),
                n => format!(", and {} more", units::count(n as u64 - 1)),
            };
            let (path, why) = (&problem.path, &problem.message);
            self.console.warning(format!("{path} in {label} could not be removed{more}: {why}"));
        }
    }

    /// Held back until it is known that there is something to do: a run without work says one line.
    fn opening(&self, course: &Course) {
        let mut table = Table::new(&[Align::Left, Align::Right, Align::Right, Align::Right]);
        for Look { side, files, bytes, took } in &course.looks {
            table.row(vec![
                self.sides.label(*side).to_owned(),
                units::counted(*files, "file", "files"),
                units::size(*bytes),
                units::duration(*took),
            ]);
        }
        for line in table.lines() {
            self.console.line(format!("{}{line}", self.console.style.head("Scanned")));
        }
    }
}

impl Sink for Human {
    fn event(&self, event: Event) {
        let mut course = self.course();
        course.note(&event, self.flow.bytes());
        let matters = matches!(event, Event::Problem(_) | Event::Held(_) | Event::Away { .. });
        if self.live.load(Relaxed) && (matters || !self.quiet) {
            return self.live(&event);
        }
        if self.quiet && !matches!(event, Event::Watching { .. }) {
            return;
        }
        match event {
            Event::Watching { side, every, .. } => {
                drop(course);
                self.stop_progress();
                let how = match every {
                    Some(every) => format!("looked at every {}", units::duration(every)),
                    None => "tells of changes".to_owned(),
                };
                if !self.quiet {
                    let head = self.console.style.head("Watching");
                    self.console.line(format!("{head}{}   {how}", self.sides.label(side)));
                }
                // The right one comes last.
                self.live.store(side == Side::Right, Relaxed);
            }
            Event::Recovered { temporaries } => {
                let left = match temporaries {
                    0 => String::new(),
                    n => format!(" ({} removed)", units::counted(n, "unfinished file", "unfinished files")),
                };
                let line = format!("an earlier run was interrupted; what it left is in order now{left}");
                self.console.line(format!("{}{line}", self.console.style.head("Recovered")));
            }
            Event::Expired { side, emptied } => self.expired(side, &emptied),
            Event::Step(told) => {
                self.by_steps.store(true, Relaxed);
                if let Some(line) = steps::line(&told, self.console.style, self.verbose) {
                    self.console.line(line);
                }
            }
            Event::Planned(_) if self.by_steps.load(Relaxed) => {}
            Event::Planned(summary) if course.has_work() || self.verbose => {
                self.opening(&course);
                // A dry run's plan is its data, and printed as such at the end.
                if course.has_work() && !self.dry_run {
                    let head = self.console.style.head("Plan");
                    self.console.line(format!("{head}{}", plan_line(&summary)));
                }
            }
            Event::Done(step) if self.verbose => {
                let head = self.console.style.head(done(step.what));
                let size = size(&step);
                self.console.line(format!("{head}{}{}   {size}", what(&step), self.towards(&step)).trim_end());
            }
            _ => {}
        }
    }
}

/// `31 new · 12 changed · 3 moved · 2 deleted · 84.2 MiB to send`
pub fn plan_line(plan: &Summary) -> String {
    let counts = [(plan.new, "new"), (plan.changed, "changed"), (plan.moved, "moved"), (plan.deleted, "deleted")];
    let mut parts: Vec<String> =
        counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", units::count(*n))).collect();
    if parts.is_empty() {
        parts.push(format!("nothing to do: {}", result::same(plan.unchanged)));
    }
    if plan.bytes > 0 {
        parts.push(format!("{} to send", units::size(plan.bytes)));
    }
    parts.join(" · ")
}

fn would(what: StepKind) -> &'static str {
    match what {
        StepKind::Copy => "would send",
        StepKind::Update => "would replace",
        StepKind::Meta => "would set times and permissions of",
        StepKind::MakeDir => "would make",
        StepKind::Move => "would move",
        StepKind::Delete => "would delete",
        StepKind::RemoveDir => "would remove",
    }
}

fn what(step: &Step) -> String {
    match (&step.from, step.what) {
        (Some(from), _) => format!("{from} → {}", step.path),
        (None, StepKind::MakeDir | StepKind::RemoveDir) => format!("{}/", step.path),
        (None, _) => step.path.to_string(),
    }
}

fn size(step: &Step) -> String {
    match step.what {
        StepKind::Copy | StepKind::Update => units::size(step.bytes),
        _ => String::new(),
    }
}
