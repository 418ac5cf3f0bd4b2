//! Reading a file as a stream of chunks: at once where the system holds them in memory, else by a thread that may wait for
//! the disk.

use std::io::IoSliceMut;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::StreamExt;
use rustix::buffer::spare_capacity;
use rustix::fs::Stat;
use rustix::io::{Errno, ReadWriteFlags};
use sitta_tree::{Fingerprint, Kind, RelPath};

use super::Inner;
use super::errno::Fail;
use super::stage::open_file;
use crate::{ByteStream, Error, ErrorKind, Result};

/// How much one chunk holds.
const CHUNK: u64 = 256 << 10;

/// Opens the file and reads the first chunk, so that a small file takes one task; the others follow as they are asked
/// for.
pub(super) fn stream(inner: &Arc<Inner>, path: RelPath, range: Range<u64>) -> Result<ByteStream> {
    let (fd, stat, _) = open(inner, &path).map_err(|fail| inner.fail(&path, fail))?;
    let end = range.end.min(stat.st_size as u64);
    give(Reader { inner: inner.clone(), path, fd: Arc::new(fd), at: range.start, end, pinned: None })
}

/// The bytes of that version from `offset` on: the file stays the one that was opened, whatever comes to its place, and
/// before the last bytes are given it is made sure that nobody wrote into it.
pub(super) fn pinned(inner: &Arc<Inner>, path: RelPath, version: &Fingerprint, offset: u64) -> Result<ByteStream> {
    let (fd, stat, now) = open(inner, &path).map_err(|fail| inner.fail(&path, fail))?;
    if !now.same_version(version) {
        return Err(changed(inner, &path));
    }
    let end = stat.st_size as u64;
    give(Reader { inner: inner.clone(), path, fd: Arc::new(fd), at: offset, end, pinned: Some(stat) })
}

fn changed(inner: &Inner, path: &RelPath) -> Error {
    Error::new(ErrorKind::Changed, &inner.location, path.clone(), "changed while it was being read")
}

fn give(reader: Reader) -> Result<ByteStream> {
    let mut state = Some(reader);
    let mut first = state.as_mut().expect("just made").next()?;
    let stream = futures::stream::poll_fn(move |_| std::task::Poll::Ready(first.take().map(Ok)));
    let rest = futures::stream::unfold(state, |state| async move {
        let mut reader = state.filter(|reader| reader.at < reader.end)?;
        // Whoever takes many lets others run in between.
        tokio::task::coop::consume_budget().await;
        if let Some(bytes) = reader.held() {
            let ended = reader.check_end();
            let rest = ended.is_ok().then_some(reader);
            return Some((ended.map(|()| bytes), rest));
        }
        let inner = reader.inner.clone();
        match tokio::task::spawn_blocking(move || (reader.next(), reader)).await {
            Ok((Ok(Some(bytes)), reader)) => Some((Ok(bytes), Some(reader))),
            Ok((Ok(None), _)) => None,
            Ok((Err(error), _)) => Some((Err(error), None)),
            Err(e) => Some((Err(Error::new(ErrorKind::Other, &inner.location, None, e)), None)),
        }
    });
    Ok(stream.chain(rest).boxed())
}

/// The open file, what the system tells of it, and its version.
fn open(inner: &Inner, path: &RelPath) -> Result<(OwnedFd, Stat, Fingerprint), Fail> {
    let (mut dirs, facts) = inner.enter()?;
    let (dir, name) = dirs.parent(path)?;
    let fd = match open_file(&dir, name, inner.links) {
        Err(Errno::NXIO) => return Err(Fail::Said(ErrorKind::Unsupported, "a fifo, socket or device")),
        Err(Errno::LOOP) => return Err(Fail::Said(ErrorKind::Unsupported, "a symbolic link")),
        opened => opened?,
    };
    let stat = rustix::fs::fstat(&fd)?;
    let entry = facts.entry(&stat);
    match entry.kind {
        Kind::File => Ok((fd, stat, entry.fingerprint())),
        Kind::Dir => Err(Errno::ISDIR.into()),
        _ => Err(Fail::Said(ErrorKind::Unsupported, "a fifo, socket or device")),
    }
}

/// Nobody wrote into the file since it was looked at. Whoever replaces it takes away its name, which changes no byte.
pub(super) fn is_unchanged(fd: &OwnedFd, then: &Stat) -> Result<bool, Errno> {
    let now = rustix::fs::fstat(fd)?;
    let content = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
    let meta = |stat: &Stat| (stat.st_ctime, stat.st_ctime_nsec);
    Ok(content(&now) == content(then) && (meta(&now) == meta(then) || now.st_nlink < then.st_nlink))
}

struct Reader {
    inner: Arc<Inner>,
    path: RelPath,
    fd: Arc<OwnedFd>,
    at: u64,
    end: u64,
    /// What it was when it was opened, if all bytes must be of that version.
    pinned: Option<Stat>,
}

impl Reader {
    /// Nobody wrote into the file since it was opened, if that matters.
    fn check(&self) -> Result<()> {
        let Some(then) = &self.pinned else { return Ok(()) };
        match is_unchanged(&self.fd, then) {
            Ok(true) => Ok(()),
            Ok(false) => Err(changed(&self.inner, &self.path)),
            Err(errno) => Err(self.inner.error(&self.path, errno)),
        }
    }

    /// The next chunk, or as much of it as the system holds in memory: a thread for it would cost as much as the reading.
    fn held(&mut self) -> Option<Bytes> {
        if !self.inner.on_disk {
            return None;
        }
        let mut buffer = vec![0; CHUNK.min(self.end - self.at) as usize];
        let into = &mut [IoSliceMut::new(&mut buffer)];
        let read = rustix::io::preadv2(&*self.fd, into, self.at, ReadWriteFlags::NOWAIT).ok()?;
        buffer.truncate(read);
        self.at += read as u64;
        (read > 0).then(|| buffer.into())
    }

    /// Before the last bytes are given.
    fn check_end(&self) -> Result<()> {
        if self.at >= self.end { self.check() } else { Ok(()) }
    }

    /// The next chunk; none at the end, which may come early if the file was cut meanwhile.
    fn next(&mut self) -> Result<Option<Bytes>> {
        let want = CHUNK.min(self.end.saturating_sub(self.at)) as usize;
        if want == 0 {
            return Ok(None);
        }
        let mut buffer = Vec::with_capacity(want);
        while buffer.len() < want {
            let at = self.at + buffer.len() as u64;
            match rustix::io::pread(&*self.fd, spare_capacity(&mut buffer), at) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(self.inner.error(&self.path, errno)),
            }
        }
        buffer.truncate(want);
        self.at += buffer.len() as u64;
        if buffer.len() < want {
            self.end = self.at;
        }
        self.check_end()?;
        Ok((!buffer.is_empty()).then(|| buffer.into()))
    }
}
