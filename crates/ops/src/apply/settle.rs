//! From "it is visible" to "it is safe and agreed": what has landed is synced, and only then are its intents closed and
//! its outcome recorded in the base. Otherwise a power cut could leave a base that vouches for bytes which never
//! reached the disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sitta_store::{Store, Written};
use sitta_tree::{Action, Agreed, Fingerprint, Inputs, Kind, NodeId, Op, Outcome, Plan, Side, Time};
use tokio::task::JoinHandle;

use super::change::{Prepared, linked_like};
use crate::RunError;
use crate::event::Event;
use crate::preview::tree;
use crate::state::{Intent, Pair, Segment};
use crate::transfer::Run;

/// How much work a crash may leave to be looked at again, and how many bytes of records may wait.
const EVERY: Duration = Duration::from_secs(5);
const WAITING: usize = 4 << 20;

/// What has landed but is not settled.
#[derive(Default)]
struct Batch {
    changes: Segment,
    intents: Vec<i64>,
}

pub(super) struct Settler<'a> {
    run: &'a Run<'a>,
    pair: &'a Pair,
    inputs: &'a Inputs<'a>,
    landed: Batch,
    syncing: Option<(Batch, JoinHandle<sitta_store::Result<()>>)>,
    last: Instant,
}

impl<'a> Settler<'a> {
    pub fn new(run: &'a Run<'a>, pair: &'a Pair, inputs: &'a Inputs<'a>) -> Self {
        Self { run, pair, inputs, landed: Batch::default(), syncing: None, last: Instant::now() }
    }

    /// Records what the scans have shown, before anything is done: a base that still claims what is gone, or lacks what
    /// both sides hold, would mislead the run after a crash in this one.
    pub async fn agree(&mut self, plan: &Plan) -> Result<(), RunError> {
        let inputs = self.inputs;
        for id in &plan.gone {
            self.landed.changes.push(&inputs.base.tree().path(*id), None);
        }
        for (left, right) in &plan.agreed {
            let agreed = agreed(
                inputs,
                Side::Right,
                *left,
                inputs.right.fingerprint(*right),
                None,
                inputs.left.fingerprint(*left),
            );
            self.landed.changes.push(&inputs.left.path(*left), Some(&agreed));
        }
        for conflict in plan.conflicts.iter().filter(|conflict| conflict.outcome == Outcome::Left) {
            if let (Some(left), Some(right)) = (conflict.left, conflict.right) {
                let (own, other) = (inputs.right.fingerprint(right), inputs.left.fingerprint(left));
                let conflicted = Agreed { conflicted: true, ..agreed(inputs, Side::Right, left, own, None, other) };
                self.landed.changes.push(&conflict.path, Some(&conflicted));
            }
        }
        if !self.landed.changes.is_empty() {
            self.sync().await?;
        }
        self.record()
    }

