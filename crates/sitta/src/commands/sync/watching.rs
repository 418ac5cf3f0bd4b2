//! `sitta sync --watch`: goes on until it is stopped.

use std::time::Duration;

use futures::future::join_all;
use sitta_ops::{Pace, Report, RunError, watch};

use super::tell;
use crate::commands::moving::Pair;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::render::human::Human;
use crate::render::json::Json;

/// Watches all pairs at once. One that cannot be begun ends all; one that fails later is tried again by itself.
pub async fn run(context: &Context, pairs: &[Pair], poll: Option<Duration>, json: Option<&Json>) -> Outcome {
    let pace = Pace { poll, ..Pace::default() };
    let several = pairs.len() > 1;
    let ends = join_all(pairs.iter().map(|pair| one(context, pair, &pace, json, several))).await;
    let failed = ends.iter().any(Result::is_err);
    let mut exit = Exit::Done;
    for (pair, end) in pairs.iter().zip(ends) {
        exit = exit.worse(match end {
            Ok(end) => end,
            // Of several, the last failure is what the program ends with.
            Err(failure) if !several => return Err(failure),
            Err(failure) => tell(context, pair, &failure),
        });
    }
    // Stopping is how watching ends.
    Ok(if exit == Exit::Interrupted && !failed { Exit::Done } else { exit })
}

async fn one(
    context: &Context,
    pair: &Pair,
    pace: &Pace,
    json: Option<&Json>,
    several: bool,
) -> Result<Exit, Failure> {
    let human = json.is_none().then(|| Human::new(context, pair.names(), false, &pair.flow));
    let json = json.map(|json| if several { json.of_several() } else { json.clone() });
    let readers = pair.readers(human.as_ref(), json.as_ref());
    let [left, right] = pair.sides.each_ref().map(|side| side.store.clone());
    let result = watch(left, right, &pair.options, pace, &pair.state, &readers, &pair.flow).await;
    if result.is_err() {
        // The others need not go on without it.
        pair.flow.cancel();
    }
    let result: Result<Report, RunError> = result.map(Report::stopped);
    let (exit, _, held) = pair.end(context, result, human.as_ref(), json.as_ref())?;
    held.iter().for_each(|held| context.console.failure(held));
    Ok(exit)
}
