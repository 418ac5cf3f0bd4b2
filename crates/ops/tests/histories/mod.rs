//! Random histories of two-way sync: two sides, their users, chaos, and an oracle that knows what may be lost.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod chaos;
pub mod content;
pub mod folder;
pub mod hands;
pub mod history;
pub mod hooked;
pub mod objects;
pub mod random;
pub mod servers;
pub mod world;

pub use history::{Ground, histories, on_conflict, play};
