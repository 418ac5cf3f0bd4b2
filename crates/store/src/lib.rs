//! Places that hold trees.
//!
//! [`Store`] is the contract; `local` and `memory` fulfil it; `wrap` adds retries, rate limits, recording and
//! protection around any of them; `conformance` (a test-only feature) is the suite that each must pass.

pub mod archive;
mod body;
mod change;
mod check;
pub mod chunk;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod flow;
mod gather;
pub mod http;
pub mod local;
mod location;
pub mod look;
pub mod memory;
mod open;
mod remote;
pub mod s3;
pub mod sftp;
pub mod sitta;
pub mod smb;
mod source;
mod store;
pub mod sum;
pub mod temps;
mod together;
pub mod watch;
pub mod web;
pub mod webdav;
pub mod wrap;
pub mod written;
mod xattrs;

pub use change::{Change, Displaced, Precondition, What, Write, Written, XattrsOf};
pub use error::{Error, ErrorKind, Result};
pub use flow::Flow;
pub use gather::scan_below;
pub use location::{Location, LocationError, Password, Remote, Scheme};
pub use open::{Access, Downloads, S3Access, SshAccess, open};
pub use source::{Fetched, Maker, Source};
pub use store::{ByteStream, Capabilities, OWN_DIR, OnServer, ScanOptions, Store, TEMP_PREFIX, Xattrs};
