//! Who guesses passwords waits longer each time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// So many failures are forgiven.
const FREE: u32 = 5;

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);

/// Failures are forgotten after that.
const MEMORY: Duration = Duration::from_secs(900);

/// More addresses than this are not remembered: the oldest go.
const MANY: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Failed logins by address.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

impl Throttle {
    fn failures(&self) -> MutexGuard<'_, HashMap<IpAddr, Failures>> {
        self.failures.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// How long this address has to wait before it is listened to again.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let failures = *self.failures().get(&address)?;
        let doublings = failures.count.checked_sub(FREE)?.min(6);
        let until = failures.last + (Duration::from_secs(1) * 2_u32.pow(doublings)).min(LONGEST);
        until.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    /// A login failed.
    pub fn failed(&self, address: IpAddr, now: Instant) {
        let mut failures = self.failures();
        if failures.len() >= MANY {
            failures.retain(|_, known| now.duration_since(known.last) < MEMORY);
        }
        if failures.len() >= MANY
            && let Some(oldest) = failures.iter().min_by_key(|(_, known)| known.last).map(|(address, _)| *address)
        {
            failures.remove(&oldest);
        }
        let known = failures.entry(address).or_insert(Failures { count: 0, last: now });
        if now.duration_since(known.last) >= MEMORY {
            known.count = 0;
        }
        *known = Failures { count: known.count.saturating_add(1), last: now };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let (throttle, address, now) = (Throttle::default(), IpAddr::from([192, 0, 2, 1]), Instant::now());
        for _ in 1..FREE {
            throttle.failed(address, now);
        }
        assert_eq!(throttle.wait(address, now), None);
        throttle.failed(address, now);
        assert_eq!(throttle.wait(address, now), Some(Duration::from_secs(1)));
        throttle.failed(address, now);
        assert_eq!(throttle.wait(address, now), Some(Duration::from_secs(2)));
        assert_eq!(throttle.wait(address, now + Duration::from_secs(2)), None);
        (0..50).for_each(|_| throttle.failed(address, now));
        assert_eq!(throttle.wait(address, now), Some(LONGEST));
        throttle.failed(address, now + MEMORY);
        assert_eq!(throttle.wait(address, now + MEMORY), None, "forgotten");
        assert_eq!(throttle.wait(IpAddr::from([192, 0, 2, 2]), now), None, "of one address only");
    }
}
