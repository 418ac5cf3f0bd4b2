//! One write up to the moment before it becomes visible: the new thing stands under another name, complete and with
//! its metadata.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;
use sitta_tree::{ContentHash, Entry, Fingerprint, Kind, Meta, RelPath, Time};
use tokio::sync::mpsc::Receiver;

use super::content::{self, CHUNK, Fed, Trouble};
use super::dirs::Dirs;
use super::facts::{Facts, dev, timestamps};
use super::{Inner, Links, xattrs};
use crate::{Error, ErrorKind, Flow, Result, Source, Xattrs};

/// The metadata that shall be set; what is none stays as the system gives it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub mode: Option<u32>,
    pub owner: Option<(u32, u32)>,
    pub mtime: Option<Time>,
    pub xattrs: bool,
}

impl Wanted {
    /// `meta` where the root's file system keeps it. Unless it is `exact`, a field that is 0 was not kept by whoever
    /// tells it, and a mode of 0 says that owners were not either.
    pub fn new(inner: &Inner, meta: &Meta, exact: bool) -> Self {
        let traits = &inner.capabilities.traits;
        let posix = exact || meta.mode != 0;
        Self {
            mode: (traits.modes && posix).then_some(meta.mode & 0o7777),
            owner: (traits.owners && posix).then_some((meta.uid, meta.gid)),
            mtime: (exact || meta.mtime != Time::default()).then_some(meta.mtime),
            xattrs: meta.xattrs != 0,
        }
    }
}

/// A new file that nobody sees yet, open.
pub(super) struct Staged {
    pub fd: OwnedFd,
    pub content: Option<ContentHash>,
}

/// What one call or batch works with.
pub(super) struct Session<'a> {
    pub inner: &'a Arc<Inner>,
    pub flow: &'a Flow,
    pub dirs: Dirs,
    pub facts: Facts,
    sources: Vec<(Arc<Inner>, Dirs, Facts)>,
    buffer: Vec<u8>,
    /// Whom new files belong to.
    user: (u32, u32),
}

impl<'a> Session<'a> {
    pub fn new(inner: &'a Arc<Inner>, flow: &'a Flow) -> Result<Self, Errno> {
        let (dirs, facts) = inner.enter_to_change()?;
        let user = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Ok(Self { inner, flow, dirs, facts, sources: Vec::new(), buffer: Vec::new(), user })
    }

    pub fn cancelled(&self, path: &RelPath) -> Error {
        Error::new(ErrorKind::Cancelled, &self.inner.location, path.clone(), "cancelled")
    }

    /// Makes the file `name` in `dir` with the source's bytes and the wanted metadata. On failure nothing is left.
    pub fn stage_file(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        path: &RelPath,
        (source, xattrs): (&Source, &Xattrs),
        feed: Option<&mut Receiver<Fed>>,
        wanted: &Wanted,
    ) -> Result<Staged> {
        if let (None, Source::Stored { store, path: from, version }) = (&feed, source)
            && let Some(local) = store.as_local()
        {
            let inner = local.inner.clone();
            let from = Origin { inner: &inner, path: from, version };
            return self.stage_local(dir, name, path, &from, wanted);
        }
        let make = |this: &Self| this.create(dir, name, wanted).map_err(|e| this.inner.error(path, e));
        let (fd, filled) = match (feed, source) {
            (Some(feed), source) => {
                let fd = make(self)?;
                let filled = content::receive(feed, &fd, source.size(), self.flow);
                (fd, filled)
            }
            (None, Source::Bytes(bytes)) => {
                let fd = make(self)?;
                let filled = content::write_all(&fd, bytes).map(|()| ContentHash(*blake3::hash(bytes).as_bytes()));
                self.flow.add_bytes(bytes.len() as u64);
                (fd, filled)
            }
            (None, Source::Stored { .. } | Source::Made(_)) => {
                unreachable!("a source elsewhere comes with its feed")
            }
        };
        let done = filled.map_err(|trouble| self.trouble(trouble, path, None)).and_then(|content| {
            xattrs::set(fd.as_fd(), xattrs).map_err(|errno| self.inner.error(path, errno))?;
            self.dress(&fd, wanted).map_err(|errno| self.inner.error(path, errno))?;
            Ok(Some(content))
        });
        self.staged(dir, name, fd, done)
    }

