//! One run of a job at a time.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use sitta_ops::FileLock;

use crate::JobError;

/// Held while a job runs; the kernel frees it however the process ends.
#[derive(Debug)]
pub struct JobLock {
    _lock: FileLock,
}

/// Somebody who only looks whether a job was killed holds its lock for a moment.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

impl JobLock {
    /// Locks a job, or says who runs it. `dir` is the folder of the state.
    pub fn take(dir: &Path, job: &str) -> Result<Self, JobError> {
        Self::at(&dir.join("locks").join(format!("job-{job}.lock")), job)
    }

    /// Locks the daemon of this state.
    pub fn daemon(dir: &Path) -> Result<Self, JobError> {
        Self::at(&dir.join("locks").join("daemon.lock"), "daemon")
    }

    fn at(path: &Path, job: &str) -> Result<Self, JobError> {
        let mut tries = TRIES;
        loop {
            let taken = FileLock::take(path).map_err(|source| JobError::File { path: path.to_owned(), source })?;
            tries -= 1;
            match taken {
                Ok(lock) => return Ok(Self { _lock: lock }),
                Err(holder) if tries == 0 => {
                    return Err(JobError::Busy { job: job.to_owned(), pid: holder.pid, since: holder.since });
                }
                Err(_) => sleep(PAUSE),
            }
        }
    }
}
