//! Things that give way to another kind, and what the base must forget then.

use super::join::{Join, Triple};
use super::schedule::Phase;
use super::walk::{Context, DEEPEST, Planner, Seen};
use super::{Expect, Op, Policy, Side};
use crate::fold::same_composed;
use crate::{Kind, NodeId, ProblemKind};

impl Planner<'_> {
    /// On `side`, `old` gives way to what the other side holds as `new`; one of them is a directory.
    pub fn replace(
        &mut self,
        side: Side,
        old: NodeId,
        new: NodeId,
        base: Option<NodeId>,
        context: Context,
        seen: &mut Seen,
    ) {
        seen.stays_on_both();
        if !self.can_hold(side, new) {
            return;
        }
        if !self.is_removable(side, old, context.depth) {
            let path = self.tree(side).path(old);
            let message =
                "holds entries that are left out or could not be read, so nothing else can take its place";
            return self.problem(path, ProblemKind::Other, message);
        }
        let removed = std::mem::replace(&mut self.making, Phase::Replace);
        self.remove_all(side, old, base, seen);
        match self.tree(side.other()).kind(new) {
            Kind::Dir => self.create_dir(side, new, context, seen),
            _ => drop(self.create(side, new, context, seen)),
        }
        self.making = removed;
    }

    /// Whether nothing unknown or left out would go with it.
    fn is_removable(&self, side: Side, node: NodeId, depth: u16) -> bool {
        let tree = self.tree(side);
        match tree.kind(node) {
            Kind::Unknown => false,
            Kind::Dir => {
                depth < DEEPEST
                    && tree.is_complete(node)
                    && !tree.holds_ignored(node)
                    && tree.children(node).all(|child| self.is_removable(side, child, depth + 1))
            }
            Kind::File | Kind::Symlink => true,
        }
    }

    /// Removes an entry with all it holds; the base forgets what was gone there already.
    fn remove_all(&mut self, side: Side, node: NodeId, base: Option<NodeId>, seen: &mut Seen) {
        if self.tree(side).kind(node) == Kind::Dir {
            let dirs = Triple { base, ..Triple::only(side, node) };
            for triple in Join::new(&self.inputs, dirs) {
                match triple.on(side) {
                    Some(child) => self.remove_all(side, child, triple.base, seen),
                    None => self.forget_all(triple.base),
                }
            }
        }
        self.remove(Phase::Replace, side, node, base, seen);
    }

    /// The base forgets an entry and all it holds there.
    pub fn forget_all(&mut self, base: Option<NodeId>) {
        if let Some(base) = base {
            self.plan.gone.push(base);
            self.forget_below(base);
        }
    }

    /// The base forgets what an entry holds there.
    pub fn forget_below(&mut self, base: NodeId) {
        self.inputs.base.tree().children(base).for_each(|child| self.forget_all(Some(child)));
    }

    /// Makes both sides spell the name of a pair alike, where one side was renamed since it was agreed on and the
    /// spellings differ by more than normalisation. `alike`: their metadata is the same already.
    pub fn respell(&mut self, t: Triple, l: NodeId, r: NodeId, alike: bool) {
        let (left, right) = (self.inputs.left.name(l), self.inputs.right.name(r));
        if left == right || same_composed(left, right) {
            return;
        }
        let agreed = t.base.map(|b| self.inputs.base.tree().name(b));
        let side = match (self.inputs.policy, agreed) {
            (Policy::Copy { .. } | Policy::Mirror, _) => Side::Right,
            (_, Some(agreed)) if agreed == left => Side::Left,
            (_, Some(agreed)) if agreed == right => Side::Right,
            _ => return,
        };
        let (node, like) = if side == Side::Left { (l, r) } else { (r, l) };
        // Where directories are only implied, each thing in it is spelled on its own; both spellings may stay.
        if self.tree(side).kind(node) == Kind::Dir && !self.traits(side).dirs {
            return;
        }
        let (tree, name) = (self.tree(side), self.tree(side.other()).name(like));
        if tree.child(tree.parent(node), name).is_some() {
            return;
        }
        let path = tree.path(tree.parent(node)).join(name).expect("a tree's name is valid");
        let at = self.name(path);
        // A store that takes both spellings for one name finds the entry itself under the new one.
        let expect = if self.traits(side).folds_names { Expect::Seen(node) } else { Expect::Absent };
        // A directory's metadata is not checked when it is renamed: what both agree on is found out by the next run.
        let alike = alike && tree.kind(node) != Kind::Dir;
        self.out.push(Phase::Rename, side, Op::Move { from: node, like: alike.then_some(like) }, at, expect);
        if tree.kind(node) != Kind::Dir {
            self.plan.summary.moved += 1;
        }
    }
}