    /// As `stage_file`, from a folder of this machine.
    fn stage_local(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        path: &RelPath,
        from: &Origin<'_>,
        wanted: &Wanted,
    ) -> Result<Staged> {
        let (source, facts) = self.open_source(from)?;
        let size = from.version.size;
        if self.buffer.is_empty() {
            self.buffer = vec![0; CHUNK];
        }
        let small = size <= CHUNK as u64 && !self.may_clone(facts.dev, size);
        let mut read = None;
        if small {
            content::read_small(&source, size as usize, &mut self.buffer)
                .and_then(|()| from.check(facts, &source))
                .map(|stat| read = Some(stat))
                .map_err(|trouble| self.trouble(trouble, path, Some(from)))?;
        }
        let fd = self.create(dir, name, wanted).map_err(|errno| self.inner.error(path, errno))?;
        let filled = match read {
            Some(stat) => self.write_small(&fd, size as usize, &stat),
            None => self.fill_large(&source, &fd, facts, from),
        };
        let done = filled.map_err(|trouble| self.trouble(trouble, path, Some(from))).and_then(|content| {
            let xattrs = if wanted.xattrs { xattrs::copy(source.as_fd(), fd.as_fd()).map(drop) } else { Ok(()) };
            xattrs.and_then(|()| self.dress(&fd, wanted)).map_err(|errno| self.inner.error(path, errno))?;
            Ok(content)
        });
        self.staged(dir, name, fd, done)
    }

    fn staged(&self, dir: &OwnedFd, name: &[u8], fd: OwnedFd, done: Result<Option<ContentHash>>) -> Result<Staged> {
        match done {
            Ok(content) => Ok(Staged { fd, content }),
            Err(error) => {
                let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
                Err(error)
            }
        }
    }

    fn may_clone(&self, dev: u64, size: u64) -> bool {
        size >= 64 << 10 && self.inner.learned.no_clone_from.load(Relaxed) != dev
    }

    fn write_small(&mut self, fd: &OwnedFd, size: usize, stat: &Stat) -> Result<Option<ContentHash>, Trouble> {
        let bytes = &self.buffer[..size];
        if size >= 4096 && content::is_sparse(stat) {
            content::write_sparse(fd, bytes)?;
        } else {
            content::write_all(fd, bytes)?;
        }
        self.flow.add_bytes(size as u64);
        Ok(Some(ContentHash(*blake3::hash(bytes).as_bytes())))
    }

    fn fill_large(
        &mut self,
        source: &OwnedFd,
        fd: &OwnedFd,
        facts: Facts,
        from: &Origin<'_>,
    ) -> Result<Option<ContentHash>, Trouble> {
        let size = from.version.size;
        if self.may_clone(facts.dev, size) {
            match content::try_clone(source, fd, size) {
                Some(true) => {
                    self.flow.add_bytes(size);
                    return from.check(facts, source).map(|_| None);
                }
                Some(false) => {}
                None => self.inner.learned.no_clone_from.store(facts.dev, Relaxed),
            }
        }
        let stat = from.check(facts, source)?;
        let content = content::copy_large(source, fd, &stat, &mut self.buffer, self.flow)?;
        from.check(facts, source)?;
        Ok(content)
    }

    /// Opens a file of a local store.
    fn open_source(&mut self, from: &Origin<'_>) -> Result<(OwnedFd, Facts)> {
        let known = self.sources.iter().position(|(inner, ..)| Arc::ptr_eq(inner, from.inner));
        let error = |errno| from.inner.error(from.path, errno);
        let at = match known {
            Some(at) => at,
            None => {
                let (dirs, facts) = from.inner.enter().map_err(error)?;
                self.sources.push((from.inner.clone(), dirs, facts));
                self.sources.len() - 1
            }
        };
        let (_, dirs, facts) = &mut self.sources[at];
        let (dir, name) = dirs.parent(from.path).map_err(error)?;
        Ok((open_file(&dir, name, from.inner.links).map_err(error)?, *facts))
    }

