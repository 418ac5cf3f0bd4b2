//! The one machine behind copy, mirror, sync and restore: scan, plan, guard, apply, report.

use std::path::PathBuf;
use std::sync::Arc;

use sitta_store::{Flow, Store};
use sitta_tree::{Filter, Policy};

use crate::event::{Held, Sink};
use crate::{Report, State};

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
    /// Old versions go to the trash at the destination's root instead of being gone.
    pub trash: bool,
    /// Go on though a root that held files is empty or missing now (`--force-empty`).
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

/// Why a run did not come to a report at all. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// One side lies inside the other, or both are the same.
    #[error("{inner} lies inside {outer}")]
    Nested {
        /// The one inside.
        inner: String,
        /// The one around it.
        outer: String,
    },
    /// Another run works on the same pair.
    #[error("another run is working on this pair (process {pid}, since {since})")]
    PairBusy {
        /// Its process.
        pid: u32,
        /// When it began, ISO 8601 in UTC.
        since: String,
    },
    /// A guard stopped the run before anything was done.
    #[error("held back")]
    Held(Held),
    /// A store failed as a whole.
    #[error(transparent)]
    Store(#[from] sitta_store::Error),
    /// The state could not be read or written.
    #[error("the state in {path}: {message}")]
    State {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        message: String,
    },
    /// The tree is too large to plan.
    #[error(transparent)]
    TooLarge(#[from] sitta_tree::TooLarge),
}

/// Runs `options.policy` from `left` to `right`.
///
/// Fails only if nothing could be begun; whatever goes wrong later is in the report. `flow` counts and cancels.
pub async fn transfer(
    left: Arc<dyn Store>,
    right: Arc<dyn Store>,
    options: &Options,
    state: &State,
    sink: &dyn Sink,
    flow: &Arc<Flow>,
) -> Result<Report, RunError> {
    let _ = (left, right, options, state, sink, flow);
    Err(RunError::State { path: PathBuf::new(), message: "unwritten".into() })
}
