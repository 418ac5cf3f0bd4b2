//! Counting what was done.

use sitta_tree::{Problem, Side, Summary};

use crate::event::{Step, StepKind};

/// Files and links, and their bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub copied: u64,
    pub updated: u64,
    pub deleted: u64,
    pub moved: u64,
    pub bytes: u64,
}

/// What a run has done so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub counts: Counts,
    pub problems: Vec<Problem>,
    /// On which sides old versions went to the trash.
    pub trashed: [bool; 2],
    /// On which sides anything was done.
    pub changed: [bool; 2],
    /// New files less removed ones, by side.
    grown: [i64; 2],
}

impl Tally {
    /// What a plan would count to.
    pub fn planned(summary: &Summary) -> Counts {
        Counts {
            copied: summary.new,
            updated: summary.changed,
            deleted: summary.deleted,
            moved: summary.moved,
            bytes: summary.bytes,
        }
    }

    /// Counts one step that was done.
    pub fn add(&mut self, step: &Step) {
        self.changed[step.side as usize] = true;
        let counts = &mut self.counts;
        match step.what {
            StepKind::Copy => {
                counts.copied += 1;
                self.grown[step.side as usize] += 1;
            }
            StepKind::Update | StepKind::Meta => counts.updated += 1,
            StepKind::Move => counts.moved += 1,
            StepKind::Delete => {
                counts.deleted += 1;
                self.grown[step.side as usize] -= 1;
            }
            StepKind::MakeDir | StepKind::RemoveDir => {}
        }
        counts.bytes += step.bytes;
    }

    /// How many files a side holds now that held `before`.
    pub fn files_after(&self, side: Side, before: u64) -> u64 {
        before.saturating_add_signed(self.grown[side as usize])
    }
}
