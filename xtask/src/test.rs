//! Everything CI tests.

use std::fs;
use std::process::{Command, Stdio};

use crate::Result;
use crate::tools::{cargo, find, is_root, must, target_dir};

/// What the tests need besides Rust: a program, and the Debian package that has it.
const TOOLS: &[(&str, &str)] = &[
    ("cc", "gcc"),
    ("chown", "coreutils"),
    ("mkfifo", "coreutils"),
    ("mount", "mount"),
    ("script", "bsdutils"),
    ("setpriv", "util-linux"),
    ("strace", "strace"),
];

/// `args` go to `cargo test`.
pub fn run(args: &[String]) -> Result {
    provide_tools();
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
        eprintln!("\nnote: not root, so tests with small file systems and other users' files were skipped");
    }
    result
}

/// Installs what is missing where that is allowed, and says what still is. Tests that need it skip themselves.
fn provide_tools() {
    let missing = missing_packages();
    if missing.is_empty() {
        return;
    }
    if is_root() && find(&["apt-get"]).is_some() {
        eprintln!("installing {}", missing.join(" "));
        apt_get(&["update"]);
        apt_get(&[&["install", "--yes", "--no-install-recommends"], &*missing].concat());
    }
    let missing = missing_packages();
    if !missing.is_empty() {
        let missing = missing.join(" ");
        eprintln!("MISSING: {missing}. Some tests will be skipped; to run them: sudo apt-get install {missing}");
    }
}

fn missing_packages() -> Vec<&'static str> {
    let missing = TOOLS.iter().filter(|(tool, _)| find(&[tool]).is_none());
    let mut packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

fn apt_get(args: &[&str]) {
    let mut command = Command::new("apt-get");
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null());
    if let Err(error) = must(&mut command) {
        eprintln!("{error}");
    }
}
