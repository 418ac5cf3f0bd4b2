//! From members to blocks: what a tar and a zip are made of.

use std::sync::Arc;

use sitta_store::{Error, Flow, Result, Xattrs};
use sitta_tree::Kind;

use super::feed::Pieces;
use super::format::Format;
use super::members::Member;
use super::squeeze::{Block, Job, Jobs, block_size, compress, deflate_part};
use super::tar::{self, Header, Sort};
use super::zip::Record;

/// So many small members of a zip make one piece of work at most.
const TOGETHER: usize = 4096;

/// What a member holds.
pub(super) enum Content<'c> {
    /// Nothing but its header: a directory, a link.
    None,
    /// These bytes.
    Whole(&'c [u8]),
    /// Bytes that come in pieces.
    Pieces(&'c mut Pieces),
    /// The content of the member with this name.
    SameAs(&'c [u8]),
}

/// Why a member was not added.
#[derive(Debug)]
pub(super) enum Stop {
    /// It could not be read, and nothing of it is in the archive.
    Unread(Error),
    /// It could not be read to its end, but a part of it is in the archive already.
    Torn(Error),
    /// Nobody takes the archive any more.
    Gone,
}

/// What members are handed to.
pub(super) struct Writer {
    jobs: Jobs,
    format: Format,
    level: i32,
    block: usize,
    /// Owners are known.
    owned: bool,
    /// Counts what was packed.
    packed: Arc<Flow>,
    buffer: Vec<u8>,
    /// Of a zip: the members in the buffer, each with where it ends.
    members: Vec<(Record, usize)>,
}

impl Writer {
    pub fn new(jobs: Jobs, format: Format, level: i32, owned: bool, packed: &Arc<Flow>) -> Self {
        let block = block_size(format, level);
        let (buffer, members) = (Vec::with_capacity(block * 2), Vec::new());
        Self { jobs, format, level, block, owned, packed: packed.clone(), buffer, members }
    }

    /// Adds a member called `name`, a directory's without its slash.
    pub fn add(&mut self, member: &Member, name: &[u8], content: Content<'_>, xattrs: &Xattrs) -> Result<(), Stop> {
        let mut name = name.to_vec();
        if member.entry.kind == Kind::Dir {
            name.push(b'/');
        }
        match self.format {
            Format::TarGzip | Format::TarZstd => self.add_to_tar(member, &name, content, xattrs),
            Format::Zip => self.add_to_zip(member, &name, content),
        }
    }

    /// Ends the archive.
    pub fn finish(mut self) -> Result<(), Stop> {
        if self.format.is_tar() {
            tar::end(&mut self.buffer);
        }
        self.flush()?;
        self.hand_in(Box::new(|| Ok(Block::Last)))
    }

    /// Ends what was begun of the archive: it failed.
    pub fn fail(self, error: Error) {
        let _ = self.jobs.blocking_send(Err(error));
    }

    fn hand_in(&self, job: Job) -> Result<(), Stop> {
        self.jobs.blocking_send(Ok(job)).map_err(|_| Stop::Gone)
    }

    /// Hands in what is in the buffer.
    fn flush(&mut self) -> Result<(), Stop> {
        if self.buffer.is_empty() && self.members.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(self.block * 2));
        let (format, level) = (self.format, self.level);
        if format.is_tar() {
            return self.hand_in(Box::new(move || compress(format, level, &full).map(Block::Plain)));
        }
        let members = std::mem::take(&mut self.members);
        self.hand_in(Box::new(move || pack_members(level, &full, members)))
    }

    fn add_to_tar(
        &mut self,
        member: &Member,
        name: &[u8],
        content: Content<'_>,
        xattrs: &Xattrs,
    ) -> Result<(), Stop> {
        let entry = &member.entry;
        let (sort, link) = match (&content, entry.kind) {
            (Content::SameAs(first), _) => (Sort::HardLink, *first),
            (_, Kind::Dir) => (Sort::Dir, &b""[..]),
            (_, Kind::Symlink) => (Sort::Symlink, &*entry.target),
            (_, Kind::File | Kind::Unknown) => (Sort::File, &b""[..]),
        };
        let size = if sort == Sort::File { entry.size } else { 0 };
        let mut begun = self.buffer.len();
        Header { sort, name, link, size, meta: &entry.meta, xattrs }.write(&mut self.buffer);
        match content {
            Content::None | Content::SameAs(_) => {}
            Content::Whole(bytes) => {
                self.buffer.extend_from_slice(bytes);
                self.packed.add_bytes(size);
                tar::pad(&mut self.buffer, size);
            }
            Content::Pieces(pieces) => {
                let (mut left, mut flushed) = (size, false);
                loop {
                    match pieces.next(member, left, &mut self.buffer) {
                        Ok(0) => break,
                        Ok(n) => {
                            left = left.saturating_sub(n as u64);
                            self.packed.add_bytes(n as u64);
                        }
                        Err(error) if flushed => return Err(Stop::Torn(error)),
                        Err(error) => {
                            self.buffer.truncate(begun);
                            return Err(Stop::Unread(error));
                        }
                    }
                    if self.buffer.len() >= self.block {
                        self.flush()?;
                        (flushed, begun) = (true, 0);
                    }
                }
                tar::pad(&mut self.buffer, size);
            }
        }
        if self.buffer.len() >= self.block { self.flush() } else { Ok(()) }
    }

    fn add_to_zip(&mut self, member: &Member, name: &[u8], content: Content<'_>) -> Result<(), Stop> {
        let entry = &member.entry;
        let size = if entry.kind == Kind::Symlink { entry.target.len() as u64 } else { entry.size };
        let record = Record::new(name, entry.kind, entry.meta, self.owned, size);
        match content {
            Content::None | Content::SameAs(_) => self.buffer.extend_from_slice(&entry.target),
            Content::Whole(bytes) => {
                self.buffer.extend_from_slice(bytes);
                self.packed.add_bytes(size);
            }
            Content::Pieces(pieces) => return self.add_large(member, record, pieces),
        }
        self.members.push((record, self.buffer.len()));
        match self.buffer.len() >= self.block || self.members.len() >= TOGETHER {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// A member of a zip that is compressed in parts.
    fn add_large(&mut self, member: &Member, mut record: Record, pieces: &mut Pieces) -> Result<(), Stop> {
        self.flush()?;
        record.streamed();
        let (mut left, mut begun) = (member.entry.size, Some(record));
        loop {
            let got = match pieces.next(member, left, &mut self.buffer) {
                Ok(got) => got,
                Err(error) if begun.is_none() => return Err(Stop::Torn(error)),
                Err(error) => {
                    self.buffer.clear();
                    return Err(Stop::Unread(error));
                }
            };
            left = left.saturating_sub(got as u64);
            self.packed.add_bytes(got as u64);
            if self.buffer.len() < self.block && got > 0 {
                continue;
            }
            if let Some(record) = begun.take() {
                self.hand_in(Box::new(move || Ok(Block::Begin(record))))?;
            }
            let (part, level) =
                (std::mem::replace(&mut self.buffer, Vec::with_capacity(self.block * 2)), self.level);
            self.hand_in(Box::new(move || {
                let mut crc32 = crc32fast::Hasher::new();
                crc32.update(&part);
                Ok(Block::Part(deflate_part(level, &part, got == 0)?, crc32))
            }))?;
            if got == 0 {
                return self.hand_in(Box::new(|| Ok(Block::End)));
            }
        }
    }
}

/// Small members of a zip, each with its local header.
fn pack_members(level: i32, bytes: &[u8], members: Vec<(Record, usize)>) -> Result<Block, String> {
    let (mut out, mut done, mut from) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(members.len()), 0);
    for (mut record, end) in members {
        let content = &bytes[from..end];
        from = end;
        let begins = out.len();
        // What does not get smaller stays as it is.
        let smaller = match content.len() {
            0..8 => None,
            _ => Some(compress(Format::Zip, level, content)?).filter(|smaller| smaller.len() < content.len()),
        };
        let packed = smaller.as_deref().unwrap_or(content);
        record.filled(crc32fast::hash(content), packed.len() as u64, smaller.is_some());
        record.write_local(&mut out);
        out.extend_from_slice(packed);
        done.push((begins, record));
    }
    Ok(Block::Members(out, done))
}
