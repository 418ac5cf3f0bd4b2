//! Carrying out a plan: batches in flight, intents before, the base after, problems kept as data.

mod batch;
mod change;
mod settle;
mod tally;
mod verify;
mod way;

use std::collections::HashSet;
use std::sync::Arc;

use sitta_store::{Capabilities, Change, Error, ErrorKind, Precondition, Store, Written};
use sitta_tree::{Action, Fingerprint, Inputs, Kind, Meta, Op, Plan, Problem, ProblemKind, RelPath, Side};
use tokio::task::JoinSet;

use self::batch::{Group, groups};
use self::change::{Prepared, References};
use self::settle::Settler;
pub(crate) use self::tally::Tally;
use crate::RunError;
use crate::event::Event;
use crate::preview;
use crate::state::Pair;
use crate::transfer::Run;

/// A batch ends with the file that takes it past this.
const BATCH_BYTES: u64 = 16 << 20;

/// What an action has left at its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// This version; none after a removal.
    Version(Option<Fingerprint>),
    /// It failed or was not tried.
    Failed,
}

/// Carries out one plan.
pub(crate) struct Executor<'a> {
    run: &'a Run<'a>,
    inputs: &'a Inputs<'a>,
    plan: &'a Plan,
    settler: Settler<'a>,
    tally: Tally,
    references: References,
    /// Directories being made by batches in flight.
    making: HashSet<(Side, RelPath)>,
    /// Directories that could not be made: nothing can go into them.
    unmade: HashSet<(Side, RelPath)>,
    /// The directory that was last seen to be writable.
    opened: Option<(Side, RelPath)>,
    /// Sides that have no space left.
    full: [bool; 2],
}

/// A batch on its way.
struct Flight {
    items: Vec<Prepared>,
    intents: Option<i64>,
    results: Vec<Result<Option<Written>, Error>>,
}

impl<'a> Executor<'a> {
    pub fn new(run: &'a Run<'a>, pair: &'a Pair, inputs: &'a Inputs<'a>, plan: &'a Plan) -> Self {
        Self {
            run,
            inputs,
            plan,
            settler: Settler::new(run, pair, inputs),
            tally: Tally::default(),
            references: References::new(plan),
            making: HashSet::new(),
            unmade: HashSet::new(),
            opened: None,
            full: [false; 2],
        }
    }

    /// Carries out the plan, or as much of it as can be; fails only if the state does.
    pub async fn run(mut self) -> Result<Tally, RunError> {
        self.settler.agree(self.plan).await?;
        for group in groups(self.inputs, &self.plan.actions) {
            if self.run.flow.is_cancelled() {
                break;
            }
            self.carry_out(&group).await?;
        }
        self.settler.settle().await?;
        Ok(self.tally)
    }

    async fn carry_out(&mut self, group: &Group) -> Result<(), RunError> {
        let store = self.run.store(group.side).clone();
        let capabilities = store.capabilities();
        let in_flight = match group.stage.overlaps() {
            true => self.run.options.transfers.unwrap_or(usize::MAX).min(capabilities.batches).max(1),
            false => 1,
        };
        let mut flights = JoinSet::new();
        let mut rest = &group.actions[..];
        while !rest.is_empty() && !self.run.flow.is_cancelled() {
            let (mut batch, taken) = self.next_batch(rest, &capabilities);
            rest = &rest[taken..];
            self.drop_unready(&mut batch).await;
            self.open_dirs(&batch, &store).await;
            while flights.len() >= in_flight || self.waits_for_dirs(&batch) {
                let Some(landed) = flights.join_next().await else { break };
                self.land(landed.expect("a store does not panic")).await?;
            }
            if let Some(flight) = self.launch(batch, store.clone())? {
                flights.spawn(flight);
            }
            self.settler.settle_if_due().await?;
        }
        while let Some(landed) = flights.join_next().await {
            self.land(landed.expect("a store does not panic")).await?;
        }
        Ok(())
    }

    /// The next actions that go to the store together, and how many actions they took (some may have failed already).
    fn next_batch(&mut self, actions: &[u32], capabilities: &Capabilities) -> (Vec<Prepared>, usize) {
        let (mut batch, mut bytes, mut taken) = (Vec::new(), 0, 0);
        for index in actions {
            let action = &self.plan.actions[*index as usize];
            let size = match action.op {
                Op::Write { from } | Op::WriteAt { from, .. } => {
                    preview::tree(self.inputs, action.side.other()).size(from)
                }
                _ => 0,
            };
            if !batch.is_empty() && (batch.len() >= capabilities.batch.max(1) || bytes + size > BATCH_BYTES) {
                break;
            }
            taken += 1;
            bytes += size;
            match self.prepare(*index, action) {
                Ok(prepared) => batch.push(prepared),
                Err(problem) => self.fail(*index, problem),
            }
        }
        (batch, taken)
    }

    /// Directories that their owner may not write to are made writable while the run works in them. The plan ends with
    /// giving every directory it has changed its permissions.
    async fn open_dirs(&mut self, batch: &[Prepared], store: &Arc<dyn Store>) {
        let kept = store.capabilities().traits;
        if !kept.modes || !kept.dirs {
            return;
        }
        for item in batch {
            let works_inside = !matches!(item.change, Some(Change::SetMeta { .. }));
            // The root is the user's own: closed, it says that nothing is wanted here.
            let Some(dir) = item.path.parent().filter(|dir| works_inside && !dir.is_root()) else { continue };
            if self.opened.as_ref().is_some_and(|(side, seen)| *side == item.side && *seen == dir) {
                continue;
            }
            let own = preview::tree(self.inputs, item.side);
            let closed =
                own.find(&dir).filter(|id| own.kind(*id) == Kind::Dir && own.meta(*id).mode & 0o300 != 0o300);
            if let Some(id) = closed {
                let meta = Meta { mode: own.meta(id).mode | 0o700, ..own.meta(id) };
                // If that is refused, so is what was to be done there, and says why.
                let _ = store.set_meta(&dir, &meta, Precondition::Version(own.fingerprint(id))).await;
            }
            self.opened = Some((item.side, dir));
        }
    }

