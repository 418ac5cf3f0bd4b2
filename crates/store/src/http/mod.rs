//! Web servers, for reading: one file, or a directory with its index page.

pub(crate) mod range;
pub(crate) mod site;

use std::sync::Arc;

use crate::{Access, Error, ErrorKind, Remote, Result, Store};

/// Connects.
pub async fn open(remote: &Remote, access: &Access) -> Result<Arc<dyn Store>> {
    let _ = access;
    Err(Error::new(ErrorKind::Unsupported, &remote.to_string().into(), None, "not supported yet"))
}
