//! How the course of a run and its result are shown: for people, and as JSON.

pub mod course;
pub mod failure;
pub mod human;
pub mod json;
pub mod progress;
pub mod result;
pub mod steps;
pub mod style;
pub mod table;
pub mod units;
