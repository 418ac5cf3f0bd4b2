//! The walk through three trees at once: one merge of sorted names for each directory, files and links first, then
//! the subdirectories.

use std::collections::{HashMap, HashSet};

use super::join::{Join, Triple, join_folded};
use super::moves::Key;
use super::schedule::{Phase, Removal, Schedule, Slot};
use super::{Expect, Inputs, MetaFields, Op, Place, Plan, Policy, Side};
use crate::{Kind, NodeId, Problem, ProblemKind, RelPath};

/// Decides what becomes of both sides.
///
/// Recursive: call it with [`STACK`] bytes of stack where trees may be of any depth. If [`Plan::undecided`] is not empty, that is all there is: put the hashes of those files into the trees and plan
/// again.
pub fn plan(inputs: &Inputs<'_>) -> Plan {
    let mut planner = Planner::new(*inputs);
    let root = Some(NodeId::ROOT);
    let complete = [inputs.left.is_complete(NodeId::ROOT), inputs.right.is_complete(NodeId::ROOT)];
    let context = Context { complete, depth: 0, aliases: None, misspelled: false, doomed: None };
    planner.walk(Triple { base: root, left: root, right: root }, context);
    if !planner.plan.undecided.is_empty() {
        return Plan { undecided: planner.plan.undecided, ..Plan::default() };
    }
    planner.find_moves();
    planner.link_names();
    planner.plan.actions = planner.out.finish();
    planner.plan
}

/// Directories deeper than this are left alone: the walk is recursive, and nobody but an attacker goes there.
pub(super) const DEEPEST: u16 = 4_000;

/// The stack that [`plan`] needs for the deepest trees it walks, in bytes. What an ordinary thread has is enough for
/// some thousand levels.
pub const STACK: usize = 32 << 20;

pub(super) struct Planner<'a> {
    pub inputs: Inputs<'a>,
    /// What both sides keep.
    pub keeps: MetaFields,
    /// The longer of both ticks.
    pub precision: u64,
    pub plan: Plan,
    pub out: Schedule,
    /// Where new things are scheduled: [`Phase::Create`], but [`Phase::Replace`] below what gave way to them.
    pub making: Phase,
    /// Left files with several names, where such names are to be kept.
    pub linked: Vec<super::links::Name>,
    /// Names that this plan makes up.
    pub named: HashSet<RelPath>,
    /// Each side's entries by what a rename keeps, made when first needed.
    pub by_key: [Option<HashMap<Key, Vec<NodeId>>>; 2],
    /// One side takes several spellings for one name.
    pub folds: bool,
    /// Directories' paths where they differ between the sides, left and right.
    aliases: Vec<[RelPath; 2]>,
    /// Subdirectories that wait for the files beside them; used as a stack.
    pending: Vec<Triple>,
}

/// What is known of a directory while its entries are decided on.
#[derive(Clone, Copy)]
pub(super) struct Context {
    /// Whether each side's listing is whole: only then is what it lacks absent.
    pub complete: [bool; 2],
    /// How many directories it lies below.
    pub depth: u16,
    /// The two paths in `aliases`, if the sides call the directory differently.
    pub aliases: Option<u32>,
    /// The base spells the path otherwise than one of the sides does.
    pub misspelled: bool,
    /// The side on which all of this goes, whatever was changed in it: the policy says that the other side wins.
    pub doomed: Option<Side>,
}

/// What the plan leaves and changes in a directory.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    /// Something stays in it on that side, or may stay: it cannot be removed there.
    pub stays: [bool; 2],
    /// Its entries on that side change.
    pub touched: [bool; 2],
}

impl Seen {
    pub fn stays_on_both(&mut self) {
        self.stays = [true; 2];
    }
}

/// What one side holds at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Here {
    Absent,
    /// Cannot be told: never taken for absent, and never touched.
    Unknown,
    Is(NodeId),
}

