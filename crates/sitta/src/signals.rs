//! Ctrl-C and SIGTERM: the first one lets what was begun be finished, the second one ends the program at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use sitta_store::Flow;

use crate::exit::Exit;
use crate::output::Console;

/// A SIGTERM so soon after another one says nothing new: that a parent has died (`run --parent`) may be told once for each
/// of its threads.
const SAME: Duration = Duration::from_millis(500);

/// From now on, signals stop `flow`. A thread of its own: it answers also when all workers are busy.
pub fn stop_on_signals(flow: &Arc<Flow>, console: &Arc<Console>) {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
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
}
