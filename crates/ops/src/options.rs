//! How a run shall go.

use std::sync::Arc;

use sitta_tree::{Filter, Policy, RelPath};

/// How a run shall go.
#[derive(Debug, Clone)]
pub struct Options {
    /// What shall become of the two sides.
    pub policy: Policy,
    /// What takes part.
    pub filter: Option<Arc<Filter>>,
    /// Compare by content (`--checksum`).
    pub checksum: bool,
    /// Keep hard links within the run (`--hard-links`).
    pub hard_links: bool,
    /// Keep extended attributes (`--xattrs`).
    pub xattrs: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Transfers in flight; none: what suits the stores.
    pub transfers: Option<usize>,
    /// How many deletes are allowed.
    pub max_delete: MaxDelete,
    /// Old versions go to this directory of the store that they are displaced on (usually `.sitta/trash`), below it
    /// to one named after the run; none: they are gone. A directory outside `.sitta` must be left out by the filter.
    pub trash: Option<RelPath>,
    /// Go on though a root that held files is empty, missing or another one now (`--force-empty`).
    pub force_empty: bool,
}

/// A limit on deletes (`--max-delete N|P%`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxDelete {
    /// The larger of 50 and 20 % of the side's files.
    Default,
    /// At most so many.
    Count(u64),
    /// At most so many per cent of the side's files, 0 to 100.
    Percent(u8),
}

impl Options {
    /// The verb, as reports and JSON name it.
    pub fn verb(&self) -> &'static str {
        match self.policy {
            Policy::Copy { .. } => "copy",
            Policy::Mirror => "mirror",
            Policy::Sync(_) => "sync",
        }
    }

    /// The filter's digest; 0 for no filter.
    pub(crate) fn filter_digest(&self) -> Option<u64> {
        Some(self.filter.as_ref().map_or(0, |filter| filter.digest()))
    }
}
