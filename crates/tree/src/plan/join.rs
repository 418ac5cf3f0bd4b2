//! Walking three directories side by side.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Inputs, Side};
use crate::{NodeId, Tree, fold_key};

/// What the three trees hold under one name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Triple {
    pub base: Option<NodeId>,
    pub left: Option<NodeId>,
    pub right: Option<NodeId>,
}

impl Triple {
    pub fn on(&self, side: Side) -> Option<NodeId> {
        match side {
            Side::Left => self.left,
            Side::Right => self.right,
        }
    }

    /// Only what `side` holds there.
    pub fn only(side: Side, node: NodeId) -> Self {
        let mut triple = Self::default();
        *triple.on_mut(side) = Some(node);
        triple
    }

    pub fn on_mut(&mut self, side: Side) -> &mut Option<NodeId> {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }
}

/// The children of one directory that are still to come.
struct Cursor<'a> {
    tree: &'a Tree,
    next: u32,
    end: u32,
}

impl<'a> Cursor<'a> {
    fn new(tree: &'a Tree, dir: Option<NodeId>) -> Self {
        let children = dir.map(|dir| tree.children(dir));
        let len = children.as_ref().map_or(0, |c| c.len() as u32);
        let first = children.and_then(|mut c| c.next()).map_or(0, |id| id.0);
        Self { tree, next: first, end: first + len }
    }

    #[inline]
    fn peek(&self) -> Option<&'a [u8]> {
        (self.next < self.end).then(|| self.tree.name(NodeId(self.next)))
    }

    #[inline]
    fn take(&mut self) -> Option<NodeId> {
        self.next += 1;
        Some(NodeId(self.next - 1))
    }
}

/// The merge of three sorted directories, by exact name. Allocates nothing.
pub(super) struct Join<'a> {
    base: Cursor<'a>,
    left: Cursor<'a>,
    right: Cursor<'a>,
}

impl<'a> Join<'a> {
    pub fn new(inputs: &Inputs<'a>, dirs: Triple) -> Self {
        Self {
            base: Cursor::new(inputs.base.tree(), dirs.base),
            left: Cursor::new(inputs.left, dirs.left),
            right: Cursor::new(inputs.right, dirs.right),
        }
    }
}

impl Iterator for Join<'_> {
    type Item = Triple;

    #[inline]
    fn next(&mut self) -> Option<Triple> {
        let (left, right) = (self.left.peek(), self.right.peek());
        let (name, of_left, of_right) = match (left, right) {
            (Some(l), Some(r)) => match l.cmp(r) {
                Ordering::Less => (Some(l), true, false),
                Ordering::Equal => (Some(l), true, true),
                Ordering::Greater => (Some(r), false, true),
            },
            (l, r) => (l.or(r), l.is_some(), r.is_some()),
        };
        let (mut of_base, mut of_sides) = (false, true);
        if let Some(base) = self.base.peek() {
            match name.map_or(Ordering::Less, |name| base.cmp(name)) {
                Ordering::Less => (of_base, of_sides) = (true, false),
                Ordering::Equal => of_base = true,
                Ordering::Greater => {}
            }
        } else {
            name?;
        }
        Some(Triple {
            base: if of_base { self.base.take() } else { None },
            left: if of_sides && of_left { self.left.take() } else { None },
            right: if of_sides && of_right { self.right.take() } else { None },
        })
    }
}

/// What a directory holds where one side takes several names for one.
#[derive(Default)]
pub(super) struct Folded {
    /// One for each name, whatever its spelling on either side.
    pub triples: Vec<Triple>,
    /// Entries that cannot stand on the other side, because another one has their name there.
    pub blocked: Vec<(Side, NodeId)>,
    /// Entries of the base that belong to no triple.
    pub stale: Vec<NodeId>,
}

/// The merge of three directories by folded name.
pub(super) fn join_folded(inputs: &Inputs<'_>, dirs: Triple) -> Folded {
    let mut exact: Vec<(Cow<'_, [u8]>, Triple)> =
        Join::new(inputs, dirs).map(|triple| (fold_key(any_name(inputs, &triple)), triple)).collect();
    exact.sort_by(|a, b| a.0.cmp(&b.0));
    let mut folded = Folded::default();
    for group in exact.chunk_by(|a, b| a.0 == b.0) {
        match group {
            [(_, only)] => folded.triples.push(*only),
            _ => join_group(inputs, group, &mut folded),
        }
    }
    folded
}

fn any_name<'a>(inputs: &Inputs<'a>, triple: &Triple) -> &'a [u8] {
    match (triple.left, triple.right, triple.base) {
        (Some(id), _, _) => inputs.left.name(id),
        (_, Some(id), _) => inputs.right.name(id),
        (_, _, Some(id)) => inputs.base.tree().name(id),
        (None, None, None) => b"",
    }
}

/// Several spellings of one name. On each side the one that the base has stands for it, else the one that is spelled
/// as on the other side, else the first.
fn join_group(inputs: &Inputs<'_>, group: &[(Cow<'_, [u8]>, Triple)], folded: &mut Folded) {
    let rank = |triple: &Triple, side: Side| {
        // A directory that the base only implies may have been respelled since.
        let agreed = triple.base.is_some_and(|base| !inputs.base.is_implied(base));
        (!agreed, triple.on(side.other()).is_none(), any_name(inputs, triple).to_vec())
    };
    let pick = |side: Side| {
        let here = group.iter().map(|(_, triple)| triple).filter(|triple| triple.on(side).is_some());
        here.min_by_key(|triple| rank(triple, side)).and_then(|triple| triple.on(side))
    };
    let (left, right) = (pick(Side::Left), pick(Side::Right));
    let holds_children = |id: NodeId| inputs.base.tree().children(id).len() > 0;
    let spelled =
        |triple: &&Triple| (left.is_some() && triple.left == left) || (right.is_some() && triple.right == right);
    let bases = || group.iter().map(|(_, triple)| triple).filter(|triple| triple.base.is_some());
    let base = bases()
        .find(|triple| spelled(triple) && triple.base.is_some_and(holds_children))
        .or_else(|| bases().find(spelled))
        .or_else(|| bases().next())
        .and_then(|triple| triple.base);
    folded.triples.push(Triple { base, left, right });
    for (_, triple) in group {
        folded.stale.extend(triple.base.filter(|id| Some(*id) != base));
        folded.blocked.extend(triple.left.filter(|id| Some(*id) != left).map(|id| (Side::Left, id)));
        folded.blocked.extend(triple.right.filter(|id| Some(*id) != right).map(|id| (Side::Right, id)));
    }
}
