//! What the verbs that move files have in common: from their arguments to a run, and from its report to an exit code.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sitta_jobs::Recorder;
use sitta_ops::trash::{TRASH_DIR, TrashKeep};
use sitta_ops::{Event, MaxDelete, Options, Outcome as Ended, Report, RunError, Sink, State, transfer};
use sitta_store::wrap::{Bucket, Limited};
use sitta_store::{Flow, OWN_DIR};
use sitta_tree::{Filter, PatternError, Policy, RelPath};

use super::block_on;
use crate::args::{MovingArgs, OneWayArgs, RuleArg};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{Opened, open};
use crate::render::failure::{self, Sides};
use crate::render::human::Human;
use crate::render::json::Json;
use crate::render::result;
use crate::signals::{Stopping, stop_on_signals};

/// A sync displaces old versions every day, and nobody asked it to: they are let go of in time.
const SYNC_KEEPS: TrashKeep = TrashKeep::Within(Duration::from_secs(30 * 86_400));

/// What is around a run: how it is stopped, and who reads what it tells.
pub struct Around {
    /// Prints its events, with `--json`.
    pub json: Option<Json>,
    /// Stops it.
    pub flow: Arc<Flow>,
    /// What an archive has packed so far.
    pub packed: Arc<Flow>,
    /// A job's recorder, if it is a job.
    pub recorder: Option<Arc<Recorder>>,
    armed: Arc<OnceLock<Stopping>>,
}

impl Around {
    /// Of a run of its own, that the user stops. `two_way`: its sides are left and right.
    pub fn new(context: &Context, two_way: bool) -> Self {
        let json = context.json.then(|| Json::new(two_way));
        Self { json, flow: Arc::default(), packed: Arc::default(), recorder: None, armed: Arc::default() }
    }

    /// Of one job of several, which are all stopped together.
    pub fn of_job(&self, json: Option<Json>, recorder: Option<Arc<Recorder>>) -> Self {
        Self { json, recorder, flow: self.flow.clone(), packed: Arc::default(), armed: self.armed.clone() }
    }

    /// From now on Ctrl-C lets what was begun be finished; before, it ends the program at once.
    pub fn arm(&self, context: &Context) {
        self.armed.get_or_init(|| stop_on_signals(&self.flow, &context.console));
    }

    /// All who read its events.
    pub fn readers<'a>(&'a self, human: Option<&'a Human>, json: Option<&'a Json>) -> Readers<'a> {
        Readers::new(human, json, self.recorder.as_deref())
    }
}

/// Runs `policy` as the arguments say.
pub fn run(context: &Context, args: OneWayArgs, verb: &'static str, policy: Policy, around: &Around) -> Outcome {
    let result = block_on(async {
        let source = open(context, &args.source).await?;
        let destination = open(context, &args.destination).await?;
        let destination = match args.moving.limit_rate {
            Some(rate) => limited(destination, &Bucket::new(rate)),
            None => destination,
        };
        let called = Some(verb);
        let options = Options { hard_links: args.hard_links, called, ..options(&args.moving, policy, None)? };
        around.arm(context);
        let (flow, recorder) = (around.flow.clone(), around.recorder.clone());
        let pair = Pair { sides: [source, destination], options, state: state(context)?, flow, recorder };
        let (exit, _, failure) = pair.run(context, around.json.as_ref()).await?;
        if let Some(failure) = failure {
            context.console.failure(&failure);
        }
        Ok(exit)
    });
    if let (Err(failure), Some(json)) = (&result, &around.json) {
        json.failure(verb, failure);
    }
    result
}

/// What is remembered of earlier runs.
pub fn state(context: &Context) -> Outcome<State> {
    let dir = context.state_dir()?;
    State::open(dir).map_err(|error| failure::state(&error))
}

