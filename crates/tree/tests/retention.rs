//! What is kept of archives: laws that hold whatever the times and the rules, and a few years of nights.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use sitta_tree::Civil;
use sitta_tree::retention::{Keep, KeepError, Period, Stamp};
use sitta_tree::template::{Names, Template};

const DAY: i64 = 86_400;
/// 2026-11-21 12:14:40
const NOW: Civil = Civil::at(1_795_263_280, 0);

fn periods() -> impl Strategy<Value = Period> {
    prop::sample::select(vec![Period::Hour, Period::Day, Period::Week, Period::Month, Period::Year])
}

fn keeps() -> impl Strategy<Value = Keep> {
    let each = prop::collection::vec((periods(), 1u32..9), 0..3);
    (0u32..6, prop::option::of(0u64..90), each).prop_map(|(last, within, each)| {
        let keep = Keep::default().last(last);
        let keep = within.map_or(keep.clone(), |days| keep.within(Duration::from_secs(days * 86_400)));
        each.into_iter().fold(keep, |keep, (period, n)| keep.each(period, n))
    })
}

fn stamps() -> impl Strategy<Value = Vec<Stamp>> {
    let at = prop_oneof![-3 * DAY..400 * DAY, 0..3 * DAY, Just(0)];
    let stamp = (at, prop::bool::ANY).prop_map(|(ago, day)| match day {
        true => Stamp { at: Civil::at((NOW.secs() - ago).div_euclid(DAY) * DAY, 0), length: DAY },
        false => Stamp { at: Civil::at(NOW.secs() - ago, 0), length: 1 },
    });
    prop::collection::vec(stamp, 0..60)
}

fn chosen(stamps: &[Stamp], kept: &[bool]) -> Vec<Stamp> {
    stamps.iter().zip(kept).filter(|(_, kept)| **kept).map(|(stamp, _)| *stamp).collect()
}

proptest! {
    #[test]
    fn the_newest_and_the_future_are_always_kept(keep in keeps(), stamps in stamps()) {
        let kept = keep.decide(&stamps, NOW);
        prop_assert_eq!(kept.len(), stamps.len());
        let left = chosen(&stamps, &kept);
        prop_assert_eq!(left.iter().max(), stamps.iter().max());
        prop_assert!(stamps.iter().zip(&kept).all(|(stamp, kept)| *kept || stamp.at <= NOW));
    }

    #[test]
    fn deciding_again_deletes_nothing_more(keep in keeps(), stamps in stamps()) {
        let left = chosen(&stamps, &keep.decide(&stamps, NOW));
        prop_assert!(keep.decide(&left, NOW).iter().all(|kept| *kept));
    }

    #[test]
    fn one_rule_more_keeps_more(one in keeps(), other in keeps(), stamps in stamps()) {
        prop_assume!(!one.is_empty());
        let (few, more) = (one.decide(&stamps, NOW), one.or(other).decide(&stamps, NOW));
        prop_assert!(few.iter().zip(&more).all(|(few, more)| !few || *more));
    }

    #[test]
    fn the_order_does_not_matter(keep in keeps(), stamps in stamps()) {
        let mut turned = stamps.clone();
        turned.reverse();
        let mut one = chosen(&stamps, &keep.decide(&stamps, NOW));
        let mut other = chosen(&turned, &keep.decide(&turned, NOW));
        one.sort();
        other.sort();
        prop_assert_eq!(one, other);
    }

    #[test]
    fn what_is_young_enough_stays(days in 0i64..60, stamps in stamps()) {
        let keep = Keep::default().within(Duration::from_secs(days as u64 * 86_400));
        for (stamp, kept) in stamps.iter().zip(keep.decide(&stamps, NOW)) {
            prop_assert!(kept || NOW.secs() - stamp.at.secs() > days * DAY);
        }
    }

    #[test]
    fn a_text_is_read_as_it_is_written(keep in keeps()) {
        prop_assume!(!keep.is_empty());
        prop_assert_eq!(keep.to_string().parse::<Keep>(), Ok(keep));
    }

    #[test]
    fn a_template_tells_the_time_of_its_own_names_only(secs in -62_135_596_800i64..253_402_300_800, junk in ".*") {
        let names = Names { host: "h", job: "j" };
        let template = Template::parse("{job}-{date}-{time}.tgz", names).unwrap();
        let now = Civil::at(secs, 0);
        prop_assert_eq!(template.stamp(template.name(now).as_bytes()).map(|stamp| stamp.at), Some(now));
        let other = format!("{junk}{}", template.name(now));
        prop_assert!(junk.is_empty() || template.stamp(other.as_bytes()).is_none());
        let other = format!("{}{junk}", template.name(now));
        prop_assert!(junk.is_empty() || template.stamp(other.as_bytes()).is_none());
    }
}

#[test]
fn years_of_nights() {
    let keep: Keep = "last=3,daily=7,weekly=4,monthly=12,yearly=3".parse().unwrap();
    let mut there: Vec<Stamp> = Vec::new();
    let first = Civil::new((2020, 1, 1), (2, 0, 0)).unwrap();
    for night in 0..2000 {
        let now = Civil::at(first.secs() + night * DAY, 0);
        there.push(Stamp { at: now, length: 1 });
        let kept = keep.decide(&there, now);
        there = chosen(&there, &kept);
        assert!(there.len() <= 7 + 4 + 12 + 3, "{} archives", there.len());
        let day = |ago: i64| there.iter().any(|stamp| stamp.at.day() == now.day() - ago);
        assert!((0..7.min(night + 1)).all(day), "of each of the last seven days, night {night}");
    }
    let months: BTreeSet<_> = there.iter().map(|stamp| (stamp.at.date().0, stamp.at.date().1)).collect();
    assert!(months.len() >= 12, "of each of the last twelve months: {months:?}");
    let years: BTreeSet<_> = there.iter().map(|stamp| stamp.at.date().0).collect();
    assert_eq!(years.into_iter().collect::<Vec<_>>(), [2023, 2024, 2025]);
}

#[test]
fn a_day_counts_from_its_end() {
    let keep = Keep::default().within(Duration::from_secs(86_400));
    let of_day = |day| Stamp { at: Civil::new((2026, 11, day), (0, 0, 0)).unwrap(), length: DAY };
    // 12:14 on the 21st: the 20th may have been an hour ago in its last minute, the 19th not.
    assert_eq!(keep.decide(&[of_day(19), of_day(20), of_day(21)], NOW), [false, true, true]);
}

#[test]
fn no_rule_deletes_nothing() {
    let old = Stamp { at: Civil::at(0, 0), length: 1 };
    assert_eq!(Keep::default().decide(&[old, old], NOW), [true, true]);
}

#[test]
fn wrong_rules_are_told() {
    let wrong = |text: &str| text.parse::<Keep>().expect_err("no rule");
    for text in ["", "7", "last", "lasts=7", "last=1,,"] {
        assert!(matches!(wrong(text), KeepError::Rule(_)), "{text}");
    }
    for text in ["last=0", "daily=-1", "weekly=x", "yearly=", "last=99999999999"] {
        assert!(matches!(wrong(text), KeepError::Number(_)), "{text}");
    }
    for text in ["within=30", "within=d", "within=6m", "within=-1d", "within=99999999999999999999y"] {
        assert!(matches!(wrong(text), KeepError::Length(_)), "{text}");
    }
    let all: Keep = "last=7,within=30d,daily=7,weekly=4,monthly=12,yearly=3,hourly=24".parse().unwrap();
    assert!(!all.is_empty());
}
