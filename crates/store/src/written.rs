//! Sizes, lengths of time and points in time as people and programs write them.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sitta_tree::Time;

/// `2026-09-26T08:12:00Z`; none for a time that was not told, and for years that ISO 8601 has no room for.
pub fn utc_time(time: Time) -> Option<String> {
    timestamp(time).filter(|_| time != Time::default()).map(|at| at.to_string())
}

/// A file's time on a calendar; none if it has no room for it.
pub fn timestamp(time: Time) -> Option<Timestamp> {
    let at = SignedDuration::new(time.secs, i32::try_from(time.nanos).ok()?);
    Timestamp::from_duration(at).ok()
}

/// `10MiB`, `10M` and `10m` (1024 × 1024 each), `10MB` (a million), `1.5GiB`, `4096`.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let wrong = || format!("'{text}' is not a size; write for example 10MiB, 500K or 4096");
    let number: f64 = text[..end].parse().map_err(|_| wrong())?;
    let unit = text[end..].trim().to_ascii_lowercase();
    let (scale, suffix) = match unit.chars().next() {
        None => (0, ""),
        Some('b') => (0, &unit[1..]),
        Some(c) => ("kmgtpe".find(c).ok_or_else(wrong)? as i32 + 1, &unit[1..]),
    };
    let base: f64 = match suffix {
        "" | "ib" => 1024.0,
        "b" => 1000.0,
        _ => return Err(wrong()),
    };
    let bytes = number * base.powi(scale);
    if bytes > u64::MAX as f64 { Err(format!("'{text}' is more than any file holds")) } else { Ok(bytes as u64) }
}

/// `90s`, `30m`, `24h`, `2d`, `3w`
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let wrong = || format!("'{text}' is not a length of time; write for example 90s, 30m, 24h, 2d or 3w");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// A point in time: `2d` (so long ago), `2026-01-01`, `2026-01-01T12:30`, `2026-01-01T12:30:00Z`; local where no zone is
/// given.
pub fn parse_when(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Time, String> {
    let text = text.trim();
    if let Ok(ago) = parse_duration(text) {
        let ago = SignedDuration::try_from(ago).map_err(|_| format!("'{text}' is too long ago"))?;
        let at = now.checked_sub(ago).map_err(|_| format!("'{text}' is too long ago"))?;
        return Ok(time_of(at));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(time_of(at));
    }
    let civil: DateTime = text.parse().map_err(|_| {
        format!(
            "'{text}' is not a time; write for example 2d, 2026-01-31, 2026-01-31T12:30 or 2026-01-31T12:30:00Z"
        )
    })?;
    let at = civil.to_zoned(zone.clone()).map_err(|e| format!("'{text}' is no time here: {e}"))?;
    Ok(time_of(at.timestamp()))
}

fn time_of(at: Timestamp) -> Time {
    let nanos = at.as_nanosecond();
    Time::new(nanos.div_euclid(1_000_000_000) as i64, nanos.rem_euclid(1_000_000_000) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_understood() {
        for (text, bytes) in [
            ("4096", 4096),
            ("10MiB", 10 << 20),
            ("10m", 10 << 20),
            ("10 MB", 10_000_000),
            ("1.5K", 1536),
            ("7B", 7),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "10X", "10MiBs", "-1", "1..2", "99999999E"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_understood() {
        let now: Timestamp = "2026-03-10T12:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let when = |text| parse_when(text, now, &zone).map(|t| utc_time(t).unwrap());
        assert_eq!(when("2d"), Ok("2026-03-08T12:00:00Z".into()));
        assert_eq!(when("2026-01-01"), Ok("2025-12-31T22:00:00Z".into()));
        assert_eq!(when("2026-01-01T12:30"), Ok("2026-01-01T10:30:00Z".into()));
        assert_eq!(when("2026-01-01T12:30:00Z"), Ok("2026-01-01T12:30:00Z".into()));
        assert!(when("yesterday").unwrap_err().contains("write for example"));
        assert_eq!(utc_time(Time::new(i64::MAX, 0)), None);
    }
}
