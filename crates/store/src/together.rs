//! Many changes at once, for stores that a network lies before: in flight together, but each only after those that it
//! builds on.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt, Shared, join_all};
use sitta_tree::RelPath;
use tokio::sync::{Semaphore, oneshot};

use crate::{Change, Flow, Result, Store, Written};

/// Done, whatever came of it.
type Done = Shared<BoxFuture<'static, ()>>;

/// What one store has in flight at most, over all batches.
pub(crate) type Lanes = Semaphore;

/// Fulfils [`Store::apply`] with as many changes in flight as there are lanes. A change waits for earlier ones at its
/// own paths and above; the removal of a directory also for those below.
pub(crate) async fn apply<S: Store + ?Sized>(
    store: &S,
    changes: Vec<Change>,
    flow: &Arc<Flow>,
    lanes: &Lanes,
) -> Vec<Result<Option<Written>>> {
    let mut order = Order::default();
    let mut calls: Vec<BoxFuture<'_, Result<Option<Written>>>> = Vec::with_capacity(changes.len());
    for change in changes {
        let before = order.before(&change);
        let (done, signal) = oneshot::channel::<()>();
        order.note(&change, signal.map(drop).boxed().shared());
        calls.push(after(before, done, lanes, one(store, change, flow)).boxed());
    }
    join_all(calls).await
}

/// A call that begins when all of `before` are done.
async fn after<T>(before: Vec<Done>, done: oneshot::Sender<()>, lanes: &Lanes, call: impl Future<Output = T>) -> T {
    for earlier in before {
        earlier.await;
    }
    // Taken only by who can go ahead, so that nobody waits for a lane that waits for it.
    let _lane = lanes.acquire().await.expect("lanes stay open");
    let result = call.await;
    drop(done);
    result
}

async fn one<S: Store + ?Sized>(store: &S, change: Change, flow: &Arc<Flow>) -> Result<Option<Written>> {
    match change {
        Change::Write(write) => store.write(write, flow).await.map(Some),
        Change::Remove { path, expect, displaced } => store.remove(&path, expect, displaced).await.map(|()| None),
        Change::Rename { from, to, expect } => store.rename(&from, &to, expect).await.map(Some),
        Change::SetMeta { path, meta, expect, .. } => store.set_meta(&path, &meta, expect).await.map(Some),
    }
}

/// What the changes so far did at which paths.
#[derive(Default)]
struct Order {
    /// The last change at each path.
    last: HashMap<RelPath, Done>,
    /// What was done below each directory since it was last waited for; only as long as it may be removed.
    below: HashMap<RelPath, Vec<Done>>,
}

impl Order {
    /// What must be done before this change.
    fn before(&mut self, change: &Change) -> Vec<Done> {
        let mut before = Vec::new();
        for path in change.paths() {
            let mut at = Some(path.clone());
            while let Some(above) = at {
                before.extend(self.last.get(&above).cloned());
                at = above.parent();
            }
            if let Change::Remove { .. } | Change::Rename { .. } | Change::SetMeta { .. } = change {
                before.extend(self.below.remove(path).unwrap_or_default());
            }
        }
        before
    }

    fn note(&mut self, change: &Change, done: Done) {
        for path in change.paths() {
            self.last.insert(path.clone(), done.clone());
            let mut at = path.parent();
            while let Some(above) = at.filter(|above| !above.is_root()) {
                at = above.parent();
                self.below.entry(above).or_default().push(done.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::memory::{Fault, MemoryStore};
    use crate::{Displaced, Precondition, Source, What, Write};
    use sitta_tree::Meta;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).expect("a valid path")
    }

    fn write(at: &str, what: What) -> Change {
        Change::Write(Write {
            path: path(at),
            what,
            meta: Meta::default(),
            expect: Precondition::Absent,
            displaced: Displaced::Discard,
            temp: ".sitta-tmp-1".into(),
        })
    }

    fn file(at: &str) -> Change {
        write(at, What::File(Source::Bytes("x".into())))
    }

    fn remove(at: &str) -> Change {
        Change::Remove { path: path(at), expect: Precondition::None, displaced: Displaced::Discard }
    }

    #[tokio::test]
    async fn what_builds_on_another_waits_and_nothing_else_does() {
        for slow in ["d", "d/e", "d/e/f", "other", "gone/x"] {
            let memory = MemoryStore::new("memory:");
            memory.put(&path("gone/x"), "x");
            let seen = Arc::new(Mutex::new(Vec::new()));
            let log = seen.clone();
            memory.on_call(move |call| {
                log.lock().unwrap().push(call.path.to_string());
                if call.path.to_string() == slow { Fault::Delay(50) } else { Fault::None }
            });
            let changes = vec![
                write("d", What::Dir),
                write("d/e", What::Dir),
                file("d/e/f"),
                file("other"),
                Change::Rename { from: path("d/e/f"), to: path("d/g"), expect: Precondition::None },
                remove("gone/x"),
                remove("gone"),
                remove("d/e"),
            ];
            let results = apply(&memory, changes, &Arc::default(), &Lanes::new(4)).await;
            assert!(results.iter().all(Result::is_ok), "{slow}: {results:?}");
            if slow == "d" {
                let seen = seen.lock().unwrap();
                assert!(seen.iter().position(|p| p == "other") < seen.iter().position(|p| p == "d/e"), "{seen:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_failure_stops_nobody_who_does_not_need_it() {
        let memory = MemoryStore::new("memory:");
        let results =
            apply(&memory, vec![file("none/x"), file("a"), file("a"), file("b")], &Arc::default(), &Lanes::new(2))
                .await;
        let ok: Vec<_> = results.iter().map(Result::is_ok).collect();
        assert_eq!(ok, [false, true, false, true]);
    }
}
