//! The named steps of an archive run, for people and as JSON.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sitta_jobs::words;
use sitta_ops::Report;
use sitta_ops::archive::{Packed, StepState, StepTold, Told};

use super::style::Style;
use super::units;

/// `CHECK      the newest file is 2 h 10 min old`; none for what need not be told.
pub fn line(told: &StepTold, style: Style, verbose: bool) -> Option<String> {
    let text = match &told.state {
        StepState::Begun => return None,
        StepState::Skipped(_) if !verbose => return None,
        StepState::Skipped(why) => format!("skipped: {why}"),
        StepState::Failed(why) => format!("failed: {why}"),
        StepState::Done(done) => format!("{}   {}", words::told(done), units::duration(told.took)),
    };
    Some(format!("{}{text}", style.head(told.step.name())))
}

/// `db-2026-11-21.tgz: 1,204 files, 53.1 MiB packed into 18.2 MiB; 2 older archives are gone · 0.4 s`
pub fn summary(report: &Report, archive: &Packed) -> String {
    let Packed { name, size, content } = archive;
    let files = units::counted(report.copied, "file", "files");
    let gone = match report.deleted {
        0 => String::new(),
        n => format!("; {} gone", units::counted(n, "older archive is", "older archives are")),
    };
    let took = units::duration(report.took);
    format!("{name}: {files}, {} packed into {}{gone} · {took}", units::size(*content), units::size(*size))
}

/// A step without its event name.
pub fn value(told: &StepTold) -> Value {
    let mut object = json!({
        "step": told.step.name(), "state": told.state.name(), "seconds": told.took.as_secs_f64(),
    });
    match &told.state {
        StepState::Begun => {}
        StepState::Failed(why) | StepState::Skipped(why) => object["reason"] = why.as_str().into(),
        StepState::Done(Told::Source { files, bytes }) => {
            (object["files"], object["bytes"]) = ((*files).into(), (*bytes).into());
        }
        StepState::Done(Told::Newest { at, age }) => {
            object["newest"] = at.and_then(units::utc_time).into();
            object["age"] = age.map(|age| age.as_secs_f64()).into();
        }
        StepState::Done(Told::Packed { files, bytes, into }) => {
            (object["files"], object["bytes"], object["packed"]) =
                ((*files).into(), (*bytes).into(), (*into).into());
        }
        StepState::Done(Told::Stored { name, bytes, verified, replaced }) => {
            (object["name"], object["bytes"]) = (name.as_str().into(), (*bytes).into());
            (object["verified"], object["replaced"]) = ((*verified).into(), (*replaced).into());
        }
        StepState::Done(Told::Cleaned { deleted, kept }) => {
            (object["deleted"], object["kept"]) = (deleted.clone().into(), (*kept).into());
        }
    }
    object
}

/// What a step has to tell, from its JSON: that it goes on, what it found, why it failed or was left out.
pub fn text(object: &Value) -> String {
    let number = |key: &str| object[key].as_u64().unwrap_or(0);
    let seconds = |key: &str| object[key].as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok());
    let state = object["state"].as_str().unwrap_or_default();
    let told = match (state, object["step"].as_str()) {
        ("begun", _) => return "…".to_owned(),
        ("done", Some("DOWNLOAD" | "EXTRACT")) => Told::Source { files: number("files"), bytes: number("bytes") },
        ("done", Some("CHECK")) => Told::Newest { at: None, age: seconds("age") },
        ("done", Some("COMPRESS")) => {
            Told::Packed { files: number("files"), bytes: number("bytes"), into: number("packed") }
        }
        ("done", Some("UPLOAD")) => Told::Stored {
            name: object["name"].as_str().unwrap_or_default().to_owned(),
            bytes: number("bytes"),
            verified: object["verified"] == true,
            replaced: object["replaced"] == true,
        },
        ("done", Some("CLEAN")) => {
            let names = object["deleted"].as_array().into_iter().flatten().filter_map(Value::as_str);
            Told::Cleaned { deleted: names.map(str::to_owned).collect(), kept: number("kept") }
        }
        _ => return format!("{state}: {}", object["reason"].as_str().unwrap_or_default()),
    };
    let took = seconds("seconds").map(|took| format!("   {}", units::duration(took))).unwrap_or_default();
    format!("{}{took}", words::told(&told))
}

/// The time now in UTC, and on the wall's clock.
pub fn now(zone: &jiff::tz::TimeZone) -> (sitta_tree::Time, sitta_tree::Civil) {
    let now = Timestamp::now();
    let (secs, nanos) = (now.as_second(), now.subsec_nanosecond());
    let offset = zone.to_offset(now).seconds();
    (sitta_tree::Time::new(secs, u32::try_from(nanos).unwrap_or(0)), sitta_tree::Civil::at(secs, offset))
}

#[cfg(test)]
mod tests {
    use sitta_ops::archive::StepName;

    use super::*;

    #[test]
    fn what_json_tells_of_a_step_reads_as_the_step_does() {
        let took = Duration::from_secs(2);
        let age = Some(Duration::from_secs(7_800));
        for (step, told) in [
            (StepName::Download, Told::Source { files: 3, bytes: 2048 }),
            (StepName::Extract, Told::Source { files: 0, bytes: 0 }),
            (StepName::Check, Told::Newest { at: None, age }),
            (StepName::Compress, Told::Packed { files: 3, bytes: 2048, into: 700 }),
            (StepName::Upload, Told::Stored { name: "a.tgz".into(), bytes: 700, verified: true, replaced: false }),
            (StepName::Clean, Told::Cleaned { deleted: vec!["b.tgz".into()], kept: 2 }),
        ] {
            let words = words::told(&told);
            let value = value(&StepTold { step, state: StepState::Done(told), took });
            assert_eq!(text(&value), format!("{words}   2.0 s"));
        }
        let value = value(&StepTold { step: StepName::Check, state: StepState::Failed("too old".into()), took });
        assert_eq!(text(&value), "failed: too old");
    }
}
