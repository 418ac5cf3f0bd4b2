//! The one machine behind copy, mirror, sync and restore: scan, plan, guard, apply, report.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use sitta_store::{Flow, Precondition, Store};
use sitta_tree::guard::Allowance;
use sitta_tree::{Base, Inputs, NodeId, Outcome as Settled, Plan, Policy, RelPath, Side, Tree, plan};

use crate::apply::{Executor, Tally};
use crate::event::{Event, Held, Sink};
use crate::options::Options;
use crate::run_id::RunId;
use crate::scan::{Scanned, scan_both};
use crate::state::{KnownConflict, Pair, PairKey, RootSeen};
use crate::turn::Turn;
use crate::{Outcome, Report, RunError, State};
use crate::{content, guards, preview, recover, trash, untold};

/// Runs `options.policy` from `left` to `right`.
///
/// Fails only if nothing could be begun; whatever goes wrong later is in the report. `flow` counts and cancels. A dry
/// run changes nothing, neither in the stores nor in the state.
pub async fn transfer(
    left: Arc<dyn Store>,
    right: Arc<dyn Store>,
    options: &Options,
    state: &State,
    sink: &dyn Sink,
    flow: &Arc<Flow>,
) -> Result<Report, RunError> {
    let turn = Turn::of(options.policy, left.location(), right.location());
    let (options, sink) = (turn.options(options), turn.sink(sink));
    let run = Run::new(turn.stores(left, right), &options, state, &sink, flow);
    guards::not_nested(&*run.stores[0], &*run.stores[1])?;
    sink.event(Event::Started {
        verb: options.verb(),
        run: run.id.as_str().to_owned(),
        left: run.stores[0].location().to_owned(),
        right: run.stores[1].location().to_owned(),
    });
    let report = if options.dry_run { run.rehearse().await } else { run.perform().await };
    let report = report.map(|report| turn.report(report)).map_err(|error| turn.error(error))?;
    sink.finished(&report);
    Ok(report)
}

/// One run from beginning to end.
pub(crate) struct Run<'a> {
    /// Left and right.
    pub stores: [Arc<dyn Store>; 2],
    pub options: &'a Options,
    pub state: &'a State,
    pub sink: &'a dyn Sink,
    pub flow: &'a Arc<Flow>,
    pub id: RunId,
    pub started: Instant,
    /// What was agreed on, where it is in memory already.
    pub base: Option<Arc<Base>>,
}

/// The three trees, ready to plan from.
pub(crate) struct Trees {
    pub left: Tree,
    pub right: Tree,
    pub base: Arc<Base>,
}

impl<'a> Run<'a> {
    pub fn new(
        stores: [Arc<dyn Store>; 2],
        options: &'a Options,
        state: &'a State,
        sink: &'a dyn Sink,
        flow: &'a Arc<Flow>,
    ) -> Self {
        Self { stores, options, state, sink, flow, id: RunId::new(), started: Instant::now(), base: None }
    }

    pub fn store(&self, side: Side) -> &Arc<dyn Store> {
        match side {
            Side::Left => &self.stores[0],
            Side::Right => &self.stores[1],
        }
    }

    /// What the state knows this pair by.
    pub fn key(&self) -> PairKey {
        let [left, right] = [0, 1].map(|side: usize| self.stores[side].location().to_owned());
        PairKey { left, right, two_way: matches!(self.options.policy, Policy::Sync(_)) }
    }

    /// Whether listings tell no times on some side, so that only what was agreed on tells what has changed since.
    fn is_timeless(&self) -> bool {
        let mut capabilities = self.stores.iter().map(|store| store.capabilities());
        capabilities.any(|can| can.traits.mtime_precision == 0 || !can.lists_meta)
    }

