//! Metadata is merged field by field and is never a conflict.

use super::schedule::{Phase, Slot};
use super::two_way::Pair;
use super::walk::{Planner, Seen};
use super::{Expect, MetaFields, OnConflict, Op, Place, Policy, Side};
use crate::{Meta, NodeId};

/// Which fields each side takes from the other.
#[derive(Clone, Copy, Default)]
struct Merge {
    to_left: MetaFields,
    to_right: MetaFields,
}

impl Planner<'_> {
    /// Merges the metadata of two files of the same content; says whether there was anything to do.
    #[inline]
    pub fn merge_file_meta(&mut self, pair: &Pair) -> bool {
        let differing = self.differing(pair.left, pair.right);
        if differing.is_empty() {
            return false;
        }
        let merge = self.merge(pair, differing);
        if merge.to_left.is_empty() && merge.to_right.is_empty() {
            return false;
        }
        self.plan.summary.changed += 1;
        self.apply(Phase::Update, pair, merge);
        true
    }

    /// Merges the metadata of a directory. Its time follows from what happens in it: it is put right where this plan
    /// works in the directory on one side only, and is no reason to do anything otherwise. Says whether there is
    /// anything to do.
    pub fn merge_dir_meta(&mut self, pair: &Pair, inner: Seen) -> bool {
        if !self.inputs.left_traits.dirs || !self.inputs.right_traits.dirs {
            return false;
        }
        let differing = self.differing(pair.left, pair.right).without(MetaFields::MTIME);
        let mut merge = self.merge(pair, differing);
        if self.keeps.has(MetaFields::MTIME) {
            match inner.touched {
                [true, false] => merge.to_left = merge.to_left.with(MetaFields::MTIME),
                [false, true] => merge.to_right = merge.to_right.with(MetaFields::MTIME),
                _ => {}
            }
        }
        self.apply(Phase::Dirs, pair, merge);
        !merge.to_left.is_empty() || !merge.to_right.is_empty()
    }

    /// `side` was overwritten with the other's version, but had changes of metadata of its own: they come back, on
    /// both sides.
    pub fn keep_own_meta(&mut self, side: Side, pair: &Pair, written: Slot) {
        let Some(base) = pair.base else { return };
        let differing = self.differing(pair.left, pair.right).without(MetaFields::MTIME);
        let mut own = MetaFields::NONE;
        for field in MetaFields::EACH {
            let changed = |side: Side| self.is_field_changed(side, pair.on(side), base, field);
            if differing.has(field) && changed(side) && !changed(side.other()) {
                own = own.with(field);
            }
        }
        if own.is_empty() {
            return;
        }
        let all = MetaFields::EACH.iter().fold(MetaFields::NONE, |all, field| all.with(*field));
        let of_right = if side == Side::Right { own } else { all.without(own) };
        let op = Op::MergeMeta { left: pair.left, right: pair.right, of_right };
        let (own_node, other_node) = (pair.on(side), pair.on(side.other()));
        self.out.push(Phase::Update, side, op, Place::of(side, own_node), written.done());
        let at = Place::of(side.other(), other_node);
        self.out.push(Phase::Update, side.other(), op, at, Expect::Seen(other_node));
    }

    fn merge(&self, pair: &Pair, differing: MetaFields) -> Merge {
        let mut merge = Merge::default();
        if differing.is_empty() || self.differed_when_agreed(pair) {
            return merge;
        }
        for field in MetaFields::EACH.into_iter().filter(|field| differing.has(*field)) {
            let changed =
                |side: Side| pair.base.is_none_or(|b| self.is_field_changed(side, pair.on(side), b, field));
            let from = match (changed(Side::Left), changed(Side::Right)) {
                (false, false) => continue,
                (true, false) => Side::Left,
                (false, true) => Side::Right,
                (true, true) => self.better(pair, field),
            };
            match from {
                Side::Left => merge.to_right = merge.to_right.with(field),
                Side::Right => merge.to_left = merge.to_left.with(field),
            }
        }
        merge
    }

    /// Neither side was touched since they agreed: one of them cannot hold what the other has.
    fn differed_when_agreed(&self, pair: &Pair) -> bool {
        let counts = |side: Side| self.tree(side).fingerprint(pair.on(side)).change != 0;
        pair.base.is_some_and(|b| {
            counts(Side::Left)
                && counts(Side::Right)
                && self.untouched(Side::Left, pair.left, b)
                && self.untouched(Side::Right, pair.right, b)
        })
    }

    fn is_field_changed(&self, side: Side, node: NodeId, base: NodeId, field: MetaFields) -> bool {
        let (now, then) = (self.tree(side).meta(node), self.inputs.base.tree().meta(base));
        match field {
            // Each side's clock and precision against itself.
            MetaFields::MTIME => now.mtime != self.agreed_print(side, base).mtime,
            MetaFields::MODE => now.mode != then.mode,
            MetaFields::OWNER => (now.uid, now.gid) != (then.uid, then.gid),
            _ => now.xattrs != then.xattrs,
        }
    }

    /// Both changed the field: the policy's side, else the later change, else the larger value, so that it does not
    /// matter which side is called left.
    fn better(&self, pair: &Pair, field: MetaFields) -> Side {
        match self.inputs.policy {
            Policy::Sync(OnConflict::Left) => return Side::Left,
            Policy::Sync(OnConflict::Right) => return Side::Right,
            _ => {}
        }
        let (l, r) = (self.inputs.left.meta(pair.left), self.inputs.right.meta(pair.right));
        let value = |meta: &Meta| match field {
            MetaFields::MODE => u64::from(meta.mode),
            MetaFields::OWNER => u64::from(meta.uid) << 32 | u64::from(meta.gid),
            MetaFields::XATTRS => meta.xattrs,
            _ => 0,
        };
        if (l.mtime, value(&l)) >= (r.mtime, value(&r)) { Side::Left } else { Side::Right }
    }

    fn apply(&mut self, phase: Phase, pair: &Pair, merge: Merge) {
        let Pair { left, right, .. } = *pair;
        let mut push = |side: Side, op| {
            let node = pair.on(side);
            self.out.push(phase, side, op, Place::of(side, node), Expect::Seen(node));
        };
        match (merge.to_left.is_empty(), merge.to_right.is_empty()) {
            (true, true) => {}
            (true, false) => push(Side::Right, Op::SetMeta { like: left }),
            (false, true) => push(Side::Left, Op::SetMeta { like: right }),
            (false, false) => {
                let op = Op::MergeMeta { left, right, of_right: merge.to_left };
                push(Side::Right, op);
                push(Side::Left, op);
            }
        }
    }
}
