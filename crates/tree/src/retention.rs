//! Which archives are kept: decided from their times alone.
//!
//! What any of the rules keeps is kept. Of the rules that count periods, each takes the newest archive of every period
//! that has one, from the newest period on. Kept in any case: the newest archive, and what was made in the future.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::civil::Civil;

/// When an archive was made, as its name tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// The beginning of that time.
    pub at: Civil,
    /// How many seconds it may have been later: a day, where only the day is told.
    pub length: i64,
}

/// A stretch of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    /// An hour of a day.
    Hour,
    /// A day.
    Day,
    /// A week, from Monday on.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Period {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Hour, "hourly"),
        (Self::Day, "daily"),
        (Self::Week, "weekly"),
        (Self::Month, "monthly"),
        (Self::Year, "yearly"),
    ];

    /// Which one a time falls into; numbered in order.
    fn of(self, at: Civil) -> i64 {
        let (year, month, _) = at.date();
        match self {
            Self::Hour => at.secs().div_euclid(3600),
            Self::Day => at.day(),
            // 1970 began on a Thursday.
            Self::Week => (at.day() + 3).div_euclid(7),
            Self::Month => year * 12 + month,
            Self::Year => year,
        }
    }
}

/// How many archives are kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keep {
    last: u32,
    within: Option<Duration>,
    /// So many of which periods.
    each: Vec<(Period, u32)>,
}

/// Why a text says no such thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// No `=`, or another word before it.
    #[error(
        "'{0}' is no rule; known are last, within, hourly, daily, weekly, monthly and yearly, as in last=7,within=30d"
    )]
    Rule(String),
    /// No number.
    #[error("'{0}' is no number from 1 on")]
    Number(String),
    /// No length of time.
    #[error("'{0}' is no length of time; write for example 12h, 30d, 8w or 2y")]
    Length(String),
}

impl Keep {
    /// Also the newest `n`.
    #[must_use]
    pub fn last(self, n: u32) -> Self {
        Self { last: self.last.max(n), ..self }
    }

    /// Also those that are no older than `age`.
    #[must_use]
    pub fn within(self, age: Duration) -> Self {
        Self { within: self.within.max(Some(age)), ..self }
    }

    /// Also one of each of the newest `n` periods that have any.
    #[must_use]
    pub fn each(mut self, period: Period, n: u32) -> Self {
        self.each.push((period, n));
        self
    }

    /// All that either of both keeps.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let within = self.within.max(other.within);
        let each = [self.each, other.each].concat();
        Self { last: self.last.max(other.last), within, each }
    }

    /// Whether it says nothing at all; then nothing is ever deleted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Which of these archives are kept, in their order.
    pub fn decide(&self, stamps: &[Stamp], now: Civil) -> Vec<bool> {
        if self.is_empty() {
            return vec![true; stamps.len()];
        }
        let mut newest: Vec<usize> = (0..stamps.len()).collect();
        newest.sort_by_key(|nth| std::cmp::Reverse((stamps[*nth], *nth)));
        let mut kept = vec![false; stamps.len()];
        for nth in newest.iter().take(self.last.max(1) as usize) {
            kept[*nth] = true;
        }
        for (nth, stamp) in stamps.iter().enumerate() {
            let age = now.secs().saturating_sub(stamp.at.secs().saturating_add(stamp.length - 1));
            let young = self.within.is_some_and(|within| u64::try_from(age).unwrap_or(0) <= within.as_secs());
            kept[nth] |= young || stamp.at > now;
        }
        for (period, n) in &self.each {
            let mut seen = BTreeSet::new();
            for nth in &newest {
                if seen.len() == *n as usize {
                    break;
                }
                kept[*nth] |= seen.insert(period.of(stamps[*nth].at));
            }
        }
        kept
    }
}

/// `last=7,within=30d,daily=7,weekly=4,monthly=12,yearly=3`: any of them, in any order.
impl FromStr for Keep {
    type Err = KeepError;

    fn from_str(text: &str) -> Result<Self, KeepError> {
        text.split(',').map(str::trim).try_fold(Self::default(), |keep, rule| {
            let unknown = || KeepError::Rule(rule.to_owned());
            let (word, value) = rule.split_once('=').ok_or_else(unknown)?;
            let (word, value) = (word.trim(), value.trim());
            let number = || match value.parse() {
                Ok(n @ 1..) => Ok(n),
                _ => Err(KeepError::Number(value.to_owned())),
            };
            let period = Period::ALL.iter().find(|(_, name)| *name == word);
            Ok(match (word, period) {
                ("last", _) => keep.last(number()?),
                ("within", _) => keep.within(length(value).ok_or_else(|| KeepError::Length(value.to_owned()))?),
                (_, Some((period, _))) => keep.each(*period, number()?),
                _ => return Err(unknown()),
            })
        })
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rules = Vec::new();
        if self.last > 0 {
            rules.push(format!("last={}", self.last));
        }
        if let Some(within) = self.within {
            let secs = within.as_secs();
            rules.push(match (secs % 86_400, secs % 3600) {
                (0, _) => format!("within={}d", secs / 86_400),
                (_, 0) => format!("within={}h", secs / 3600),
                _ => format!("within={secs}s"),
            });
        }
        for (period, n) in &self.each {
            let name = Period::ALL.iter().find(|(known, _)| known == period).map_or("", |(_, name)| name);
            rules.push(format!("{name}={n}"));
        }
        f.write_str(&rules.join(","))
    }
}

/// `90s`, `30min`, `12h`, `30d`, `8w`, `2y` of 365 days. Not `6m`, which may be minutes or months.
fn length(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "y" => 365 * 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit).map(Duration::from_secs)
}
