//! The brakes: what stops a run, or part of it, before it can do harm.

use sitta_store::Store;
use sitta_tree::guard::{Allowance, DeleteLimit, hold_deletes};
use sitta_tree::{Inputs, Plan, Policy, Side};

use crate::RunError;
use crate::event::{Event, Held};
use crate::scan::Scanned;
use crate::state::Pair;
use crate::transfer::Run;

/// Refuses a pair of which one side lies inside the other: it would copy itself into itself.
pub(crate) fn not_nested(left: &dyn Store, right: &dyn Store) -> Result<(), RunError> {
    let (Some(l), Some(r)) = (left.behind(), right.behind()) else { return Ok(()) };
    let nested = |inner: &dyn Store, outer: &dyn Store| RunError::Nested {
        inner: inner.location().to_owned(),
        outer: outer.location().to_owned(),
    };
    if l.is_inside(r) {
        return Err(nested(left, right));
    }
    if r.is_inside(l) {
        return Err(nested(right, left));
    }
    Ok(())
}

/// Stops the run when a root is not what it was: not there, emptied, or another one.
pub(crate) async fn roots(run: &Run<'_>, pair: Option<&Pair>, scanned: &Scanned) -> Result<(), RunError> {
    for side in [Side::Left, Side::Right] {
        let (present, files) = (scanned.present[side as usize], scanned.files[side as usize]);
        let held = pair.map_or(0, |pair| pair.root(side).files);
        // Where nothing was ever held, a destination is made, and so is either side of a sync if the other one is there;
        // a source must be there in any case.
        let needed = side == Side::Left
            && (!matches!(run.options.policy, Policy::Sync(_)) || !scanned.present[Side::Right as usize]);
        if !present && needed {
            return Err(RunError::Held(Held::Missing { side }));
        }
        // Under another filter the numbers cannot be compared.
        let refiltered = pair.is_some_and(|pair| pair.filter != run.options.filter_digest());
        if run.options.force_empty || held == 0 || refiltered {
            continue;
        }
        if !present {
            return Err(RunError::Held(Held::Missing { side }));
        }
        if files == 0 {
            return Err(RunError::Held(Held::Emptied { side, held }));
        }
        let before = pair.and_then(|pair| pair.root(side).identity.clone());
        let now = run.store(side).root_identity().await;
        if before.is_some() && now.is_some() && before != now && files < held / 2 {
            return Err(RunError::Held(Held::Replaced { side }));
        }
    }
    Ok(())
}

/// Takes the deletes out of a plan that has more of them than allowed. Where the other side holds no file at all, none is
/// allowed unless the user said how many: after the state was lost, nothing else tells an emptied side from one that
/// was always empty.
pub(crate) fn deletes(run: &Run<'_>, inputs: &Inputs<'_>, plan: &mut Plan, allowance: &Allowance) -> Vec<Held> {
    let two_way = matches!(run.options.policy, Policy::Sync(_));
    let emptied = allowance.files[0] == 0 || (two_way && allowance.files[1] == 0);
    let limit = match (allowance.limit, emptied) {
        (_, true) if run.options.force_empty => return Vec::new(),
        (DeleteLimit::Default, true) => DeleteLimit::Count(0),
        (limit, _) => limit,
    };
    let held: Vec<Held> = hold_deletes(inputs, plan, &Allowance { limit, ..*allowance })
        .into_iter()
        .map(|held| Held::Deletes { side: held.side, planned: held.planned, limit: held.limit, of: held.of })
        .collect();
    held.iter().for_each(|held| run.sink.event(Event::Held(held.clone())));
    held
}
