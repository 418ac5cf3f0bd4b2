//! The named steps of an archive run, for people.

use jiff::Timestamp;
use sitta_jobs::words;
use sitta_ops::Report;
use sitta_ops::archive::{Packed, StepState, StepTold};

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

/// The time now in UTC, and on the wall's clock.
pub fn now(zone: &jiff::tz::TimeZone) -> (sitta_tree::Time, sitta_tree::Civil) {
    let now = Timestamp::now();
    let (secs, nanos) = (now.as_second(), now.subsec_nanosecond());
    let offset = zone.to_offset(now).seconds();
    (sitta_tree::Time::new(secs, u32::try_from(nanos).unwrap_or(0)), sitta_tree::Civil::at(secs, offset))
}
