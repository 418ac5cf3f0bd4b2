//! How a run shall go.

use std::sync::Arc;

use sitta_tree::guard::DeleteLimit;
use sitta_tree::{Filter, Policy, RelPath, Side};

use crate::trash::TrashKeep;

/// How a run shall go.
#[derive(Debug, Clone)]
pub struct Options {
    /// What shall become of the two sides.
    pub policy: Policy,
    /// What the verb is called; none: after the policy.
    pub called: Option<&'static str>,
    /// What takes part.
    pub filter: Option<Arc<Filter>>,
    /// Compare by content (`--checksum`).
    pub checksum: bool,
    /// Keep hard links within the run (`--hard-links`).
    pub hard_links: bool,
    /// Keep extended attributes (`--xattrs`).
    pub xattrs: bool,
    /// Read back what was written, unless its store has checked it already (`--verify`).
    pub verify: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Transfers in flight; none: what suits the stores.
    pub transfers: Option<usize>,
    /// How many deletes are allowed (`--max-delete N|P%`).
    pub max_delete: DeleteLimit,
    /// Old versions go to this directory of the store that they are displaced on (usually `.sitta/trash`), below it
    /// to one named after the run; none: they are gone. A directory outside `.sitta` must be left out by the filter.
    pub trash: Option<RelPath>,
    /// How long that directory keeps them (`--trash-keep`): a run that goes well lets go of what is older.
    pub trash_keep: TrashKeep,
    /// Go on though a root that held files is empty, missing or another one now (`--force-empty`).
    pub force_empty: bool,
}

impl Options {
    /// The verb, as reports and JSON name it.
    pub fn verb(&self) -> &'static str {
        match (self.called, self.policy) {
            (Some(called), _) => called,
            (None, Policy::Copy { .. }) => "copy",
            (None, Policy::Mirror) => "mirror",
            (None, Policy::Sync(_)) => "sync",
        }
    }

    /// The sides that a run may change: of one-way verbs the right one only.
    pub(crate) fn changed_sides(&self) -> &'static [Side] {
        match self.policy {
            Policy::Sync(_) => &[Side::Left, Side::Right],
            Policy::Copy { .. } | Policy::Mirror => &[Side::Right],
        }
    }

    /// The filter's digest; 0 for no filter.
    pub(crate) fn filter_digest(&self) -> Option<u64> {
        Some(self.filter.as_ref().map_or(0, |filter| filter.digest()))
    }
}
