//! The verbs: scan → plan → guard → apply → report.

pub mod event;
mod report;
mod state;
mod transfer;

pub use event::{Event, Held, Sink, Step, StepKind};
pub use report::{Outcome, Report};
pub use state::State;
pub use transfer::{MaxDelete, Options, RunError, transfer};
