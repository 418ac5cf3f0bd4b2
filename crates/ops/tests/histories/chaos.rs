//! What happens around the calls of one run.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sitta_store::{ErrorKind, Flow};
use sitta_tree::{RelPath, Side};
use tokio::sync::Notify;

use super::random::Random;
use super::world::World;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Go,
    /// Before the call: nothing is done. After it: the reply is lost.
    Fail(ErrorKind),
    /// Others get so many turns first.
    Delay(usize),
    /// The whole run ends here.
    Die,
}

pub struct Chaos {
    world: Arc<Mutex<World>>,
    dice: Mutex<Dice>,
    /// Changes that each side is making.
    changing: [AtomicUsize; 2],
    flow: Arc<Flow>,
    pub death: Arc<Notify>,
}

struct Dice {
    random: Random,
    /// How many moments the run has left, and how it ends then.
    left: usize,
    end: End,
    /// A side that does not answer.
    offline: Option<Side>,
    /// How many of a hundred calls fail, and how many moments see an edit.
    fail: u64,
    edit: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Death,
    Cancel,
}

impl fmt::Debug for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chaos").finish_non_exhaustive()
    }
}

/// A change on its way.
pub struct Busy<'c>(&'c AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Chaos {
    pub fn new(world: Arc<Mutex<World>>, seed: u64, offline: Option<Side>, flow: Arc<Flow>) -> Self {
        let mut random = Random::new(seed);
        // Some runs come to their end; of some only the users disturb.
        let left = if random.percent(45) { 1 + random.below(80) } else { usize::MAX };
        let end = if random.percent(30) { End::Cancel } else { End::Death };
        let fail = *random.pick(&[0, 3, 10]);
        let edit = *random.pick(&[0, 8, 15]);
        let dice = Mutex::new(Dice { random, left, end, offline, fail, edit });
        Self { world, dice, changing: [AtomicUsize::new(0), AtomicUsize::new(0)], flow, death: Arc::default() }
    }

    pub fn busy(&self, side: Side) -> Busy<'_> {
        let changing = &self.changing[side as usize];
        changing.fetch_add(1, Ordering::SeqCst);
        Busy(changing)
    }

    /// A moment: users may do something, and the run may end.
    fn moment(&self, dice: &mut Dice) -> Fate {
        let busy = [0, 1].map(|side| self.changing[side].load(Ordering::SeqCst) > 0);
        while dice.random.percent(dice.edit) {
            self.world.lock().unwrap().edit(&mut dice.random, busy);
        }
        dice.left = dice.left.saturating_sub(1);
        if dice.left > 0 {
            return Fate::Go;
        }
        dice.left = usize::MAX;
        match dice.end {
            End::Cancel => self.flow.cancel(),
            End::Death => {
                self.world.lock().unwrap().say(|| "dies".to_owned());
                self.death.notify_one();
                return Fate::Die;
            }
        }
        Fate::Go
    }

    pub fn before(&self, side: Side, name: &str, path: &RelPath) -> Fate {
        let dice = &mut *self.dice.lock().unwrap();
        let fate = match self.moment(dice) {
            Fate::Go if dice.offline == Some(side) => Fate::Fail(ErrorKind::Unreachable),
            Fate::Go if dice.random.percent(dice.fail) => {
                Fate::Fail(*dice.random.pick(&[ErrorKind::Denied, ErrorKind::Full, ErrorKind::Unreachable]))
            }
            Fate::Go if dice.random.percent(5) => Fate::Delay(2),
            fate => fate,
        };
        self.world.lock().unwrap().say(|| format!("{side:?} {name} {path}: {fate:?}"));
        fate
    }

    pub fn after(&self, side: Side, name: &str, path: &RelPath) -> Fate {
        let dice = &mut *self.dice.lock().unwrap();
        let fate = match self.moment(dice) {
            Fate::Go if dice.random.percent(dice.fail / 2) => Fate::Fail(ErrorKind::Unreachable),
            fate => fate,
        };
        if fate != Fate::Go {
            self.world.lock().unwrap().say(|| format!("{side:?} {name} {path} after: {fate:?}"));
        }
        fate
    }

    /// A directory that cannot be listed whole.
    pub fn blind(&self, dirs: &[RelPath]) -> Option<RelPath> {
        let mut dice = self.dice.lock().unwrap();
        let blind = dice.fail > 0 && dice.random.percent(6);
        blind.then(|| dice.random.pick(dirs).clone())
    }
}
