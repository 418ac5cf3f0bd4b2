//! Extended attributes: a digest to compare by, and copying from file to file.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// Whether an attribute is one that we compare and copy: others are the system's business.
fn is_ours(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || (rustix::process::geteuid().is_root() && name.starts_with(b"trusted."))
        || name.starts_with(b"system.posix_acl_")
}

/// Names and values, sorted by name.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The path by which the calls that know no handle reach `name` of an open directory, or the handle itself.
fn by_handle(dir: BorrowedFd<'_>, name: Option<&[u8]>) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}", dir.as_raw_fd()).into_bytes();
    if let Some(name) = name {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

fn grow<T>(mut call: impl FnMut(&mut Vec<u8>) -> Result<T, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = Vec::with_capacity(256);
    loop {
        match call(&mut buffer) {
            Ok(_) => return Ok(buffer),
            Err(Errno::RANGE) => {
                buffer.clear();
                buffer.reserve(buffer.capacity() * 4);
            }
            Err(errno) => return Err(errno),
        }
    }
}

fn split(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|b| *b == 0).filter(|name| !name.is_empty() && is_ours(name))
}

fn pairs_fd(fd: BorrowedFd<'_>) -> Result<Pairs, Errno> {
    let list = match grow(|buffer| rustix::fs::flistxattr(fd, spare_capacity(buffer))) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        list => list?,
    };
    let value = |name: &[u8]| grow(|buffer| rustix::fs::fgetxattr(fd, name, spare_capacity(buffer)));
    collect(&list, value)
}

fn collect(list: &[u8], value: impl Fn(&[u8]) -> Result<Vec<u8>, Errno>) -> Result<Pairs, Errno> {
    let mut pairs = Vec::new();
    for name in split(list) {
        match value(name) {
            Ok(value) => pairs.push((name.to_vec(), value)),
            Err(Errno::NODATA) => {}
            Err(errno) => return Err(errno),
        }
    }
    pairs.sort();
    Ok(pairs)
}

/// 64 bits of BLAKE3 over names and values; 0 when there are none.
fn digest(pairs: &Pairs) -> u64 {
    if pairs.is_empty() {
        return 0;
    }
    let mut hasher = blake3::Hasher::new();
    for (name, value) in pairs {
        for part in [name, value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    let bytes: [u8; 8] = hasher.finalize().as_bytes()[..8].try_into().expect("eight bytes");
    u64::from_le_bytes(bytes).max(1)
}

/// The digest of an open file's or directory's attributes.
pub(super) fn digest_fd(fd: impl AsFd) -> Result<u64, Errno> {
    pairs_fd(fd.as_fd()).map(|pairs| digest(&pairs))
}

/// The digest of the attributes of `name` in an open directory; a link's own, not those of where it points.
pub(super) fn digest_at(dir: BorrowedFd<'_>, name: &[u8]) -> Result<u64, Errno> {
    let path = by_handle(dir, Some(name));
    let list = match grow(|buffer| rustix::fs::llistxattr(&path[..], spare_capacity(buffer))) {
        Err(Errno::OPNOTSUPP) => return Ok(0),
        list => list?,
    };
    if list.is_empty() {
        return Ok(0);
    }
    let value = |name: &[u8]| grow(|buffer| rustix::fs::lgetxattr(&path[..], name, spare_capacity(buffer)));
    collect(&list, value).map(|pairs| digest(&pairs))
}

/// Gives `to` the attributes of `from` in the place of its own.
pub(super) fn replace(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    let new = pairs_fd(from)?;
    for (name, _) in pairs_fd(to)? {
        if !new.iter().any(|(kept, _)| *kept == name) {
            rustix::fs::fremovexattr(to, &name[..])?;
        }
    }
    new.iter().try_for_each(|(name, value)| rustix::fs::fsetxattr(to, &name[..], value, XattrFlags::empty()))
}

/// Gives `to` the attributes of `from`, and returns their digest.
pub(super) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<u64, Errno> {
    let pairs = pairs_fd(from)?;
    for (name, value) in &pairs {
        rustix::fs::fsetxattr(to, &name[..], value, XattrFlags::empty())?;
    }
    Ok(digest(&pairs))
}
