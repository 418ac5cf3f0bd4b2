//! Bytes into a new file: read once, hashed on the way, holes kept, cloned where the file system can.

use std::os::fd::OwnedFd;

use bytes::Bytes;
use rustix::fs::{SeekFrom, Stat};
use rustix::io::Errno;
use sitta_tree::ContentHash;

use super::errno::cannot;
use crate::{Error, Flow};

/// How much is read at once.
pub(super) const CHUNK: usize = 1 << 20;
/// From this size on cloning is tried.
const CLONE_FROM: u64 = 64 << 10;
/// Holes of more than this are not hashed: reading zeros for hours helps nobody.
const HASHED_HOLES: u64 = 1 << 30;
/// The least run of zeros that becomes a hole.
const BLOCK: usize = 4096;

/// What a store elsewhere sends.
#[derive(Debug)]
pub(super) enum Fed {
    /// The next bytes.
    Bytes(Bytes),
    /// All bytes came, from the version that was meant.
    Done,
    /// They could not be read.
    Failed(Error),
}

/// Why no content came about.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The source could not be read.
    Read(Errno),
    /// The destination could not be written.
    Write(Errno),
    /// The source is not the version that was meant.
    Changed,
    /// The caller cancelled.
    Cancelled,
    /// A source elsewhere failed.
    Elsewhere(Error),
}

/// Writes all of `bytes`.
pub(super) fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> Result<(), Trouble> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(0) => return Err(Trouble::Write(Errno::IO)),
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Trouble::Write(errno)),
        }
    }
    Ok(())
}

fn read(from: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Trouble> {
    loop {
        match rustix::io::read(from, &mut *buffer) {
            Err(Errno::INTR) => {}
            other => return other.map_err(Trouble::Read),
        }
    }
}

/// Reads a file of `size` bytes whole; a size that turns out different is `Changed`. Where the first read brings all,
/// it is the only one: the caller's stat afterwards tells whether the file has grown.
pub(super) fn read_small(from: &OwnedFd, size: usize, buffer: &mut [u8]) -> Result<(), Trouble> {
    let mut have = 0;
    while have < size {
        match read(from, &mut buffer[have..size])? {
            0 => return Err(Trouble::Changed),
            n => have += n,
        }
    }
    Ok(())
}

/// Whether `stat` tells of a file with holes (or of one that is stored compressed).
pub(super) fn is_sparse(stat: &Stat) -> bool {
    (stat.st_blocks as u64).saturating_mul(512) < stat.st_size as u64
}

/// Writes `bytes`, leaving holes for blocks of zeros.
pub(super) fn write_sparse(to: &OwnedFd, bytes: &[u8]) -> Result<(), Trouble> {
    for (at, block) in bytes.chunks(BLOCK).enumerate() {
        if block.iter().any(|b| *b != 0) {
            seek(to, (at * BLOCK) as u64)?;
            write_all(to, block)?;
        }
    }
    rustix::fs::ftruncate(to, bytes.len() as u64).map_err(Trouble::Write)
}

fn seek(to: &OwnedFd, at: u64) -> Result<(), Trouble> {
    rustix::fs::seek(to, SeekFrom::Start(at)).map(drop).map_err(Trouble::Write)
}

/// Shares the source's blocks. `None`: these two file systems cannot, do not ask again.
pub(super) fn try_clone(from: &OwnedFd, to: &OwnedFd, size: u64) -> Option<bool> {
    if size < CLONE_FROM {
        return Some(false);
    }
    match rustix::fs::ioctl_ficlone(to, from) {
        Ok(()) => Some(true),
        Err(errno) if cannot(errno) || matches!(errno, Errno::XDEV | Errno::NOTTY | Errno::PERM) => None,
        Err(_) => Some(false),
    }
}

/// Copies a large file from its beginning.
pub(super) fn copy_large(
    from: &OwnedFd,
    to: &OwnedFd,
    stat: &Stat,
    buffer: &mut [u8],
    flow: &Flow,
) -> Result<Option<ContentHash>, Trouble> {
    let size = stat.st_size as u64;
    if is_sparse(stat) {
        return copy_holes(from, to, size, buffer, flow);
    }
    let mut hasher = blake3::Hasher::new();
    let copied = copy_run(from, to, size, buffer, &mut hasher, flow)?;
    if copied != size {
        return Err(Trouble::Changed);
    }
    Ok(Some(ContentHash(*hasher.finalize().as_bytes())))
}

/// Copies up to `size` bytes from where both files stand; fewer only at the end of the source.
fn copy_run(
    from: &OwnedFd,
    to: &OwnedFd,
    size: u64,
    buffer: &mut [u8],
    hasher: &mut blake3::Hasher,
    flow: &Flow,
) -> Result<u64, Trouble> {
    let mut copied = 0;
    while copied < size {
        if flow.is_cancelled() {
            return Err(Trouble::Cancelled);
        }
        let want = (size - copied).min(buffer.len() as u64) as usize;
        let n = read(from, &mut buffer[..want])?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        write_all(to, &buffer[..n])?;
        flow.add_bytes(n as u64);
        copied += n as u64;
    }
    Ok(copied)
}

/// Copies a file with holes, which stay holes.
fn copy_holes(
    from: &OwnedFd,
    to: &OwnedFd,
    size: u64,
    buffer: &mut [u8],
    flow: &Flow,
) -> Result<Option<ContentHash>, Trouble> {
    let mut hasher = blake3::Hasher::new();
    let (mut at, mut holes) = (0, 0);
    while at < size {
        let data = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(data) => data.min(size),
            Err(Errno::NXIO) => size,
            Err(errno) if cannot(errno) => at,
            Err(errno) => return Err(Trouble::Read(errno)),
        };
        holes += data - at;
        if holes <= HASHED_HOLES {
            hash_zeros(&mut hasher, data - at, flow)?;
        }
        if data == size {
            break;
        }
        let end = rustix::fs::seek(from, SeekFrom::Hole(data)).unwrap_or(size).min(size);
        rustix::fs::seek(from, SeekFrom::Start(data)).map_err(Trouble::Read)?;
        seek(to, data)?;
        if copy_run(from, to, end - data, buffer, &mut hasher, flow)? != end - data {
            return Err(Trouble::Changed);
        }
        at = end;
    }
    rustix::fs::ftruncate(to, size).map_err(Trouble::Write)?;
    Ok((holes <= HASHED_HOLES).then(|| ContentHash(*hasher.finalize().as_bytes())))
}

