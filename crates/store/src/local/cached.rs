//! What the system holds in memory is told at once, on the caller's thread: a thread that may wait for a disk costs
//! several times as much as the answer. Whatever is not in memory, or is no plain case, is none of this: the caller then
//! goes the usual way, which tells errors, too.

use std::io::IoSliceMut;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::ReadWriteFlags;
use sitta_tree::{Entry, Fingerprint, Kind, RelPath};

use super::facts::Facts;
use super::read::is_unchanged;
use super::tick::Youngest;
use super::{Inner, dirs};

/// A file of at most this size is read at once.
const SMALL: u64 = 64 << 10;

/// The way to a file, without a link, within the root's file system, and nothing of it read from the disk.
const WAY: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV)
    .union(ResolveFlags::CACHED);

/// The entry of a file.
pub(super) fn stat(inner: &Inner, path: &RelPath) -> Option<Entry> {
    let (fd, facts) = open(inner, path, OFlags::PATH)?;
    let entry = facts.entry(&rustix::fs::fstat(&fd).ok()?);
    (entry.kind == Kind::File && (inner.fine_times || is_old(&entry))).then_some(entry)
}

/// The bytes of a small file of that version, from `offset` on.
pub(super) fn read(inner: &Inner, path: &RelPath, version: &Fingerprint, offset: u64) -> Option<Bytes> {
    let left = version.size.checked_sub(offset).filter(|left| (1..=SMALL).contains(left))?;
    let (fd, facts) = open(inner, path, OFlags::RDONLY.union(OFlags::NONBLOCK))?;
    let stat = rustix::fs::fstat(&fd).ok()?;
    let entry = facts.entry(&stat);
    if entry.kind != Kind::File || !entry.fingerprint().same_version(version) {
        return None;
    }
    let mut bytes = vec![0; left as usize];
    let read = rustix::io::preadv2(&fd, &mut [IoSliceMut::new(&mut bytes)], offset, ReadWriteFlags::NOWAIT).ok()?;
    (read == bytes.len() && is_unchanged(&fd, &stat).ok()?).then(|| bytes.into())
}

fn open(inner: &Inner, path: &RelPath, flags: OFlags) -> Option<(OwnedFd, Facts)> {
    let (path, flags) = (path.as_bytes(), flags | OFlags::NOFOLLOW | OFlags::CLOEXEC);
    if !inner.on_disk || path.is_empty() || path.len() > dirs::STRETCH {
        return None;
    }
    let root = inner.root.try_read().ok()?.clone()?;
    let fd = rustix::fs::openat2(&*root.fd, path, flags, Mode::empty(), WAY).ok()?;
    Some((fd, inner.facts(&root)))
}

/// It was changed so long ago that no tick has to be waited for.
fn is_old(entry: &Entry) -> bool {
    let mut youngest = Youngest::new();
    youngest.see(entry);
    youngest.is_none()
}
