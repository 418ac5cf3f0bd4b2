//! The verbs, through the library: what they do to stores, what they tell, what they survive.

mod archive;
mod faults;
mod support;
mod sync;
mod transfer;
mod trash;
mod untold;
mod watch;
