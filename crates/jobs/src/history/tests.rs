use std::collections::HashSet;

use super::*;
use crate::notify::Message;
use crate::{Cause, Counts, Ended, Ending, Note, Step};

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn fresh() -> (tempfile::TempDir, History) {
    let dir = tempfile::tempdir().expect("a folder");
    let history = History::open(&dir.path().join("sitta"), at("2026-01-01T00:00:00Z")).expect("a history");
    (dir, history)
}

#[test]
fn runs_are_found_again_as_they_ended() {
    let (_dir, history) = fresh();
    let now = at("2026-05-01T03:00:00Z");
    let first = history.begin("docs", "mirror", Cause::Schedule, 7, now).expect("begun");
    assert_eq!(first, "20260501T030000Z-docs");
    let second = history.begin("docs", "mirror", Cause::Hand, 7, now).expect("begun");
    assert_eq!(second, "20260501T030000Z.2-docs", "one second, two runs");
    let ending = Ending {
        counts: Counts { copied: 3, problems: 1, bytes: 99, ..Counts::default() },
        problems: vec![Note { path: "x".into(), kind: "busy".into(), message: "in use".into() }],
        message: Some("why\nhint".into()),
        steps: vec![Step { run: "r".into(), from: "/a".into(), to: "/b".into() }],
        seconds: 1.5,
        ..Ending::of(Ended::Partial, 3)
    };
    history.end(&first, &ending, at("2026-05-01T03:00:02Z")).expect("ended");
    let run = history.run(&first).expect("read").expect("it is there");
    assert_eq!(run.end, Some((at("2026-05-01T03:00:02Z"), ending)));
    assert_eq!(history.runs(Some("docs"), 1).expect("read")[0].id, second, "the newest first");
    assert_eq!(history.last_ended("docs", None).expect("read").map(|run| run.id), Some(first.clone()));
    let step = Step { run: "r".into(), from: "/a".into(), to: "/b".into() };
    history.add_step(&second, &step).expect("noted");
    history.add_step(&second, &step).expect("noted");
    assert_eq!(history.end_killed("docs", now).expect("read"), std::slice::from_ref(&second));
    let killed = history.run(&second).expect("read").and_then(|run| run.end).expect("it has ended");
    assert_eq!((killed.1.ended, killed.1.exit), (Ended::Interrupted, 130));
    assert_eq!(killed.1.steps, [step.clone(), step], "what was noted before it was killed");
    assert_eq!(history.steps().expect("read"), HashSet::from(["r".to_owned()]));
    assert_eq!(history.like("20260501T030000Z.2").expect("read").len(), 1);
    assert_eq!(history.like("20260501T030000Z").expect("read").len(), 2);
    assert_eq!(history.tally("docs").expect("read").len(), 2);
}

#[test]
fn old_runs_are_forgotten_but_for_the_last_of_each_job() {
    let (_dir, history) = fresh();
    for day in 1..=3 {
        let now = at(&format!("2026-05-0{day}T03:00:00Z"));
        for job in ["a", "b"] {
            let id = history.begin(job, "copy", Cause::Hand, 1, now).expect("begun");
            history.end(&id, &Ending::of(Ended::Success, 0), now).expect("ended");
        }
    }
    let gone = history.forget(at("2026-06-01T00:00:00Z")).expect("forgotten");
    assert_eq!(gone.len(), 4);
    assert_eq!(history.runs(None, 10).expect("read").len(), 2);
}

#[test]
fn a_schedule_counts_from_when_it_was_seen() {
    let (_dir, history) = fresh();
    let (one, two) = (at("2026-05-01T00:00:00Z"), at("2026-05-02T00:00:00Z"));
    assert_eq!(history.see("docs", Some("@daily"), one).expect("seen").since(), one);
    assert_eq!(history.see("docs", Some("@daily"), two).expect("seen").since(), one, "it has not changed");
    assert_eq!(history.see("docs", Some("@hourly"), two).expect("seen").since(), two, "it is another one");
    let three = at("2026-05-03T00:00:00Z");
    history.begin("docs", "copy", Cause::Schedule, 1, three).expect("begun");
    assert_eq!(history.standing("docs").expect("read").expect("known").since(), three);
}

