//! Moves: a removal and a new file that turn out to be one thing that was renamed. They change no decision.

use std::collections::HashMap;

use super::compare::State;
use super::schedule::{Phase, Removal, Slot};
use super::walk::Planner;
use super::{Expect, Op, Place, Side};
use crate::{ContentHash, Fingerprint, Kind, NodeId, Time};

/// What is the same before and after a rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Id(u64),
    Look(u64, Time),
}

/// What recognises a file on a side after a rename, as far as anything does.
fn key(stable_ids: bool, print: Fingerprint) -> Key {
    match print.id {
        id if id != 0 && stable_ids => Key::Id(id),
        _ => Key::Look(print.size, print.mtime),
    }
}

/// New files on one side by what may recognise them; none where two would answer.
#[derive(Default)]
struct Fresh {
    by_id: HashMap<u64, Option<(Slot, NodeId)>>,
    by_content: HashMap<ContentHash, Option<(Slot, NodeId)>>,
}

impl Planner<'_> {
    /// Turns removals and new files into renames where the source side shows that they belong together.
    pub fn find_moves(&mut self) {
        if self.out.removals.is_empty() {
            return;
        }
        let mut removals = std::mem::take(&mut self.out.removals);
        self.keep_moved_back(&mut removals);
        for side in [Side::Left, Side::Right] {
            if removals.iter().any(|removal| removal.side == side) {
                let (mut fresh, arrived) = (self.fresh(side), self.arrived(side));
                for removal in removals.iter().filter(|removal| removal.side == side) {
                    if !self.match_removal(removal, &mut fresh) {
                        self.guard_removal(removal, &arrived);
                    }
                }
            }
        }
    }

    /// A file that came back to a path where it was agreed on before, while the base has it at the path in between as well
    /// (its removal here went unanswered, say), would count as deleted at either path by the other side. It stays; the
    /// base forgets the path, so that it counts as new there.
    fn keep_moved_back(&mut self, removals: &mut Vec<Removal>) {
        for side in [Side::Left, Side::Right] {
            if self.one_way() {
                continue;
            }
            // What the other side loses as this one has it no more, by what recognises it here.
            let stable = self.traits(side).stable_ids;
            let left_here = removals.iter().filter(|removal| removal.side != side);
            let left_here: HashMap<Key, NodeId> = left_here
                .map(|removal| (key(stable, self.agreed_print(side, removal.base)), removal.base))
                .collect();
            removals.retain(|removal| {
                let came_back = removal.side == side && self.came_back(side, removal, &left_here);
                if came_back {
                    self.out.drop_action(removal.slot);
                    self.plan.gone.push(removal.base);
                    self.plan.summary.deleted -= 1;
                }
                !came_back
            });
        }
    }

    fn came_back(&self, side: Side, removal: &Removal, left_here: &HashMap<Key, NodeId>) -> bool {
        let (tree, agreed) = (self.tree(side), self.inputs.base.tree());
        let print = tree.fingerprint(removal.node);
        let key = key(self.traits(side).stable_ids, print);
        let Some(then) = left_here.get(&key).filter(|_| !tree.is_linked(removal.node)) else { return false };
        match key {
            Key::Id(_) => self.same_file(side, &print, &self.agreed_print(side, *then)),
            // Looks alone are those of many files.
            Key::Look(size, _) => {
                let content = agreed.content(*then);
                size > 0 && content.is_some() && content == agreed.content(removal.base)
            }
        }
    }

    /// The files that are to be written to `side` where nothing stands.
    fn fresh(&self, side: Side) -> Fresh {
        let (mut fresh, source) = (Fresh::default(), self.tree(side.other()));
        let ids = self.traits(side.other()).stable_ids;
        for (slot, action) in self.out.each(Phase::Create) {
            let Op::Write { from } = action.op else { continue };
            if action.side != side || source.kind(from) != Kind::File || source.is_linked(from) {
                continue;
            }
            let print = source.fingerprint(from);
            if ids && print.id != 0 {
                fresh.by_id.entry(print.id).and_modify(|two| *two = None).or_insert(Some((slot, from)));
            }
            if let Some(content) = source.content(from).filter(|_| print.size > 0) {
                fresh.by_content.entry(content).and_modify(|two| *two = None).or_insert(Some((slot, from)));
            }
        }
        fresh
    }

    /// What `side` holds already where the other side moved something, by its id there.
    fn arrived(&self, side: Side) -> HashMap<u64, (NodeId, NodeId)> {
        let both_ways = self.plan.agreed.iter().map(|(l, r)| match side {
            Side::Left => (*r, *l),
            Side::Right => (*l, *r),
        });
        let source = self.tree(side.other());
        let files = both_ways.filter(|(there, _)| source.kind(*there) == Kind::File && !source.is_linked(*there));
        match !self.one_way() && self.traits(side.other()).stable_ids {
            true => files.map(|pair| (source.fingerprint(pair.0).id, pair)).collect(),
            false => HashMap::new(),
        }
    }

    /// What is removed stands under its new name on this side too, as both sides moved it there: it must still do so when
    /// the old name goes.
    fn guard_removal(&mut self, removal: &Removal, arrived: &HashMap<u64, (NodeId, NodeId)>) {
        let then = self.agreed_print(removal.side.other(), removal.base);
        if let Some((there, here)) = arrived.get(&then.id)
            && self.same_file(removal.side.other(), &self.tree(removal.side.other()).fingerprint(*there), &then)
        {
            self.out.get_mut(removal.slot).keep = Some((removal.side, Place::of(removal.side, *here)));
        }
    }

    /// Whether `side`, which has nothing at its path, moved the agreed entry elsewhere, as far as ids tell.
    pub fn was_moved(&mut self, side: Side, base: NodeId) -> bool {
        let stable = self.traits(side).stable_ids && self.agreed_print(side, base).id != 0;
        stable && self.is_elsewhere(side, base)
    }

    /// Whether `side` has the agreed entry, edited or not, at another path: by its id, else by what a rename keeps.
    fn is_elsewhere(&mut self, side: Side, base: NodeId) -> bool {
        let (tree, agreed) = (self.tree(side), self.inputs.base.tree());
        let (stable, then) = (self.traits(side).stable_ids, self.agreed_print(side, base));
        let found = self.by_key[side as usize].get_or_insert_with(|| {
            let mut found: HashMap<Key, Vec<NodeId>> = HashMap::new();
            tree.ids().for_each(|id| found.entry(key(stable, tree.fingerprint(id))).or_default().push(id));
            found
        });
        found.get(&key(stable, then)).is_some_and(|nodes| {
            nodes.iter().any(|now| tree.kind(*now) == agreed.kind(base) && tree.path(*now) != agreed.path(base))
        })
    }

    /// Where it cannot be told what stands at an agreed path, but a side has the entry elsewhere by now, the base forgets
    /// the old path. Else it would claim one file for two paths: moved back on one side, it would count as deleted at
    /// either path by the other.
    pub fn forget_moved(&mut self, base: NodeId) {
        let agreed = self.inputs.base.tree();
        match agreed.kind(base) {
            Kind::Dir => agreed.children(base).for_each(|child| self.forget_moved(child)),
            _ if self.is_elsewhere(Side::Left, base) || self.is_elsewhere(Side::Right, base) => {
                self.plan.gone.push(base);
            }
            _ => {}
        }
    }

    /// Makes one move of a removal and a new file, if they are one thing; says whether they are.
    fn match_removal(&mut self, removal: &Removal, fresh: &mut Fresh) -> bool {
        let Removal { slot, side, node, base } = *removal;
        // Only what the source side had there can have been moved away, and only that version may be moved here.
        if self.tree(side).kind(node) != Kind::File || self.state(side, node, base) != State::Same {
            return false;
        }
        let source = self.tree(side.other());
        let then = self.agreed_print(side.other(), base);
        let by_id = fresh.by_id.get(&then.id).copied().flatten();
        let found =
            by_id.filter(|(_, new)| self.same_file(side.other(), &source.fingerprint(*new), &then)).or_else(|| {
                let content = self.inputs.base.tree().content(base)?;
                fresh.by_content.get(&content).copied().flatten()
            });
        let Some((write, new)) = found else { return false };
        // Taken: the next removal of equal content is another thing.
        fresh.by_id.remove(&source.fingerprint(new).id);
        if let Some(content) = source.content(new) {
            fresh.by_content.remove(&content);
        }
        let at = self.out.get_mut(write).at;
        self.out.drop_action(write);
        self.out.drop_action(slot);
        // Where new metadata is to follow, both agree only after that.
        let alike = self.differing_meta(&source.meta(new), &self.tree(side).meta(node)).is_empty();
        let op = Op::Move { from: node, like: alike.then_some(new) };
        let moved = self.out.push(Phase::Move, side, op, at, Expect::Absent);
        if !alike {
            self.out.push(Phase::Move, side, Op::SetMeta { like: new }, at, moved.done());
        }
        let summary = &mut self.plan.summary;
        summary.moved += 1;
        summary.new -= 1;
        summary.deleted -= 1;
        summary.bytes -= source.size(new);
        true
    }
}
