//! From three trees to a list of actions: a pure function.
//!
//! The decision table and its reasons are in `docs/planner.md`.

mod compare;
mod conflict;
mod fields;
mod join;
mod kinds;
mod links;
mod merge;
mod moves;
mod one_way;
mod schedule;
mod two_way;
mod walk;

pub use conflict::conflict_copy_of;
pub use fields::MetaFields;
pub use walk::{STACK, plan};

use crate::{Base, NodeId, Problem, RelPath, Tree};

/// One of the two stores of a run. The source of a copy or mirror is the left one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first location: the source of one-way verbs.
    Left,
    /// The second location: the destination of one-way verbs.
    Right,
}

impl Side {
    /// The opposite side.
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// What one side's store keeps and how it names things, as far as decisions depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SideTraits {
    /// The tick of its modification times in nanoseconds; 0 when it keeps none.
    pub mtime_precision: u64,
    /// It keeps permission bits.
    pub modes: bool,
    /// It keeps numeric owners, and this process may set them.
    pub owners: bool,
    /// It keeps extended attributes, and they were asked for.
    pub xattrs: bool,
    /// It keeps symbolic links.
    pub symlinks: bool,
    /// It keeps empty directories.
    pub dirs: bool,
    /// `A` and `a`, or two normalisations of `é`, are the same name to it.
    pub folds_names: bool,
    /// [`crate::Fingerprint::id`] stays with a file when it is renamed.
    pub stable_ids: bool,
}

/// What shall become of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The right side gets what is new or changed on the left; nothing is deleted.
    Copy {
        /// What happens where both sides hold something different.
        existing: Existing,
    },
    /// The right side becomes the left side.
    Mirror,
    /// Both sides take over each other's changes.
    Sync(OnConflict),
}

/// What a copy does where the destination already holds something different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// The source's version replaces it.
    Replace,
    /// The source's version replaces it if it is newer (`--update`).
    IfNewer,
    /// It stays (`--no-overwrite`).
    Keep,
}

/// What a two-way sync does when both sides changed the same thing differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// Both versions stay; one of them under a conflict name.
    KeepBoth,
    /// The version with the larger mtime wins where the gap exceeds `skew` nanoseconds plus both precisions; else both
    /// are kept.
    Newest {
        /// How far the two clocks may be apart.
        skew: u64,
    },
    /// The left version wins.
    Left,
    /// The right version wins.
    Right,
    /// Nothing is done; the conflict is left for the user.
    Ask,
}

/// Everything a plan depends on.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What was agreed last time; empty on a first run.
    pub base: &'a Base,
    /// The left side as it is.
    pub left: &'a Tree,
    /// The right side as it is.
    pub right: &'a Tree,
    /// What the left store keeps.
    pub left_traits: SideTraits,
    /// What the right store keeps.
    pub right_traits: SideTraits,
    /// What shall become of them.
    pub policy: Policy,
    /// Compare files by content, not by size and time (`--checksum`).
    pub checksum: bool,
    /// Files with several names on the left get the same on the right (`--hard-links`; one-way policies only).
    pub hard_links: bool,
    /// A mirror, too, tells what it found equal ([`Plan::agreed`]): between stores whose listings tell no times, only
    /// that tells the next run.
    pub remember: bool,
}

/// Where an action changes something, without owning the path: a million actions is an everyday plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The path that this entry of the left tree has.
    Left(NodeId),
    /// The path that this entry of the right tree has.
    Right(NodeId),
    /// The path that this entry of the base has.
    Base(NodeId),
    /// [`Plan::names`] at this index.
    Named(u32),
}

/// What must stand at an action's path when it is carried out; anything else makes the action fail with a
/// [`crate::ProblemKind::Changed`] problem and nothing is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expect {
    /// Nothing.
    Absent,
    /// The version that the scan of the action's own side saw as this entry. A directory's version is that it is one:
    /// what it holds changes while the plan is carried out. An [`Op::Move`] that expects its own `from` changes only
    /// how the store spells the name, and goes through a temporary one.
    Seen(NodeId),
    /// What an earlier action of this plan left there (its index).
    After(u32),
}

