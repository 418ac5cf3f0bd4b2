//! Reading many files one after the other on the caller's own thread, for whoever has one to spare: no task is started
//! for a file, and directories stay open.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use sitta_tree::{Entry, Fingerprint, Kind, RelPath, Tree};

use super::dirs::{self, Dirs};
use super::facts::Facts;
use super::stage::open_file;
use super::{Inner, Links, LocalStore, is_missing, scan};
use crate::{Error, ErrorKind, Result, ScanOptions};

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

    /// As [`LocalStore::scan_below`], on the caller's own thread.
    ///
    /// # Errors
    /// As [`LocalStore::scan_below`].
    pub fn scan_here(&self, base: &RelPath, options: &ScanOptions) -> Result<Tree> {
        scan::scan(&self.inner, base, options)
    }

    /// What becomes of symbolic links in it.
    pub fn links(&self) -> Links {
        self.inner.links
    }

    /// Whether a version that is told never tells of other bytes later: the system, not whoever writes, says when a file
    /// was changed last, and which file it is.
    pub fn tells_versions(&self) -> bool {
        self.inner.stable_ids
    }
}

impl Reader {
    /// What stands at the paths, as [`crate::Store::stat`] tells it: whatever is read of a file from now on is of the
    /// version told here, or of another one that looks otherwise.
    pub fn stat_all(&mut self, paths: &[RelPath]) -> Vec<Result<Option<Entry>>> {
        let found: Vec<_> = paths.iter().map(|path| self.stat(path)).collect();
        self.inner.outlast(found.iter().filter_map(|found| found.as_ref().ok()?.as_ref()));
        found
    }

    /// What stands at a path right now.
    pub fn stat(&mut self, path: &RelPath) -> Result<Option<Entry>> {
        let found = if path.is_root() {
            rustix::fs::fstat(self.dirs.root()).map(|stat| Some(self.facts.entry(&stat)))
        } else {
            dirs::entry(&mut self.dirs, self.facts, path)
        };
        match found {
            Err(errno) if is_missing(errno) => Ok(None),
            found => found.map_err(|errno| self.inner.error(path, errno)),
        }
    }

    /// Opens a file. What it is shows when [`OpenFile::check`] is asked.
    pub fn open(&mut self, path: &RelPath) -> Result<OpenFile> {
        let fail = |errno| self.inner.error(path, errno);
        let (dir, name) = self.dirs.parent(path).map_err(fail)?;
        let fd = open_file(&dir, name, self.inner.links).map_err(fail)?;
        Ok(OpenFile { inner: self.inner.clone(), path: path.clone(), fd, facts: self.facts })
    }
}

impl OpenFile {
    /// Adds the next `most` bytes to `to`, or what there is of them; fewer at the end only.
    pub fn read(&mut self, to: &mut Vec<u8>, most: usize) -> Result<usize> {
        let from = to.len();
        to.resize(from + most, 0);
        let have = self.fill(&mut to[from..]);
        to.truncate(from + *have.as_ref().unwrap_or(&0));
        have
    }

    /// Puts the next bytes into `to`, as many as it takes; fewer at the end only.
    pub fn fill(&mut self, to: &mut [u8]) -> Result<usize> {
        let mut have = 0;
        while have < to.len() {
            match rustix::io::read(&self.fd, &mut to[have..]) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.inner.error(&self.path, errno)),
            }
        }
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
