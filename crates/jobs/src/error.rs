//! What can go wrong around a job, besides the work itself.

use std::path::PathBuf;

/// Why something around a job could not be done.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The job runs already.
    #[error("the job {job} is running (process {pid}, since {since})")]
    Busy {
        /// The job, or `the daemon`.
        job: String,
        /// The process that runs it.
        pid: u32,
        /// Since when, ISO 8601 in UTC.
        since: String,
    },
    /// The history could not be read or written.
    #[error("the history in {path}: {message}")]
    History {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        message: String,
    },
    /// A file could not be written or locked.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
