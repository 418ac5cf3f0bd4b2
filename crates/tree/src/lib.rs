//! Sitta's nouns and decisions.
//!
//! Everything here is pure: no I/O, no async, no clock, no environment. A [`Tree`] is what a store holds; [`plan`] turns
//! three trees into actions.

mod base;
mod civil;
mod entry;
mod filter;
mod fold;
pub mod guard;
mod path;
pub mod plan;
mod problem;
pub mod retention;
pub mod template;
mod tree;

pub use base::{Agreed, Base};
pub use civil::Civil;
pub use entry::{ContentHash, Entry, Fingerprint, Kind, Meta, Time, Unknown};
pub use filter::{Filter, LineError, PatternError};
pub use fold::fold_key;
pub use path::{PathError, Printable, RelPath, check_name};
pub use plan::{
    Action, Conflict, Existing, Expect, Inputs, MetaFields, OnConflict, Op, Outcome, Place, Plan, Policy, Side,
    SideTraits, Summary,
};
pub use problem::{Problem, ProblemKind};
pub use tree::{NodeId, TooLarge, Tree};