fn hash_zeros(hasher: &mut blake3::Hasher, mut count: u64, flow: &Flow) -> Result<(), Trouble> {
    let zeros = [0; 64 << 10];
    while count > 0 {
        if flow.is_cancelled() {
            return Err(Trouble::Cancelled);
        }
        let n = count.min(zeros.len() as u64);
        hasher.update(&zeros[..n as usize]);
        count -= n;
    }
    Ok(())
}

/// Writes what a store elsewhere sends; `size` bytes are due, where that is known.
pub(super) fn receive(
    feed: &mut tokio::sync::mpsc::Receiver<Fed>,
    to: &OwnedFd,
    size: Option<u64>,
    flow: &Flow,
) -> Result<ContentHash, Trouble> {
    let mut hasher = blake3::Hasher::new();
    let mut got = 0;
    loop {
        if flow.is_cancelled() {
            return Err(Trouble::Cancelled);
        }
        match feed.blocking_recv() {
            Some(Fed::Bytes(bytes)) => {
                hasher.update(&bytes);
                write_all(to, &bytes)?;
                flow.add_bytes(bytes.len() as u64);
                got += bytes.len() as u64;
            }
            Some(Fed::Done) if size.is_none_or(|size| got == size) => {
                return Ok(ContentHash(*hasher.finalize().as_bytes()));
            }
            Some(Fed::Done) => return Err(Trouble::Changed),
            Some(Fed::Failed(error)) => return Err(Trouble::Elsewhere(error)),
            // Whoever fed us was dropped.
            None => return Err(Trouble::Cancelled),
        }
    }
}
