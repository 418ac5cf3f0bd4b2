//! Brakes: pure decisions that hold a plan back, or a part of it, before it can do harm.

use std::collections::HashSet;

use crate::{Action, Expect, Inputs, Kind, Op, Plan, RelPath, Side, Tree};

/// How many deletes a plan may hold for one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeleteLimit {
    /// The larger of 50 and 20 % of the side's files.
    #[default]
    Default,
    /// At most so many.
    Count(u64),
    /// At most so many per cent of the side's files.
    Percent(u8),
}

impl DeleteLimit {
    /// The number that is allowed on a side with `files` files.
    pub fn of(self, files: u64) -> u64 {
        match self {
            Self::Default => (files / 5).max(50),
            Self::Count(count) => count,
            Self::Percent(percent) => {
                u64::try_from(u128::from(files) * u128::from(percent) / 100).unwrap_or(u64::MAX)
            }
        }
    }
}

/// What a plan may delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// How many of a side's files.
    pub limit: DeleteLimit,
    /// How many files and links the whole of each side holds.
    pub files: [u64; 2],
    /// How many of them went just now, by earlier plans that count together with this one.
    pub spent: [u64; 2],
}

impl Allowance {
    /// For a plan of all that both sides hold.
    pub fn whole(limit: DeleteLimit, inputs: &Inputs<'_>) -> Self {
        Self { limit, files: [count_files(inputs.left), count_files(inputs.right)], spent: [0; 2] }
    }
}

/// Deletes that were taken out of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// On which side.
    pub side: Side,
    /// How many files and links were to be deleted.
    pub planned: u64,
    /// How many are allowed.
    pub limit: u64,
    /// Of how many files and links on that side.
    pub of: u64,
}

/// Takes the deletes of each side that has more than is allowed out of the plan, and with them what depends on
/// them: what was to stand in the place of something that stays now. Everything else remains. Moves are not deletes,
/// nor are overwritten versions.
pub fn hold_deletes(inputs: &Inputs<'_>, plan: &mut Plan, allowance: &Allowance) -> Vec<Held> {
    let mut held = Vec::new();
    for (side, tree) in [(Side::Left, inputs.left), (Side::Right, inputs.right)] {
        let planned = plan.actions.iter().filter(|action| deletes_file(action, side, tree)).count() as u64;
        if planned == 0 {
            continue;
        }
        let of = allowance.files[side as usize];
        let limit = allowance.limit.of(of);
        if planned + allowance.spent[side as usize] > limit {
            strip(inputs, plan, side);
            held.push(Held { side, planned, limit, of });
        }
    }
    held
}

/// How many files and links a tree holds.
pub fn count_files(tree: &Tree) -> u64 {
    tree.ids().filter(|id| matches!(tree.kind(*id), Kind::File | Kind::Symlink)).count() as u64
}

fn deletes_file(action: &Action, side: Side, tree: &Tree) -> bool {
    if action.side != side || action.op != Op::Remove {
        return false;
    }
    match action.expect {
        Expect::Seen(id) => tree.kind(id) != Kind::Dir,
        Expect::Absent | Expect::After(_) => true,
    }
}

/// Drops all removals on `side` and what needs them.
fn strip(inputs: &Inputs<'_>, plan: &mut Plan, side: Side) {
    let removes = |action: &Action| action.side == side && action.op == Op::Remove;
    let held: HashSet<RelPath> =
        plan.actions.iter().filter(|action| removes(action)).map(|action| plan.path(inputs, action.at)).collect();
    let first = plan.actions.iter().position(removes).unwrap_or(plan.actions.len());
    let mut new_index = Vec::with_capacity(plan.actions.len());
    let mut kept = Vec::with_capacity(plan.actions.len());
    for (index, action) in plan.actions.iter().enumerate() {
        let mut action = *action;
        let lost = match action.expect {
            Expect::After(earlier) => new_index[earlier as usize] == u32::MAX,
            // Only a removal makes room, and what needs the room comes after it.
            Expect::Absent => index > first && action.side == side && is_below(&held, plan.path(inputs, action.at)),
            Expect::Seen(_) => false,
        };
        if removes(&action) || lost {
            new_index.push(u32::MAX);
            uncount(inputs, &mut plan.summary, &action);
            continue;
        }
        if let Expect::After(earlier) = &mut action.expect {
            *earlier = new_index[*earlier as usize];
        }
        new_index.push(kept.len() as u32);
        kept.push(action);
    }
    plan.actions = kept;
}

fn is_below(held: &HashSet<RelPath>, mut path: RelPath) -> bool {
    loop {
        if held.contains(&path) {
            return true;
        }
        match path.parent() {
            Some(parent) => path = parent,
            None => return false,
        }
    }
}

fn uncount(inputs: &Inputs<'_>, summary: &mut crate::Summary, action: &Action) {
    let tree = |side| if side == Side::Left { inputs.left } else { inputs.right };
    match action.op {
        Op::Remove if deletes_file(action, action.side, tree(action.side)) => summary.deleted -= 1,
        Op::Write { from } | Op::WriteAt { from, .. } => {
            summary.new = summary.new.saturating_sub(1);
            summary.bytes = summary.bytes.saturating_sub(tree(action.side.other()).size(from));
        }
        Op::Link { .. } => summary.new = summary.new.saturating_sub(1),
        _ => {}
    }
}
