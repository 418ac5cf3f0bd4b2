//! Numbers, sizes, times and durations as people read them.

use std::time::Duration;

use sitta_ops::StepKind;
use sitta_ops::archive::Told;
pub use sitta_store::written::{timestamp, utc_time};

/// Units of size, each 1,024 of the one before.
pub const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `12,408`
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 file`, `2 files`
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// `661 B`, `45.5 KiB`, `8.2 MiB`
pub fn size(bytes: u64) -> String {
    let (number, unit) = size_parts(bytes);
    format!("{number} {unit}")
}

/// A number and its unit.
pub fn size_parts(bytes: u64) -> (String, &'static str) {
    let mut unit = 0;
    let mut value = bytes as f64;
    // From 1023.95 on, one place would round up to `1024.0`.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let number = if unit == 0 { count(bytes) } else { format!("{value:.1}") };
    (number, UNITS[unit])
}

/// `0.1 s`, `7.5 s`, `42 s`, `2 min 05 s`, `3 h 12 min`
pub fn duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{secs} s"),
        60..3600 => format!("{} min {:02} s", secs / 60, secs % 60),
        _ => format!("{} h {:02} min", secs / 3600, secs / 60 % 60),
    }
}

/// What became of an entry: `Sent`, `Moved`
pub fn done(what: StepKind) -> &'static str {
    match what {
        StepKind::Copy => "Sent",
        StepKind::Update => "Replaced",
        StepKind::Meta => "Set",
        StepKind::MakeDir => "Made",
        StepKind::Move => "Moved",
        StepKind::Delete => "Deleted",
        StepKind::RemoveDir => "Removed",
    }
}

/// What a named step that ended well has to tell: `the newest file is 2 h 10 min old`
pub fn told(told: &Told) -> String {
    match told {
        Told::Source { files: 0, .. } => "reached".to_owned(),
        Told::Source { files, bytes } => {
            format!("{}   {}", counted(*files, "file", "files"), size(*bytes))
        }
        Told::Newest { age: Some(age), .. } => format!("the newest file is {} old", duration(*age)),
        Told::Newest { age: None, .. } => "there is something to pack".to_owned(),
        Told::Packed { files, bytes, into } => {
            format!("{}   {} → {}", counted(*files, "file", "files"), size(*bytes), size(*into))
        }
        Told::Stored { name, bytes, verified, replaced } => {
            let verified = if *verified { ", verified" } else { "" };
            let replaced = if *replaced { ", in the place of the one before" } else { "" };
            format!("{name}   {}{verified}{replaced}", size(*bytes))
        }
        Told::Cleaned { deleted, kept } => {
            let stay = counted(*kept, "archive stays", "archives stay");
            match deleted.len() {
                0 => stay,
                n => format!("{} gone: {}; {stay}", count(n as u64), deleted.join(", ")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators() {
        let told: Vec<_> = [0, 999, 1000, 12408, 1_234_567].into_iter().map(count).collect();
        assert_eq!(told, ["0", "999", "1,000", "12,408", "1,234,567"]);
        assert_eq!((counted(1, "file", "files"), counted(0, "file", "files")), ("1 file".into(), "0 files".into()));
    }

    #[test]
    fn sizes_are_binary() {
        let told: Vec<_> =
            [0, 661, 1023, 1024, 46_592, 1_048_575, 8_598_323, u64::MAX].into_iter().map(size).collect();
        assert_eq!(told, ["0 B", "661 B", "1,023 B", "1.0 KiB", "45.5 KiB", "1.0 MiB", "8.2 MiB", "16.0 EiB"]);
    }

    #[test]
    fn durations_get_coarser() {
        let told: Vec<_> = [80, 7_500, 42_000, 125_000, 11_520_000].map(Duration::from_millis).map(duration).into();
        assert_eq!(told, ["0.1 s", "7.5 s", "42 s", "2 min 05 s", "3 h 12 min"]);
    }
}
