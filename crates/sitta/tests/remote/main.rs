//! The program against real servers: there and back, nothing lost on the way, and clear words where it cannot be done.

#[path = "../support/mod.rs"]
mod support;

mod archive;
mod between;
mod both;
mod cut;
mod place;
mod refused;
mod trash;
mod trip;