    /// Creates a new file. Set-user-id and the like come with [`Session::dress`], after the owner.
    fn create(&self, dir: &OwnedFd, name: &[u8], wanted: &Wanted) -> Result<OwnedFd, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut mode = wanted.mode.unwrap_or(0o666) & 0o777;
        if wanted.xattrs {
            mode |= 0o200;
        }
        rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(mode as _))
    }

    /// Gives a new file or directory the wanted metadata, the time last.
    pub fn dress(&self, fd: &OwnedFd, wanted: &Wanted) -> Result<(), Errno> {
        if let Some((uid, gid)) = wanted.owner.filter(|owner| *owner != self.user) {
            rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        if let Some(mode) = wanted.mode {
            let mut masked = self.inner.learned.masked.load(Relaxed);
            if masked == u32::MAX {
                masked = mode & 0o777 & !(rustix::fs::fstat(fd)?.st_mode as u32);
                self.inner.learned.masked.store(masked, Relaxed);
            }
            if mode & (masked | 0o7000) != 0 || wanted.xattrs {
                rustix::fs::fchmod(fd, Mode::from_raw_mode(mode as _))?;
            }
        }
        match wanted.mtime {
            Some(mtime) => rustix::fs::futimens(fd, &timestamps(mtime)),
            None => Ok(()),
        }
    }

    /// What stat tells of the open file now that it is in place. Puts right what the directory's default rules (an
    /// ACL, a set-group-id bit) have made of mode and group.
    pub fn settle(&self, dir: &Rc<OwnedFd>, fd: &OwnedFd, wanted: &Wanted) -> Result<Entry, Errno> {
        let mut stat = rustix::fs::fstat(fd)?;
        self.note_mount(dir, &stat);
        let owner = wanted.owner.filter(|owner| *owner != (stat.st_uid as u32, stat.st_gid as u32));
        if let Some((uid, gid)) = owner {
            rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        let mode = wanted.mode.filter(|mode| *mode != stat.st_mode as u32 & 0o7777 || owner.is_some());
        if let Some(mode) = mode {
            self.inner.learned.masked.fetch_or(mode & 0o777 & !(stat.st_mode as u32), Relaxed);
            rustix::fs::fchmod(fd, Mode::from_raw_mode(mode as _))?;
        }
        if owner.is_some() || mode.is_some() {
            stat = rustix::fs::fstat(fd)?;
        }
        let mut entry = self.facts.entry(&stat);
        if wanted.xattrs {
            entry.meta.xattrs = xattrs::digest_fd(fd)?;
        }
        Ok(entry)
    }

    /// Remembers a file system mounted below the root, for the next sync.
    pub fn note_mount(&self, dir: &OwnedFd, stat: &Stat) {
        let dev = dev(stat);
        if dev == self.facts.dev {
            return;
        }
        let mut mounts = self.inner.mounts.lock().unwrap_or_else(|e| e.into_inner());
        if mounts.iter().all(|(known, _)| *known != dev)
            && let Ok(fd) = super::dirs::open_child(dir, b".")
        {
            mounts.push((dev, fd));
        }
    }

    fn trouble(&self, trouble: Trouble, path: &RelPath, from: Option<&Origin<'_>>) -> Error {
        match (trouble, from) {
            (Trouble::Cancelled, _) => self.cancelled(path),
            (Trouble::Elsewhere(error), _) => error,
            (Trouble::Read(errno), Some(from)) => from.inner.error(from.path, errno),
            (Trouble::Read(errno) | Trouble::Write(errno), _) => self.inner.error(path, errno),
            (Trouble::Changed, Some(from)) => changed_source(&from.inner.location, from.path),
            (Trouble::Changed, None) => changed_source(&self.inner.location, path),
        }
    }
}

fn changed_source(location: &Arc<str>, path: &RelPath) -> Error {
    Error::new(ErrorKind::Changed, location, path.clone(), "changed while it was being read")
}

/// A file of a local store in the version that is meant.
struct Origin<'a> {
    inner: &'a Arc<Inner>,
    path: &'a RelPath,
    version: &'a Fingerprint,
}

impl Origin<'_> {
    /// Whether the open file is still that version.
    fn check(&self, facts: Facts, fd: &OwnedFd) -> Result<Stat, Trouble> {
        let stat = rustix::fs::fstat(fd).map_err(Trouble::Read)?;
        let entry = facts.entry(&stat);
        match entry.kind == Kind::File && entry.fingerprint() == *self.version {
            true => Ok(stat),
            false => Err(Trouble::Changed),
        }
    }
}

/// Opens a file for reading without waiting for a fifo's other end.
pub(super) fn open_file(dir: &OwnedFd, name: &[u8], links: Links) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::openat(dir, name, flags | links.no_follow(), Mode::empty())
}