    /// Takes out what would destroy content whose other copy is not in place, and what has no way yet.
    async fn drop_unready(&mut self, batch: &mut Vec<Prepared>) {
        let mut at = 0;
        while at < batch.len() {
            let ready = match self.is_kept(&self.plan.actions[batch[at].index as usize]).await {
                Ok(()) => self.has_way(&batch[at]).await,
                unkept => unkept,
            };
            match ready {
                Ok(()) => at += 1,
                Err(problem) => {
                    let item = batch.remove(at);
                    self.fail(item.index, problem);
                }
            }
        }
    }

    /// Whether the batch goes into directories that are still being made.
    fn waits_for_dirs(&self, batch: &[Prepared]) -> bool {
        !self.making.is_empty()
            && batch
                .iter()
                .any(|item| item.path.parent().is_some_and(|dir| self.making.contains(&(item.side, dir))))
    }

    /// Writes down the intents and gives the work to be done.
    fn launch(
        &mut self,
        batch: Vec<Prepared>,
        store: Arc<dyn Store>,
    ) -> Result<Option<impl Future<Output = Flight> + Send + use<>>, RunError> {
        let (mut items, mut stuck_items) = (batch, Vec::new());
        items.retain(|item| {
            let stuck = item.path.parent().is_some_and(|dir| self.unmade.contains(&(item.side, dir)));
            if stuck {
                stuck_items.push((item.index, item.path.clone()));
            }
            !stuck
        });
        for (index, path) in stuck_items {
            self.unmade_if_dir(index, &path);
            self.fail(index, Problem::new(path, ProblemKind::Unwritable, "not sent: its folder could not be made"));
        }
        if items.is_empty() {
            return Ok(None);
        }
        let intents = self.settler.open(items.iter())?;
        for item in &items {
            if let Op::MakeDir { .. } = self.plan.actions[item.index as usize].op {
                self.making.insert((item.side, item.path.clone()));
            }
        }
        if let Some(largest) = items.iter().max_by_key(|item| item.bytes).filter(|item| item.bytes > 0) {
            self.run.sink.event(Event::Sending { path: largest.path.clone(), size: largest.bytes });
        }
        let flow = self.run.flow.clone();
        let verify = self.run.options.verify && !store.capabilities().verifies;
        Ok(Some(async move {
            let changes: Vec<_> =
                items.iter_mut().map(|item| item.change.take().expect("not launched before")).collect();
            let results = match verify {
                true => verify::apply(&store, changes, &flow).await,
                false => store.apply(changes, &flow).await,
            };
            Flight { items, intents, results }
        }))
    }

    /// Takes in what a batch has done.
    async fn land(&mut self, flight: Flight) -> Result<(), RunError> {
        // What was not answered may have been done all the same: the next run finds out.
        let unanswered = flight.items.iter().zip(&flight.results).filter(|(_, result)| is_unanswered(result));
        self.settler.open(unanswered.map(|(item, _)| item))?;
        for (item, result) in flight.items.iter().zip(flight.results) {
            let action = &self.plan.actions[item.index as usize];
            if let Op::MakeDir { .. } = action.op {
                self.making.remove(&(item.side, item.path.clone()));
            }
            match result {
                Ok(written) => self.done(item, action, written),
                Err(error) => self.failed(item, action, &error),
            }
        }
        self.settler.landed(flight.intents);
        Ok(())
    }

    fn done(&mut self, item: &Prepared, action: &Action, written: Option<Written>) {
        let version = written.as_ref().map(|w| w.entry.fingerprint());
        self.references.note(item.index, Left::Version(version));
        self.tally.trashed[item.side as usize] |= item.trash.is_some();
        self.settler.done(item, action, written.as_ref());
        if let Some(step) = preview::step(self.inputs, self.plan, action) {
            self.tally.add(&step);
            self.run.sink.event(Event::Done(step));
        }
    }

    fn failed(&mut self, item: &Prepared, action: &Action, error: &Error) {
        if error.kind == ErrorKind::Cancelled {
            self.references.note(item.index, Left::Failed);
            return;
        }
        if error.kind == ErrorKind::Full {
            self.full[action.side as usize] = true;
        }
        self.unmade_if_dir(item.index, &item.path);
        let writing = *error.location == *self.run.store(action.side).location();
        let problem = Problem::new(item.path.clone(), error.problem_kind(writing), change::explain(error, writing));
        self.fail(item.index, problem);
    }

    /// A directory that was not made takes what should go into it along.
    fn unmade_if_dir(&mut self, index: u32, path: &RelPath) {
        let action = &self.plan.actions[index as usize];
        if let Op::MakeDir { .. } = action.op {
            self.unmade.insert((action.side, path.clone()));
        }
    }

    /// Notes that an action was not done, and why.
    fn fail(&mut self, index: u32, problem: Problem) {
        self.references.note(index, Left::Failed);
        self.run.sink.event(Event::Problem(problem.clone()));
        self.tally.problems.push(problem);
    }
}

/// Whether nobody knows what became of a change: its answer was lost, or not waited for.
fn is_unanswered(result: &Result<Option<Written>, Error>) -> bool {
    result.as_ref().is_err_and(|error| error.kind.is_transient() || error.kind == ErrorKind::Cancelled)
}
