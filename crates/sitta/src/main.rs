//! `sitta`: keeps folders safe and in step.
//!
//! The only floor that prints, exits, reads the environment and knows colour. Arguments are parsed low (`args`), then
//! resolved into what the program means; `commands` has one file a verb; `render` turns events into lines.

mod archive_name;
mod args;
mod commands;
mod config;
mod context;
mod exit;
mod hints;
mod open;
mod output;
mod render;
mod signals;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::main().into()
}
