//! Files with several names keep them: one is written, the others become links to it.

use std::collections::HashMap;

use super::schedule::{Phase, Slot};
use super::walk::Planner;
use super::{Expect, Op, Place, Side};
use crate::{Kind, NodeId};

/// What the plan does with one name of a left file that has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// The right side has it already.
    Unchanged,
    /// The right side has the content and gets the metadata.
    Meta(Slot),
    /// It is written.
    Written(Slot),
}

/// One name of a left file that has several.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    left: NodeId,
    right: Option<NodeId>,
    status: Status,
}

impl Planner<'_> {
    /// Notes what becomes of a left file, in case it has several names.
    #[inline]
    pub fn note_linked(&mut self, left: NodeId, right: Option<NodeId>, status: Option<Status>) {
        if let Some(status) = status
            && self.inputs.hard_links
            && self.inputs.left.is_linked(left)
            && self.inputs.left.kind(left) == Kind::File
            && self.inputs.left.fingerprint(left).id != 0
        {
            self.linked.push(Name { left, right, status });
        }
    }

    /// Turns all but one name of each file into links.
    pub fn link_names(&mut self) {
        let mut files: HashMap<u64, Vec<Name>> = HashMap::new();
        let mut order = Vec::new();
        for name in std::mem::take(&mut self.linked) {
            let id = self.inputs.left.fingerprint(name.left).id;
            files.entry(id).or_insert_with(|| (order.push(id), Vec::new()).1).push(name);
        }
        for id in order {
            let names = &files[&id];
            // What stands already needs no transfer; else the first to be written, in the order of the plan.
            let leader = names.iter().find(|name| !matches!(name.status, Status::Written(_))).or_else(|| {
                names.iter().min_by_key(|name| match name.status {
                    Status::Written(slot) => Some(slot),
                    _ => None,
                })
            });
            let Some(leader) = leader.copied() else { continue };
            names.iter().filter(|name| name.left != leader.left).for_each(|name| self.link(leader, *name));
        }
    }

    fn link(&mut self, leader: Name, name: Name) {
        let of = match (leader.status, leader.right) {
            (Status::Written(slot), _) => self.out.get_mut(slot).at,
            (_, Some(right)) => Place::Right(right),
            (_, None) => return,
        };
        let op = Op::Link { of };
        match name.status {
            Status::Written(slot) => {
                // Behind everything that is written, so that the file it is to share is there.
                let action = *self.out.get_mut(slot);
                if slot.is_in(Phase::Replace) {
                    self.out.get_mut(slot).op = op;
                } else {
                    self.out.drop_action(slot);
                    self.out.push(Phase::Move, Side::Right, op, action.at, action.expect);
                }
                self.plan.summary.bytes -= self.inputs.left.size(name.left);
            }
            Status::Unchanged | Status::Meta(_) => {
                let Some(right) = name.right else { return };
                let id = |node: NodeId| self.inputs.right.fingerprint(node).id;
                let rewritten = matches!(leader.status, Status::Written(_));
                if !rewritten && leader.right.is_some_and(|r| id(r) != 0 && id(r) == id(right)) {
                    return;
                }
                if let Status::Meta(slot) = name.status {
                    self.out.drop_action(slot);
                } else {
                    self.plan.summary.unchanged -= 1;
                    self.plan.summary.changed += 1;
                }
                self.out.push(Phase::Move, Side::Right, op, Place::Right(right), Expect::Seen(right));
            }
        }
    }
}
