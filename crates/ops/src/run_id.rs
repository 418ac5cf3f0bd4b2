//! Names for runs and for the temporaries they make.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use sitta_store::temps::{TempNames, machine};

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
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
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
