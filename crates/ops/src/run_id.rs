//! Names for runs and for the temporaries they make.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::process::{Pid, getpid, test_kill_process};
use sitta_store::TEMP_PREFIX;

/// A run's id: when it began, on which machine, in which process. It sorts by time, names the trash folder, and lets a
/// later run tell whether the one that left a temporary behind still lives.
#[derive(Debug)]
pub struct RunId {
    text: String,
    temps: AtomicU64,
}

impl RunId {
    /// A new id, unlike any other.
    pub fn new() -> Self {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let (pid, nth) = (getpid(), RUNS.fetch_add(1, Ordering::Relaxed));
        Self { text: format!("{now}-{}-{}.{nth}", machine(), pid.as_raw_nonzero()), temps: AtomicU64::new(0) }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A name for one more temporary.
    pub fn temp_name(&self) -> Box<str> {
        let nth = self.temps.fetch_add(1, Ordering::Relaxed);
        format!("{TEMP_PREFIX}{}-{nth}", self.text).into()
    }
}

/// Eight hex digits that tell this machine from others that may share a disk with it.
fn machine() -> String {
    let uname = rustix::system::uname();
    let hash = blake3::hash(uname.nodename().to_bytes()).to_hex();
    hash[..8].to_owned()
}

/// Whether the run that made a temporary of this name is certainly over: it ran on this machine and its process is
/// gone. Of another machine's runs nothing is known.
pub fn is_left_over(temp: &[u8]) -> bool {
    let Some(pid) = pid_here(temp) else { return false };
    pid != getpid() && test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}

/// The process that made the temporary, if it ran on this machine.
fn pid_here(temp: &[u8]) -> Option<Pid> {
    let text = std::str::from_utf8(temp).ok()?.strip_prefix(TEMP_PREFIX)?;
    let mut parts = text.split('-');
    let (_time, host, process) = (parts.next()?, parts.next()?, parts.next()?);
    let (pid, _nth) = process.split_once('.')?;
    (host == machine()).then(|| Pid::from_raw(pid.parse().ok()?))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_of_this_machine_leave_things_over() {
        let own = RunId::new().temp_name();
        assert!(!is_left_over(own.as_bytes()), "this process lives");
        let parent = own.replace(
            &format!("-{}.", getpid().as_raw_nonzero()),
            &format!("-{}.", rustix::process::getppid().unwrap().as_raw_nonzero()),
        );
        assert!(!is_left_over(parent.as_bytes()), "so does its parent");
        let dead = own.replace(&format!("-{}.", getpid().as_raw_nonzero()), "-2147483646.");
        assert!(is_left_over(dead.as_bytes()));
        assert!(!is_left_over(dead.replace(&machine(), "00000000").as_bytes()), "another machine's");
        assert!(!is_left_over(b".sitta-tmp-x") && !is_left_over(b"other"));
    }
}
