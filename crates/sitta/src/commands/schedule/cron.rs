//! The crontab of this user: one line of ours among those of others.

use std::io::Write;
use std::process::{Command, Stdio};

use super::files::MARK;
use crate::exit::{Failure, Outcome};

/// Puts the line in, in the place of an earlier one.
pub fn install(line: &str) -> Outcome<()> {
    let mut text = others()?;
    text.push_str(line);
    write(&text)
}

/// Takes the line out; says whether there was one.
pub fn remove() -> Outcome<bool> {
    let before = read()?;
    let after = others()?;
    if before == after {
        return Ok(false);
    }
    write(&after)?;
    Ok(true)
}

/// All lines but ours.
fn others() -> Outcome<String> {
    Ok(read()?.split_inclusive('\n').filter(|line| !line.contains(MARK)).collect())
}

/// The crontab; none is the same as an empty one.
fn read() -> Outcome<String> {
    let output =
        Command::new("crontab").arg("-l").stdin(Stdio::null()).output().map_err(|error| missing(&error))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && !said.contains("no crontab for") {
        return Err(
            Failure::failed("the crontab could not be read: nothing was changed").note(said.trim().to_owned())
        );
    }
    let mut text = String::from_utf8(output.stdout)
        .map_err(|_| Failure::failed("the crontab is not UTF-8: nothing was changed"))?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn write(text: &str) -> Outcome<()> {
    let child = Command::new("crontab").arg("-").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| missing(&error))?;
    let failed = |why: String| Failure::failed("the crontab could not be written").note(why);
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes()).map_err(|error| failed(error.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn missing(error: &std::io::Error) -> Failure {
    Failure::failed("the program crontab could not be run: nothing was changed")
        .note(error.to_string())
        .hint("install cron, or name another one with --kind")
}
