//! Why a run did not come to a report.

use std::path::PathBuf;

use sitta_tree::RelPath;

use crate::event::Held;

/// Why a run did not come to a report at all. Nothing was changed, except where the state failed in mid-run: what was
/// begun then is resolved by the next run.
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
    /// Two places are kept in step by another way already.
    #[error("there is another way between {} and {}", way[0], way[way.len() - 1])]
    Cycle {
        /// The places on that way, from one to the other.
        way: Vec<String>,
    },
    /// A conflict cannot be settled as things stand.
    #[error("{path}: {why}")]
    Unsettled {
        /// The file.
        path: RelPath,
        /// Why not.
        why: &'static str,
    },
    /// A guard stopped the run before anything was done.
    #[error("held back")]
    Held(Held),
    /// The user stopped the run before anything was done.
    #[error("interrupted")]
    Interrupted,
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
