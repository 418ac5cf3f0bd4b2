//! Ctrl-C and SIGTERM: the first one lets what was begun be finished, the second one ends the program at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use sitta_store::Flow;

use crate::exit::Exit;
use crate::output::Console;

/// A SIGTERM so soon after another one says nothing new: that a parent has died (`run --parent`) may be told once for each
/// of its threads.
const SAME: Duration = Duration::from_millis(500);

/// Signals stop something as long as this is there.
#[derive(Debug)]
pub struct Stopping(Option<Handle>);

impl Stopping {
    /// To the end of the program.
    pub fn forever(self) {
        std::mem::forget(self);
    }
}

impl Drop for Stopping {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.close();
        }
    }
}

/// Signals stop `flow`, as long as what is given back is kept. A thread of its own: it answers also when all workers are
/// busy.
#[must_use = "signals stop nothing any more when it is dropped"]
pub fn stop_on_signals(flow: &Arc<Flow>, console: &Arc<Console>) -> Stopping {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return Stopping(None) };
    let handle = signals.handle();
    let (flow, console) = (flow.clone(), console.clone());
    std::thread::spawn(move || {
        let mut last: Option<Instant> = None;
        for signal in signals.forever() {
            let again = last.replace(Instant::now()).is_some_and(|last| last.elapsed() < SAME);
            if signal == SIGTERM && again {
                continue;
            }
            if flow.is_cancelled() {
                console.clear();
                std::process::exit(Exit::Interrupted as i32);
            }
            flow.cancel();
            console.line(format!(
                "{}finishing what was begun; Ctrl-C once more stops at once",
                console.style.head("Stopping")
            ));
        }
    });
    Stopping(Some(handle))
}
