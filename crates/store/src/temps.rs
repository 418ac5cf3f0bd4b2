//! Names of temporaries, and whether whoever made one still lives.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};

use crate::TEMP_PREFIX;

/// Makes names for temporaries: `.sitta-tmp-WHAT-MACHINE-PID-N`, where WHAT is of the caller's choice and without `-`.
#[derive(Debug)]
pub struct TempNames {
    start: String,
    next: AtomicU64,
}

impl TempNames {
    /// Names that begin with `what`.
    pub fn new(what: &str) -> Self {
        debug_assert!(!what.contains('-'));
        let start = format!("{TEMP_PREFIX}{what}-{}-{}", machine(), getpid().as_raw_nonzero());
        Self { start, next: AtomicU64::new(0) }
    }

    /// One more name.
    pub fn next(&self) -> Box<str> {
        format!("{}-{}", self.start, self.next.fetch_add(1, Ordering::Relaxed)).into()
    }
}

/// Eight hex digits that tell this machine from others that may share a disk with it.
pub fn machine() -> &'static str {
    static MACHINE: LazyLock<String> = LazyLock::new(|| {
        let uname = rustix::system::uname();
        let hash = blake3::hash(uname.nodename().to_bytes()).to_hex();
        hash[..8].to_owned()
    });
    &MACHINE
}

/// Whether the process that made a temporary of this name is certainly gone: it ran on this machine and is no more. Of
/// other machines nothing is known.
pub fn is_left_over(temp: &[u8]) -> bool {
    let Some(pid) = pid_here(temp) else { return false };
    pid != getpid() && test_kill_process(pid) == Err(Errno::SRCH)
}

/// The process that made the temporary, if it ran on this machine.
fn pid_here(temp: &[u8]) -> Option<Pid> {
    let text = std::str::from_utf8(temp).ok()?.strip_prefix(TEMP_PREFIX)?;
    let mut parts = text.split('-');
    let (_what, host, pid) = (parts.next()?, parts.next()?, parts.next()?);
    (host == machine()).then(|| Pid::from_raw(pid.parse().ok()?))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_of_this_machine_leave_things_over() {
        let own = TempNames::new("test").next();
        assert!(!is_left_over(own.as_bytes()), "this process lives");
        let me = format!("-{}-", getpid().as_raw_nonzero());
        let parent = format!("-{}-", rustix::process::getppid().expect("a parent").as_raw_nonzero());
        assert!(!is_left_over(own.replace(&me, &parent).as_bytes()), "so does its parent");
        let dead = own.replace(&me, "-2147483646-");
        assert!(is_left_over(dead.as_bytes()));
        assert!(!is_left_over(dead.replace(machine(), "00000000").as_bytes()), "another machine's");
        assert!(!is_left_over(b".sitta-tmp-x") && !is_left_over(b"other"));
    }
}
