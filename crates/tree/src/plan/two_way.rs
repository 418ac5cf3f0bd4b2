//! Two-way sync.
use super::join::Triple;
use super::walk::{Context, Here, Planner, Seen};

impl Planner<'_> {
    pub fn leaf_two_way(&mut self, _t: Triple, _context: Context, seen: &mut Seen) {
        seen.stays_on_both();
    }
    pub fn dir_two_way(&mut self, _t: Triple, _l: Here, _r: Here, _context: Context, seen: &mut Seen) {
        seen.stays_on_both();
    }
}
