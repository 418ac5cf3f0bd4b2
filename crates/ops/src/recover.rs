//! What interrupted runs left behind.

use sitta_store::temps::is_left_over;
use sitta_store::{OWN_DIR, Result, Store};
use sitta_tree::{RelPath, Side};

use crate::RunError;
use crate::event::Event;
use crate::scan::Scanned;
use crate::state::{Intent, Pair, Segment};
use crate::transfer::Run;

/// Resolves every intent that was never settled, before anything is looked at or planned: temporaries go, an old version
/// that was on its way to the trash arrives there, and what the base says of such a path is forgotten unless
/// nothing was done there. Without a base entry nothing counts as deleted.
pub(crate) async fn resolve(run: &Run<'_>, pair: &Pair) -> Result<(), RunError> {
    let intents = run.state.left_over_intents(pair)?;
    if intents.is_empty() {
        return Ok(());
    }
    let (mut temporaries, mut forgotten) = (0, Segment::default());
    for intent in &intents {
        let store = &**run.store(intent.side);
        if clean(store, intent).await? {
            temporaries += 1;
        }
        let now = store.stat(&intent.path).await?.map(|entry| entry.fingerprint());
        if now != intent.before {
            forgotten.push(&intent.path, None);
        }
    }
    run.state.settle(pair, forgotten, &[])?;
    run.state.clear_intents(pair)?;
    run.sink.event(Event::Recovered { temporaries });
    Ok(())
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
        make_dirs(store, trash).await?;
        store.rename(temp, trash, sitta_store::Precondition::None).await?;
        return Ok(true);
    }
    store.remove_temp(temp).await?;
    Ok(true)
}

/// Makes the directories above `path` as needed.
async fn make_dirs(store: &dyn Store, path: &RelPath) -> Result<()> {
    let mut missing = Vec::new();
    let mut dir = path.parent();
    while let Some(d) = dir.filter(|d| !d.is_root()) {
        if store.stat(&d).await?.is_some() {
            break;
        }
        dir = d.parent();
        missing.push(d);
    }
    for dir in missing.into_iter().rev() {
        let meta = sitta_tree::Meta { mode: 0o700, ..Default::default() };
        let write = sitta_store::Write {
            path: dir,
            what: sitta_store::What::Dir,
            meta,
            expect: sitta_store::Precondition::Absent,
            displaced: sitta_store::Displaced::Discard,
            temp: format!("{}{OWN_DIR}", sitta_store::TEMP_PREFIX).into(),
        };
        store.write(write, &Default::default()).await?;
    }
    Ok(())
}

/// Removes temporaries of dead runs that the journal does not know of, as after the state was lost. One-way verbs leave
/// the source alone.
pub(crate) async fn remove_temps(run: &Run<'_>, scanned: &Scanned) {
    let sides: &[Side] = if run.options.verb() == "sync" { &[Side::Left, Side::Right] } else { &[Side::Right] };
    let mut temporaries = 0;
    for side in sides {
        for path in scanned.temps[*side as usize].iter().filter(|path| is_left_over(path.name())) {
            // Whatever stops this is met again by the next scan.
            temporaries += u64::from(run.store(*side).remove_temp(path).await.is_ok());
        }
    }
    if temporaries > 0 {
        run.sink.event(Event::Recovered { temporaries });
    }
}
