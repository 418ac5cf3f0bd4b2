//! A small world to try plans in: two file systems in memory, users who work in them, and an executor that keeps the
//! rules of crash safety (or breaks one of them on purpose).
#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]
#![allow(clippy::disallowed_macros, reason = "a failing history is told on demand")]

pub mod case;
pub mod executor;
pub mod fs;
pub mod random;
pub mod user;
pub mod world;

pub use executor::{Halt, Mutation, Run};
pub use fs::{Fs, Node, What};
pub use random::Random;
pub use world::World;
