//! What a share can do.

use serde::{Deserialize, Serialize};
use sitta_tree::SideTraits;

use crate::Capabilities;

/// What a share can do, for whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireShare {
    /// Its name.
    pub name: String,
    /// Whoever asks may write to it.
    pub writable: bool,
    /// The tick of its times in nanoseconds; 0 when it keeps none.
    pub mtime_precision: u64,
    /// It keeps permission bits.
    pub modes: bool,
    /// It keeps owners.
    pub owners: bool,
    /// It keeps symbolic links.
    pub symlinks: bool,
    /// It keeps empty directories.
    pub dirs: bool,
    /// Several spellings are one name to it.
    pub folds_names: bool,
    /// A file's id stays when it is renamed.
    pub stable_ids: bool,
    /// It renames without a transfer.
    pub rename: bool,
    /// It enforces preconditions in the same step as a change.
    pub atomic_preconditions: bool,
    /// It keeps hard links.
    pub hard_links: bool,
    /// Its listings tell metadata.
    pub lists_meta: bool,
    /// It tells of changes while they happen.
    pub watch: bool,
    /// It tells the chunks of its files, and takes files that are put together from them.
    #[serde(default)]
    pub chunks: bool,
    /// An upload that was cut off can go on where it stopped.
    #[serde(default)]
    pub resumes: bool,
    /// It copies files by itself.
    #[serde(default)]
    pub copies: bool,
    /// It keeps extended attributes, and tells them.
    #[serde(default)]
    pub xattrs: bool,
    /// What tells its root from another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

impl WireShare {
    /// Tells of a store; `is_here`: its files lie on the server's machine, so that it costs little to look into them.
    pub fn new(name: &str, capabilities: &Capabilities, writable: bool, is_here: bool) -> Self {
        let Capabilities { traits, rename, atomic_preconditions, hard_links, lists_meta, .. } = *capabilities;
        Self {
            name: name.to_owned(),
            writable: writable && capabilities.writable,
            mtime_precision: traits.mtime_precision,
            modes: traits.modes,
            owners: traits.owners,
            symlinks: traits.symlinks,
            dirs: traits.dirs,
            folds_names: traits.folds_names,
            stable_ids: traits.stable_ids,
            rename,
            atomic_preconditions,
            hard_links,
            lists_meta,
            watch: is_here,
            chunks: is_here,
            resumes: true,
            copies: true,
            xattrs: traits.xattrs,
            identity: None,
        }
    }

    /// What it keeps, for decisions.
    pub fn traits(&self) -> SideTraits {
        SideTraits {
            mtime_precision: self.mtime_precision,
            modes: self.modes,
            owners: self.owners,
            xattrs: self.xattrs,
            symlinks: self.symlinks,
            dirs: self.dirs,
            folds_names: self.folds_names,
            stable_ids: self.stable_ids,
        }
    }
}
