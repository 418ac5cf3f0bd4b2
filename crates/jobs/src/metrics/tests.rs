use std::collections::{HashMap, HashSet};

use super::*;
use crate::{Cause, Counts, Ending};

/// Reads the text format as strictly as a collector does: families declared once and before their samples, names and
/// labels well formed, no sample twice. Gives each sample's value.
fn read(text: &str) -> HashMap<String, f64> {
    assert!(text.ends_with('\n'), "the last line has to end");
    let (mut types, mut values, mut closed) = (HashSet::new(), HashMap::new(), HashSet::new());
    let mut family = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(!help.is_empty() && closed.insert(name.to_owned()), "{name} comes in one group");
            family = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert_eq!(rest, format!("{family} gauge"));
            assert!(types.insert(family.clone()), "{family} has one type");
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').map_or((series, None), |(name, rest)| (name, Some(rest)));
            assert_eq!(name, family, "samples stand below their family");
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name}");
            if let Some(labels) = labels {
                let mut rest = labels.strip_suffix('}').expect("a closing brace");
                while !rest.is_empty() {
                    let (key, tail) = rest.split_once("=\"").expect("a label");
                    assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{key}");
                    let mut escaped = false;
                    let end = tail.find(|c| {
                        let end = c == '"' && !escaped;
                        escaped = c == '\\' && !escaped;
                        end
                    });
                    let tail = &tail[end.expect("a closing quote") + 1..];
                    rest = tail.strip_prefix(',').unwrap_or(tail);
                }
            }
            let value = value.parse().expect("a number");
            assert!(values.insert(series.to_owned(), value).is_none(), "{series} comes once");
        }
    }
    values
}

fn step(step: &str, state: &str, seconds: f64) -> NamedStep {
    NamedStep {
        step: step.into(),
        state: state.into(),
        text: String::new(),
        seconds,
        facts: serde_json::Map::new(),
    }
}

#[test]
fn collectors_understand_what_is_told() {
    let at = |text: &str| text.parse::<Timestamp>().expect("a time");
    let ending = Ending {
        counts: Counts { copied: 5, bytes: 4096, problems: 2, ..Counts::default() },
        seconds: 1.25,
        named: vec![step("UPLOAD", "failed", 0.5), step("CLEAN", "skipped", 0.0)],
        ..Ending::of(Ended::Partial, 3)
    };
    let run = Run {
        id: "x".into(),
        job: "docs".into(),
        verb: "copy".into(),
        cause: Cause::Hand,
        pid: 1,
        started: at("2026-05-01T03:00:00Z"),
        end: Some((at("2026-05-01T03:00:01.250Z"), ending)),
    };
    let standing = Standing {
        seen: at("2026-04-01T00:00:00Z"),
        began: None,
        succeeded: Some(at("2026-04-30T03:00:00Z")),
        alarm: None,
        away: None,
    };
    let known = JobState {
        job: "docs".into(),
        running: true,
        standing: Some(standing),
        last: Some(run),
        next: Some(at("2026-05-02T03:00:00Z")),
        tally: vec![(Ended::Partial, 1), (Ended::Success, 9)],
    };
    let new = JobState { job: "new".into(), running: false, standing: None, last: None, next: None, tally: vec![] };
    let values = read(&text(&[known, new], 3));
    for (series, value) in [
        ("sitta_job_running{job=\"docs\"}", 1.0),
        ("sitta_job_running{job=\"new\"}", 0.0),
        ("sitta_job_last_success_timestamp_seconds{job=\"docs\"}", 1_777_518_000.0),
        ("sitta_job_last_run_timestamp_seconds{job=\"docs\"}", 1_777_604_401.25),
        ("sitta_job_last_run_duration_seconds{job=\"docs\"}", 1.25),
        ("sitta_job_last_run_sent_bytes{job=\"docs\"}", 4096.0),
        ("sitta_job_last_run_problems{job=\"docs\"}", 2.0),
        ("sitta_job_last_run_outcome{job=\"docs\",outcome=\"partial\"}", 1.0),
        ("sitta_job_last_run_outcome{job=\"docs\",outcome=\"success\"}", 0.0),
        ("sitta_job_last_run_files{job=\"docs\",what=\"copied\"}", 5.0),
        ("sitta_job_last_run_step_duration_seconds{job=\"docs\",step=\"UPLOAD\"}", 0.5),
        ("sitta_job_last_run_step_outcome{job=\"docs\",step=\"UPLOAD\",outcome=\"failed\"}", 1.0),
        ("sitta_job_last_run_step_outcome{job=\"docs\",step=\"UPLOAD\",outcome=\"done\"}", 0.0),
        ("sitta_job_last_run_step_outcome{job=\"docs\",step=\"CLEAN\",outcome=\"skipped\"}", 1.0),
        ("sitta_job_history_runs{job=\"docs\",outcome=\"success\"}", 9.0),
        ("sitta_notifications_waiting", 3.0),
    ] {
        assert_eq!(values.get(series), Some(&value), "{series}");
    }
    assert!(
        !values.contains_key("sitta_job_last_success_timestamp_seconds{job=\"new\"}"),
        "what never was is not told"
    );
}
