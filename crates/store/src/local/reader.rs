//! Reading many files one after the other on the caller's own thread, for whoever has one to spare: no task is started
//! for a file, and directories stay open.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use sitta_tree::{Fingerprint, Kind, RelPath};

use super::dirs::Dirs;
use super::facts::Facts;
use super::stage::open_file;
use super::{Inner, LocalStore};
use crate::{Error, ErrorKind, Result};

/// Opens files of a local store. Made where it is used: it stays on its thread.
pub struct Reader {
    inner: Arc<Inner>,
    dirs: Dirs,
    facts: Facts,
}

/// A file that is being read, from its beginning.
#[derive(Debug)]
pub struct OpenFile {
    inner: Arc<Inner>,
    path: RelPath,
    fd: OwnedFd,
    facts: Facts,
}

impl LocalStore {
    /// Something to read many files with.
    pub fn reader(&self) -> Result<Reader> {
        let inner = self.inner.clone();
        let (dirs, facts) = inner.enter().map_err(|errno| inner.error(&RelPath::root(), errno))?;
        Ok(Reader { inner, dirs, facts })
    }
}

impl Reader {
    /// Opens a file. What it is shows when [`OpenFile::check`] is asked.
    pub fn open(&mut self, path: &RelPath) -> Result<OpenFile> {
        let fail = |errno| self.inner.error(path, errno);
        let (dir, name) = self.dirs.parent(path).map_err(fail)?;
        let fd = open_file(&dir, name).map_err(fail)?;
        Ok(OpenFile { inner: self.inner.clone(), path: path.clone(), fd, facts: self.facts })
    }
}

impl OpenFile {
    /// Adds the next `most` bytes to `to`, or what there is of them; fewer at the end only.
    pub fn read(&mut self, to: &mut Vec<u8>, most: usize) -> Result<usize> {
        let from = to.len();
        to.resize(from + most, 0);
        let mut have = 0;
        while have < most {
            match rustix::io::read(&self.fd, &mut to[from + have..]) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    to.truncate(from);
                    return Err(self.inner.error(&self.path, errno));
                }
            }
        }
        to.truncate(from + have);
        Ok(have)
    }

    /// Fails with [`ErrorKind::Changed`] unless what was read is of this version: asked for after the last byte.
    pub fn check(&self, version: &Fingerprint) -> Result<()> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|errno| self.inner.error(&self.path, errno))?;
        let entry = self.facts.entry(&stat);
        if entry.kind == Kind::File && entry.fingerprint() == *version {
            return Ok(());
        }
        let what = "changed while it was being read";
        Err(Error::new(ErrorKind::Changed, &self.inner.location, self.path.clone(), what))
    }
}
