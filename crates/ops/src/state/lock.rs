//! One run at a time on a pair.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};

use rustix::fs::{FlockOperation, flock};

use super::State;
use crate::RunError;

/// Held while a run works on a pair; the kernel frees it however the process ends.
#[derive(Debug)]
pub struct PairLock {
    _file: File,
}

impl State {
    /// Locks the pair of locations, in whichever order, for this process, or says who holds it.
    pub fn lock(&self, left: &str, right: &str) -> Result<PairLock, RunError> {
        let dir = self.dir.join("locks");
        fs::create_dir_all(&dir).map_err(|error| self.error(error))?;
        let (first, second) = (left.min(right), left.max(right));
        let key = blake3::hash(format!("{first}\0{second}").as_bytes()).to_hex();
        let path = dir.join(format!("{}.lock", &key[..32]));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| self.error(error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                let (pid, since) = text.trim().split_once(' ').unwrap_or(("0", "an unknown time"));
                return Err(RunError::PairBusy { pid: pid.parse().unwrap_or(0), since: since.to_owned() });
            }
            Err(error) => return Err(self.error(error)),
        }
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{} {now}", std::process::id()))
            .map_err(|error| self.error(error))?;
        Ok(PairLock { _file: file })
    }
}
