//! Symbolic links that are followed, where whoever opens the folder asks for that.
//!
//! Only looking and reading follow links; what changes something never does, so that no link leads a change out of the
//! folder. A link is shown as what it points to. It stays a link where that is nothing, or a directory that the link is in:
//! who went on there would come back for ever.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;
use sitta_tree::{Entry, Kind};

use super::errno::Fail;
use super::facts::{Facts, dev};
use crate::ErrorKind;

/// What becomes of symbolic links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Links {
    /// They are entries of their own, and lead nowhere.
    #[default]
    Kept,
    /// They are what they point to, wherever that is. What lies behind them can only be read; they can be removed, and
    /// none can be made.
    Followed,
}

impl Links {
    /// The flag for opening the last part of a path.
    pub(super) fn no_follow(self) -> OFlags {
        match self {
            Self::Kept => OFlags::NOFOLLOW,
            Self::Followed => OFlags::empty(),
        }
    }
}

/// A device and an inode on it.
pub(super) type Inode = (u64, u64);

/// Which directory, file or link it is.
#[allow(clippy::unnecessary_cast, reason = "the type differs between architectures")]
pub(super) fn inode(stat: &Stat) -> Inode {
    (dev(stat), stat.st_ino as u64)
}

/// Opens a directory below `root`, through links. No directory is met twice on the way.
pub(super) fn walk(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut way = Vec::new();
    let fd = walk_on(root, path, &mut way)?;
    rustix::fs::openat(fd, c".", flags, Mode::empty())
}

/// Opens the directory called `name` of an open directory, be it through a link, for reading its names.
pub(super) fn open_dir(dir: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(dir, name, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// The directories on the way to one below `root`, from `root` to itself.
pub(super) fn way(root: &OwnedFd, path: &[u8]) -> Result<Vec<Inode>, Errno> {
    let mut way = Vec::new();
    walk_on(root.as_fd(), path, &mut way)?;
    Ok(way)
}

fn walk_on(root: BorrowedFd<'_>, path: &[u8], way: &mut Vec<Inode>) -> Result<OwnedFd, Errno> {
    let mut at = rustix::io::fcntl_dupfd_cloexec(root, 0)?;
    way.push(inode(&rustix::fs::fstat(&at)?));
    for part in path.split(|b| *b == b'/').filter(|part| !part.is_empty()) {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        at = rustix::fs::openat(&at, part, flags, Mode::empty())?;
        step(&at, way)?;
    }
    Ok(at)
}

/// Goes on to an open directory, unless that leads back.
pub(super) fn step(dir: &OwnedFd, way: &mut Vec<Inode>) -> Result<(), Errno> {
    let next = inode(&rustix::fs::fstat(dir)?);
    if way.contains(&next) {
        return Err(Errno::LOOP);
    }
    way.push(next);
    Ok(())
}

/// What the entry `name` of an open directory is shown as, given the directories on the way to it.
pub(super) fn shown(
    links: Links,
    facts: Facts,
    dir: impl AsFd,
    name: &[u8],
    entry: Entry,
    way: impl FnOnce() -> Result<Vec<Inode>, Errno>,
) -> Entry {
    if links == Links::Kept || entry.kind != Kind::Symlink {
        return entry;
    }
    let Ok(stat) = rustix::fs::statat(dir, name, AtFlags::empty()) else { return entry };
    let target = facts.entry(&stat);
    let leads_back = || way().map_or(true, |way| way.contains(&inode(&stat)));
    if target.kind == Kind::Dir && leads_back() { entry } else { target }
}

/// No change begins at a link that is followed for looking: whoever asks for it sees something else there.
pub(super) fn refuse(links: Links, entry: Option<&Entry>) -> Result<(), Fail> {
    match links == Links::Followed && entry.is_some_and(|entry| entry.kind == Kind::Symlink) {
        true => Err(Fail::Said(ErrorKind::ReadOnly, "a symbolic link, which is followed for reading only")),
        false => Ok(()),
    }
}