impl<'a> Planner<'a> {
    fn new(inputs: Inputs<'a>) -> Self {
        let one_way = !matches!(inputs.policy, Policy::Sync(_));
        let (left, right) = (&inputs.left_traits, &inputs.right_traits);
        Self {
            inputs,
            keeps: MetaFields::kept_by_both(left, right),
            precision: left.mtime_precision.max(right.mtime_precision),
            plan: Plan::default(),
            out: Schedule::default(),
            making: Phase::Create,
            linked: Vec::new(),
            named: HashSet::new(),
            by_key: [None, None],
            // One-way, the left side's spelling is what counts, unless the right cannot tell it from another.
            folds: right.folds_names || (left.folds_names && !one_way),
            aliases: Vec::new(),
            pending: Vec::new(),
        }
    }

    pub fn one_way(&self) -> bool {
        !matches!(self.inputs.policy, Policy::Sync(_))
    }

    /// Decides on all entries of one directory.
    pub fn walk(&mut self, dirs: Triple, context: Context) -> Seen {
        let mut seen = Seen::default();
        let start = self.pending.len();
        if self.folds {
            let folded = join_folded(&self.inputs, dirs);
            folded.stale.iter().for_each(|stale| self.forget_all(Some(*stale)));
            folded.blocked.iter().for_each(|(side, id)| self.blocked(*side, *id, &mut seen));
            folded.triples.iter().for_each(|triple| self.visit_spelled(*triple, context, &mut seen));
        } else {
            Join::new(&self.inputs, dirs).for_each(|triple| self.visit(triple, context, &mut seen));
        }
        for at in start..self.pending.len() {
            let triple = self.pending[at];
            let before = self.out.total();
            self.visit_dir(triple, context, &mut seen);
            self.forget_misspelled(triple, context, before);
        }
        self.pending.truncate(start);
        for side in [Side::Left, Side::Right] {
            let tree = self.tree(side);
            seen.stays[side as usize] |=
                dirs.on(side).is_some_and(|dir| tree.holds_ignored(dir) || !tree.is_complete(dir));
        }
        seen
    }

    #[inline]
    fn visit(&mut self, triple: Triple, context: Context, seen: &mut Seen) {
        let is_dir = |side| triple.on(side).is_some_and(|id| self.tree(side).kind(id) == Kind::Dir);
        if is_dir(Side::Left) || is_dir(Side::Right) {
            self.pending.push(triple);
        } else if self.one_way() {
            self.leaf_one_way(triple, context, seen);
        } else {
            self.leaf_two_way(triple, context, seen);
        }
    }

    fn visit_spelled(&mut self, triple: Triple, context: Context, seen: &mut Seen) {
        let before = self.out.total();
        self.visit(triple, context, seen);
        self.forget_misspelled(triple, context, before);
    }

    /// What is done under one spelling leaves the base's entry under another one behind, where it would soon tell of
    /// something that is no more: it is dropped beforehand. Without a base nothing counts as deleted.
    fn forget_misspelled(&mut self, triple: Triple, context: Context, before: usize) {
        if let Some(base) = triple.base
            && self.folds
            && self.out.total() != before
            && self.is_misspelled(triple, context)
        {
            match (triple.left, triple.right) {
                // What is in it was seen to one by one.
                (Some(l), Some(r)) if self.are_dirs(l, r) => self.plan.gone.push(base),
                _ => self.forget_all(Some(base)),
            }
        }
    }

    fn is_misspelled(&self, triple: Triple, context: Context) -> bool {
        let Some(base) = triple.base else { return context.misspelled };
        let name = self.inputs.base.tree().name(base);
        let other = |side: Side| triple.on(side).is_some_and(|id| self.tree(side).name(id) != name);
        context.misspelled || other(Side::Left) || other(Side::Right)
    }

