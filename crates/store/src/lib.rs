//! Places that hold trees.
//!
//! [`Store`] is the contract; `local` and `memory` fulfil it; `wrap` adds retries, rate limits, recording and
//! protection around any of them; `conformance` (a test-only feature) is the suite that each must pass.

mod check;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod local;
mod location;
pub mod memory;
mod store;
pub mod temps;
pub mod wrap;

pub use error::{Error, ErrorKind, Result};
pub use location::{Location, LocationError, Password, Remote, Scheme, open};
pub use store::{
    ByteStream, Capabilities, Change, Displaced, Flow, OWN_DIR, Precondition, ScanOptions, Source, Store,
    TEMP_PREFIX, What, Write, Written,
};
