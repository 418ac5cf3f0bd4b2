use jiff::civil::DateTime;
use jiff::tz::AmbiguousOffset;
use jiff::{SignedDuration, Zoned};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a zone")
}

#[test]
fn schedules_are_checked() {
    for text in ["0 0 * * *", "*/15 8-18 1,15 * 1-5", "@daily", "@midnight", "30 6 * jan-mar mon,fri", "0 0 29 2 *"]
    {
        assert!(Schedule::parse(text, TimeZone::UTC).is_ok(), "{text}");
    }
    for (text, said) in [
        ("", "write five fields"),
        ("0 0 * *", "write five fields"),
        ("0 0 0 * * *", "write five fields"),
        ("60 0 * * *", "'60' is no minute"),
        ("0 0 0 * *", "'0' is no day of the month"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("5/2 * * * *", "'5/2' is no minute"),
        ("5-1 * * * *", "'5-1' is no minute"),
        ("@dayly", "known are @hourly, @daily"),
        ("a * * * *", "'a' is no minute"),
        ("0 0 * mon *", "'mon' is no month"),
        ("0 0 31 2 *", "'0 0 31 2 *' is never: there is no such day"),
    ] {
        let wrong = Schedule::parse(text, TimeZone::UTC).expect_err(text);
        assert!(wrong.contains(said), "{text}: {wrong}");
    }
}

#[test]
fn a_time_that_clocks_leave_out_is_the_first_one_after() {
    // In Berlin, 02:00 to 03:00 on 29 March 2026 do not exist.
    let daily = Schedule::parse("30 2 * * *", zone("Europe/Berlin")).expect("a schedule");
    let first = daily.next(at("2026-03-28T12:00:00Z")).expect("a time");
    assert_eq!(first, at("2026-03-29T01:00:00Z"), "03:00 summer time");
    assert_eq!(daily.next(first), Some(at("2026-03-30T00:30:00Z")));
    let quarters = Schedule::parse("*/15 2 * * *", zone("Europe/Berlin")).expect("a schedule");
    assert_eq!(
        quarters.next(at("2026-03-28T12:00:00Z")),
        Some(at("2026-03-30T00:00:00Z")),
        "by the clock on the wall"
    );
}

#[test]
fn a_time_that_comes_twice_counts_once() {
    // In Berlin, 02:00 to 03:00 on 25 October 2026 come twice.
    let daily = Schedule::parse("30 2 * * *", zone("Europe/Berlin")).expect("a schedule");
    let first = daily.next(at("2026-10-24T12:00:00Z")).expect("a time");
    assert_eq!(first, at("2026-10-25T00:30:00Z"));
    assert_eq!(daily.next(first), Some(at("2026-10-26T01:30:00Z")), "not again an hour later");
    let half_hours = Schedule::parse("*/30 * * * *", zone("Europe/Berlin")).expect("a schedule");
    let mut now = at("2026-10-25T00:00:00Z");
    for _ in 0..4 {
        let next = half_hours.next(now).expect("a time");
        assert_eq!(next.duration_since(now), SignedDuration::from_mins(30), "in both hours");
        now = next;
    }
}

#[test]
fn what_was_missed_is_due_once_and_clocks_that_go_back_delay_nothing() {
    let hourly = Schedule::parse("@hourly", TimeZone::UTC).expect("a schedule");
    let now = at("2026-05-05T10:30:00Z");
    let due = hourly.due(at("2026-05-01T00:10:00Z"), now).expect("a time");
    assert!(due <= now, "it was missed");
    // It runs now, once: what counts from then on is when it began.
    assert_eq!(hourly.due(now, now), Some(at("2026-05-05T11:00:00Z")));
    assert_eq!(
        hourly.due(at("2027-01-01T00:00:00Z"), now),
        Some(at("2026-05-05T11:00:00Z")),
        "begun in the future"
    );
}

/// The times of a pattern `minute hour * * *` between two moments, found the slow way: minute by minute.
fn slowly(minutes: &[i8], hour: Option<i8>, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let fits = |civil: DateTime| minutes.contains(&civil.minute()) && hour.is_none_or(|hour| civil.hour() == hour);
    let mut found = Vec::new();
    let mut before: Option<DateTime> = None;
    let mut now = from;
    while now < to {
        let civil = now.to_zoned(zone.clone()).datetime();
        let fixed = hour.is_some() && minutes.len() < 60;
        let second = matches!(zone.to_ambiguous_timestamp(civil).offset(), AmbiguousOffset::Fold { .. })
            && zone.to_ambiguous_timestamp(civil).later().is_ok_and(|later| later == now);
        // What the clock skipped between the last minute and this one.
        let skipped = before.is_some_and(|before| {
            let mut at = before.checked_add(SignedDuration::from_mins(1)).expect("a time");
            let mut hit = false;
            while at < civil {
                hit |= fits(at);
                at = at.checked_add(SignedDuration::from_mins(1)).expect("a time");
            }
            hit
        });
        if (fits(civil) && !(fixed && second)) || (fixed && skipped) {
            found.push(now);
        }
        before = Some(civil);
        now = now.checked_add(SignedDuration::from_mins(1)).expect("a time");
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Around changes of clocks, in zones that change by an hour or by half of one, north and south.
    #[test]
    fn schedules_agree_with_looking_at_the_clock_each_minute(
        minute in 0_i8..60,
        hour in prop::option::of(0_i8..5),
        zone_index in 0_usize..4,
        change in 0_usize..2,
    ) {
        let names = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"];
        let zone = zone(names[zone_index]);
        let start = match change {
            0 => zone.following(at("2026-01-05T00:00:00Z")).next().map(|change| change.timestamp()),
            _ => zone.following(at("2026-01-05T00:00:00Z")).nth(1).map(|change| change.timestamp()),
        };
        let start = start.unwrap_or(at("2026-03-01T00:00:00Z"));
        let day = SignedDuration::from_hours(30);
        let (from, to) = (start.checked_sub(day).expect("a time"), start.checked_add(day).expect("a time"));
        let from = from.to_zoned(zone.clone()).round(jiff::Unit::Minute).map(|at: Zoned| at.timestamp()).expect("a time");
        let text = match hour {
            Some(hour) => format!("{minute} {hour} * * *"),
            None => format!("{minute} * * * *"),
        };
        let schedule = Schedule::parse(&text, zone.clone()).expect("a schedule");
        let mut quickly = Vec::new();
        let mut now = from.checked_sub(SignedDuration::from_secs(1)).expect("a time");
        while let Some(next) = schedule.next(now).filter(|next| *next < to) {
            prop_assert!(next > now, "{text}: time goes on");
            quickly.push(next);
            now = next;
        }
        prop_assert_eq!(quickly, slowly(&[minute], hour, &zone, from, to), "{} in {}", text, names[zone_index]);
    }
}
