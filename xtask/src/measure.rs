//! One command, run and measured: what the kernel says it used.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use wait4::Wait4;

use crate::Result;

/// The chore that stands between us and a measured command.
pub const HELPER: &str = "measure";

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
///
/// A process counts as its own the peak memory of the one that started it, and ours may be large: so a small copy of
/// us starts it.
pub fn measure(command: &Command, stdout: Stdio) -> Result<(Usage, ExitStatus)> {
    let result = std::env::temp_dir().join(format!("xtask-measured-{}", std::process::id()));
    let mut helper = Command::new(std::env::current_exe()?);
    helper.arg(HELPER).arg(&result).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => helper.env(key, value),
            None => helper.env_remove(key),
        };
    }
    let status = helper.stdin(Stdio::null()).stdout(stdout).status()?;
    let figures =
        fs::read_to_string(&result).map_err(|_| format!("{command:?} could not be measured: {status}"))?;
    fs::remove_file(&result)?;
    let figures: Vec<f64> = figures.split(' ').map(str::parse).collect::<std::result::Result<_, _>>()?;
    let [cpu, wall, memory, status] = figures[..] else { return Err("the measurement is garbled".into()) };
    Ok((Usage { cpu, wall, memory: memory as u64 }, ExitStatus::from_raw(status as i32)))
}

/// The small copy's work: `RESULT PROGRAM ARGS…`.
pub fn help(args: &[String]) -> Result {
    let [result, program, args @ ..] = args else { return Err("only for the benchmark itself".into()) };
    let start = Instant::now();
    let child = Command::new(program).args(args).spawn().map_err(|e| format!("{program}: {e}"))?;
    let used = child.wait4()?;
    let wall = start.elapsed().as_secs_f64();
    let cpu = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    fs::write(result, format!("{cpu} {wall} {} {}", used.rusage.maxrss, used.status.into_raw()))?;
    Ok(())
}
