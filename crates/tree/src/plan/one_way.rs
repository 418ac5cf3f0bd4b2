//! Copy and mirror: the left side is the source.

use super::compare::{Same, State};
use super::join::Triple;
use super::links::Status;
use super::schedule::{Phase, Slot};
use super::walk::{Context, Here, Planner, Seen};
use super::{Existing, Expect, MetaFields, Op, Place, Policy, Side};
use crate::{Kind, NodeId, ProblemKind};

impl Planner<'_> {
    fn mirrors(&self) -> bool {
        self.inputs.policy == Policy::Mirror
    }

    /// Neither side is a directory.
    #[inline]
    pub fn leaf_one_way(&mut self, triple: Triple, context: Context, seen: &mut Seen) {
        match (self.here(triple, Side::Left, context), self.here(triple, Side::Right, context)) {
            (Here::Unknown, _) | (_, Here::Unknown) => seen.stays_on_both(),
            (Here::Is(l), Here::Is(r)) => self.pair_one_way(triple, l, r, seen),
            (Here::Is(l), Here::Absent) => {
                let slot = self.create(Side::Right, l, context, seen);
                self.note_linked(l, None, slot.map(Status::Written));
            }
            (Here::Absent, Here::Is(r)) if self.mirrors() => {
                self.remove(Phase::Remove, Side::Right, r, triple.base, seen)
            }
            (Here::Absent, Here::Is(_)) => seen.stays[Side::Right as usize] = true,
            (Here::Absent, Here::Absent) => self.forget_all(triple.base),
        }
    }

    /// Both sides hold a file or link.
    #[inline]
    fn pair_one_way(&mut self, t: Triple, l: NodeId, r: NodeId, seen: &mut Seen) {
        let base = t.base.filter(|b| !self.inputs.base.is_conflicted(*b));
        match self.same_one_way(base, l, r) {
            Same::Ask => self.plan.undecided.push((l, r)),
            Same::Yes => {
                seen.stays_on_both();
                self.plan.summary.unchanged += 1;
                let slot = self.follow_meta(base, l, r);
                if self.folds && slot.is_none() {
                    self.respell(t, l, r, true);
                }
                self.note_linked(l, Some(r), Some(slot.map_or(Status::Unchanged, Status::Meta)));
            }
            Same::No => {
                seen.stays_on_both();
                if self.replaces(base, l, r) {
                    let slot = self.overwrite(Side::Right, r, l, seen);
                    self.note_linked(l, Some(r), slot.map(Status::Written));
                }
            }
        }
    }

    /// Same content: the metadata follows the source.
    #[inline]
    fn follow_meta(&mut self, base: Option<NodeId>, l: NodeId, r: NodeId) -> Option<Slot> {
        let mut differing = self.differing(l, r);
        if self.inputs.left.kind(l) == Kind::Symlink {
            // Permissions and attributes of links mean nothing, or are the system's.
            differing = differing.without(MetaFields::MODE).without(MetaFields::XATTRS);
        }
        let keep = self.inputs.policy == Policy::Copy { existing: Existing::Keep };
        if !keep && !differing.is_empty() {
            self.plan.summary.unchanged -= 1;
            return Some(self.set_meta(Side::Right, r, l));
        }
        // A mirror does without a base, unless nothing else can tell what is unchanged.
        if !self.mirrors() || self.inputs.remember {
            self.agree(base, l, r);
        }
        None
    }

    /// Records that both sides are the same, if the base does not say so yet.
    #[inline]
    pub fn agree(&mut self, base: Option<NodeId>, l: NodeId, r: NodeId) {
        let known = base.is_some_and(|b| {
            self.inputs.base.tree().kind(b) == self.inputs.left.kind(l)
                && self.untouched(Side::Left, l, b)
                && self.untouched(Side::Right, r, b)
        });
        if !known {
            self.plan.agreed.push((l, r));
        }
    }

    #[inline]
    fn same_one_way(&self, base: Option<NodeId>, l: NodeId, r: NodeId) -> Same {
        let (left, right) = (self.inputs.left, self.inputs.right);
        if left.kind(l) != right.kind(r) {
            return Same::No;
        }
        if left.kind(l) == Kind::Symlink {
            return (left.target(l) == right.target(r)).into();
        }
        if left.size(l) != right.size(r) {
            return Same::No;
        }
        if let (Some(lc), Some(rc)) = (left.content(l), right.content(r)) {
            return (lc == rc).into();
        }
        if left.size(l) == 0 {
            return Same::Yes;
        }
        if self.inputs.checksum {
            return Same::Ask;
        }
        if self.keeps.has(MetaFields::MTIME) {
            return left.mtime(l).same_within(right.mtime(r), self.precision).into();
        }
        match base.filter(|b| self.inputs.base.tree().kind(*b) == Kind::File) {
            Some(b) => (self.untouched(Side::Left, l, b) && self.untouched(Side::Right, r, b)).into(),
            None => Same::Ask,
        }
    }

    /// Whether the source's version takes the place of the other; both are there and differ.
    fn replaces(&mut self, base: Option<NodeId>, l: NodeId, r: NodeId) -> bool {
        let (left, right) = (self.inputs.left, self.inputs.right);
        if let Some(b) = base
            && left.kind(l) == Kind::File
            && self.is_damaged(Side::Left, l, b)
        {
            self.problem(left.path(l), ProblemKind::Corrupt, "its bytes changed, though nobody wrote to it");
            return false;
        }
        let Policy::Copy { existing } = self.inputs.policy else { return true };
        if left.kind(l) != right.kind(r) {
            self.kinds_differ(l, r);
            return false;
        }
        let source_changed = base.is_none_or(|b| self.state(Side::Left, l, b) != State::Same);
        let edited_there = base.is_some_and(|b| self.state(Side::Right, r, b) != State::Same)
            && base.is_some_and(|b| !self.is_damaged(Side::Right, r, b));
        match existing {
            Existing::Keep => false,
            // Only the destination changed: the source has nothing new to tell.
            _ if !source_changed && edited_there => false,
            Existing::Replace => true,
            Existing::IfNewer if self.keeps.has(MetaFields::MTIME) => {
                left.mtime(l) > right.mtime(r) && !left.mtime(l).same_within(right.mtime(r), self.precision)
            }
            Existing::IfNewer => base.is_some() && source_changed,
        }
    }

    fn kinds_differ(&mut self, l: NodeId, r: NodeId) {
        let name = |kind| match kind {
            Kind::File => "a file",
            Kind::Dir => "a directory",
            Kind::Symlink => "a symbolic link",
            Kind::Unknown => "something unknown",
        };
        let (source, there) = (self.inputs.left.kind(l), self.inputs.right.kind(r));
        let message = format!("is {} at the source, but {} at the destination", name(source), name(there));
        self.problem(self.inputs.left.path(l), ProblemKind::Other, &message);
    }

    /// At least one side is a directory.
    pub fn dir_one_way(&mut self, t: Triple, left: Here, right: Here, context: Context, seen: &mut Seen) {
        match (left, right) {
            (Here::Is(l), Here::Is(r)) if self.are_dirs(l, r) => self.pair_dirs(t, l, r, context, seen),
            (Here::Is(l), Here::Is(r)) if self.mirrors() => self.replace(Side::Right, r, l, t.base, context, seen),
            (Here::Is(l), Here::Is(r)) => {
                seen.stays_on_both();
                self.kinds_differ(l, r);
            }
            (Here::Is(l), _) => self.create_dir(Side::Right, l, context, seen),
            (_, Here::Is(r)) if self.mirrors() => {
                let dirs = Triple { left: None, ..t };
                let inside = self.below(dirs, context);
                let inner = self.walk(dirs, inside);
                if inner.stays[Side::Right as usize] {
                    seen.stays[Side::Right as usize] = true;
                } else {
                    self.remove(Phase::Remove, Side::Right, r, t.base, seen);
                }
            }
            _ => seen.stays_on_both(),
        }
    }

    pub fn are_dirs(&self, l: NodeId, r: NodeId) -> bool {
        self.inputs.left.kind(l) == Kind::Dir && self.inputs.right.kind(r) == Kind::Dir
    }

    /// Both sides hold the directory.
    fn pair_dirs(&mut self, t: Triple, l: NodeId, r: NodeId, context: Context, seen: &mut Seen) {
        seen.stays_on_both();
        let base = t.base.filter(|b| self.inputs.base.tree().kind(*b) == Kind::Dir);
        let dirs = Triple { base, ..t };
        let inside = self.below(dirs, context);
        let inner = self.walk(dirs, inside);
        let keep = self.inputs.policy == Policy::Copy { existing: Existing::Keep };
        let kept = self.inputs.left_traits.dirs && self.inputs.right_traits.dirs;
        let unsettled = inner.touched[Side::Right as usize] && self.keeps.has(MetaFields::MTIME);
        if kept && !keep && (unsettled || !self.differing(l, r).is_empty()) {
            self.out.push(Phase::Dirs, Side::Right, Op::SetMeta { like: l }, Place::Right(r), Expect::Seen(r));
        } else if !self.mirrors() && base.is_none_or(|b| self.inputs.base.is_implied(b)) {
            self.plan.agreed.push((l, r));
        }
        if self.folds {
            self.respell(t, l, r, self.differing(l, r).is_empty());
        }
    }
}
