//! Two sides kept in step until somebody stops it: changes are taken up as they are heard of, or found by looking now and
//! then; a side that goes away is waited for.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sitta_store::watch::{Heard, Look, Missed, Watch};
use sitta_store::{Error, ErrorKind, Flow, Store};
use sitta_tree::{ProblemKind, RelPath, Side};
use tokio::time::sleep;

use crate::event::{Event, Held, Sink};
use crate::session::Session;
use crate::turn::Turn;
use crate::{Options, Report, RunError, State};

const SIDES: [Side; 2] = [Side::Left, Side::Right];

/// How a watched pair is looked after.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Changes are taken up when nothing more was heard for so long …
    pub quiet: Duration,
    /// … but not later than this after the first.
    pub at_most: Duration,
    /// How often a side is looked at that tells of nothing by itself; none: what suits it.
    pub poll: Option<Duration>,
    /// How often everything is looked at all the same, in case something was not told.
    pub rescan: Duration,
    /// The first and the longest pause before something that failed is tried again.
    pub retry: (Duration, Duration),
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(50),
            at_most: Duration::from_millis(250),
            poll: None,
            rescan: Duration::from_secs(3600),
            retry: (Duration::from_secs(1), Duration::from_secs(60)),
        }
    }
}

/// Looking at a server costs it something: so often if it is cheap, and if it costs a request for each thousand names.
const POLL: Duration = Duration::from_secs(10);
const DEAR_POLL: Duration = Duration::from_secs(60);

/// Looking takes at most one part in so many of the time.
const SHARE: u32 = 10;

/// Looking at so many paths one by one costs about as much as looking at everything.
const MANY: usize = 2_000;

/// Syncs both sides, and goes on until `flow` is cancelled. The report tells what was done all in all.
///
/// Fails as [`crate::transfer`] does if the first round cannot be made. Later, whatever may pass is waited for and told.
pub async fn watch(
    left: Arc<dyn Store>,
    right: Arc<dyn Store>,
    options: &Options,
    pace: &Pace,
    state: &State,
    sink: &dyn Sink,
    flow: &Arc<Flow>,
) -> Result<Report, RunError> {
    let turn = Turn::of(options.policy, left.location(), right.location());
    let (options, turned) = (turn.options(options), turn.sink(sink));
    let once = Once { sink: &turned, told: Mutex::default() };
    let session = Session::open(turn.stores(left, right), &options, state, &once, flow);
    let session = session.map_err(|error| turn.error(error))?;
    let mut watcher = Watcher {
        session,
        pace,
        once: &once,
        watches: [None, None],
        everything: true,
        looks: BTreeMap::new(),
        again: BTreeMap::new(),
        looked: Instant::now(),
        took: Duration::ZERO,
        away: None,
        all_told: false,
    };
    let report = watcher.go(&options).await.map(|report| turn.report(report)).map_err(|error| turn.error(error))?;
    watcher.session.close().await?;
    turned.finished(&report);
    Ok(report)
}

struct Watcher<'a> {
    session: Session<'a>,
    pace: &'a Pace,
    once: &'a Once<'a>,
    watches: [Option<Watch>; 2],
    /// Everything is to be looked at next; otherwise these paths.
    everything: bool,
    looks: BTreeMap<RelPath, Look>,
    /// What failed, when it is tried again and after what pause.
    again: BTreeMap<RelPath, (Instant, Duration)>,
    /// When everything was looked at last, and how long looking takes.
    looked: Instant,
    took: Duration,
    /// The side that cannot be worked on, and the last pause.
    away: Option<(Side, Duration)>,
    /// It was said how both sides are watched.
    all_told: bool,
}

