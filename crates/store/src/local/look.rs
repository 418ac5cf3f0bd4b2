//! Looking at one entry, or at what one directory holds.

use std::os::fd::AsFd;

use rustix::io::Errno;
use sitta_tree::{Entry, RelPath, Unknown};

use super::{Inner, dirs, facts, is_missing, links, scan, xattrs};
use crate::{OWN_DIR, TEMP_PREFIX, Xattrs};

/// An entry with its name.
type Named = (Box<[u8]>, Entry);

impl Inner {
    pub fn stat(&self, path: &RelPath) -> Result<Option<Entry>, Errno> {
        let (mut dirs, facts) = self.enter()?;
        if path.is_root() {
            return Ok(Some(facts.entry(&rustix::fs::fstat(dirs.root())?)));
        }
        match dirs::entry(&mut dirs, facts, path) {
            Err(errno) if is_missing(errno) => Ok(None),
            found => found,
        }
    }

    pub fn xattrs(&self, path: &RelPath) -> Result<Xattrs, Errno> {
        let (mut dirs, _) = self.enter()?;
        if path.is_root() {
            return xattrs::pairs_fd(dirs.root().as_fd());
        }
        let (dir, name) = dirs.parent(path)?;
        xattrs::pairs_at(dir.as_fd(), name, self.links)
    }

    pub fn list(&self, dir: &RelPath) -> Result<Vec<Named>, Errno> {
        let root = self.root()?;
        let facts = self.facts(&root);
        let fd = dirs::open_dir(&*root.fd, dir.as_bytes(), self.links)?;
        let mut entries = Vec::new();
        for name in scan::names(&fd)? {
            let own = dir.is_root() && *name == *OWN_DIR.as_bytes();
            if own || name.starts_with(TEMP_PREFIX.as_bytes()) {
                continue;
            }
            match facts::entry_at(facts, &fd, &name) {
                Ok(Some(entry)) => {
                    let way = || links::way(&root.fd, dir.as_bytes());
                    let shown = links::shown(self.links, facts, &fd, &name, entry, way);
                    entries.push((name, shown));
                }
                Ok(None) => {}
                Err(_) => entries.push((name, Entry::unknown(Unknown::Unreadable))),
            }
        }
        Ok(entries)
    }
}
