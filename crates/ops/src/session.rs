//! A pair that is worked on again and again while its lock is held: over everything, or over a few paths.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sitta_store::watch::Look;
use sitta_store::{Flow, Store};
use sitta_tree::guard::{Allowance, count_files};
use sitta_tree::{Kind, Op, Plan, RelPath, Side};

use crate::event::{Event, Sink};
use crate::live::LiveBase;
use crate::state::{Pair, PairLock, RootSeen};
use crate::transfer::{Run, Trees};
use crate::{Options, Report, RunError, State, focus, guards, recover};

/// Deletes count together for so long: a folder that is being emptied is emptied in many small rounds.
const TOGETHER: Duration = Duration::from_secs(60);

/// One pair, locked.
pub(crate) struct Session<'a> {
    pub stores: [Arc<dyn Store>; 2],
    options: &'a Options,
    state: &'a State,
    pub sink: &'a dyn Sink,
    pub flow: &'a Arc<Flow>,
    pair: Pair,
    live: LiveBase,
    /// How many files each side holds.
    files: [u64; 2],
    /// When how many files were deleted on each side.
    deleted: VecDeque<(Instant, [u64; 2])>,
    _lock: PairLock,
}

impl<'a> Session<'a> {
    /// Locks the pair. `stores` stand in the order in which the state knows them.
    pub fn open(
        stores: [Arc<dyn Store>; 2],
        options: &'a Options,
        state: &'a State,
        sink: &'a dyn Sink,
        flow: &'a Arc<Flow>,
    ) -> Result<Self, RunError> {
        guards::not_nested(&*stores[0], &*stores[1])?;
        let key = Run::new(stores.clone(), options, state, sink, flow).key();
        let lock = state.lock(&key.left, &key.right)?;
        let pair = state.begin_pair(&key)?;
        let live = LiveBase::load(state, &pair)?;
        let files = [Side::Left, Side::Right].map(|side| pair.root(side).files);
        let deleted = VecDeque::new();
        Ok(Self { stores, options, state, sink, flow, pair, live, files, deleted, _lock: lock })
    }

    fn run(&self) -> Run<'a> {
        Run::new(self.stores.clone(), self.options, self.state, self.sink, self.flow)
    }

    /// A round over all that both sides hold.
    pub async fn whole(&mut self) -> Result<Report, RunError> {
        let mut run = self.run();
        run.base = Some(self.live.whole(self.state, &self.pair)?);
        let result = run.whole(&self.pair).await;
        drop(run);
        self.live.catch_up(self.state, &self.pair)?;
        let report = result?;
        if report.is_idle() {
            self.state.drop_run(&report.run)?;
        }
        if let Some(pair) = self.state.known_pair(&self.run().key())? {
            self.pair = pair;
        }
        self.files = [Side::Left, Side::Right].map(|side| self.pair.root(side).files);
        Ok(report)
    }

    /// A round over some paths; none if everything has to be looked at instead, and nothing was done.
    pub async fn some(&mut self, looks: &BTreeMap<RelPath, Look>) -> Result<Option<Report>, RunError> {
        for side in [Side::Left, Side::Right] {
            if !self.is_same_root(side).await {
                return Ok(None);
            }
        }
        let run = self.run();
        if recover::resolve(&run, &self.pair).await? {
            self.live.catch_up(self.state, &self.pair)?;
        }
        let mut trees = focus::look(&run, &self.live, looks).await?;
        let files = self.files_now(&trees);
        if [0, 1].iter().any(|side: &usize| files[*side] == 0 && self.files[*side] > 0) {
            return Ok(None);
        }
        let mut plan = run.decide(&mut trees).await;
        let inputs = run.inputs(&trees);
        let spent = self.deleted_lately();
        let held =
            guards::deletes(&run, &inputs, &mut plan, &Allowance { limit: self.options.max_delete, files, spent });
        let problems = trees.left.problems.iter().chain(&trees.right.problems).chain(&plan.problems);
        problems.for_each(|problem| self.sink.event(Event::Problem(problem.clone())));
        self.deleted.push_back((Instant::now(), removals(&plan, &trees)));
        let done = run.carry_out(&self.pair, &inputs, &plan).await;
        self.live.catch_up(self.state, &self.pair)?;
        let tally = done?;
        self.files = [Side::Left, Side::Right].map(|side| tally.files_after(side, files[side as usize]));
        let report = run.report(tally, &plan, held, &inputs);
        if !report.is_idle() {
            self.state.begin_run(&self.pair, &report.run, report.verb)?;
            self.state.end_run(&report)?;
        }
        Ok(Some(report))
    }

    /// A conflict copy is settled.
    pub fn forget_conflict(&self, copy: &RelPath) -> Result<(), RunError> {
        self.state.drop_conflict(&self.pair, copy)
    }

    /// Remembers how both sides look at the end.
    pub async fn close(self) -> Result<(), RunError> {
        let [left, right] = [Side::Left, Side::Right]
            .map(|side| RootSeen { files: self.files[side as usize], ..self.pair.root(side).clone() });
        self.state.end_pair(&self.pair, &left, &right, self.options.filter_digest())
    }

    /// Whether a side's root is the one of the last look at everything, as far as that can be told without a request.
    async fn is_same_root(&self, side: Side) -> bool {
        let store = &self.stores[side as usize];
        match (store.behind(), &self.pair.root(side).identity) {
            (Some(_), Some(then)) => store.root_identity().await.as_ref() == Some(then),
            _ => true,
        }
    }

    /// How many files each side holds, given what was seen of a part of it.
    fn files_now(&self, trees: &Trees) -> [u64; 2] {
        let agreed = count_files(trees.base.tree());
        [(0, &trees.left), (1, &trees.right)]
            .map(|(side, tree): (usize, _)| (self.files[side] + count_files(tree)).saturating_sub(agreed))
    }

    /// The deletes that count together with those of now.
    fn deleted_lately(&mut self) -> [u64; 2] {
        while self.deleted.front().is_some_and(|(at, _)| at.elapsed() > TOGETHER) {
            self.deleted.pop_front();
        }
        self.deleted.iter().fold([0; 2], |sum, (_, n)| [sum[0] + n[0], sum[1] + n[1]])
    }
}

/// How many files and links a plan removes on each side.
fn removals(plan: &Plan, trees: &Trees) -> [u64; 2] {
    let mut removed = [0; 2];
    for action in plan.actions.iter().filter(|action| action.op == Op::Remove) {
        let tree = if action.side == Side::Left { &trees.left } else { &trees.right };
        let is_dir = matches!(action.expect, sitta_tree::Expect::Seen(id) if tree.kind(id) == Kind::Dir);
        removed[action.side as usize] += u64::from(!is_dir);
    }
    removed
}
