//! What an action does, in the words of the report: for dry runs and for telling what was done.

use sitta_tree::{Action, Expect, Inputs, Kind, NodeId, Op, Plan, Side, Tree};

use crate::event::{Step, StepKind};

/// Tells each action of the plan, in order.
pub(crate) fn steps(inputs: &Inputs<'_>, plan: &Plan, mut tell: impl FnMut(Step)) {
    for action in &plan.actions {
        if let Some(step) = step(inputs, plan, action) {
            tell(step);
        }
    }
}

/// The action as a step; none for what a person does not count as a change: giving a directory back its time.
pub(crate) fn step(inputs: &Inputs<'_>, plan: &Plan, action: &Action) -> Option<Step> {
    let own = tree(inputs, action.side);
    let other = tree(inputs, action.side.other());
    let write = |from: NodeId| {
        let what = if action.expect == Expect::Absent { StepKind::Copy } else { StepKind::Update };
        (what, other.size(from))
    };
    let (what, bytes) = match action.op {
        Op::MakeDir { .. } => (StepKind::MakeDir, 0),
        Op::Write { from } | Op::WriteAt { from, .. } => write(from),
        Op::Link { .. } => (if action.expect == Expect::Absent { StepKind::Copy } else { StepKind::Update }, 0),
        Op::SetMeta { like } if other.kind(like) == Kind::Dir => return None,
        Op::MergeMeta { left, .. } if inputs.left.kind(left) == Kind::Dir => return None,
        Op::SetMeta { .. } | Op::MergeMeta { .. } => (StepKind::Meta, 0),
        Op::Move { .. } => (StepKind::Move, 0),
        Op::Remove if removes_dir(own, action) => (StepKind::RemoveDir, 0),
        Op::Remove => (StepKind::Delete, 0),
    };
    let from = match action.op {
        Op::Move { from, .. } => Some(own.path(from)),
        _ => None,
    };
    Some(Step { side: action.side, what, path: plan.path(inputs, action.at), from, bytes })
}

/// The tree of a side.
pub(crate) fn tree<'t>(inputs: &Inputs<'t>, side: Side) -> &'t Tree {
    match side {
        Side::Left => inputs.left,
        Side::Right => inputs.right,
    }
}

/// Whether a removal is that of a directory.
pub(crate) fn removes_dir(own: &Tree, action: &Action) -> bool {
    matches!(action.expect, Expect::Seen(id) if own.kind(id) == Kind::Dir)
}
