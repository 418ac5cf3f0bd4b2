//! What is shared: a store under a name.

use std::sync::Arc;

use sitta_store::Store;

use crate::feed::Hub;

/// A store under a name.
#[derive(Debug)]
pub struct Share {
    /// Its name: one part of a path.
    pub name: String,
    /// What it holds.
    pub store: Arc<dyn Store>,
    /// Whether anybody may write to it; the account decides too.
    pub writable: bool,
    pub(crate) hub: Hub,
}

impl Share {
    /// Shares `store` as `name`.
    pub fn new(name: impl Into<String>, store: Arc<dyn Store>, writable: bool) -> Self {
        Self { name: name.into(), store, writable, hub: Hub::default() }
    }
}
