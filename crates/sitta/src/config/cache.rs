//! `[cache]`: what is kept of downloads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Size;

/// What `sitta get` keeps of what it downloads.
#[derive(Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Keep so much of what was downloaded, for example "1GiB", for the next time; the least recently used file leaves
    /// first. Without it, nothing is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Size>,
}

impl Cache {
    /// Whether nothing is said.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// The limit, in bytes.
    pub fn limit(&self) -> Option<u64> {
        self.max_size.as_ref().map(Size::bytes)
    }
}
