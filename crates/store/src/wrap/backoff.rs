//! How often a call is tried, and after what pauses.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::Result;

/// How often and after what pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Tries one after the other without any headway between them, the first included.
    pub tries: u32,
    /// The longest first pause; each further one may be twice as long. The pause itself is a random part of that, at
    /// least half, so that many clients do not come back at once.
    pub first: Duration,
    /// The longest pause at all.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { tries: 5, first: Duration::from_millis(250), longest: Duration::from_secs(15) }
    }
}

impl Backoff {
    /// Makes a call that may be repeated, until it succeeds, fails for good, or was tried often enough.
    pub(crate) async fn again<T, F: Future<Output = Result<T>>>(&self, call: impl FnMut() -> F) -> Result<T> {
        self.beside(&Headway::default(), call).await
    }

    /// As [`Backoff::again`], where other calls go to the same place.
    pub(super) async fn beside<T, F: Future<Output = Result<T>>>(
        &self,
        headway: &Headway,
        mut call: impl FnMut() -> F,
    ) -> Result<T> {
        let mut tries = Tries::new(*self);
        loop {
            match call().await {
                Err(error) if error.kind.is_transient() && tries.go_on(headway.made()) => tries.pause().await,
                result => {
                    headway.make(u64::from(result.is_ok()));
                    return result;
                }
            }
        }
    }

    /// Waits before the next try, after so many failed ones.
    pub(crate) async fn pause(&self, failed: u32) {
        let most = self.first.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(self.longest);
        // The standard library's only source of randomness.
        let random = RandomState::new().build_hasher().finish() as u32;
        let part = 0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX);
        tokio::time::sleep(most.mul_f64(part)).await;
    }
}

/// Grows with everything that goes well at a place. Where many calls share one connection, each of its cuts fails them
/// all; as long as some get through, the place can be reached, and none of them has used up its tries.
#[derive(Debug, Clone, Default)]
pub(super) struct Headway(Arc<AtomicU64>);

impl Headway {
    pub fn make(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    pub fn made(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The tries of one call.
pub(super) struct Tries {
    backoff: Backoff,
    /// Failed one after the other, without headway in between.
    in_a_row: u32,
    failed: u32,
    /// How much headway the last one saw.
    headway: u64,
}

impl Tries {
    /// A call that fails while all others go well has a fault of its own: it ends after so many times the tries.
    const AT_MOST: u32 = 4;

    pub fn new(backoff: Backoff) -> Self {
        Self { backoff, in_a_row: 0, failed: 0, headway: 0 }
    }

    /// One more has failed, with so much headway made so far; whether there is to be another.
    pub fn go_on(&mut self, headway: u64) -> bool {
        if headway != std::mem::replace(&mut self.headway, headway) {
            self.in_a_row = 0;
        }
        self.in_a_row += 1;
        self.failed += 1;
        self.in_a_row < self.backoff.tries && self.failed < self.backoff.tries * Self::AT_MOST
    }

    pub async fn pause(&self) {
        self.backoff.pause(self.in_a_row).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headway_of_others_does_not_help_for_ever() {
        let mut tries = Tries::new(Backoff::default());
        let failed = (1..).take_while(|headway| tries.go_on(*headway)).count();
        assert_eq!(failed as u32 + 1, Backoff::default().tries * Tries::AT_MOST);
        let mut tries = Tries::new(Backoff::default());
        assert!((0..4).all(|_| tries.go_on(7)) && !tries.go_on(7));
    }
}
