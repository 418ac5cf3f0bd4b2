//! Leaving the screen to other programs for a while: the wizard, and an editor.

use std::fs::DirBuilder;
use std::io::{self, BufRead, Write};
use std::os::unix::fs::DirBuilderExt;
use std::process::Command;

use super::live::program;
use crate::context::{Context, variable};
use crate::exit::{Failure, Outcome};

/// The editor where nothing says which.
const EDITOR: &str = "vi";

/// Lets the wizard ask. What it said last stays until it has been read.
pub fn add(context: &Context) -> Outcome<()> {
    let mut wizard = program(context)?;
    wizard.arg("init");
    // However it ended, it has said so itself.
    wizard.status().map_err(|error| Failure::failed("the wizard could not be begun").note(error.to_string()))?;
    wait();
    Ok(())
}

/// Lets the user edit the config.
pub fn edit(context: &Context) -> Outcome<()> {
    let editor = ["VISUAL", "EDITOR"].into_iter().filter_map(variable).find(|name| !name.trim().is_empty());
    let editor = editor.unwrap_or_else(|| EDITOR.to_owned());
    if let Some(dir) = context.config_file.parent() {
        // Where that fails the editor will say so.
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    }
    // It may come with options, and is written as for a shell.
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{editor} \"$@\"")).arg("sh").arg(&context.config_file);
    let ended = command.status();
    let failed = |why: String| Err(Failure::failed(format!("the editor '{editor}' could not be used")).note(why));
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => failed(format!("it ended with {status}")),
        Err(error) => failed(error.to_string()),
    }
}

fn wait() {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "\nEnter goes back to the jobs: ").and_then(|()| stderr.flush());
    let _ = io::stdin().lock().read_line(&mut String::new());
}