    /// Writes down what is about to be done, or of what nobody knows whether it was; none if nothing of it needs to be.
    pub fn open<'i>(&self, items: impl Iterator<Item = &'i Prepared>) -> Result<Option<i64>, RunError> {
        let intents: Vec<Intent> = items
            .filter(|item| !item.keeps_content)
            .flat_map(|item| {
                let intent = Intent {
                    side: item.side,
                    path: item.path.clone(),
                    temp: item.temp.clone(),
                    before: item.before,
                    trash: item.trash.clone(),
                };
                // A rename is begun at both its paths.
                let from = item.from.as_ref().map(|(path, version)| Intent {
                    path: path.clone(),
                    before: Some(*version),
                    ..intent.clone()
                });
                [Some(intent), from]
            })
            .flatten()
            .collect();
        if intents.is_empty() {
            return Ok(None);
        }
        self.run.state.open_intents(self.pair, self.run.id.as_str(), &intents).map(Some)
    }

    /// Notes what an action has changed in what both sides agree on.
    pub fn done(&mut self, item: &Prepared, action: &Action, written: Option<&Written>) {
        let inputs = self.inputs;
        let like = match action.op {
            Op::MakeDir { like } | Op::SetMeta { like } => Some(like),
            Op::Write { from } | Op::WriteAt { from, .. } => Some(from),
            Op::Move { from, like } => {
                self.landed.changes.push(&tree(inputs, action.side).path(from), None);
                like
            }
            Op::Link { .. } => linked_like(action),
            // Both sides get it; the next run finds them equal.
            Op::MergeMeta { .. } => None,
            Op::Remove => {
                self.landed.changes.push(&item.path, None);
                None
            }
        };
        if let (Some(like), Some(written), Some(other)) = (like, written, item.other) {
            let mut agreed = agreed(inputs, action.side, like, written.entry.fingerprint(), written.content, other);
            // What the listing did not tell came with the bytes.
            agreed.meta = agreed.meta.or(&written.entry.meta);
            let source = if action.side == Side::Left { &mut agreed.right } else { &mut agreed.left };
            if source.mtime == Time::default() {
                source.mtime = agreed.meta.mtime;
            }
            self.landed.changes.push(&item.path, Some(&agreed));
        }
    }

    /// A batch has landed, whatever became of its parts.
    pub fn landed(&mut self, intents: Option<i64>) {
        self.landed.intents.extend(intents);
    }

    /// Begins or ends a sync in the background when it is time.
    pub async fn settle_if_due(&mut self) -> Result<(), RunError> {
        if self.syncing.as_ref().is_some_and(|(_, sync)| sync.is_finished()) {
            self.finish_sync().await?;
        }
        let due = self.last.elapsed() >= EVERY || self.landed.changes.len() > WAITING;
        if self.syncing.is_none() && due && !self.landed.intents.is_empty() {
            let batch = std::mem::take(&mut self.landed);
            let stores = changed_stores(self.run);
            let sync = tokio::spawn(async move {
                for store in stores {
                    store.sync().await?;
                }
                Ok(())
            });
            self.syncing = Some((batch, sync));
        }
        Ok(())
    }

    async fn finish_sync(&mut self) -> Result<(), RunError> {
        let Some((batch, sync)) = self.syncing.take() else { return Ok(()) };
        sync.await.expect("a sync does not panic")?;
        self.last = Instant::now();
        self.run.state.settle(self.pair, batch.changes, &batch.intents)
    }

    /// Settles all that has landed.
    pub async fn settle(&mut self) -> Result<(), RunError> {
        self.finish_sync().await?;
        if !self.landed.intents.is_empty() {
            self.run.sink.event(Event::Syncing);
            self.sync().await?;
        }
        self.record()
    }

    async fn sync(&self) -> Result<(), RunError> {
        for store in changed_stores(self.run) {
            store.sync().await?;
        }
        Ok(())
    }

    fn record(&mut self) -> Result<(), RunError> {
        let batch = std::mem::take(&mut self.landed);
        self.run.state.settle(self.pair, batch.changes, &batch.intents)
    }
}

/// The stores that a run changes.
fn changed_stores(run: &Run<'_>) -> Vec<Arc<dyn Store>> {
    run.options.changed_sides().iter().map(|side| run.store(*side).clone()).collect()
}

/// What is agreed on after `side` has got what the other side holds as `like`.
fn agreed(
    inputs: &Inputs<'_>,
    side: Side,
    like: NodeId,
    own: Fingerprint,
    content: Option<sitta_tree::ContentHash>,
    other: Fingerprint,
) -> Agreed {
    let like_tree = tree(inputs, side.other());
    let (left, right) = match side {
        Side::Left => (own, other),
        Side::Right => (other, own),
    };
    Agreed {
        kind: like_tree.kind(like),
        meta: like_tree.meta(like),
        content: if like_tree.kind(like) == Kind::File {
            content.or_else(|| like_tree.content(like))
        } else {
            None
        },
        target: like_tree.target(like).into(),
        left,
        right,
        conflicted: false,
    }
}
