//! Clocks that tick slower than files change. A file that is written again within the tick in which it was looked at
//! looks as it did: what is remembered of it would vouch for bytes that are there no more. So a scan ends only when
//! the tick of the youngest file that it saw is over: whatever is read afterwards is what that tick has left, and every
//! later change is told from it. That costs some milliseconds, and only where something was changed just now.

use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use sitta_tree::{Entry, Kind};

use crate::Flow;

/// How often it is looked at the clock.
const LOOK: Duration = Duration::from_micros(500);

/// Longer than any kernel's tick. A time that lies further ahead is no time of a change.
const LONGEST: i128 = 20_000_000;

/// The youngest file that a scan has seen.
#[derive(Debug)]
pub(super) struct Youngest {
    /// Nothing younger was changed before the scan began, give or take a tick: older ones need not be looked at.
    since: i128,
    latest: i128,
}

/// The clock that files get their times from, in nanoseconds since 1970.
fn now() -> i128 {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

impl Youngest {
    pub fn new() -> Self {
        // The longest tick of a file system's own is that of FAT.
        Self { since: now() - 2_000_000_000, latest: i128::MIN }
    }

    pub fn see(&mut self, entry: &Entry) {
        if entry.kind != Kind::File {
            return;
        }
        let changed = i128::from(entry.change).max(entry.meta.mtime.as_nanos());
        if changed > self.latest && changed >= self.since && changed <= now() + LONGEST {
            self.latest = changed;
        }
    }

    /// There is none that a tick would have to be waited for.
    pub fn is_none(&self) -> bool {
        self.latest == i128::MIN
    }

    /// Waits until the tick of the youngest file is over, for a file system whose times are multiples of `precision`.
    pub fn wait(&self, precision: u64, flow: &Flow) {
        let tick = i128::from(precision.max(1));
        let end = Instant::now() + Duration::from_nanos(precision.max(1)) + Duration::from_millis(20);
        while now().div_euclid(tick) <= self.latest.div_euclid(tick) && Instant::now() < end && !flow.is_cancelled()
        {
            thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use sitta_tree::{Meta, Time};

    use super::*;

    fn file(changed: i128) -> Entry {
        let mtime = Time::new(changed.div_euclid(1_000_000_000) as i64, changed.rem_euclid(1_000_000_000) as u32);
        Entry { meta: Meta { mtime, ..Meta::default() }, ..Entry::new(Kind::File) }
    }

    fn youngest(changed: &[i128]) -> Youngest {
        let mut youngest = Youngest::new();
        changed.iter().for_each(|changed| youngest.see(&file(*changed)));
        youngest
    }

    #[test]
    fn the_tick_of_the_youngest_is_waited_for() {
        for precision in [1, 50_000_000] {
            let changed = now();
            youngest(&[changed - 1_000_000_000, changed]).wait(precision, &Flow::default());
            let tick = i128::from(precision);
            assert!(now().div_euclid(tick) > changed.div_euclid(tick));
        }
    }

    #[test]
    fn nothing_else_is() {
        let hour = 3_600_000_000_000;
        assert_eq!(youngest(&[now() - hour, now() + hour]).latest, i128::MIN);
        let flow = Flow::default();
        flow.cancel();
        let begun = Instant::now();
        youngest(&[now()]).wait(3_600_000_000_000, &flow);
        assert!(begun.elapsed() < Duration::from_secs(60), "whoever stops a scan is not kept waiting");
    }
}