/// How a sync goes that nobody said anything else about.
pub fn usual(policy: Policy) -> Outcome<Options> {
    Ok(Options {
        policy,
        called: None,
        filter: None,
        checksum: false,
        hard_links: false,
        xattrs: false,
        verify: false,
        dry_run: false,
        transfers: None,
        max_delete: MaxDelete::Default,
        trash: trash(OsStr::new("on"))?,
        trash_keep: TrashKeep::Forever,
        force_empty: false,
    })
}

/// What the arguments mean; `trash` is where old versions go if they do not say.
pub fn options(args: &MovingArgs, policy: Policy, trash: Option<&OsStr>) -> Outcome<Options> {
    let trash = args.trash.as_deref().or(trash).map_or(Ok(None), self::trash)?;
    let trash_keep = match (args.trash_keep, policy) {
        (Some(TrashKeep::Within(_)), _) if trash.is_none() => {
            return Err(Failure::usage("--trash-keep says how long old versions are kept, but none are")
                .hint("add --trash"));
        }
        (Some(keep), _) => keep,
        (None, Policy::Sync(_)) => SYNC_KEEPS,
        (None, _) => TrashKeep::Forever,
    };
    let mut filter = rules(&args.rules.0)?;
    if let Some(dir) = trash.as_ref().filter(|dir| dir.parts().next() != Some(OWN_DIR.as_bytes())) {
        filter.never(dir.clone());
    }
    Ok(Options {
        policy,
        called: None,
        filter: (!filter.is_empty()).then(|| Arc::new(filter)),
        checksum: args.checksum,
        hard_links: false,
        xattrs: args.xattrs,
        verify: args.verify,
        dry_run: args.dry_run,
        transfers: args.transfers.map(usize::from),
        max_delete: args.max_delete.unwrap_or(MaxDelete::Default),
        trash,
        trash_keep,
        force_empty: args.force_empty,
    })
}

/// The same place, with no more bytes flowing there and back than the bucket allows.
pub fn limited(place: Opened, bucket: &Bucket) -> Opened {
    let store = Arc::new(Limited::new(place.store, bucket.clone()));
    Opened { store, ..place }
}

/// `on`, `off`, or a directory at the destination.
pub fn trash(text: &OsStr) -> Outcome<Option<RelPath>> {
    let shown = text.to_string_lossy();
    match text.as_bytes() {
        b"off" => return Ok(None),
        b"on" => return Ok(Some(RelPath::new(TRASH_DIR).expect("a valid path"))),
        _ => {}
    }
    let bare = text.as_bytes().strip_prefix(b"./").unwrap_or(text.as_bytes());
    let bare = bare.strip_suffix(b"/").unwrap_or(bare);
    match RelPath::new(bare) {
        Ok(dir) if !dir.is_root() => Ok(Some(dir)),
        _ => Err(Failure::usage(format!("the trash cannot be '{shown}'"))
            .note("it is a folder inside the destination, so that nothing has to be copied to be kept")
            .hint("write --trash for .sitta/trash, or --trash=old-versions for a folder of that name")),
    }
}

/// The rules in the order in which they were written.
pub fn rules(args: &[RuleArg]) -> Outcome<Filter> {
    let mut filter = Filter::new();
    let wrong = |pattern: &str, error: PatternError| {
        Failure::usage(format!("the pattern '{pattern}' cannot be understood")).note(error.to_string())
    };
    for rule in args {
        match rule {
            RuleArg::Include(pattern) => filter.include(pattern).map_err(|e| wrong(pattern, e))?,
            RuleArg::Exclude(pattern) => filter.exclude(pattern).map_err(|e| wrong(pattern, e))?,
            RuleArg::From(file) => rules_from(file, &mut filter)?,
            RuleArg::Line(line) => {
                filter.rules_from(line.as_bytes()).map_err(|e| wrong(line, e.error))?;
            }
        }
    }
    Ok(filter)
}

fn rules_from(file: &Path, filter: &mut Filter) -> Outcome<()> {
    let text = fs::read(file).map_err(|error| {
        Failure::usage(format!("the filter file {} cannot be read", file.display())).note(error.to_string())
    })?;
    filter.rules_from(&text).map_err(|error| {
        Failure::usage(format!("the filter file {} cannot be understood", file.display())).note(error.to_string())
    })
}

