//! What is shared: a store under a name.

use std::sync::Arc;

use sitta_store::Store;

use crate::feed::Hub;
use crate::index::Index;

/// A store under a name.
#[derive(Debug)]
pub struct Share {
    /// Its name: one part of a path.
    pub name: String,
    /// What it holds.
    pub store: Arc<dyn Store>,
    /// Whether anybody may write to it; the account decides too.
    pub writable: bool,
    /// Whether it may be indexed.
    pub indexed: bool,
    pub(crate) hub: Arc<Hub>,
    pub(crate) index: Option<Arc<Index>>,
}

impl Share {
    /// Shares `store` as `name`; it is indexed if it can be.
    pub fn new(name: impl Into<String>, store: Arc<dyn Store>, writable: bool) -> Self {
        Self { name: name.into(), store, writable, indexed: true, hub: Arc::default(), index: None }
    }
}
