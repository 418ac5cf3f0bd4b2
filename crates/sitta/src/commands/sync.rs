//! `sitta sync`: keeps folders in step both ways, once or until it is stopped.

mod ask;
mod hub;
mod watching;

use std::ffi::OsStr;

use sitta_ops::{check_hub, forget};
use sitta_store::wrap::Bucket;
use sitta_tree::{OnConflict, Policy};

use super::block_on;
use super::moving::{self, Around, Pair};
use crate::args::{ConflictPolicy, SyncArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{Opened, open};
use crate::render::failure::{self, Sides};
use crate::render::json::{self, Json};

/// Clocks of different machines may be apart by so much, in nanoseconds, when it is told which version is newer.
const SKEW: u64 = 2_000_000_000;

pub fn run(context: &Context, args: SyncArgs, around: &Around) -> Outcome {
    let result = block_on(async { sync(context, &args, around).await });
    if let (Err(failure), Some(json)) = (&result, &around.json) {
        json.failure("sync", failure);
    }
    result
}

async fn sync(context: &Context, args: &SyncArgs, around: &Around) -> Outcome {
    let json = around.json.as_ref();
    let bucket = args.moving.limit_rate.map(Bucket::new);
    let mut places = Vec::with_capacity(args.locations.len());
    for location in &args.locations {
        let place = open(context, location).await?;
        if !place.store.capabilities().writable {
            return Err(Failure::usage(format!("{} can only be read from", place.label))
                .note("a sync goes both ways; nothing was changed")
                .hint(format!("`sitta mirror {} FOLDER` brings what is there here", place.label)));
        }
        // All but the hub: what goes from or to it goes to or from one of them.
        places.push(match &bucket {
            Some(bucket) if !places.is_empty() => moving::limited(place, bucket),
            _ => place,
        });
    }
    let (hub, spokes) = places.split_first().expect("two places at least");
    let stores: Vec<_> = spokes.iter().map(|spoke| spoke.store.clone()).collect();
    if args.forget {
        return forget_all(context, hub, spokes, json);
    }
    let state = moving::state(context)?;
    check_hub(&hub.store, &stores, &state).map_err(|error| {
        let names = Sides {
            labels: [hub.label.clone(), spokes[0].label.clone()],
            locations: [hub.store.location().to_owned(), stores[0].location().to_owned()],
            two_way: true,
        };
        failure::run_error(&error, "sync", &names)
    })?;
    around.arm(context);
    let mut pairs = Vec::with_capacity(spokes.len());
    for spoke in spokes {
        let sides = [hub.clone(), spoke.clone()];
        let policy = Policy::Sync(on_conflict(args.policy, &sides));
        let options = moving::options(&args.moving, policy, Some(OsStr::new("on")))?;
        let (flow, recorder) = (around.flow.clone(), around.recorder.clone());
        pairs.push(Pair { sides, options, state: moving::state(context)?, flow, recorder });
    }
    if args.watch {
        return watching::run(context, &pairs, args.poll, json).await;
    }
    match &pairs[..] {
        [pair] => {
            let (exit, report, held) = pair.run(context, json).await?;
            if let Some(held) = held {
                context.console.failure(&held);
            }
            ask::settle_left(context, pair, &report, exit).await
        }
        pairs => hub::run(context, pairs, json).await,
    }
}

fn on_conflict(policy: ConflictPolicy, sides: &[Opened; 2]) -> OnConflict {
    match policy {
        ConflictPolicy::KeepBoth => OnConflict::KeepBoth,
        ConflictPolicy::Newest => {
            // Two folders of this machine have one clock.
            let local = sides.iter().all(|side| side.store.behind().is_some());
            OnConflict::Newest { skew: if local { 0 } else { SKEW } }
        }
        ConflictPolicy::Left => OnConflict::Left,
        ConflictPolicy::Right => OnConflict::Right,
        ConflictPolicy::Ask => OnConflict::Ask,
    }
}

fn forget_all(context: &Context, hub: &Opened, spokes: &[Opened], json: Option<&Json>) -> Outcome {
    let state = moving::state(context)?;
    let mut forgotten = 0_u64;
    for spoke in spokes {
        let known = forget(hub.store.location(), spoke.store.location(), &state).map_err(|error| {
            let names = Sides {
                labels: [hub.label.clone(), spoke.label.clone()],
                locations: [hub.store.location().to_owned(), spoke.store.location().to_owned()],
                two_way: true,
            };
            failure::run_error(&error, "sync", &names)
        })?;
        forgotten += u64::from(known);
        if !context.quiet && json.is_none() {
            let what = if known { "what was agreed on is forgotten" } else { "nothing was remembered" };
            let head = context.console.style.head("Forgotten");
            context.console.line(format!("{head}{} and {}: {what}", hub.label, spoke.label));
        }
    }
    if let Some(json) = json {
        json.last(&json::plain_report("sync", &[("forgotten", forgotten.into())]));
    }
    Ok(Exit::Done)
}

/// Says what went wrong with one pair of several; the others go on.
fn tell(context: &Context, pair: &Pair, failure: &Failure) -> Exit {
    if !failure.what.is_empty() {
        context.console.failure(failure);
        if let Some(recorder) = &pair.recorder {
            recorder.say(failure.to_string());
        }
    }
    failure.exit
}
