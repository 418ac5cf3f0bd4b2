//! Numbers, sizes, times and durations as people write and read them.

use jiff::tz::TimeZone;
use sitta_jobs::words::{UNITS, size_parts, timestamp};
pub use sitta_jobs::words::{count, counted, duration, size, utc_time};
pub use sitta_store::written::{parse_duration, parse_size, parse_when};
use sitta_tree::Time;

/// `51.4/84.2 MiB`: both in the unit of the whole.
pub fn size_of(done: u64, whole: u64) -> String {
    let (number, unit) = size_parts(whole);
    let scale = UNITS.iter().position(|u| *u == unit).unwrap_or(0);
    let done = done as f64 / 1024f64.powi(scale as i32);
    if scale == 0 { format!("{done:.0}/{number} {unit}") } else { format!("{done:.1}/{number} {unit}") }
}

/// `2026-09-26 10:12`, local; `-` for a time that was not told.
pub fn local_time(time: Time, zone: &TimeZone) -> String {
    match timestamp(time) {
        _ if time == Time::default() => "-".to_owned(),
        Some(at) => at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
        None => "out of range".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_in_the_unit_of_the_whole() {
        assert_eq!(size_of(53_896_806, 88_290_099), "51.4/84.2 MiB");
        assert_eq!(size_of(3, 661), "3/661 B");
    }

    #[test]
    fn local_times_are_those_of_the_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(local_time(Time::new(-1, 500_000_000), &zone), "1970-01-01 01:59");
    }
}