    fn visit_dir(&mut self, triple: Triple, context: Context, seen: &mut Seen) {
        if context.depth >= DEEPEST {
            return self.too_deep(triple, seen);
        }
        match (self.here(triple, Side::Left, context), self.here(triple, Side::Right, context)) {
            (Here::Unknown, _) | (_, Here::Unknown) => {
                seen.stays_on_both();
                if let Some(base) = triple.base.filter(|_| !self.one_way()) {
                    self.forget_moved(base);
                }
            }
            (left, right) if self.one_way() => self.dir_one_way(triple, left, right, context, seen),
            (left, right) => self.dir_two_way(triple, left, right, context, seen),
        }
    }

    #[inline]
    pub fn here(&self, triple: Triple, side: Side, context: Context) -> Here {
        match triple.on(side) {
            Some(id) if self.tree(side).kind(id) == Kind::Unknown => Here::Unknown,
            Some(id) => Here::Is(id),
            None if context.complete[side as usize] => Here::Absent,
            None => Here::Unknown,
        }
    }

    fn too_deep(&mut self, triple: Triple, seen: &mut Seen) {
        seen.stays_on_both();
        let side = if triple.left.is_some() { Side::Left } else { Side::Right };
        if let Some(id) = triple.on(side) {
            let path = self.tree(side).path(id);
            self.problem(path, ProblemKind::Unsupported, "lies below more than 4,000 directories");
        }
    }

    fn blocked(&mut self, side: Side, id: NodeId, seen: &mut Seen) {
        seen.stays_on_both();
        let path = self.tree(side).path(id);
        self.problem(path, ProblemKind::NameClash, "another name beside it is the same name on the other side");
    }

    pub fn problem(&mut self, path: RelPath, kind: ProblemKind, message: &str) {
        self.plan.problems.push(Problem::new(path, kind, message));
    }

    /// The context of a directory's entries; `left` and `right` are what the sides hold of it, if anything.
    pub fn below(&mut self, dirs: Triple, context: Context) -> Context {
        let complete =
            [Side::Left, Side::Right].map(|side| dirs.on(side).is_none_or(|d| self.tree(side).is_complete(d)));
        let renamed = match (dirs.left, dirs.right) {
            (Some(l), Some(r)) => self.inputs.left.name(l) != self.inputs.right.name(r),
            _ => false,
        };
        let misspelled = self.folds && self.is_misspelled(dirs, context);
        if context.aliases.is_none() && !renamed {
            return Context { complete, depth: context.depth + 1, misspelled, ..context };
        }
        let path = |side: Side| match (dirs.on(side), dirs.on(side.other())) {
            (Some(id), _) => self.tree(side).path(id),
            (None, Some(id)) => self.aliased(side, id, context),
            (None, None) => RelPath::root(),
        };
        let paths = [path(Side::Left), path(Side::Right)];
        self.aliases.push(paths);
        let aliases = Some(self.aliases.len() as u32 - 1);
        Context { complete, depth: context.depth + 1, misspelled, aliases, ..context }
    }

    fn aliased(&self, side: Side, like: NodeId, context: Context) -> RelPath {
        let other = self.tree(side.other());
        match context.aliases {
            Some(at) => {
                self.aliases[at as usize][side as usize].join(other.name(like)).expect("a tree's name is valid")
            }
            None => other.path(like),
        }
    }

    /// The path on `side` of what the other side holds as `like`.
    pub fn place(&mut self, side: Side, like: NodeId, context: Context) -> Place {
        if context.aliases.is_some() {
            let path = self.aliased(side, like, context);
            return self.name(path);
        }
        Place::of(side.other(), like)
    }

    pub fn name(&mut self, path: RelPath) -> Place {
        self.plan.names.push(path);
        Place::Named(self.plan.names.len() as u32 - 1)
    }

    /// Makes the directory on `side` that the other side holds as `like`.
    pub fn make_dir(&mut self, side: Side, like: NodeId, context: Context) -> Option<(Slot, Place)> {
        if !self.traits(side).dirs {
            return None;
        }
        let at = self.place(side, like, context);
        Some((self.out.push(self.making, side, Op::MakeDir { like }, at, Expect::Absent), at))
    }

