//! Whether two entries are the same, and what became of one since it was agreed on.

use super::walk::Planner;
use super::{MetaFields, Side, SideTraits};
use crate::{ContentHash, Fingerprint, Kind, Meta, NodeId, Tree};

/// What became of an entry since it was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The content is the agreed one; the metadata may have changed.
    Same,
    /// Another version, or nothing was ever agreed.
    Modified,
    /// Another kind of thing.
    Kind,
}

/// Whether two entries have the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Same {
    Yes,
    No,
    /// Only their hashes can tell.
    Ask,
}

/// Up to this many nanoseconds, nobody edits a file twice between two ticks of a store's clock.
const FAST_TICK: u64 = 20_000_000;

impl From<bool> for Same {
    fn from(same: bool) -> Self {
        if same { Self::Yes } else { Self::No }
    }
}

impl<'a> Planner<'a> {
    pub fn tree(&self, side: Side) -> &'a Tree {
        match side {
            Side::Left => self.inputs.left,
            Side::Right => self.inputs.right,
        }
    }

    pub fn traits(&self, side: Side) -> &SideTraits {
        match side {
            Side::Left => &self.inputs.left_traits,
            Side::Right => &self.inputs.right_traits,
        }
    }

    /// How `side` told the agreed version.
    pub fn agreed_print(&self, side: Side, base: NodeId) -> Fingerprint {
        match side {
            Side::Left => self.inputs.base.left(base),
            Side::Right => self.inputs.base.right(base),
        }
    }

    /// Whether the entry is in exactly the version that was agreed on.
    pub fn untouched(&self, side: Side, node: NodeId, base: NodeId) -> bool {
        self.tree(side).fingerprint(node).same_version(&self.agreed_print(side, base))
    }

    /// What became of `node` since `base`. Where a conflict was left for the user, nothing was agreed.
    pub fn state(&self, side: Side, node: NodeId, base: NodeId) -> State {
        if self.inputs.base.is_conflicted(base) {
            return State::Modified;
        }
        let (tree, agreed) = (self.tree(side), self.inputs.base.tree());
        if tree.kind(node) != agreed.kind(base) {
            return State::Kind;
        }
        let same = match tree.kind(node) {
            Kind::Symlink => tree.target(node) == agreed.target(base),
            Kind::File => {
                let (now, then) = (tree.fingerprint(node), self.agreed_print(side, base));
                match (tree.content(node), agreed.content(base)) {
                    (Some(now), Some(then)) => now == then,
                    _ => now.same_version(&then) || self.same_file(side, &now, &then),
                }
            }
            Kind::Dir | Kind::Unknown => true,
        };
        if same { State::Same } else { State::Modified }
    }

    /// Whether both fingerprints tell of the same bytes, though the file was renamed or got other metadata. A clock that
    /// ticks slowly cannot tell that: two edits may share a tick.
    pub fn same_file(&self, side: Side, now: &Fingerprint, then: &Fingerprint) -> bool {
        let ticks_fast = (1..=FAST_TICK).contains(&self.traits(side).mtime_precision);
        now.same_file(then) && (ticks_fast || now.change == then.change)
    }

    /// The store tells that a file is as it was agreed on, but its bytes are others: it was damaged, not edited.
    pub fn is_damaged(&self, side: Side, node: NodeId, base: NodeId) -> bool {
        match (self.tree(side).content(node), self.inputs.base.tree().content(base)) {
            (Some(now), Some(then)) => now != then && self.untouched(side, node, base),
            _ => false,
        }
    }

    /// The hash of the entry's bytes, read or known from the version that was agreed on.
    pub fn known_content(&self, side: Side, node: NodeId, base: Option<NodeId>) -> Option<ContentHash> {
        let agreed = || {
            let base = base.filter(|base| self.state(side, node, *base) == State::Same)?;
            self.inputs.base.tree().content(base)
        };
        self.tree(side).content(node).or_else(agreed)
    }

    /// The fields that both sides keep and that differ.
    #[inline]
    pub fn differing(&self, left: NodeId, right: NodeId) -> MetaFields {
        self.differing_meta(&self.inputs.left.meta(left), &self.inputs.right.meta(right))
    }

    #[inline]
    pub fn differing_meta(&self, l: &Meta, r: &Meta) -> MetaFields {
        let mut fields = MetaFields::NONE;
        if !l.mtime.same_within(r.mtime, self.precision) {
            fields = fields.with(MetaFields::MTIME);
        }
        if l.mode != r.mode {
            fields = fields.with(MetaFields::MODE);
        }
        if (l.uid, l.gid) != (r.uid, r.gid) {
            fields = fields.with(MetaFields::OWNER);
        }
        if l.xattrs != r.xattrs {
            fields = fields.with(MetaFields::XATTRS);
        }
        fields.kept(self.keeps)
    }

    /// Whether `newer` was modified later than `older`, by more than clocks and their ticks explain. False where a side
    /// keeps no times.
    pub fn is_newer(&self, newer: (Side, NodeId), older: (Side, NodeId), skew: u64) -> bool {
        if !self.keeps.has(MetaFields::MTIME) {
            return false;
        }
        let ticks = self.inputs.left_traits.mtime_precision + self.inputs.right_traits.mtime_precision;
        let gap = self.tree(newer.0).mtime(newer.1).as_nanos() - self.tree(older.0).mtime(older.1).as_nanos();
        gap > i128::from(skew) + i128::from(ticks)
    }
}
