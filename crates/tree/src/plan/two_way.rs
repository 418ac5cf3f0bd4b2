//! Two-way sync: what each side made of what both agreed on.

use super::compare::{Same, State};
use super::join::Triple;
use super::schedule::Phase;
use super::walk::{Context, Here, Planner, Seen};
use super::{Conflict, OnConflict, Op, Outcome, Policy, Side};
use crate::{Kind, NodeId, ProblemKind};

/// An entry that both sides hold.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub base: Option<NodeId>,
    pub left: NodeId,
    pub right: NodeId,
}

impl Pair {
    pub fn on(&self, side: Side) -> NodeId {
        match side {
            Side::Left => self.left,
            Side::Right => self.right,
        }
    }
}

impl Planner<'_> {
    /// Neither side is a directory.
    #[inline]
    pub fn leaf_two_way(&mut self, t: Triple, context: Context, seen: &mut Seen) {
        // Where a conflict was left for the user, nothing is agreed.
        let base = t.base.filter(|b| !self.inputs.base.is_conflicted(*b));
        match (self.here(t, Side::Left, context), self.here(t, Side::Right, context)) {
            (Here::Unknown, _) | (_, Here::Unknown) => {
                seen.stays_on_both();
                return t.base.map_or((), |base| self.forget_moved(base));
            }
            (Here::Absent, Here::Absent) => return self.forget_all(t.base),
            (Here::Is(left), Here::Is(right)) => self.pair_two_way(t, Pair { base, left, right }, seen),
            (Here::Is(l), Here::Absent) => self.one_sided(Side::Left, l, base, context, seen),
            (Here::Absent, Here::Is(r)) => self.one_sided(Side::Right, r, base, context, seen),
        }
        if let Some(base) = t.base {
            // Both agreed on a directory once, and neither has it now.
            self.forget_below(base);
        }
    }

    /// What became of an entry; one that was never agreed on is new.
    #[inline]
    fn state_since(&self, side: Side, node: NodeId, base: Option<NodeId>) -> State {
        base.map_or(State::Modified, |base| self.state(side, node, base))
    }

    /// Whether the policy lets a deletion on `side` win over changes of what was deleted. A rename is no deletion.
    fn deleter_wins(&mut self, side: Side, base: NodeId) -> bool {
        let wins = match self.inputs.policy {
            Policy::Sync(OnConflict::Left) => side == Side::Left,
            Policy::Sync(OnConflict::Right) => side == Side::Right,
            _ => false,
        };
        wins && !self.was_moved(side, base)
    }

    /// Only `side` holds this file or link.
    fn one_sided(&mut self, side: Side, node: NodeId, base: Option<NodeId>, context: Context, seen: &mut Seen) {
        let deleter = side.other();
        if context.doomed == Some(side) {
            return self.remove(Phase::Remove, side, node, base, seen);
        }
        match base {
            Some(b) if self.state(side, node, b) == State::Same => {
                self.remove(Phase::Remove, side, node, base, seen);
            }
            Some(b) if self.deleter_wins(deleter, b) => {
                self.remove(Phase::Remove, side, node, None, seen);
                self.conflict(Triple::only(side, node), Outcome::Won(deleter));
            }
            _ => drop(self.create(deleter, node, context, seen)),
        }
    }

    /// Both sides hold a file or link.
    #[inline]
    fn pair_two_way(&mut self, t: Triple, pair: Pair, seen: &mut Seen) {
        seen.stays_on_both();
        let states = (
            self.state_since(Side::Left, pair.left, pair.base),
            self.state_since(Side::Right, pair.right, pair.base),
        );
        if self.still_left_to_user(t, &pair) {
            return self.conflict(t, Outcome::Left);
        }
        match self.same_two_way(&pair, states) {
            Same::Ask => self.plan.undecided.push((pair.left, pair.right)),
            Same::Yes => self.settle_same(t, &pair),
            Same::No if self.is_damaged_pair(&pair) => {}
            Same::No => match states {
                (State::Same, State::Modified | State::Kind) => self.follow(Side::Left, &pair, seen),
                (State::Modified | State::Kind, State::Same) => self.follow(Side::Right, &pair, seen),
                _ => self.settle_conflict(t, pair, seen),
            },
        }
    }

    /// `side` takes over the version of the other one, which alone was changed.
    fn follow(&mut self, side: Side, pair: &Pair, seen: &mut Seen) {
        let from = pair.on(side.other());
        if let Some(slot) = self.overwrite(side, pair.on(side), from, seen) {
            self.keep_own_meta(side, pair, slot);
        }
    }

    fn settle_same(&mut self, t: Triple, pair: &Pair) {
        let is_file = self.inputs.left.kind(pair.left) == Kind::File;
        if is_file && self.merge_file_meta(pair) {
            return;
        }
        self.plan.summary.unchanged += 1;
        self.agree(pair.base, pair.left, pair.right);
        if self.folds {
            self.respell(t, pair.left, pair.right, true);
        }
    }

    #[inline]
    fn same_two_way(&self, pair: &Pair, states: (State, State)) -> Same {
        let (left, right) = (self.inputs.left, self.inputs.right);
        let Pair { base, left: l, right: r } = *pair;
        if left.kind(l) != right.kind(r) {
            return Same::No;
        }
        if left.kind(l) == Kind::Symlink {
            return (left.target(l) == right.target(r)).into();
        }
        if left.size(l) != right.size(r) {
            return if self.may_be_touched_only(pair, states) { Same::Ask } else { Same::No };
        }
        if states == (State::Same, State::Same) && !self.inputs.checksum {
            // Hashes that happen to be known may tell otherwise.
            return match (left.content(l), right.content(r)) {
                (Some(l), Some(r)) => (l == r).into(),
                _ => Same::Yes,
            };
        }
        if let (Some(l), Some(r)) =
            (self.known_content(Side::Left, l, base), self.known_content(Side::Right, r, base))
        {
            return (l == r).into();
        }
        match states {
            _ if left.size(l) == 0 => Same::Yes,
            _ if self.inputs.checksum => Same::Ask,
            (State::Same, _) | (_, State::Same) => Same::No,
            _ => Same::Ask,
        }
    }

    /// Before two edits count as a conflict: one of them may be no more than a new date, which only its hash can tell.
    fn may_be_touched_only(&self, pair: &Pair, states: (State, State)) -> bool {
        let Some(base) = pair.base.filter(|b| self.inputs.base.tree().content(*b).is_some()) else { return false };
        let touched = |side: Side| {
            let (tree, node) = (self.tree(side), pair.on(side));
            tree.content(node).is_none() && tree.size(node) == self.inputs.base.tree().size(base)
        };
        states == (State::Modified, State::Modified) && (touched(Side::Left) || touched(Side::Right))
    }

    /// Damage is not an edit: it is reported and goes nowhere.
    fn is_damaged_pair(&mut self, pair: &Pair) -> bool {
        let Some(base) = pair.base else { return false };
        let damaged =
            [Side::Left, Side::Right].into_iter().find(|side| self.is_damaged(*side, pair.on(*side), base));
        if let Some(side) = damaged {
            let path = self.tree(side).path(pair.on(side));
            self.problem(path, ProblemKind::Corrupt, "its bytes changed, though nobody wrote to it");
        }
        damaged.is_some()
    }

    /// At least one side is a directory.
    pub fn dir_two_way(&mut self, t: Triple, left: Here, right: Here, context: Context, seen: &mut Seen) {
        let base = t.base.filter(|b| !self.inputs.base.is_conflicted(*b));
        match (left, right) {
            (Here::Is(l), Here::Is(r)) if self.are_dirs(l, r) => {
                self.pair_dirs_two_way(t, Pair { base, left: l, right: r }, context, seen);
            }
            (Here::Is(l), Here::Is(r)) => self.kinds_clash(t, Pair { base, left: l, right: r }, context, seen),
            (Here::Is(l), _) => self.one_sided_dir(Side::Left, l, base, context, seen),
            (_, Here::Is(r)) => self.one_sided_dir(Side::Right, r, base, context, seen),
            _ => seen.stays_on_both(),
        }
    }

    fn pair_dirs_two_way(&mut self, t: Triple, pair: Pair, context: Context, seen: &mut Seen) {
        seen.stays_on_both();
        let base = pair.base.filter(|b| self.inputs.base.tree().kind(*b) == Kind::Dir);
        let dirs = Triple { base, ..t };
        let inside = self.below(dirs, context);
        let inner = self.walk(dirs, inside);
        // Where metadata is still to be given, both agree only after that.
        let merging = self.merge_dir_meta(&Pair { base, ..pair }, inner);
        if !merging && base.is_none_or(|b| self.inputs.base.is_implied(b)) {
            self.plan.agreed.push((pair.left, pair.right));
        }
        if self.folds {
            self.respell(t, pair.left, pair.right, !merging);
        }
    }

    /// Only `side` holds this directory.
    fn one_sided_dir(&mut self, side: Side, dir: NodeId, base: Option<NodeId>, context: Context, seen: &mut Seen) {
        let deleter = side.other();
        let agreed_dir = base.filter(|b| self.inputs.base.tree().kind(*b) == Kind::Dir);
        if context.doomed == Some(side) {
            return self.doom(side, dir, agreed_dir, context, seen);
        }
        if !self.traits(deleter).dirs {
            return self.unseen_dir(side, dir, agreed_dir, context, seen);
        }
        match base {
            Some(b) if self.deleter_wins(deleter, b) => {
                if agreed_dir.is_none_or(|b| self.is_changed_inside(side, dir, b)) {
                    self.conflict(Triple::only(side, dir), Outcome::Won(deleter));
                }
                self.doom(side, dir, agreed_dir, context, seen);
            }
            Some(b) if agreed_dir.is_some() => self.deleted_dir(side, dir, b, context, seen),
            _ => self.create_dir(deleter, dir, context, seen),
        }
    }

    /// The other side deleted the directory: what is unchanged in it goes; what is changed or new stays, and so do the
    /// directories that hold it.
    fn deleted_dir(&mut self, side: Side, dir: NodeId, base: NodeId, context: Context, seen: &mut Seen) {
        let deleter = side.other();
        let before = self.out.len(self.making);
        let made = self.make_dir(deleter, dir, context);
        let dirs = Triple { base: Some(base), ..Triple::only(side, dir) };
        let inside = self.below(dirs, context);
        let inner = self.walk(dirs, inside);
        if inner.touched[deleter as usize] {
            seen.stays_on_both();
            seen.touched[deleter as usize] = true;
            if let Some((slot, at)) = made {
                self.out.push(Phase::Dirs, deleter, Op::SetMeta { like: dir }, at, slot.done());
            }
            return;
        }
        // Nothing needs it over there after all.
        self.out.truncate(self.making, before);
        if inner.stays[side as usize] {
            seen.stays[side as usize] = true;
        } else {
            self.remove(Phase::Remove, side, dir, Some(base), seen);
        }
    }

    /// The other side cannot tell an empty directory from none: only what is in it counts.
    fn unseen_dir(&mut self, side: Side, dir: NodeId, base: Option<NodeId>, context: Context, seen: &mut Seen) {
        let dirs = Triple { base, ..Triple::only(side, dir) };
        let inside = self.below(dirs, context);
        let inner = self.walk(dirs, inside);
        seen.touched[side.other() as usize] |= inner.touched[side.other() as usize];
        let emptied = base.is_some() && inner.touched[side as usize] && !inner.stays[side as usize];
        if emptied {
            self.remove(Phase::Remove, side, dir, base, seen);
        } else {
            seen.stays[side as usize] = true;
        }
    }

    /// The directory goes with all that can be told of it.
    fn doom(&mut self, side: Side, dir: NodeId, base: Option<NodeId>, context: Context, seen: &mut Seen) {
        let dirs = Triple { base, ..Triple::only(side, dir) };
        let inside = self.below(dirs, Context { doomed: Some(side), ..context });
        let inner = self.walk(dirs, inside);
        if inner.stays[side as usize] {
            seen.stays[side as usize] = true;
        } else {
            self.remove(Phase::Remove, side, dir, base, seen);
        }
    }

    /// Whether the directory holds anything on `side` that was not agreed on as it is.
    pub fn is_changed_inside(&self, side: Side, dir: NodeId, base: NodeId) -> bool {
        let (tree, agreed) = (self.tree(side), self.inputs.base.tree());
        !tree.is_complete(dir)
            || tree.holds_ignored(dir)
            || tree.children(dir).any(|child| match (tree.kind(child), agreed.child(base, tree.name(child))) {
                (_, None) | (Kind::Unknown, _) => true,
                (_, Some(b)) if self.state(side, child, b) != State::Same => true,
                (Kind::Dir, Some(b)) => self.is_changed_inside(side, child, b),
                _ => false,
            })
    }

    pub fn conflict(&mut self, t: Triple, outcome: Outcome) {
        let id = t.on(Side::Left).map(|id| (Side::Left, id)).or(t.on(Side::Right).map(|id| (Side::Right, id)));
        let Some((side, id)) = id else { return };
        let path = self.tree(side).path(id);
        self.plan.conflicts.push(Conflict { path, left: t.left, right: t.right, outcome });
    }
}
