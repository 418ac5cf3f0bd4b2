//! Whether UDP is worth it. TCP comes first: it costs less, and every network lets it through. Where it turns out slow,
//! because packets are lost, UDP is tried, and what was faster goes on.

use std::time::Duration;

/// How long TCP, and UDP, are looked at.
const TRIAL: Duration = Duration::from_secs(2);

/// Connecting counts too, so UDP gets a little longer.
const CONNECTING: Duration = Duration::from_secs(1);

/// What would be over sooner than this is left alone.
const WORTH_IT: f64 = 6.0;

/// So many times faster UDP has to be.
const GAIN: f64 = 1.25;

/// A way by which bytes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Over TCP, or whatever the store speaks.
    Tcp,
    /// Over UDP.
    Udp,
}

/// Where the trial is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Tcp,
    /// With what TCP had managed, in bytes a second.
    Udp(f64),
    Settled,
}

/// What is known of how fast it goes.
#[derive(Debug)]
pub struct Pace {
    size: u64,
    phase: Phase,
    /// When the phase began, and what had arrived then.
    since: (Duration, u64),
}

impl Pace {
    /// So many bytes are to come.
    pub fn new(size: u64) -> Self {
        Self { size, phase: Phase::Tcp, since: (Duration::ZERO, 0) }
    }

    /// Nothing will change any more.
    pub fn is_settled(&self) -> bool {
        self.phase == Phase::Settled
    }

    /// The lane to use from now on: after `elapsed`, so many bytes have arrived in all, and `lane` is used. Who finds UDP
    /// broken goes back to TCP without asking.
    pub fn look(&mut self, elapsed: Duration, arrived: u64, lane: Lane) -> Lane {
        let time = elapsed.saturating_sub(self.since.0);
        let rate = arrived.saturating_sub(self.since.1) as f64 / time.as_secs_f64().max(0.001);
        match self.phase {
            Phase::Tcp if time >= TRIAL => {
                self.since = (elapsed, arrived);
                let left = self.size.saturating_sub(arrived) as f64 / rate.max(1.0);
                if left < WORTH_IT {
                    return lane;
                }
                self.phase = Phase::Udp(rate);
                Lane::Udp
            }
            Phase::Udp(_) if lane == Lane::Tcp => {
                self.phase = Phase::Settled;
                lane
            }
            Phase::Udp(tcp) if time >= TRIAL + CONNECTING => {
                self.phase = Phase::Settled;
                if rate >= tcp * GAIN { Lane::Udp } else { Lane::Tcp }
            }
            _ => lane,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Looks every quarter of a second while bytes arrive at these rates; the lanes that were used, and when.
    fn run(size: u64, tcp: u64, udp: u64) -> Vec<(u64, Lane)> {
        let (mut pace, mut lane, mut arrived) = (Pace::new(size), Lane::Tcp, 0);
        let mut changes = Vec::new();
        for tick in 1..400 {
            arrived += if lane == Lane::Tcp { tcp } else { udp } / 4;
            let next = pace.look(Duration::from_millis(250 * tick), arrived, lane);
            if next != lane {
                changes.push((tick / 4, next));
                lane = next;
            }
            if arrived >= size {
                break;
            }
        }
        changes
    }

    #[test]
    fn a_fast_line_is_left_alone() {
        assert_eq!(run(100 * MIB, 50 * MIB, 100 * MIB), []);
        assert_eq!(run(1000 * MIB, 500 * MIB, 1), []);
    }

    #[test]
    fn udp_takes_over_where_it_is_faster_and_not_where_it_is_not() {
        assert_eq!(run(100 * MIB, MIB, 20 * MIB), [(2, Lane::Udp)]);
        assert_eq!(run(100 * MIB, MIB, MIB), [(2, Lane::Udp), (5, Lane::Tcp)]);
        assert_eq!(run(100 * MIB, MIB, 0), [(2, Lane::Udp), (5, Lane::Tcp)]);
    }

    #[test]
    fn what_broke_stays_away() {
        let mut pace = Pace::new(100 * MIB);
        assert_eq!(pace.look(Duration::from_secs(2), MIB, Lane::Tcp), Lane::Udp);
        assert_eq!(pace.look(Duration::from_secs(3), MIB, Lane::Tcp), Lane::Tcp);
        assert!(pace.is_settled());
    }
}
