//! The way to a path: every directory on it is opened without following a link, however the tree is changed meanwhile.
//! Where links are to be followed, that is the second attempt only: see [`super::links`].

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use sitta_tree::{Entry, RelPath};

use super::facts::{Facts, entry_at};
use super::links::{self, Links};

/// As much of a path as one system call takes.
pub(super) const STRETCH: usize = 3000;
/// How many directories are kept open.
const KEPT: usize = 8;

/// Opens directories below a root and keeps the last few open, so that the files of one directory cost one
/// resolution. Lives as long as one call or batch.
pub(super) struct Dirs {
    root: Arc<OwnedFd>,
    links: Links,
    changes: bool,
    kept: Vec<(Box<[u8]>, Rc<OwnedFd>)>,
    next: usize,
}

const HANDLE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
const READING: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

impl Dirs {
    /// The way for looking.
    pub fn new(root: Arc<OwnedFd>, links: Links) -> Self {
        Self { root, links, changes: false, kept: Vec::new(), next: 0 }
    }

    /// The way for changing something, which no link is followed on.
    pub fn for_changes(self) -> Self {
        Self { changes: true, ..self }
    }

    /// The root itself.
    pub fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// A handle of directory `path`, good for calls relative to it.
    pub fn open(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>, Errno> {
        if let Some((_, fd)) = self.kept.iter().find(|(kept, _)| **kept == *path) {
            return Ok(fd.clone());
        }
        let fd = match resolve(&*self.root, path, HANDLE, self.links) {
            // There is something, but behind a link.
            Ok((_, Reached::Followed)) if self.changes => return Err(Errno::ROFS),
            found => Rc::new(found?.0),
        };
        self.keep(path, fd.clone());
        Ok(fd)
    }

    /// Remembers an open directory.
    pub fn keep(&mut self, path: &[u8], fd: Rc<OwnedFd>) {
        let entry = (path.into(), fd);
        if self.kept.len() < KEPT {
            self.kept.push(entry);
        } else {
            self.kept[self.next] = entry;
            self.next = (self.next + 1) % KEPT;
        }
    }

    /// Forgets the directory at `path` and all below it: it was moved or removed.
    pub fn forget(&mut self, path: &[u8]) {
        self.kept.retain(|(kept, _)| {
            !(kept.starts_with(path) && (path.is_empty() || matches!(kept.get(path.len()), None | Some(b'/'))))
        });
        self.next = 0;
    }

    /// A handle of the directory that holds `path`, and the name in it.
    pub fn parent<'p>(&mut self, path: &'p RelPath) -> Result<(Rc<OwnedFd>, &'p [u8]), Errno> {
        let bytes = path.as_bytes();
        let name = path.name();
        if name.is_empty() {
            return Err(Errno::ISDIR);
        }
        let above = bytes[..bytes.len() - name.len()].strip_suffix(b"/").unwrap_or(b"");
        Ok((self.open(above)?, name))
    }

    /// As [`Dirs::parent`], making the directories that are missing.
    pub fn make_parent<'p>(&mut self, path: &'p RelPath) -> Result<(Rc<OwnedFd>, &'p [u8]), Errno> {
        match self.parent(path) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let bytes = path.as_bytes();
        for (end, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'/') {
            let dir = RelPath::new(&bytes[..end]).map_err(|_| Errno::INVAL)?;
            let (parent, name) = self.parent(&dir)?;
            match rustix::fs::mkdirat(&*parent, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        self.parent(path)
    }
}

/// Opens a directory below `root` for reading its names.
pub(super) fn open_dir(root: impl AsFd, path: &[u8], links: Links) -> Result<OwnedFd, Errno> {
    resolve(root, path, READING, links).map(|(fd, _)| fd)
}

/// The entry at `path`, as it is to be shown.
pub(super) fn entry(dirs: &mut Dirs, facts: Facts, path: &RelPath) -> Result<Option<Entry>, Errno> {
    let (dir, name) = dirs.parent(path)?;
    let entry = entry_at(facts, &*dir, name)?;
    let above = &path.as_bytes()[..path.as_bytes().len() - name.len()];
    Ok(entry.map(|entry| links::shown(dirs.links, facts, &*dir, name, entry, || links::way(&dirs.root, above))))
}

/// Opens the directory called `name` of an open directory for reading its names.
pub(super) fn open_child(dir: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(dir, name, READING, Mode::empty())
}

/// How a directory was reached.
enum Reached {
    Straight,
    /// Through a link.
    Followed,
}

fn resolve(root: impl AsFd, path: &[u8], flags: OFlags, links: Links) -> Result<(OwnedFd, Reached), Errno> {
    let root = root.as_fd();
    match straight(root, path, flags) {
        Err(Errno::LOOP | Errno::NOTDIR) if links == Links::Followed => {
            links::walk(root, path, flags.difference(OFlags::NOFOLLOW)).map(|fd| (fd, Reached::Followed))
        }
        other => other.map(|fd| (fd, Reached::Straight)),
    }
}

fn straight(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    if path.is_empty() {
        return rustix::fs::openat(root, c".", flags, Mode::empty());
    }
    if path.len() <= STRETCH {
        return open_below(root, path, flags);
    }
    let mut at: Option<OwnedFd> = None;
    let mut rest = path;
    while !rest.is_empty() {
        let end = if rest.len() <= STRETCH {
            rest.len()
        } else {
            rest[..STRETCH].iter().rposition(|b| *b == b'/').ok_or(Errno::NAMETOOLONG)?
        };
        let last = end == rest.len();
        let from = at.as_ref().map_or(root, |fd| fd.as_fd());
        let next = open_below(from, &rest[..end], if last { flags } else { HANDLE })?;
        at = Some(next);
        rest = if last { b"" } else { &rest[end + 1..] };
    }
    at.ok_or(Errno::NOENT)
}

fn open_below(dir: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let dir = dir.as_fd();
    if !path.contains(&b'/') {
        return rustix::fs::openat(dir, path, flags, Mode::empty());
    }
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(dir, path, flags, Mode::empty(), how) {
        // Renames going on elsewhere, an old kernel, or a sandbox that filters the call.
        Err(Errno::AGAIN | Errno::NOSYS | Errno::PERM) => {}
        other => return other,
    }
    let mut at: Option<OwnedFd> = None;
    let mut parts = path.split(|b| *b == b'/').peekable();
    while let Some(part) = parts.next() {
        let from = at.as_ref().map_or(dir, |fd| fd.as_fd());
        let flags = if parts.peek().is_some() { HANDLE } else { flags };
        at = Some(rustix::fs::openat(from, part, flags, Mode::empty())?);
    }
    at.ok_or(Errno::NOENT)
}
