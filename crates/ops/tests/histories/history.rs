//! One history: rounds of edits and disturbed runs, then quiet.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use sitta_ops::trash::TrashKeep;
use sitta_ops::{Event, MaxDelete, Options, Report, RunError, Sink, State, transfer};
use sitta_store::{Flow, Store};
use sitta_tree::{OnConflict, Policy, ProblemKind, RelPath, Side};
use tokio::runtime::Builder;

use super::chaos::Chaos;
use super::hooked::{Hooked, Manner};
use super::random::Random;
use super::world::World;

/// Undisturbed runs after which nothing may be left to do.
const PATIENCE: usize = 6;

/// Opens a side's store, anew for each run.
pub type Opener = Box<dyn Fn() -> BoxFuture<'static, Arc<dyn Store>>>;

/// Where a history takes place.
pub struct Ground {
    pub world: World,
    pub open: [Opener; 2],
    pub state: PathBuf,
    /// What goes when the history is over.
    pub dir: tempfile::TempDir,
}

/// Counts what was done, directories too.
#[derive(Default)]
struct Steps(AtomicUsize);

impl Sink for Steps {
    fn event(&self, event: Event) {
        if let Event::Done(_) = event {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct History {
    world: Arc<Mutex<World>>,
    open: [Opener; 2],
    state: PathBuf,
    options: Options,
    manner: Manner,
    random: Random,
}

/// The policy of a history: each has its turn.
pub fn on_conflict(seed: u64) -> OnConflict {
    match seed % 5 {
        0 => OnConflict::KeepBoth,
        1 => OnConflict::Newest { skew: if seed.is_multiple_of(2) { 0 } else { 1_000_000 } },
        2 => OnConflict::Left,
        3 => OnConflict::Right,
        _ => OnConflict::Ask,
    }
}

fn options(on_conflict: OnConflict, random: &mut Random) -> Options {
    Options {
        policy: Policy::Sync(on_conflict),
        called: None,
        filter: None,
        checksum: random.percent(8),
        hard_links: false,
        xattrs: false,
        verify: random.percent(8),
        dry_run: false,
        transfers: random.percent(20).then_some(1),
        max_delete: MaxDelete::Percent(100),
        trash: Some(RelPath::new(".sitta/trash").unwrap()),
        trash_keep: TrashKeep::Forever,
        force_empty: true,
    }
}

impl History {
    fn world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.world.lock().unwrap())
    }

    /// One run; none if it died on the way.
    fn run(&mut self, disturbed: bool, offline: Option<Side>, sink: &dyn Sink) -> Option<Result<Report, RunError>> {
        for _ in 0..50 {
            match self.try_run(disturbed, offline, sink) {
                // A thread of the run that died before has not let go of the pair yet; a process would have.
                Some(Err(RunError::PairBusy { .. })) => std::thread::sleep(Duration::from_millis(100)),
                result => return result,
            }
        }
        panic!("the pair stays busy");
    }

    fn try_run(
        &mut self,
        disturbed: bool,
        offline: Option<Side>,
        sink: &dyn Sink,
    ) -> Option<Result<Report, RunError>> {
        // Its own, so that nothing of a run that died goes on behind the next one's back.
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let flow = Arc::new(Flow::default());
        let chaos =
            disturbed.then(|| Arc::new(Chaos::new(self.world.clone(), self.random.next(), offline, flow.clone())));
        let death = chaos.as_ref().map(|chaos| chaos.death.clone()).unwrap_or_default();
        let state = State::open(&self.state).unwrap();
        runtime.block_on(async {
            let mut stores = Vec::new();
            for (side, open) in [Side::Left, Side::Right].into_iter().zip(&self.open) {
                let (inner, manner, chaos) = (open().await, self.manner, chaos.clone());
                stores.push(Arc::new(Hooked { inner, side, manner, chaos }));
            }
            let (right, left) = (stores.pop().unwrap(), stores.pop().unwrap());
            tokio::select! {
                biased;
                () = death.notified() => None,
                result = transfer(left, right, &self.options, &state, sink, &flow) => Some(result),
            }
        })
    }

    fn round(&mut self, offline: Option<Side>) -> Result<(), String> {
        for _ in 0..self.random.below(6) {
            let edits = self.random.next();
            self.world(|world| world.edit(&mut Random::new(edits), [false; 2]));
        }
        if self.random.percent(8) {
            let seed = self.random.next();
            self.world(|world| world.restore_or_keep(&mut Random::new(seed)));
        }
        let result = self.run(true, offline, &());
        self.world(|world| world.say(|| format!("run: {result:?}")));
        match &result {
            Some(Err(RunError::Store(_) | RunError::Interrupted) | Ok(_)) => {}
            Some(Err(error)) => return Err(format!("{error:?}")),
            None => {
                // Half of the dead are recognised by their names, the others by the journal alone.
                if self.random.percent(50) {
                    self.world(|world| world.hands.iter_mut().for_each(|hands| hands.age_temporaries()));
                }
            }
        }
        self.world(World::check)?;
        if self.random.percent(4) {
            self.world(|world| world.say(|| "the state is lost".to_owned()));
            self.world(|world| world.hands.iter_mut().for_each(|hands| hands.age_temporaries()));
            let _ = fs::remove_dir_all(&self.state);
        }
        Ok(())
    }

    /// Nobody disturbs any more: both sides become the same, and then nothing more is to be done.
    fn settle(&mut self) -> Result<(), String> {
        self.world(|world| world.hands.iter_mut().for_each(|hands| hands.age_temporaries()));
        let mut quiet = 0;
        let mut last = String::new();
        for _ in 0..PATIENCE {
            let steps = Steps::default();
            let report = self.run(false, None, &steps).expect("nobody kills it");
            let report = report.map_err(|error| format!("{error:?}"))?;
            self.world(|world| world.say(|| format!("quiet run: {report:?}")));
            self.world(World::check).map_err(|error| format!("settling: {error}"))?;
            let counts = report.copied + report.updated + report.moved + report.deleted;
            let steps = steps.0.into_inner();
            last = format!("{steps} steps, problems {:?}", report.problems);
            let unexpected =
                report.problems.iter().find(|problem| problem.kind != ProblemKind::NameClash || !self.folds());
            if unexpected.is_some_and(|problem| problem.kind == ProblemKind::NameClash) {
                self.world(|world| world.hands.iter_mut().for_each(|hands| hands.untangle()));
            }
            if counts > 0 || steps > 0 || unexpected.is_some() {
                quiet = 0;
                continue;
            }
            quiet += 1;
            let left: Vec<_> = report.conflicts.iter().map(|conflict| conflict.path.clone()).collect();
            if !left.is_empty() && self.options.policy != Policy::Sync(OnConflict::Ask) {
                return Err(format!("conflicts at {left:?} are not settled"));
            }
            if report.problems.is_empty()
                && let Some(difference) = self.world(|world| world.difference(&left))
            {
                return Err(format!("the sides stay different: {difference}"));
            }
            if quiet == 2 {
                let temp = self.world(World::left_over);
                return temp.map_or(Ok(()), |temp| Err(format!("a temporary is left: {temp}")));
            }
        }
        Err(format!("never settles: {last}"))
    }

    fn folds(&self) -> bool {
        self.world(|world| world.traits.iter().any(|traits| traits.folds_names))
    }
}

/// Plays one history; an error says what went wrong.
pub fn history(seed: u64, ground: Ground, careless: bool) -> Result<(), String> {
    let mut random = Random::new(seed);
    let Ground { mut world, open, state, dir } = ground;
    world.trace = trace();
    let options = options(world.on_conflict, &mut random);
    let manner = Manner { fast: random.percent(50), whole: random.percent(40), careless };
    world.say(|| format!("{options:?} {manner:?} {:?}", world.traits));
    let mut history = History { world: Arc::new(Mutex::new(world)), open, state, options, manner, random };
    let mut offline: Option<(Side, usize)> = None;
    for round in 0..6 + history.random.below(9) {
        history.world(|world| world.say(|| format!("round {round}")));
        offline = match offline {
            Some((side, rounds)) => (rounds > 1).then(|| (side, rounds - 1)),
            None if history.random.percent(4) => {
                Some((*history.random.pick(&[Side::Left, Side::Right]), 1 + history.random.below(3)))
            }
            None => None,
        };
        history.round(offline.map(|(side, _)| side)).map_err(|error| format!("round {round}: {error}"))?;
    }
    let settled = history.settle();
    drop(dir);
    settled
}

#[expect(clippy::disallowed_methods, reason = "how many and which histories is for whoever runs the test to say")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn trace() -> bool {
    number("SITTA_TRACE").is_some()
}

/// Plays `count` histories, or as many as the environment says, and those that failed once.
///
/// # Panics
/// If one fails, with its seed.
pub fn histories(count: u64, regressions: &[u64], mut ground: impl FnMut(u64) -> Ground) {
    let (count, first) = (number("SITTA_HISTORIES").unwrap_or(count), number("SITTA_SEED").unwrap_or(1));
    let mut failures = Vec::new();
    let regressions = regressions.iter().copied().filter(|_| count > 1);
    for seed in regressions.chain(first..first + count) {
        if let Err(error) = play(seed, ground(seed), false) {
            failures.push(format!("seed {seed} ({:?}): {error}", on_conflict(seed)));
        }
        if failures.len() == 20 {
            break;
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// The same as [`history`], a panic as an error.
pub fn play(seed: u64, ground: Ground, careless: bool) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| history(seed, ground, careless))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
}
