//! Dates and times as a calendar and a clock on the wall tell them, in whichever zone: names of archives carry such.
//!
//! The days are those of the proleptic Gregorian calendar.

use std::fmt;

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// A date and a time of day, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Civil(i64);

impl Civil {
    /// What the clock shows `secs` seconds after 1970 began in UTC, where it is `offset` seconds ahead of UTC.
    pub const fn at(secs: i64, offset: i32) -> Self {
        Self(secs.saturating_add(offset as i64))
    }

    /// A date and a time; none if there is no such.
    pub fn new(date: (i64, i64, i64), time: (i64, i64, i64)) -> Option<Self> {
        let ((year, month, day), (hour, minute, second)) = (date, time);
        let clock = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
        if !clock || !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let at = Self(days(year, month, day) * DAY + hour * 3600 + minute * 60 + second);
        // The 31st of a shorter month would be one of the next.
        (at.date() == date).then_some(at)
    }

    /// Seconds since 1970 began on that clock.
    pub fn secs(self) -> i64 {
        self.0
    }

    /// Days since 1970 began.
    pub fn day(self) -> i64 {
        self.0.div_euclid(DAY)
    }

    /// Year, month and day.
    pub fn date(self) -> (i64, i64, i64) {
        // Years begin in March here, so that the leap day comes last.
        let days = self.day() + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (year + era * 400 + i64::from(month <= 2), month, day)
    }

    /// Hour, minute and second.
    pub fn time(self) -> (i64, i64, i64) {
        let second = self.0.rem_euclid(DAY);
        (second / 3600, second / 60 % 60, second % 60)
    }
}

impl fmt::Display for Civil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((year, month, day), (hour, minute, second)) = (self.date(), self.time());
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

/// Days since 1970 began.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (secs, offset, shown) in [
            (0, 0, "1970-01-01 00:00:00"),
            (951_782_399, 0, "2000-02-28 23:59:59"),
            (951_782_400, 0, "2000-02-29 00:00:00"),
            (1_795_263_280, 3600, "2026-11-21 13:14:40"),
            (-1, 0, "1969-12-31 23:59:59"),
            (4_107_542_399, 0, "2100-02-28 23:59:59"),
            (4_107_542_400, 0, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(Civil::at(secs, offset).to_string(), shown);
        }
    }

    #[test]
    fn every_day_is_read_as_it_is_written() {
        for day in (-719_000..2_900_000).step_by(13) {
            let at = Civil(day * DAY + 5);
            assert_eq!(Civil::new(at.date(), at.time()), Some(at));
        }
        for date in [(2026, 2, 29), (2100, 2, 29), (2026, 4, 31), (2026, 13, 1), (2026, 0, 1), (2026, 1, 0)] {
            assert_eq!(Civil::new(date, (0, 0, 0)), None, "{date:?}");
        }
        assert_eq!(Civil::new((2026, 1, 1), (24, 0, 0)), None);
        assert_eq!(Civil::new((2026, 1, 1), (0, 0, 60)), None);
    }
}