    /// Writes the file or link to `side` that the other side holds as `from`, where nothing stands.
    pub fn create(&mut self, side: Side, from: NodeId, context: Context, seen: &mut Seen) -> Option<Slot> {
        seen.stays_on_both();
        if !self.can_hold(side, from) {
            return None;
        }
        seen.touched[side as usize] = true;
        self.plan.summary.new += 1;
        self.plan.summary.bytes += self.tree(side.other()).size(from);
        let at = self.place(side, from, context);
        Some(self.out.push(self.making, side, Op::Write { from }, at, Expect::Absent))
    }

    /// Makes a whole directory on `side`, as the other side holds it.
    pub fn create_dir(&mut self, side: Side, like: NodeId, context: Context, seen: &mut Seen) {
        seen.stays_on_both();
        seen.touched[side as usize] = true;
        let made = self.make_dir(side, like, context);
        let dirs = Triple::only(side.other(), like);
        let inside = self.below(dirs, Context { doomed: None, ..context });
        let inner = self.walk(dirs, inside);
        // One that its owner may not write to is made otherwise at first.
        let mode = self.tree(side.other()).meta(like).mode;
        let unsettled = inner.touched[side as usize] || (self.keeps.has(MetaFields::MODE) && mode & 0o700 != 0o700);
        if let Some((slot, at)) = made.filter(|_| unsettled) {
            self.out.push(Phase::Dirs, side, Op::SetMeta { like }, at, slot.done());
        }
    }

    /// Replaces the file or link `old` on `side` by what the other side holds as `from`.
    pub fn overwrite(&mut self, side: Side, old: NodeId, from: NodeId, seen: &mut Seen) -> Option<Slot> {
        seen.stays_on_both();
        if !self.can_hold(side, from) {
            return None;
        }
        seen.touched[side as usize] = true;
        self.plan.summary.changed += 1;
        self.plan.summary.bytes += self.tree(side.other()).size(from);
        Some(self.out.push(Phase::Update, side, Op::Write { from }, Place::of(side, old), Expect::Seen(old)))
    }

    /// Gives the file `node` on `side` the other side's metadata.
    pub fn set_meta(&mut self, side: Side, node: NodeId, like: NodeId) -> Slot {
        self.plan.summary.changed += 1;
        self.out.push(Phase::Update, side, Op::SetMeta { like }, Place::of(side, node), Expect::Seen(node))
    }

    /// Removes a file or link; a directory must have been emptied by earlier removals.
    pub fn remove(&mut self, phase: Phase, side: Side, node: NodeId, base: Option<NodeId>, seen: &mut Seen) {
        let is_dir = self.tree(side).kind(node) == Kind::Dir;
        seen.touched[side as usize] = true;
        if is_dir && !self.traits(side).dirs {
            return;
        }
        let slot = self.out.push(phase, side, Op::Remove, Place::of(side, node), Expect::Seen(node));
        if !is_dir {
            self.plan.summary.deleted += 1;
            if let Some(base) = base {
                self.out.removals.push(Removal { slot, side, node, base });
            }
        }
    }

    /// Whether `side` can hold what the other side has as `from`; says so if not.
    pub fn can_hold(&mut self, side: Side, from: NodeId) -> bool {
        let tree = self.tree(side.other());
        let can = self.traits(side).symlinks || tree.kind(from) != Kind::Symlink;
        if !can {
            self.problem(tree.path(from), ProblemKind::Unsupported, "the other side cannot hold symbolic links");
        }
        can
    }
}

impl Place {
    /// The path that this entry of that side's tree has.
    pub fn of(side: Side, id: NodeId) -> Self {
        match side {
            Side::Left => Self::Left(id),
            Side::Right => Self::Right(id),
        }
    }
}
