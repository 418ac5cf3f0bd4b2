//! What interrupted runs left behind.

use futures::{StreamExt, stream};
use sitta_store::temps::is_left_over;
use sitta_store::{Displaced, Precondition, Result, Store};
use sitta_tree::Side;

use crate::RunError;
use crate::event::Event;
use crate::scan::Scanned;
use crate::state::{Intent, Pair, Segment};
use crate::transfer::Run;

/// Resolves every intent that was never settled, of a run that died or of a change that was not answered, before anything
/// is looked at or planned: temporaries go, an old version that was on its way to the trash arrives there, and what the
/// base says of such a path is forgotten unless nothing was done there. Without a base entry nothing counts as
/// deleted. Says whether there were any.
pub(crate) async fn resolve(run: &Run<'_>, pair: &Pair) -> Result<bool, RunError> {
    let intents = run.state.left_over_intents(pair)?;
    if intents.is_empty() {
        return Ok(false);
    }
    let (mut temporaries, mut forgotten) = (0, Segment::default());
    let at_once = [Side::Left, Side::Right].map(|side| run.store(side).capabilities().concurrency);
    let mut found = stream::iter(&intents)
        .map(|intent| async move { (intent, find_out(&**run.store(intent.side), intent).await) })
        .buffered(at_once.into_iter().min().unwrap_or(1).max(1));
    while let Some((intent, found)) = found.next().await {
        let found = match found {
            // Whatever became of it: without a base entry nothing is lost.
            Err(error) if !error.kind.is_transient() => Found { temporary: false, touched: true },
            found => found?,
        };
        temporaries += u64::from(found.temporary);
        if found.touched {
            forgotten.push(&intent.path, None);
        }
    }
    drop(found);
    run.state.settle(pair, forgotten, &[])?;
    run.state.clear_intents(pair)?;
    run.sink.event(Event::Recovered { temporaries });
    Ok(true)
}

/// What has become of an intent.
struct Found {
    /// There was a temporary.
    temporary: bool,
    /// Another version stands there than before it, or none.
    touched: bool,
}

async fn find_out(store: &dyn Store, intent: &Intent) -> Result<Found> {
    let temporary = clean(store, intent).await?;
    let now = store.stat(&intent.path).await?.map(|entry| entry.fingerprint());
    let touched = match (&now, &intent.before) {
        (Some(now), Some(before)) => !now.same_version(before),
        (now, before) => now.is_some() || before.is_some(),
    };
    Ok(Found { temporary, touched })
}

/// Removes the intent's temporary; says whether there was one.
async fn clean(store: &dyn Store, intent: &Intent) -> Result<bool> {
    let Some(temp) = &intent.temp else { return Ok(false) };
    let Some(entry) = store.stat(temp).await? else { return Ok(false) };
    // After an exchange the temporary's name is that of the old version.
    if let (Some(before), Some(trash)) = (intent.before, &intent.trash)
        && entry.fingerprint().same_file(&before)
        && store.stat(trash).await?.is_none()
    {
        store.remove(temp, Precondition::None, Displaced::MoveTo(trash.clone())).await?;
        return Ok(true);
    }
    store.remove_temp(temp).await?;
    Ok(true)
}

/// Removes temporaries of dead runs that the journal does not know of, as after the state was lost. One-way verbs leave
/// the source alone.
pub(crate) async fn remove_temps(run: &Run<'_>, scanned: &Scanned) {
    let mut temporaries = 0;
    for side in run.options.changed_sides() {
        for path in scanned.temps[*side as usize].iter().filter(|path| is_left_over(path.name())) {
            // Whatever stops this is met again by the next scan.
            temporaries += u64::from(run.store(*side).remove_temp(path).await.is_ok());
        }
    }
    if temporaries > 0 {
        run.sink.event(Event::Recovered { temporaries });
    }
}
