//! Archives: what other programs make of them, which of them are kept, and what becomes of a run that goes wrong.

#[path = "../support/mod.rs"]
mod support;

mod hostile;
mod keep;
mod refused;
mod tools;
