//! A tree's facts, read the plain way.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Result;

/// What must arrive of an entry, its bytes apart.
#[derive(Debug, PartialEq, Eq)]
pub enum Facts {
    File { size: u64, mode: u32, owner: (u32, u32), mtime: (i64, i64) },
    Dir { mode: u32, owner: (u32, u32), mtime: (i64, i64) },
    Link { target: PathBuf, owner: (u32, u32), mtime: (i64, i64) },
    Special,
}

/// All entries by relative path; without the root, and without what is Sitta's own there.
pub struct Walk(pub BTreeMap<PathBuf, Facts>);

impl Walk {
    /// Files and links: what reports count.
    pub fn leaves(&self) -> impl Iterator<Item = (&PathBuf, &Facts)> {
        self.0.iter().filter(|(_, facts)| matches!(facts, Facts::File { .. } | Facts::Link { .. }))
    }

    pub fn files(&self) -> u64 {
        self.leaves().count() as u64
    }

    pub fn dirs(&self) -> u64 {
        self.0.values().filter(|facts| matches!(facts, Facts::Dir { .. })).count() as u64
    }

    pub fn specials(&self) -> u64 {
        self.0.values().filter(|facts| **facts == Facts::Special).count() as u64
    }

    pub fn entries(&self) -> u64 {
        self.0.len() as u64
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.0.values().map(|facts| if let Facts::File { size, .. } = facts { *size } else { 0 }).sum()
    }
}

pub fn walk(root: &Path) -> Result<Walk> {
    let mut found = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(root.join(&dir)).map_err(|e| format!("{}: {e}", root.join(&dir).display()))? {
            let entry = entry?;
            let path = dir.join(entry.file_name());
            if path.as_os_str() == ".sitta" {
                continue;
            }
            let meta = entry.metadata()?;
            let (mode, owner) = (meta.mode() & 0o7777, (meta.uid(), meta.gid()));
            let mtime = (meta.mtime(), meta.mtime_nsec());
            let facts = if meta.is_dir() {
                open.push(path.clone());
                Facts::Dir { mode, owner, mtime }
            } else if meta.is_symlink() {
                Facts::Link { target: fs::read_link(entry.path())?, owner, mtime }
            } else if meta.is_file() {
                Facts::File { size: meta.len(), mode, owner, mtime }
            } else {
                Facts::Special
            };
            found.insert(path, facts);
        }
    }
    Ok(Walk(found))
}