/// What an action does. `from` and `like` of a [`Op::Write`] or [`Op::SetMeta`] mean the entry of the tree named
/// by the side beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Makes a directory with the metadata of that entry of the other side.
    MakeDir {
        /// The directory on the other side.
        like: NodeId,
    },
    /// Writes the file or symbolic link that the other side holds as `from`, replacing what [`Action::expect`] names.
    Write {
        /// The entry on the other side.
        from: NodeId,
    },
    /// Writes what the other side has at [`Place`] by now, a result of an earlier action (a conflict copy).
    WriteAt {
        /// Its path there.
        place: Place,
        /// The entry on the other side whose content it has.
        from: NodeId,
    },
    /// Makes another name for the file that this side has at `of` (hard link). If an action of this plan writes that file,
    /// it must have succeeded.
    Link {
        /// The name it has already or gets earlier in this plan.
        of: Place,
    },
    /// Gives the entry the metadata of that entry of the other side; the content is the same already.
    SetMeta {
        /// The entry on the other side.
        like: NodeId,
    },
    /// Gives the entry the fields `of_right` of what the scan of the right side saw as `right`, and all others of what
    /// that of the left side saw as `left`: each side changed something else. Both sides get the same one. The base is
    /// left alone; the next run finds both sides equal.
    MergeMeta {
        /// The entry of the left tree.
        left: NodeId,
        /// The entry of the right tree.
        right: NodeId,
        /// What is taken from the right one.
        of_right: MetaFields,
    },
    /// Renames this side's entry `from` to the action's path.
    Move {
        /// The entry of this side's tree.
        from: NodeId,
        /// The other side's entry that is already called so, when this follows a rename seen there: both agree
        /// afterwards. None when they do not yet: for a conflict copy, or where new metadata is to follow. The base
        /// forgets the old path in any case.
        like: Option<NodeId>,
    },
    /// Removes the file, link or empty directory.
    Remove,
}

/// One change to one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Action {
    /// The side that is changed.
    pub side: Side,
    /// What is done.
    pub op: Op,
    /// Where.
    pub at: Place,
    /// What must stand there before.
    pub expect: Expect,
    /// Content that this action destroys and that the plan keeps elsewhere: before destroying it, the executor checks
    /// that it stands **at that path** on that side. "Exists somewhere" is not enough.
    pub keep: Option<(Side, Place)>,
}

/// Two versions that both sides made of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Which path.
    pub path: RelPath,
    /// The left version; none if it was deleted there.
    pub left: Option<NodeId>,
    /// The right version; none if it was deleted there.
    pub right: Option<NodeId>,
    /// What the plan does about it.
    pub outcome: Outcome,
}

/// How a conflict is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Both versions stay, that of this side under this path.
    KeptBoth(Side, RelPath),
    /// This side's version wins; the other goes to the trash.
    Won(Side),
    /// Left for the user: neither side is touched.
    Left,
}

/// What a plan will do, in numbers. Directories are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Files and links that are new on a side.
    pub new: u64,
    /// Files and links that replace another version, or get new metadata.
    pub changed: u64,
    /// Files and links that are renamed.
    pub moved: u64,
    /// Files and links that are removed.
    pub deleted: u64,
    /// Files and links that are the same on both sides.
    pub unchanged: u64,
    /// Bytes to send.
    pub bytes: u64,
}

/// What to do, in order.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The actions. Each is carried out only if its expectation holds; an action whose `expect` or `keep` refers to
    /// an earlier one that failed fails too.
    pub actions: Vec<Action>,
    /// Paths for [`Place::Named`].
    pub names: Vec<RelPath>,
    /// Entries that are the same on both sides, but not yet so in the base: to be recorded, nothing else.
    /// Empty for mirrors, which need no base to decide (unless a side keeps no times).
    pub agreed: Vec<(NodeId, NodeId)>,
    /// Entries of the base that are gone on both sides or of which nothing is agreed any more: to be dropped from it,
    /// before `agreed` is recorded and **before the first action**. Otherwise a crash half way leaves a base by which
    /// something counts as deleted that was only not written yet.
    pub gone: Vec<NodeId>,
    /// Conflicts, each with its outcome.
    pub conflicts: Vec<Conflict>,
    /// What could not be planned.
    pub problems: Vec<Problem>,
    /// Files (left, right) of which the content must be known to decide. If this is not empty, hash them, put the
    /// hashes into the trees and plan again; there are no actions then.
    pub undecided: Vec<(NodeId, NodeId)>,
    /// The numbers.
    pub summary: Summary,
}

impl Plan {
    /// The path that `place` means.
    pub fn path(&self, inputs: &Inputs<'_>, place: Place) -> RelPath {
        match place {
            Place::Left(id) => inputs.left.path(id),
            Place::Right(id) => inputs.right.path(id),
            Place::Base(id) => inputs.base.tree().path(id),
            Place::Named(index) => self.names[index as usize].clone(),
        }
    }
}
