//! Names for runs and for the temporaries they make.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sitta_store::temps::{TempNames, machine};
use sitta_tree::Time;

const BEGAN: &str = "%Y%m%dT%H%M%SZ";

/// A run's id: when it began, on which machine, in which process, as which run of it. It sorts by time and names the
/// run's folder in the trash.
#[derive(Debug)]
pub struct RunId {
    text: String,
    temps: TempNames,
}

impl RunId {
    /// A new id, unlike any other.
    pub fn new() -> Self {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let now = jiff::Timestamp::now().strftime(BEGAN);
        let nth = RUNS.fetch_add(1, Ordering::Relaxed);
        Self {
            text: format!("{now}-{}-{}.{nth}", machine(), process::id()),
            temps: TempNames::new(&format!("{now}.{nth}")),
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A name for one more temporary.
    pub fn temp_name(&self) -> Box<str> {
        self.temps.next()
    }
}

/// What a run's id tells of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told<'t> {
    /// When it began, to the second.
    pub began: Time,
    /// On which machine.
    pub machine: &'t str,
    /// In which process there.
    pub process: i32,
}

/// Reads a run's id; none for any other name.
pub(crate) fn read(name: &str) -> Option<Told<'_>> {
    let (began, rest) = name.split_once('-')?;
    let (machine, rest) = rest.split_once('-')?;
    let (process, nth) = rest.split_once('.')?;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let number = |text: &str| text.parse::<i32>().ok().filter(|n| n.to_string() == text && *n >= 0);
    if machine.len() != 8 || !machine.bytes().all(hex) {
        return None;
    }
    number(nth)?;
    let at = DateTime::strptime(BEGAN, began).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    // Nothing that is merely like one.
    (at.strftime(BEGAN).to_string() == began).then_some(())?;
    Some(Told { began: Time::new(at.as_second(), 0), machine, process: number(process)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        let id = RunId::new();
        let told = read(id.as_str()).expect("a run id");
        assert_eq!((told.machine, told.process), (machine(), process::id() as i32));
        let at = read("20260131T235959Z-0123abcd-77.12").expect("a run id");
        assert_eq!((at.began, at.machine, at.process), (Time::new(1_769_903_999, 0), "0123abcd", 77));
    }

    #[test]
    fn nothing_else_is_a_run_id() {
        for name in [
            "",
            "notes",
            "20260131T235959Z",
            "20260131T235959Z-0123abcd",
            "20260131T235959Z-0123abcd-77",
            "20260131T235959Z-0123abcd-77.",
            "20260131T235959Z-0123abcd-77.1.1",
            "20260131T235959Z-0123abcd-77.1 ",
            "20260131T235959Z-0123abcd--7.1",
            "20260131T235959Z-0123abcd-+7.1",
            "20260131T235959Z-0123abcd-07.1",
            "20260131T235959Z-0123ABCD-77.1",
            "20260131T235959Z-0123abc-77.1",
            "20260231T235959Z-0123abcd-77.1",
            "20260131T245959Z-0123abcd-77.1",
            " 20260131T235959Z-0123abcd-77.1",
            "2026131T0235959Z-0123abcd-77.1",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
    }
}
