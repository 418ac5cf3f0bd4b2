use jiff::tz::TimeZone;

use super::*;
use crate::{Cause, Counts, Ended, Ending, NamedStep, Note, Run};

fn about() -> About {
    About {
        job: "nightly-db".into(),
        verb: "mirror".into(),
        from: "nas:db".into(),
        to: "/backup/<db>".into(),
        host: "tern".into(),
        zone: TimeZone::get("Europe/Berlin").expect("a zone"),
    }
}

fn run(ended: Ended, problems: u64) -> Run {
    let ending = Ending {
        counts: Counts { copied: 2, problems, bytes: 2048, ..Counts::default() },
        problems: (0..problems.min(100))
            .map(|n| Note { path: format!("<b>{n}.txt"), kind: "busy".into(), message: "in use".into() })
            .collect(),
        seconds: 2.0,
        ..Ending::of(ended, 1)
    };
    Run {
        id: "20260501T030000Z-nightly-db".into(),
        job: "nightly-db".into(),
        verb: "mirror".into(),
        cause: Cause::Schedule,
        pid: 1,
        started: "2026-05-01T03:00:00Z".parse().expect("a time"),
        end: Some(("2026-05-01T03:00:02Z".parse().expect("a time"), ending)),
    }
}

#[test]
fn subjects_say_job_outcome_and_machine() {
    let subject = |how, problems| ended(&about(), &run(how, problems), News::Ended, None).subject;
    assert_eq!(subject(Ended::Success, 0), "sitta: nightly-db succeeded on tern");
    assert_eq!(subject(Ended::Failed, 3), "sitta: nightly-db failed on tern: 3 problems");
    assert_eq!(subject(Ended::Partial, 1), "sitta: nightly-db was done in part on tern: 1 problem");
    assert_eq!(subject(Ended::Held, 0), "sitta: nightly-db was held back on tern");
    let at = |how, step: &str, problems| {
        let mut run = run(how, problems);
        let named = |step: &str, state: &str| NamedStep {
            step: step.to_owned(),
            state: state.to_owned(),
            text: String::new(),
            seconds: 0.0,
            facts: serde_json::Map::new(),
        };
        if let Some((_, ending)) = &mut run.end {
            ending.named = vec![named("CHECK", "done"), named(step, "failed"), named("LATER", "skipped")];
            ending.message = (how == Ended::Failed).then(|| "nas:db could not be written\nwhy".to_owned());
        }
        ended(&about(), &run, News::Ended, None).subject
    };
    assert_eq!(
        at(Ended::Failed, "UPLOAD", 0),
        "sitta: nightly-db failed at UPLOAD on tern: nas:db could not be written"
    );
    assert_eq!(at(Ended::Held, "CHECK", 0), "sitta: nightly-db was held back at CHECK on tern");
    assert_eq!(
        at(Ended::Partial, "CLEAN", 1),
        "sitta: nightly-db was done in part, CLEAN failed on tern: 1 problem"
    );
    assert_eq!(at(Ended::Interrupted, "UPLOAD", 0), "sitta: nightly-db was interrupted at UPLOAD on tern");
    let recovered = ended(&about(), &run(Ended::Success, 0), News::Recovered, None);
    assert_eq!(
        (recovered.subject.as_str(), recovered.kind),
        ("sitta: nightly-db recovered on tern", Kind::Success)
    );
}

#[test]
fn texts_tell_what_there_is_to_know_and_pages_show_names_as_they_are() {
    let message = ended(&about(), &run(Ended::Partial, 45), News::Ended, None);
    for part in [
        "Began   2026-05-01 05:00:00 CEST",
        "nas:db",
        "45 problems",
        "<b>0.txt   in use",
        "… and 25 more, in the log",
    ] {
        assert!(message.text.contains(part), "{part} in {}", message.text);
    }
    assert!(message.html.contains("/backup/&lt;db&gt;") && message.html.contains("&lt;b&gt;0.txt"));
    assert!(!message.html.contains("<b>"), "{}", message.html);
    assert_eq!(message.json["outcome"], "partial");
    assert_eq!(message.json["counts"]["problems"], 45);
    let alarm = alarm(&about(), None, Duration::from_secs(172_800));
    assert_eq!(alarm.subject, "sitta: nightly-db has not succeeded for 48 h 00 min on tern");
    assert!(alarm.text.contains("it has never succeeded"));
}

#[test]
fn everybody_is_told_what_they_wish() {
    let wish = |after: &[Ended], recovered| Wish { always: false, after: after.to_vec(), recovered };
    let failed = wish(&[Ended::Failed], false);
    assert_eq!(failed.news(None, Ended::Failed, false), Some(News::Ended));
    assert_eq!(failed.news(None, Ended::Success, false), None);
    assert_eq!(failed.news(Some(Ended::Failed), Ended::Success, false), None, "it did not ask for that");
    assert_eq!(
        failed.news(Some(Ended::Failed), Ended::Success, true),
        Some(News::Recovered),
        "it was told of the alarm"
    );
    let recovered = wish(&[], true);
    assert_eq!(recovered.news(Some(Ended::Partial), Ended::Success, false), Some(News::Recovered));
    assert_eq!(recovered.news(Some(Ended::Success), Ended::Success, false), None, "all was well before");
    assert_eq!(recovered.news(None, Ended::Success, false), None, "the first run");
    assert_eq!(recovered.news(Some(Ended::Success), Ended::Failed, false), None);
    let always = Wish { always: true, ..Wish::default() };
    for ended in Ended::ALL {
        assert!(always.news(None, ended, false).is_some());
    }
}
