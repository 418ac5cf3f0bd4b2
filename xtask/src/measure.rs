//! One command, run and measured: what the kernel says it used.

use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use wait4::Wait4;

use crate::Result;

/// What a command used.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// CPU seconds, user and system.
    pub cpu: f64,
    /// Seconds on the clock.
    pub wall: f64,
    /// Peak resident memory in bytes.
    pub memory: u64,
}

/// Runs a command to its end with nothing on its standard input.
pub fn measure(command: &mut Command) -> Result<(Usage, ExitStatus)> {
    command.stdin(Stdio::null());
    let start = Instant::now();
    let child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
    let used = child.wait4()?;
    let wall = start.elapsed().as_secs_f64();
    let cpu = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    Ok((Usage { cpu, wall, memory: used.rusage.maxrss }, used.status))
}

/// The median of each figure.
pub fn median(samples: &[Usage]) -> Usage {
    let middle = |figure: fn(&Usage) -> f64| {
        let mut figures: Vec<f64> = samples.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    Usage { cpu: middle(|u| u.cpu), wall: middle(|u| u.wall), memory: middle(|u| u.memory as f64) as u64 }
}
