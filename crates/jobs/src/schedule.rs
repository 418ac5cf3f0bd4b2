//! When a job is due: the five fields of cron, on the clock of a time zone.
//!
//! Where clocks are put forward, a job at a fixed time that is left out runs at the first moment after; where they are
//! put back, it runs once, the first time. A job with `*` or `*/n` in its minutes or hours goes by the clock on the wall:
//! it skips what is left out and runs in both of two same hours.

use croner::Cron;
use croner::parser::CronParser;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Names for usual schedules, and what they stand for.
const NAMED: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// One of the five fields.
struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    /// Names for its numbers, from the lowest on.
    words: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, words: &[] },
    Field { name: "hour", low: 0, high: 23, words: &[] },
    Field { name: "day of the month", low: 1, high: 31, words: &[] },
    Field { name: "month", low: 1, high: 12, words: &MONTHS },
    Field { name: "day of the week", low: 0, high: 7, words: &DAYS },
];

/// When a job runs.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// Understands five fields of cron, or one of its names such as `@daily`.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Self, String> {
        let text = text.trim();
        let fields = match NAMED.iter().find(|(name, _)| *name == text) {
            Some((_, fields)) => fields,
            None if text.starts_with('@') => {
                let known: Vec<_> = NAMED.iter().map(|(name, _)| *name).collect();
                return Err(format!("'{text}' is no schedule; known are {}", known.join(", ")));
            }
            None => text,
        };
        check(fields)?;
        let cron = CronParser::new().parse(fields).map_err(|error| format!("'{text}' is no schedule: {error}"))?;
        let schedule = Self { cron, zone };
        // The 29th of February comes in any five years; what does not, never does.
        let leap: Timestamp = "2024-01-01T00:00:00Z".parse().expect("a time");
        match schedule.next(leap) {
            Some(_) => Ok(schedule),
            None => Err(format!("'{text}' is never: there is no such day")),
        }
    }

    /// The first time after `after`.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let from = after.to_zoned(self.zone.clone());
        self.cron.find_next_occurrence(&from, false).ok().map(|next| next.timestamp())
    }

    /// When the job is due that last began (or was first seen) at `since`: a time that is past means now, once, however
    /// often it was missed. A clock that was put back does not put jobs off.
    pub fn due(&self, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        self.next(since.min(now))
    }
}

fn check(text: &str) -> Result<(), String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!(
            "'{text}' is no schedule; write five fields: minute, hour, day, month, weekday, for example \"0 3 * * *\""
        ));
    }
    for (text, field) in fields.iter().zip(&FIELDS) {
        if !text.split(',').all(|item| field.admits(item)) {
            let Field { name, low, high, .. } = field;
            return Err(format!(
                "'{text}' is no {name}: write {low} to {high}, *, a-b, */n, or several with commas"
            ));
        }
    }
    Ok(())
}

impl Field {
    /// Whether `item` is `*`, a number or `a-b`, with or without a step.
    fn admits(&self, item: &str) -> bool {
        let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let fits = range == "*" || matches!((self.number(from), self.number(to)), (Some(a), Some(b)) if a <= b);
        // A step needs something to step through.
        let steps = match step {
            None => true,
            Some(step) => (range == "*" || range.contains('-')) && step.parse::<u32>().is_ok_and(|step| step > 0),
        };
        fits && steps
    }

    fn number(&self, text: &str) -> Option<u32> {
        let word = text.to_ascii_lowercase();
        match self.words.iter().position(|known| *known == word) {
            Some(index) => Some(self.low + u32::try_from(index).ok()?),
            None => text.parse().ok().filter(|n| (self.low..=self.high).contains(n)),
        }
    }
}

#[cfg(test)]
mod tests;
