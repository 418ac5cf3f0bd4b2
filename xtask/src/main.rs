//! Chores: `cargo xtask` lists them.

mod accept;
#[cfg(feature = "bench")]
mod bench;
#[cfg(not(feature = "bench"))]
#[path = "bench/apart.rs"]
mod bench;
mod docs;
mod measure;
mod provide;
mod rng;
mod simulate;
mod test;
mod tools;

use std::error::Error;
use std::process::ExitCode;

/// What a chore gives; its error is one line for a person.
pub type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const HELP: &str = "\
Chores of this repository.

  cargo xtask test [ARGS]            installs what the tests need, and runs everything CI
                                     tests; ARGS go to `cargo test`
  cargo xtask bench [OPTIONS]        Sitta and its peers in turn, and the ratios; --help lists the options
  cargo xtask simulate [HISTORIES]   the planner's exhaustive scope and random histories at full size
  cargo xtask accept SRC… [--dir DIR]
                                     mirrors real trees to a temporary folder and compares everything
  cargo xtask docs [DIR]             man page and shell completions (default: target/docs)
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let chore = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();
    let result = match chore.as_str() {
        "test" => test::run(&args),
        "bench" => bench::run(&args),
        "simulate" => simulate::run(&args),
        "accept" => accept::run(&args),
        "docs" => docs::run(&args),
        measure::HELPER => measure::help(&args),
        "" | "help" | "-h" | "--help" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("there is no chore `{other}`\n\n{HELP}").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
