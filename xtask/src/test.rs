//! Everything CI tests.

use std::fs;

use crate::Result;
use crate::provide::{TESTS, provide};
use crate::tools::{cargo, is_root, must, target_dir};

/// `args` go to `cargo test`.
pub fn run(args: &[String]) -> Result {
    provide(&TESTS.iter().collect::<Vec<_>>());
    let skipped = target_dir()?.join("skipped-tests");
    let _ = fs::remove_file(&skipped);

    let mut command = cargo();
    command.args(["test", "--all-features", "--no-fail-fast"]);
    let chosen = |arg: &String| arg == "-p" || arg.starts_with("--package");
    if !args.iter().take_while(|arg| *arg != "--").any(chosen) {
        command.arg("--workspace");
    }
    let result = must(command.args(args).env("SITTA_TEST_SKIPPED", &skipped));

    if let Ok(list) = fs::read_to_string(&skipped) {
        eprintln!("\nSKIPPED, so not tested on this machine:");
        list.lines().for_each(|line| eprintln!("  {line}"));
    }
    if !is_root() {
        eprintln!(
            "\nnote: not root, so tests with small file systems and other users' files were skipped, and those with Samba fail"
        );
    }
    result
}
