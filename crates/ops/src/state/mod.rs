//! What is remembered between runs: bases, the journal, history. A cache of the truth plus a journal: losing it costs
//! a rescan, never data.

use std::path::Path;

use crate::transfer::RunError;

/// The state database.
#[derive(Debug)]
pub struct State {}

impl State {
    /// Opens the state in the folder `dir`, creating it as needed. A database that is damaged is set aside and a new one
    /// begun; [`State::was_damaged`] tells.
    pub fn open(dir: &Path) -> Result<Self, RunError> {
        let _ = dir;
        Ok(Self {})
    }

    /// Where a damaged database was set aside, if there was one.
    pub fn was_damaged(&self) -> Option<&Path> {
        None
    }
}