impl Watcher<'_> {
    async fn go(&mut self, options: &Options) -> Result<Report, RunError> {
        let mut all: Option<Report> = None;
        while !self.session.flow.is_cancelled() {
            match self.round(options).await {
                Ok(report) => {
                    self.note_failures(&report);
                    let lost = report.problems.iter().any(|problem| problem.kind == ProblemKind::Unreachable);
                    match &mut all {
                        Some(all) => all.add(report),
                        None => all = Some(report),
                    }
                    if lost && let Some((side, why)) = self.unreachable().await {
                        self.wait_for(side, why).await;
                        continue;
                    }
                    self.is_back();
                }
                Err(RunError::Interrupted) if all.is_some() => break,
                Err(error) => match passing(&error, &self.session).filter(|_| all.is_some()) {
                    Some((side, why)) => {
                        self.wait_for(side, why).await;
                        continue;
                    }
                    None => return Err(error),
                },
            }
            self.wait().await;
        }
        all.ok_or(RunError::Interrupted)
    }

    async fn round(&mut self, options: &Options) -> Result<Report, RunError> {
        // Attributes are told by a look at everything only.
        self.everything |= options.xattrs && !self.looks.is_empty();
        if !self.everything {
            let looks = std::mem::take(&mut self.looks);
            match self.session.some(&looks).await {
                Ok(Some(report)) => return Ok(report),
                Ok(None) => {}
                Err(error) => {
                    self.everything = true;
                    return Err(error);
                }
            }
        }
        self.everything = true;
        self.listen().await?;
        self.once.forget();
        self.looked = Instant::now();
        let report = self.session.whole().await?;
        // What was sent is no measure of what looking costs.
        if report.is_idle() {
            self.took = self.looked.elapsed();
        }
        self.everything = false;
        self.tell_watching();
        Ok(report)
    }

    /// Makes sure that everything that happens from now on is heard of, where that is possible at all.
    async fn listen(&mut self) -> Result<(), RunError> {
        self.looks.clear();
        for side in SIDES {
            let (watch, store) = (&mut self.watches[side as usize], &self.session.stores[side as usize]);
            match watch {
                Some(watch) => drop(watch.take()),
                None => {
                    *watch = match store.watch().await {
                        Ok(watch) => watch,
                        // The scan tells that it is not there.
                        Err(error) if error.kind == ErrorKind::NotFound => None,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Ok(())
    }

    fn tell_watching(&mut self) {
        if !std::mem::replace(&mut self.all_told, true) {
            for side in SIDES {
                let location = self.session.stores[side as usize].location().to_owned();
                let every = self.watches[side as usize].is_none().then(|| self.poll_every(side));
                self.session.sink.event(Event::Watching { side, location, every });
            }
        }
    }

    fn poll_every(&self, side: Side) -> Duration {
        let cheap = self.session.stores[side as usize].capabilities().lists_meta;
        self.pace.poll.unwrap_or(if cheap { POLL } else { DEAR_POLL })
    }

    /// When everything is to be looked at again at the latest.
    fn next_look(&self) -> Instant {
        let deaf = SIDES.into_iter().filter(|side| self.watches[*side as usize].is_none());
        let every = deaf.map(|side| match self.pace.poll {
            Some(asked_for) => asked_for,
            None => self.poll_every(side).max(self.took * SHARE),
        });
        let every = every.min();
        self.looked + every.unwrap_or(self.pace.rescan.max(self.took * SHARE))
    }

    /// Waits until there is something to do.
    async fn wait(&mut self) {
        let next_look = self.next_look();
        let next_try = self.again.values().map(|(due, _)| *due).min();
        let due = next_try.map_or(next_look, |next| next.min(next_look));
        let [left, right] = &self.watches;
        tokio::select! {
            () = settled(left.as_ref(), self.pace) => {}
            () = settled(right.as_ref(), self.pace) => {}
            () = sleep(due.saturating_duration_since(Instant::now())) => {}
            () = self.session.flow.cancelled() => return,
        }
        let mut heard = Heard::default();
        for slot in &mut self.watches {
            if let Some(watch) = slot {
                let told = watch.take();
                // One that ended hears no more; one that hears only a part is no better than looking.
                if matches!(told.missed, Some(Missed::Gone | Missed::Limit)) {
                    *slot = None;
                    self.all_told = false;
                }
                heard.join(told);
            }
        }
        let now = Instant::now();
        self.everything |= heard.missed.is_some() || now >= next_look || heard.changed.len() > MANY;
        // What failed just now is not tried with every word of it that is heard, but after its pause.
        for (path, look) in heard.changed {
            if self.again.get(&path).is_none_or(|(due, _)| *due <= now) {
                self.looks.insert(path, look);
            }
        }
        for (path, _) in self.again.iter().filter(|(_, (due, _))| *due <= now) {
            self.looks.entry(path.clone()).or_insert(Look::Entry);
        }
    }

    /// What failed for a reason that may pass is tried again.
    fn note_failures(&mut self, report: &Report) {
        let now = Instant::now();
        let mut again = BTreeMap::new();
        let passes = |kind| matches!(kind, ProblemKind::Changed | ProblemKind::Busy | ProblemKind::Full);
        for problem in report.problems.iter().filter(|problem| passes(problem.kind)) {
            let (first, longest) = self.pace.retry;
            let pause = self.again.get(&problem.path).map_or(first, |(_, pause)| (*pause * 2).min(longest));
            again.insert(problem.path.clone(), (now + pause, pause));
        }
        // What was not due has not been tried.
        self.again.retain(|_, (due, _)| *due > now);
        self.again.extend(again);
    }

    /// A side that does not answer, and what is said of it.
    async fn unreachable(&self) -> Option<(Side, String)> {
        for side in SIDES {
            match self.session.stores[side as usize].stat(&RelPath::root()).await {
                Err(error) if error.kind == ErrorKind::Unreachable => {
                    return Some((side, error.source.to_string()));
                }
                _ => {}
            }
        }
        None
    }

    /// Says that a side is away, and lets some time pass.
    async fn wait_for(&mut self, side: Side, why: String) {
        let (first, longest) = self.pace.retry;
        let pause = self.away.map_or(first, |(_, pause)| (pause * 2).min(longest));
        if self.away.is_none() {
            self.session.sink.event(Event::Away { side, why, again_in: pause });
        }
        self.away = Some((side, pause));
        self.everything = true;
        // A root that went away took what was heard of it along.
        self.watches[side as usize] = None;
        tokio::select! {
            () = sleep(pause) => {}
            () = self.session.flow.cancelled() => {}
        }
    }

    fn is_back(&mut self) {
        if let Some((side, _)) = self.away.take() {
            self.session.sink.event(Event::Back { side });
        }
    }
}

async fn settled(watch: Option<&Watch>, pace: &Pace) {
    match watch {
        Some(watch) => watch.settled(pace.quiet, pace.at_most).await,
        None => std::future::pending().await,
    }
}

/// Which side a failure is about, and why, if it may pass.
fn passing(error: &RunError, session: &Session<'_>) -> Option<(Side, String)> {
    let side_of = |error: &Error| {
        let right = *error.location == *session.stores[1].location();
        if right { Side::Right } else { Side::Left }
    };
    match error {
        RunError::Store(error) => match error.kind {
            ErrorKind::Unsupported | ErrorKind::Untrusted => None,
            _ => Some((side_of(error), error.source.to_string())),
        },
        RunError::Held(Held::Emptied { side, held }) => {
            Some((*side, format!("it is empty, but held {held} files")))
        }
        RunError::Held(Held::Missing { side }) => Some((*side, "it is not there".into())),
        RunError::Held(Held::Replaced { side }) => {
            Some((*side, "it is another folder than before, and lacks most of it".into()))
        }
        _ => None,
    }
}

/// Tells nothing twice that stays as it is.
struct Once<'a> {
    sink: &'a dyn Sink,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    now: HashSet<String>,
    before: HashSet<String>,
    rounds: u64,
}

impl Once<'_> {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Everything is looked at anew: what is not met again this time is news when it comes back.
    fn forget(&self) {
        let mut told = self.told();
        told.before = std::mem::take(&mut told.now);
        told.rounds += 1;
    }

    fn is_news(&self, what: String) -> bool {
        let mut told = self.told();
        let news = !told.before.contains(&what) && !told.now.contains(&what);
        told.now.insert(what);
        news
    }
}

impl Sink for Once<'_> {
    fn event(&self, event: Event) {
        let tell = match &event {
            Event::Problem(problem) => self.is_news(format!("{:?} {}", problem.path, problem.message)),
            Event::Conflict(conflict) => self.is_news(format!("{:?} {:?}", conflict.path, conflict.outcome)),
            Event::Held(held) => self.is_news(format!("{held:?}")),
            Event::Scanned { .. } | Event::Planned(_) => self.told().rounds <= 1,
            _ => true,
        };
        if tell {
            self.sink.event(event);
        }
    }
}
