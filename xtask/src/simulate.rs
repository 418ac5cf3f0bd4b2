//! The planner and the executor against everything that can happen, at full size.

use crate::Result;
use crate::tools::{cargo, must};

/// Random histories for each policy unless the caller says otherwise: some minutes on two cores.
const HISTORIES: u64 = 300_000;

pub fn run(args: &[String]) -> Result {
    let histories = match args.first() {
        None => HISTORIES,
        Some(number) => number.parse().map_err(|_| format!("`{number}` is no number of histories"))?,
    };
    println!("every small triple of trees, with a crash at every moment");
    test("sitta-tree", "exhaustive", &[("SITTA_EXHAUSTIVE", "full".into())])?;
    println!("{histories} random histories for each policy, in memory");
    test("sitta-tree", "simulation", &[("SITTA_SIM_HISTORIES", histories.to_string())])?;
    // The real executor and stores are a hundred times slower than their models.
    let histories = (histories / 100).max(1);
    println!("{histories} random histories of faults through the executor");
    test("sitta-ops", "faults", &[("SITTA_HISTORIES", histories.to_string())])
}

fn test(package: &str, name: &str, environment: &[(&str, String)]) -> Result {
    let mut command = cargo();
    command.args([
        "test",
        "--release",
        "--package",
        package,
        "--all-features",
        "--test",
        name,
        "--",
        "--nocapture",
    ]);
    must(command.envs(environment.iter().map(|(key, value)| (key, value))))
}
