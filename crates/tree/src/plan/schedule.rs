//! The order of actions: every phase is a list of its own, joined at the end.

use super::{Action, Expect, Op, Place, Side};
use crate::NodeId;

/// What is done before what. Nothing is destroyed before everything new stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// New directories, files and links, parents first.
    Create = 0,
    /// New versions and new metadata of what is there.
    Update,
    /// Renames, what comes to stand where something was renamed away, and more names for what was written.
    Move,
    /// Removals, deepest first.
    Remove,
    /// Things that give way to another kind: removed, then made anew.
    Replace,
    /// Metadata of directories, deepest first, as work inside them has changed it.
    Dirs,
    /// New spellings of names, last, as they change the paths of all else.
    Rename,
}

const PHASES: usize = 7;
const PHASE_BITS: u32 = 29;

/// An action that is scheduled: good until the schedule is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(u32);

impl Slot {
    fn new(phase: Phase, index: usize) -> Self {
        debug_assert!(index < 1 << PHASE_BITS);
        Self((phase as u32) << PHASE_BITS | index as u32)
    }

    fn phase(self) -> usize {
        (self.0 >> PHASE_BITS) as usize
    }

    fn index(self) -> usize {
        (self.0 & ((1 << PHASE_BITS) - 1)) as usize
    }

    pub fn is_in(self, phase: Phase) -> bool {
        self.phase() == phase as usize
    }

    /// Expects what this action leaves.
    pub fn done(self) -> Expect {
        Expect::After(self.0)
    }
}

/// A removal that may turn out to be half of a move.
#[derive(Debug, Clone, Copy)]
pub(super) struct Removal {
    pub slot: Slot,
    pub side: Side,
    pub node: NodeId,
    pub base: NodeId,
}

/// Actions, sorted into phases.
#[derive(Default)]
pub(super) struct Schedule {
    phases: [Vec<Action>; PHASES],
    dropped: Vec<Slot>,
    pub removals: Vec<Removal>,
}

impl Schedule {
    pub fn push(&mut self, phase: Phase, side: Side, op: Op, at: Place, expect: Expect) -> Slot {
        let list = &mut self.phases[phase as usize];
        list.push(Action { side, op, at, expect, keep: None });
        Slot::new(phase, list.len() - 1)
    }

    /// How many actions there are.
    pub fn total(&self) -> usize {
        self.phases.iter().map(Vec::len).sum()
    }

    /// How much a phase holds: to see whether something was added since, or to take it back.
    pub fn len(&self, phase: Phase) -> usize {
        self.phases[phase as usize].len()
    }

    /// Takes back what was added to a phase since it held `len`.
    pub fn truncate(&mut self, phase: Phase, len: usize) {
        self.phases[phase as usize].truncate(len);
    }

    /// The actions of a phase.
    pub fn each(&self, phase: Phase) -> impl Iterator<Item = (Slot, &Action)> {
        self.phases[phase as usize].iter().enumerate().map(move |(index, action)| (Slot::new(phase, index), action))
    }

    pub fn get_mut(&mut self, slot: Slot) -> &mut Action {
        &mut self.phases[slot.phase()][slot.index()]
    }

    /// Leaves an action out; nothing may expect its result.
    pub fn drop_action(&mut self, slot: Slot) {
        self.dropped.push(slot);
    }

    /// All actions in order.
    pub fn finish(mut self) -> Vec<Action> {
        self.dropped.sort_unstable();
        self.dropped.dedup();
        let mut starts = [0; PHASES];
        let mut total = 0;
        for (start, list) in starts.iter_mut().zip(&self.phases) {
            *start = total;
            total += list.len();
        }
        let dropped = &self.dropped;
        let place = |slot: Slot| {
            let before = dropped.partition_point(|d| *d < slot);
            (starts[slot.phase()] + slot.index() - before) as u32
        };
        let (mut actions, mut next) = (Vec::with_capacity(total - dropped.len()), dropped.iter().peekable());
        for (phase, list) in self.phases.iter_mut().enumerate() {
            for (index, mut action) in std::mem::take(list).into_iter().enumerate() {
                if next.next_if(|d| d.phase() == phase && d.index() == index).is_some() {
                    continue;
                }
                if let Expect::After(slot) = action.expect {
                    action.expect = Expect::After(place(Slot(slot)));
                }
                actions.push(action);
            }
        }
        actions
    }
}
