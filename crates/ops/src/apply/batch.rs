//! Cutting a plan into batches that may be carried out at the same time.

use std::ops::Range;

use sitta_tree::{Action, Inputs, Op, Side};

use crate::preview::{removes_dir, tree};

/// Actions of one stage need nothing of each other but that a directory exists before what goes into it. A stage ends
/// before the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// New things and new versions; many at once.
    Write,
    /// Further names of files that stand by now; many at once.
    Link,
    /// Renames; one after another.
    Move,
    /// Files and links go; many at once.
    Remove,
    /// Empty directories go, deepest first.
    RemoveDir,
    /// Metadata; many at once.
    Meta,
}

impl Stage {
    pub fn of(inputs: &Inputs<'_>, action: &Action) -> Self {
        match action.op {
            Op::MakeDir { .. } | Op::Write { .. } | Op::WriteAt { .. } => Self::Write,
            Op::Link { .. } => Self::Link,
            Op::Move { .. } => Self::Move,
            Op::Remove if removes_dir(tree(inputs, action.side), action) => Self::RemoveDir,
            Op::Remove => Self::Remove,
            Op::SetMeta { .. } | Op::MergeMeta { .. } => Self::Meta,
        }
    }

    /// Whether batches of this stage may overlap.
    pub fn overlaps(self) -> bool {
        !matches!(self, Self::Move | Self::RemoveDir)
    }
}

/// Consecutive actions of one stage on one side.
#[derive(Debug)]
pub(super) struct Group {
    pub stage: Stage,
    pub side: Side,
    /// Which actions, in order.
    pub actions: Vec<u32>,
}

/// A plan's actions as groups. Removals that follow each other are taken apart, files first: directories wait only for
/// what they hold, so nothing else has to be done one by one.
pub(super) fn groups(inputs: &Inputs<'_>, actions: &[Action]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut add = |stage, side, index| match groups.last_mut() {
        Some(group) if group.stage == stage && group.side == side => group.actions.push(index),
        _ => groups.push(Group { stage, side, actions: vec![index] }),
    };
    let mut at = 0;
    while at < actions.len() {
        let side = actions[at].side;
        if actions[at].op != Op::Remove {
            add(Stage::of(inputs, &actions[at]), side, at as u32);
            at += 1;
            continue;
        }
        let run = actions[at..].iter().take_while(|a| a.op == Op::Remove && a.side == side).count();
        let range: Range<usize> = at..at + run;
        for stage in [Stage::Remove, Stage::RemoveDir] {
            for index in range.clone().filter(|i| Stage::of(inputs, &actions[*i]) == stage) {
                add(stage, side, index as u32);
            }
        }
        at += run;
    }
    groups
}
