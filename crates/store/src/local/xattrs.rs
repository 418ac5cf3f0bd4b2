//! Extended attributes: a digest to compare by, and copying from file to file.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::links::Links;
use crate::Xattrs;
use crate::xattrs::{digest, is_ours};

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

pub(super) fn pairs_fd(fd: BorrowedFd<'_>) -> Result<Xattrs, Errno> {
    let list = match grow(|buffer| rustix::fs::flistxattr(fd, spare_capacity(buffer))) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        list => list?,
    };
    let value = |name: &[u8]| grow(|buffer| rustix::fs::fgetxattr(fd, name, spare_capacity(buffer)));
    collect(&list, value)
}

fn collect(list: &[u8], value: impl Fn(&[u8]) -> Result<Vec<u8>, Errno>) -> Result<Xattrs, Errno> {
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

/// The digest of an open file's or directory's attributes.
pub(super) fn digest_fd(fd: impl AsFd) -> Result<u64, Errno> {
    pairs_fd(fd.as_fd()).map(|pairs| digest(&pairs))
}

/// The digest of the attributes of `name` in an open directory, as [`pairs_at`] tells them.
pub(super) fn digest_at(dir: BorrowedFd<'_>, name: &[u8], links: Links) -> Result<u64, Errno> {
    pairs_at(dir, name, links).map(|pairs| digest(&pairs))
}

/// The attributes of `name` in an open directory; those of a link that is not followed are its own.
pub(super) fn pairs_at(dir: BorrowedFd<'_>, name: &[u8], links: Links) -> Result<Xattrs, Errno> {
    let path = &by_handle(dir, Some(name))[..];
    let list = grow(|buffer| match links {
        Links::Kept => rustix::fs::llistxattr(path, spare_capacity(buffer)),
        Links::Followed => rustix::fs::listxattr(path, spare_capacity(buffer)),
    });
    let list = match list {
        Err(Errno::OPNOTSUPP) => return Ok(Xattrs::new()),
        list => list?,
    };
    let value = |name: &[u8]| {
        grow(|buffer| match links {
            Links::Kept => rustix::fs::lgetxattr(path, name, spare_capacity(buffer)),
            Links::Followed => rustix::fs::getxattr(path, name, spare_capacity(buffer)),
        })
    };
    collect(&list, value)
}

/// Gives `to` the attributes of `from` in the place of its own.
pub(super) fn replace(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    replace_by(&pairs_fd(from)?, to)
}

/// Gives `to` these attributes in the place of its own.
pub(super) fn replace_by(new: &Xattrs, to: BorrowedFd<'_>) -> Result<(), Errno> {
    for (name, _) in pairs_fd(to)? {
        if !new.iter().any(|(kept, _)| *kept == name) {
            rustix::fs::fremovexattr(to, &name[..])?;
        }
    }
    set(to, new)
}

/// Gives `to` the attributes of `from`, and returns their digest.
pub(super) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<u64, Errno> {
    let pairs = pairs_fd(from)?;
    set(to, &pairs)?;
    Ok(digest(&pairs))
}

/// Gives a new file these attributes.
pub(super) fn set(to: BorrowedFd<'_>, pairs: &Xattrs) -> Result<(), Errno> {
    pairs.iter().try_for_each(|(name, value)| rustix::fs::fsetxattr(to, &name[..], value, XattrFlags::empty()))
}