    pub fn inputs<'t>(&self, trees: &'t Trees) -> Inputs<'t> {
        let traits = |side| {
            let mut traits = self.store(side).capabilities().traits;
            traits.xattrs &= self.options.xattrs;
            traits
        };
        Inputs {
            base: &trees.base,
            left: &trees.left,
            right: &trees.right,
            left_traits: traits(Side::Left),
            right_traits: traits(Side::Right),
            policy: self.options.policy,
            checksum: self.options.checksum,
            hard_links: self.options.hard_links,
            remember: self.is_timeless(),
        }
    }

    /// Says what would be done.
    async fn rehearse(&self) -> Result<Report, RunError> {
        let pair = self.state.known_pair(&self.key())?;
        let scanned = scan_both(self).await?;
        guards::roots(self, pair.as_ref(), &scanned).await?;
        let (trees, mut plan) = self.plan(pair.as_ref(), scanned).await?;
        let inputs = self.inputs(&trees);
        let held = guards::deletes(self, &inputs, &mut plan, &self.allowance(&inputs));
        self.tell_plan(&inputs, &plan);
        preview::steps(&inputs, &plan, |step| self.sink.event(Event::Would(step)));
        Ok(self.report(Tally::default(), &plan, held, &inputs))
    }

    /// Does it.
    async fn perform(&self) -> Result<Report, RunError> {
        let key = self.key();
        let _lock = self.state.lock(&key.left, &key.right)?;
        let pair = self.state.begin_pair(&key)?;
        self.whole(&pair).await
    }

    /// A run over all that both sides hold. The caller holds the pair's lock.
    pub async fn whole(&self, pair: &Pair) -> Result<Report, RunError> {
        recover::resolve(self, pair).await?;
        let scanned = scan_both(self).await?;
        guards::roots(self, Some(pair), &scanned).await?;
        recover::remove_temps(self, &scanned).await;
        for side in [Side::Left, Side::Right] {
            if !scanned.present[side as usize] {
                self.store(side).create_root().await?;
            }
        }
        let files = scanned.files;
        self.state.begin_run(pair, self.id.as_str(), self.options.verb())?;
        let (trees, mut plan) = self.plan(Some(pair), scanned).await?;
        let inputs = self.inputs(&trees);
        let held = guards::deletes(self, &inputs, &mut plan, &self.allowance(&inputs));
        self.tell_plan(&inputs, &plan);
        let tally = self.carry_out(pair, &inputs, &plan).await?;
        if self.options.policy == Policy::Mirror && tally.problems.is_empty() {
            self.dress_root(&trees.left).await;
        }
        let files = [Side::Left, Side::Right].map(|side| tally.files_after(side, files[side as usize]));
        let report = self.report(tally, &plan, held, &inputs);
        drop((plan, trees));
        self.remember(pair, files).await?;
        self.state.end_run(&report)?;
        // Looking for what is old costs a listing: a run that had nothing else to do asks for none.
        if !report.is_idle() {
            trash::at_end(self, &report).await;
        }
        Ok(report)
    }

    /// Does what is planned, and notes the conflict copies.
    pub async fn carry_out(&self, pair: &Pair, inputs: &Inputs<'_>, plan: &Plan) -> Result<Tally, RunError> {
        let tally = Executor::new(self, pair, inputs, plan).run().await?;
        for conflict in &plan.conflicts {
            self.sink.event(Event::Conflict(conflict.clone()));
            if let Settled::KeptBoth(side, copy) = &conflict.outcome {
                let (path, run) = (conflict.path.clone(), self.id.as_str().to_owned());
                self.state.note_conflict(pair, &KnownConflict { path, copy: copy.clone(), side: *side, run })?;
            }
        }
        Ok(tally)
    }

    fn allowance(&self, inputs: &Inputs<'_>) -> Allowance {
        Allowance::whole(self.options.max_delete, inputs)
    }

    /// Plans, hashing what has to be known to decide.
    async fn plan(&self, pair: Option<&Pair>, scanned: Scanned) -> Result<(Trees, Plan), RunError> {
        let mut trees = Trees { left: scanned.left, right: scanned.right, base: Arc::default() };
        let refiltered =
            pair.is_some_and(|pair| pair.filter.is_some() && pair.filter != self.options.filter_digest());
        // A changed filter makes absent what merely is left out now: plan as if nothing had been agreed on.
        let usable = pair.filter(|_| !refiltered);
        // A mirror needs its base only to tell a move from a delete and a new file, and where listings tell no times.
        if let Some(pair) = usable.filter(|_| self.is_timeless() || self.options.policy != Policy::Mirror) {
            trees.base = self.base(pair)?;
        }
        let mut plan = self.decide(&mut trees).await;
        if let Some(pair) = usable
            && trees.base.is_empty()
            && plan.summary.new > 0
            && plan.summary.deleted > 0
        {
            trees.base = self.base(pair)?;
            if !trees.base.is_empty() {
                plan = self.decide(&mut trees).await;
            }
        }
        Ok((trees, plan))
    }

    fn base(&self, pair: &Pair) -> Result<Arc<Base>, RunError> {
        match &self.base {
            Some(base) => Ok(base.clone()),
            None => self.state.load_base(pair).map(Arc::new),
        }
    }

    /// Plans, and finds out what has to be known for that: times that listings do not tell, hashes.
    pub async fn decide(&self, trees: &mut Trees) -> Plan {
        untold::fill_in(self, trees).await;
        let mut plan = make_plan(&self.inputs(trees));
        while !plan.undecided.is_empty() {
            content::fill_in(self, &mut trees.left, &mut trees.right, &plan.undecided).await;
            plan = make_plan(&self.inputs(trees));
        }
        plan
    }

    /// Tells what is planned, and what the scans and the planner could not take up.
    fn tell_plan(&self, inputs: &Inputs<'_>, plan: &Plan) {
        self.sink.event(Event::Planned(plan.summary));
        let problems = inputs.left.problems.iter().chain(&inputs.right.problems).chain(&plan.problems);
        problems.for_each(|problem| self.sink.event(Event::Problem(problem.clone())));
    }

    /// A mirror's root looks like the source's, as far as that is allowed: the root was chosen by the user, and is often
    /// a mount point that belongs to somebody else.
    async fn dress_root(&self, left: &Tree) -> Option<()> {
        let (store, traits) = (self.store(Side::Right), self.store(Side::Left).capabilities().traits);
        // Stores that hold no directories tell and keep nothing of their root.
        if !traits.dirs || !store.capabilities().traits.dirs {
            return None;
        }
        let now = store.stat(&RelPath::root()).await.ok().flatten()?;
        let mut meta = now.meta;
        let like = left.meta(NodeId::ROOT);
        if traits.modes {
            meta.mode = like.mode;
        }
        if traits.mtime_precision > 0 {
            meta.mtime = like.mtime;
        }
        if traits.owners {
            (meta.uid, meta.gid) = (like.uid, like.gid);
        }
        let meta = meta.or(&now.meta);
        if meta != now.meta {
            store.set_meta(&RelPath::root(), &meta, Precondition::None).await.ok()?;
        }
        Some(())
    }

    async fn remember(&self, pair: &Pair, files: [u64; 2]) -> Result<(), RunError> {
        self.state.compact_base(pair)?;
        let left = RootSeen { identity: self.stores[0].root_identity().await, files: files[0] };
        let right = RootSeen { identity: self.stores[1].root_identity().await, files: files[1] };
        self.state.end_pair(pair, &left, &right, self.options.filter_digest())
    }

    pub fn report(&self, tally: Tally, plan: &Plan, held: Vec<Held>, inputs: &Inputs<'_>) -> Report {
        let mut problems = tally.problems;
        problems.extend(plan.problems.iter().cloned());
        for tree in [inputs.left, inputs.right] {
            problems.extend(tree.problems.iter().cloned());
        }
        problems.sort_by(|a, b| a.path.cmp(&b.path).then_with(|| a.message.cmp(&b.message)));
        problems.dedup();
        let outcome = if self.flow.is_cancelled() {
            Outcome::Interrupted
        } else if !held.is_empty() {
            Outcome::Held
        } else if !problems.is_empty() {
            Outcome::Partial
        } else {
            Outcome::Success
        };
        let counts = if self.options.dry_run { Tally::planned(&plan.summary) } else { tally.counts };
        Report {
            verb: self.options.verb(),
            run: self.id.as_str().to_owned(),
            outcome,
            copied: counts.copied,
            updated: counts.updated,
            deleted: counts.deleted,
            moved: counts.moved,
            unchanged: plan.summary.unchanged,
            bytes: counts.bytes,
            requests: self.stores.iter().map(|store| store.requests()).sum(),
            took: self.started.elapsed(),
            problems,
            conflicts: plan.conflicts.clone(),
            held,
            trash: [Side::Left, Side::Right]
                .map(|side| tally.trashed[side as usize].then(|| self.trash(side)).flatten()),
            changed: tally.changed,
            dry_run: self.options.dry_run,
            steps: Vec::new(),
            archive: None,
        }
    }

    /// Where this run's trash is on a side, for a person.
    fn trash(&self, side: Side) -> Option<String> {
        let dir = self.options.trash.as_ref()?;
        Some(format!("{}/{dir}/{}", self.store(side).location().trim_end_matches('/'), self.id.as_str()))
    }
}

/// Plans, with a stack for trees of any depth.
fn make_plan(inputs: &Inputs<'_>) -> Plan {
    thread::scope(|scope| {
        let planner = thread::Builder::new().stack_size(plan::STACK);
        match planner.spawn_scoped(scope, || plan::plan(inputs)) {
            Ok(planning) => planning.join().expect("planning does not panic"),
            // No thread to be had: this one's stack does for all but the strangest trees.
            Err(_) => plan::plan(inputs),
        }
    })
}
