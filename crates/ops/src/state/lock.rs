//! One at a time: locks that the kernel frees however the process ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::State;
use crate::RunError;

/// A locked file. The kernel frees it however the process ends.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process; 0 if it did not say.
    pub pid: u32,
    /// Since when, ISO 8601 in UTC.
    pub since: String,
}

impl FileLock {
    /// Locks the file at `path`, making it and the folders above it, or says who holds it.
    pub fn take(path: &Path) -> io::Result<Result<Self, Holder>> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                let (pid, since) = text.trim().split_once(' ').unwrap_or(("0", "an unknown time"));
                return Ok(Err(Holder { pid: pid.parse().unwrap_or(0), since: since.to_owned() }));
            }
            Err(error) => return Err(error.into()),
        }
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{} {now}", std::process::id())?;
        Ok(Ok(Self { _file: file }))
    }
}

/// Held while a run works on a pair.
#[derive(Debug)]
pub struct PairLock {
    _lock: FileLock,
}

impl State {
    /// Locks the pair of locations, in whichever order, for this process, or says who holds it.
    pub fn lock(&self, left: &str, right: &str) -> Result<PairLock, RunError> {
        let (first, second) = (left.min(right), left.max(right));
        let key = blake3::hash(format!("{first}\0{second}").as_bytes()).to_hex();
        let path = self.dir.join("locks").join(format!("{}.lock", &key[..32]));
        match FileLock::take(&path).map_err(|error| self.error(error))? {
            Ok(lock) => Ok(PairLock { _lock: lock }),
            Err(Holder { pid, since }) => Err(RunError::PairBusy { pid, since }),
        }
    }
}
