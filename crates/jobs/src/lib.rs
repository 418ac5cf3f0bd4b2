//! Jobs: when they run, what they did, who is told.
//!
//! What a job does is done by the verbs of `sitta-ops`; this floor knows of it by their events. It decides when a job is
//! due, keeps its history and its logs, and tells people and monitors. The clock is an argument to what decides.

mod error;
mod history;
mod lock;
mod log;
pub mod metrics;
pub mod notify;
mod record;
mod run;
pub mod schedule;
pub mod words;

pub use error::JobError;
pub use history::{History, Queued, Standing};
pub use lock::JobLock;
pub use log::{RunLog, log_file};
pub use record::{Notes, Recorder};
pub use run::{Cause, Counts, Ended, Ending, NamedStep, Note, Run, Step};
pub use schedule::Schedule;