/// Two places, and how the one is to be brought to the other.
#[derive(Debug)]
pub struct Pair {
    pub sides: [Opened; 2],
    pub options: Options,
    pub state: State,
    pub flow: Arc<Flow>,
    pub recorder: Option<Arc<Recorder>>,
}

/// All who read a run's events.
pub struct Readers<'a> {
    shown: &'a dyn Sink,
    recorder: Option<&'a Recorder>,
}

impl<'a> Readers<'a> {
    fn new(human: Option<&'a Human>, json: Option<&'a Json>, recorder: Option<&'a Recorder>) -> Self {
        let shown: &dyn Sink = match (human, json) {
            (_, Some(json)) => json,
            (Some(human), _) => human,
            (None, None) => &(),
        };
        Self { shown, recorder }
    }
}

impl Sink for Readers<'_> {
    fn event(&self, event: Event) {
        if let Some(recorder) = self.recorder {
            recorder.event(event.clone());
        }
        self.shown.event(event);
    }
}

impl Pair {
    /// All who read its events.
    pub fn readers<'a>(&'a self, human: Option<&'a Human>, json: Option<&'a Json>) -> Readers<'a> {
        Readers::new(human, json, self.recorder.as_deref())
    }

    /// What failures call the two sides.
    pub fn names(&self) -> Sides {
        Sides {
            labels: self.sides.each_ref().map(|side| side.label.clone()),
            locations: self.sides.each_ref().map(|side| side.store.location().to_owned()),
            two_way: matches!(self.options.policy, Policy::Sync(_)),
        }
    }

    /// Runs it and tells all about it but what a guard held back, which is for the caller to say last.
    pub async fn run(&self, context: &Context, json: Option<&Json>) -> Outcome<(Exit, Report, Option<Failure>)> {
        let names = self.names();
        let human = json.is_none().then(|| Human::new(context, names.clone(), self.options.dry_run, &self.flow));
        let readers = self.readers(human.as_ref(), json);
        let [left, right] = self.sides.each_ref().map(|side| side.store.clone());
        let result = transfer(left, right, &self.options, &self.state, &readers, &self.flow).await;
        self.end(context, result, human.as_ref(), json)
    }

    /// Says how it ended.
    pub fn end(
        &self,
        context: &Context,
        result: Result<Report, RunError>,
        human: Option<&Human>,
        json: Option<&Json>,
    ) -> Outcome<(Exit, Report, Option<Failure>)> {
        let names = self.names();
        if let Some(human) = human {
            human.stop_progress();
        }
        if let Some(aside) = self.state.was_damaged() {
            context.console.warning(format!(
                "what was remembered of earlier runs was damaged; it was set aside as {}",
                aside.display()
            ));
        }
        let report = result.map_err(|error| {
            if let (RunError::Held(held), Some(json)) = (&error, json) {
                json.event(Event::Held(held.clone()));
            }
            failure::run_error(&error, self.options.verb(), &names)
        })?;
        let held = report.held.first().map(|held| failure::held(held, &names, report.dry_run));
        if let (Some(held), Some(recorder)) = (&held, &self.recorder) {
            recorder.say(held.to_string());
        }
        if let Some(human) = human {
            human.finish(&report, context)?;
        }
        if let Some(json) = json {
            json.report(&report, held.as_ref());
        }
        Ok((exit(&report), report, held))
    }
}

/// The exit code that a report stands for.
pub fn exit(report: &Report) -> Exit {
    match report.outcome {
        Ended::Interrupted => Exit::Interrupted,
        Ended::Failed => Exit::Failed,
        Ended::Held => Exit::Held,
        Ended::Partial => Exit::Partial,
        Ended::Success if result::leaves_conflicts(report) => Exit::Conflicts,
        Ended::Success => Exit::Done,
    }
}
