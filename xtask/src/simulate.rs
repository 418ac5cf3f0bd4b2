//! The planner's tests at full size.

use crate::Result;
use crate::tools::{cargo, must};

/// Random histories unless the caller says otherwise: some minutes on two cores.
const HISTORIES: &str = "200000";

pub fn run(args: &[String]) -> Result {
    let histories = args.first().map_or(HISTORIES, String::as_str);
    histories.parse::<u64>().map_err(|_| format!("`{histories}` is no number of histories"))?;
    let test = ["test", "--release", "--package", "sitta-tree", "--test", "simulation", "--", "--nocapture"];
    must(cargo().args(test).env("SITTA_SIM_HISTORIES", histories).env("SITTA_SIM_FULL", "1"))
}
