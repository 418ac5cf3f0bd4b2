//! The benchmarks need much that no other chore does: they are built only when asked for.

use crate::Result;
use crate::tools::{cargo, must};

pub fn run(args: &[String]) -> Result {
    let built = ["run", "--quiet", "--package", "xtask", "--features", "bench", "--", "bench"];
    must(cargo().args(built).args(args))
}
