//! What the verbs that move files have in common: from their arguments to a run, and from its report to an exit code.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use sitta_ops::{Event, MaxDelete, Options, Outcome as Ended, Report, RunError, Sink, State, transfer};
use sitta_store::wrap::{Bucket, Limited};
use sitta_store::{Flow, OWN_DIR};
use sitta_tree::{Filter, PatternError, Policy, RelPath};

use super::block_on;
use crate::args::{MovingArgs, RuleArg};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{Opened, open};
use crate::render::failure::{self, Sides};
use crate::render::human::Human;
use crate::render::json::Json;
use crate::render::result;
use crate::signals::stop_on_signals;

/// Runs `policy` as the arguments say.
pub fn run(context: &Context, args: MovingArgs, verb: &'static str, policy: Policy) -> Outcome {
    let json = context.json.then(Json::new);
    let result = block_on(async {
        let job = prepare(context, args, policy).await?;
        job.run(context, verb, json.as_ref()).await
    });
    if let (Err(failure), Some(json)) = (&result, &json) {
        json.failure(verb, failure);
    }
    result
}

/// The arguments as what they mean.
#[derive(Debug)]
struct Job {
    source: Opened,
    destination: Opened,
    options: Options,
    state: State,
}

async fn prepare(context: &Context, args: MovingArgs, policy: Policy) -> Outcome<Job> {
    let source = open(context, &args.source).await?;
    let destination = open(context, &args.destination).await?;
    let destination = match args.limit_rate {
        Some(rate) => limited(destination, rate),
        None => destination,
    };
    let trash = args.trash.as_deref().map_or(Ok(None), trash)?;
    let mut filter = rules(&args.rules.0)?;
    if let Some(dir) = trash.as_ref().filter(|dir| dir.parts().next() != Some(OWN_DIR.as_bytes())) {
        filter.never(dir.clone());
    }
    let options = Options {
        policy,
        filter: (!filter.is_empty()).then(|| Arc::new(filter)),
        checksum: args.checksum,
        hard_links: args.hard_links,
        xattrs: args.xattrs,
        verify: args.verify,
        dry_run: args.dry_run,
        transfers: args.transfers.map(usize::from),
        max_delete: args.max_delete.unwrap_or(MaxDelete::Default),
        trash,
        force_empty: args.force_empty,
    };
    let state = State::open(context.state_dir()?)
        .map_err(|error| failure::run_error(&error, "", &sides(&source, &destination)))?;
    Ok(Job { source, destination, options, state })
}

fn sides(source: &Opened, destination: &Opened) -> Sides {
    Sides {
        labels: [source.label.clone(), destination.label.clone()],
        locations: [source.store.location().to_owned(), destination.store.location().to_owned()],
    }
}

/// The same place, with at most `rate` bytes a second going there.
fn limited(place: Opened, rate: u64) -> Opened {
    let store = Arc::new(Limited::new(place.store, Bucket::new(rate)));
    Opened { store, ..place }
}

/// `on`, `off`, or a directory at the destination.
fn trash(text: &OsStr) -> Outcome<Option<RelPath>> {
    let shown = text.to_string_lossy();
    match text.as_bytes() {
        b"off" => return Ok(None),
        b"on" => return Ok(Some(RelPath::new(".sitta/trash").expect("a valid path"))),
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
fn rules(args: &[RuleArg]) -> Outcome<Filter> {
    let mut filter = Filter::new();
    let wrong = |pattern: &str, error: PatternError| {
        Failure::usage(format!("the pattern '{pattern}' cannot be understood")).note(error.to_string())
    };
    for rule in args {
        match rule {
            RuleArg::Include(pattern) => filter.include(pattern).map_err(|e| wrong(pattern, e))?,
            RuleArg::Exclude(pattern) => filter.exclude(pattern).map_err(|e| wrong(pattern, e))?,
            RuleArg::From(file) => rules_from(file, &mut filter)?,
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

impl Job {
    async fn run(self, context: &Context, verb: &'static str, json: Option<&Json>) -> Outcome {
        let sides = sides(&self.source, &self.destination);
        let flow = Arc::new(Flow::default());
        stop_on_signals(&flow, &context.console);
        let human = json.is_none().then(|| Human::new(context, sides.labels.clone(), self.options.dry_run, &flow));
        let sink: &dyn Sink = match (&human, json) {
            (_, Some(json)) => json,
            (Some(human), _) => human,
            (None, None) => &(),
        };
        let (left, right) = (self.source.store.clone(), self.destination.store.clone());
        let result = transfer(left, right, &self.options, &self.state, sink, &flow).await;
        if let Some(human) = &human {
            human.stop_progress();
        }
        if let Some(aside) = self.state.was_damaged() {
            context.console.warning(format!(
                "what was remembered of earlier runs was damaged; it was set aside as {}",
                aside.display()
            ));
        }
        match result {
            Ok(report) => finish(context, &report, &sides, human.as_ref(), json),
            Err(error) => {
                if let (RunError::Held(held), Some(json)) = (&error, json) {
                    json.event(Event::Held(held.clone()));
                }
                Err(failure::run_error(&error, verb, &sides))
            }
        }
    }
}

/// Says how it ended.
fn finish(
    context: &Context,
    report: &Report,
    sides: &Sides,
    human: Option<&Human>,
    json: Option<&Json>,
) -> Outcome {
    let held = report.held.first().map(|held| failure::held(held, sides, report.dry_run));
    if let Some(human) = human {
        human.finish(report, context)?;
    }
    if let Some(json) = json {
        json.report(report, held.as_ref());
    }
    if let Some(held) = &held {
        context.console.failure(held);
    }
    Ok(match report.outcome {
        Ended::Interrupted => Exit::Interrupted,
        Ended::Failed => Exit::Failed,
        Ended::Held => Exit::Held,
        Ended::Partial => Exit::Partial,
        Ended::Success if result::leaves_conflicts(report) => Exit::Conflicts,
        Ended::Success => Exit::Done,
    })
}