#[test]
fn an_alarm_is_raised_once_and_is_over_once() {
    let (_dir, history) = fresh();
    let (day, now) = (at("2026-05-01T00:00:00Z"), at("2026-05-03T00:00:01Z"));
    let standing = history.see("docs", None, day).expect("seen");
    let two_days = Duration::from_secs(2 * 86_400);
    assert!(standing.is_overdue(two_days, now), "it never succeeded");
    assert!(!standing.is_overdue(two_days, at("2026-05-03T00:00:00Z")));
    assert!(!standing.is_overdue(two_days, at("2025-01-01T00:00:00Z")), "a clock that was put back");
    assert!(history.set_alarm("docs", Some(now)).expect("set"));
    assert!(!history.set_alarm("docs", Some(now)).expect("set"), "it stands already");
    assert!(history.set_alarm("docs", None).expect("set"));
    assert!(!history.set_alarm("docs", None).expect("set"), "it is over already");
    let id = history.begin("docs", "copy", Cause::Hand, 1, now).expect("begun");
    history.end(&id, &Ending::of(Ended::Success, 0), now).expect("ended");
    let standing = history.standing("docs").expect("read").expect("known");
    assert!(!standing.is_overdue(two_days, at("2026-05-04T00:00:00Z")));
}

#[test]
fn messages_wait_longer_each_time_and_are_given_up_in_the_end() {
    let (_dir, history) = fresh();
    let mut now = at("2026-05-01T00:00:00Z");
    let message = Message { subject: "sitta".into(), ..Message::default() };
    history.queue("ops", "docs", Some("run"), &message, now).expect("queued");
    let mut tries = 0;
    let mut pauses = Vec::new();
    loop {
        let claimed = history.claim(now).expect("read").expect("it is due");
        assert_eq!(claimed.message, message);
        assert!(history.claim(now).expect("read").is_none(), "nobody else sends it");
        tries += 1;
        let Some(next) = history.unsent(&claimed, "down", now).expect("noted") else { break };
        pauses.push(next.duration_since(now).as_secs());
        assert!(history.claim(now).expect("read").is_none(), "not before its time");
        now = next;
    }
    assert_eq!(pauses[..6], [60, 300, 1800, 7200, 21_600, 21_600]);
    assert!((10..20).contains(&tries), "{tries} in three days");
    let told = history.told_of("run").expect("read");
    assert_eq!((told[0].error.as_deref(), told[0].next), (Some("down"), None), "what was given up is on record");
    history.queue("ops", "docs", Some("run"), &message, now).expect("queued");
    let claimed = history.claim(now).expect("read").expect("it is due");
    history.sent(&claimed, now).expect("noted");
    assert!(history.waiting().expect("read").is_empty());
}

#[test]
fn a_damaged_history_is_set_aside() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("jobs.db"), "this was a database ".repeat(1000)).expect("write");
    let history = History::open(dir.path(), at("2026-01-01T00:00:00Z")).expect("a new one");
    assert_eq!(history.was_damaged(), Some(&*dir.path().join("jobs.db.damaged-20260101T000000Z")));
    assert!(history.runs(None, 1).expect("read").is_empty());
    assert!(dir.path().join("jobs.db.damaged-20260101T000000Z").exists());
}

#[test]
fn a_history_from_before_the_named_steps_is_read_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let now = Timestamp::UNIX_EPOCH;
    let id = {
        let history = History::open(dir.path(), now).expect("a new one");
        history.begin("docs", "copy", Cause::Hand, 1, now).expect("it begins")
    };
    let old = Connection::open(dir.path().join("jobs.db")).expect("it opens");
    old.execute_batch("ALTER TABLE run DROP COLUMN named; PRAGMA user_version=1").expect("as it was");
    drop(old);
    let history = History::open(dir.path(), now).expect("taken on");
    assert_eq!(history.run(&id).expect("it is read").expect("it is there").job, "docs");
}
