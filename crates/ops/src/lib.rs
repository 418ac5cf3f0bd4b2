//! The verbs: scan → plan → guard → apply → report.

mod apply;
pub mod archive;
pub mod cache;
mod conflicts;
mod content;
mod error;
pub mod event;
mod focus;
mod guards;
mod hub;
mod live;
mod options;
mod preview;
mod recover;
mod report;
mod run_id;
mod scan;
mod session;
mod state;
mod transfer;
pub mod trash;
mod turn;
mod untold;
mod watch;

pub use conflicts::{Keep, Unsettled, conflicts, settle};
pub use content::hash;
pub use error::RunError;
pub use event::{Event, Held, Sink, Step, StepKind};
pub use hub::{check_hub, forget};
pub use options::Options;
pub use report::{Outcome, Report};
pub use sitta_tree::guard::DeleteLimit as MaxDelete;
pub use state::{FileLock, Holder, PairKey, RunRecord, State};
pub use transfer::transfer;
pub use watch::{Pace, watch};
