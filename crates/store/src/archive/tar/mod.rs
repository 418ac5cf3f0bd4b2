//! Tar, plain or compressed: one member after the other, each behind a header; the headers are parsed by `tokio_tar`.
//!
//! A plain tar is walked by range reads that jump over what members hold. A compressed one has to be decoded from its
//! beginning: see [`Blocks`].

mod blocks;
mod header;
mod tape;

use std::sync::Arc;

use futures::stream::{self, StreamExt};
use sitta_tree::{Entry, Fingerprint, Kind, ProblemKind, Unknown};
use tokio_tar::{EntryType, Header};

pub(super) use self::blocks::Blocks;
use self::header::{Extended, is_sound};
use self::tape::Tape;
use super::index::{self, Builder, Index, safe_path};
use super::{Ask, Coding, Outside, digest};
use crate::{ByteStream, ErrorKind, Result};

/// Everything stands at a multiple of this.
const BLOCK: u64 = 512;

/// Headers that extend the next one are not larger, in bytes: names have 4096 at most, pax records may be many.
const MAX_EXTENDED: u64 = 1 << 20;

/// An empty tar is nothing but zeros; what is longer, in bytes, is something else that begins with zeros.
const MAX_EMPTY: u64 = 1 << 20;

/// Where a member's bytes are, in the decoded tar.
#[derive(Debug, Clone, Copy)]
pub(super) struct Data {
    pub start: u64,
    pub size: u64,
}

/// Whether these first bytes are a tar's.
pub(super) fn is_tar(head: &[u8]) -> bool {
    let Some(block) = head.get(..BLOCK as usize) else { return false };
    is_sound(Header::from_byte_slice(block)) || block.iter().all(|byte| *byte == 0)
}

/// Walks over all headers.
pub(super) async fn index(
    ask: &Ask,
    outside: &Arc<Outside>,
    version: Fingerprint,
    coding: Coding,
) -> Result<Index> {
    let blocks = (coding != Coding::Plain).then(|| Blocks::new(outside.clone(), version, coding));
    let tape = match &blocks {
        Some(blocks) => Tape::Decoded(blocks),
        None => Tape::plain(outside, version.size),
    };
    let mut walk = Walk { ask, version, tape, builder: Builder::new(ask, version), at: 0 };
    match walk.all().await {
        Ok(()) => {}
        Err(error) if error.kind == ErrorKind::Corrupt => {
            walk.builder.cut_off(format!("{} (at byte {} of the tar)", error.source, walk.at));
            // Its checksum has not been seen: nobody knows since where the decoded bytes are wrong.
            if coding != Coding::Plain {
                walk.builder.damaged = Some(error);
            }
        }
        Err(error) => return Err(error),
    }
    let mut index = walk.builder.finish(false)?;
    index.blocks = blocks;
    outside.check(ask, &version).await?;
    Ok(index)
}

struct Walk<'t> {
    ask: &'t Ask,
    version: Fingerprint,
    tape: Tape<'t>,
    builder: Builder,
    /// Where the next header is.
    at: u64,
}

impl Walk<'_> {
    async fn all(&mut self) -> Result<()> {
        let mut global = Extended::default();
        let mut extended = global.clone();
        loop {
            let block = self.tape.read(self.ask, self.at, BLOCK).await?;
            if block.is_empty() {
                self.builder.cut_off("the tar has no end mark: it may be cut off");
                return Ok(());
            }
            let is_zero = block.iter().all(|byte| *byte == 0);
            let is_header = block.len() as u64 == BLOCK && is_sound(Header::from_byte_slice(&block));
            if self.at == 0 && !is_zero && !is_header {
                return Err(self.ask.error(ErrorKind::Unsupported, "what is compressed is no tar"));
            }
            if (block.len() as u64) < BLOCK {
                self.builder.cut_off("the tar is cut off in the middle of a header");
                return Ok(());
            }
            if is_zero {
                return self.end().await;
            }
            if !is_header {
                return Err(self.ask.corrupt("there is no valid header"));
            }
            let header = Header::from_byte_slice(&block);
            let kind = header.entry_type();
            let size = match header.raw_entry_size() {
                Ok(size) => size,
                Err(_) if header.as_old().size.iter().all(|byte| matches!(byte, 0 | b' ')) => 0,
                Err(_) => return Err(self.ask.corrupt("a header has no valid size")),
            };
            if let EntryType::XGlobalHeader
            | EntryType::XHeader
            | EntryType::SolarisXHeader
            | EntryType::GNULongName
            | EntryType::GNULongLink = kind
            {
                let body = self.body(size).await?;
                let text = || body.strip_suffix(b"\0").unwrap_or(&body).to_vec();
                let malformed = || self.ask.corrupt("malformed pax records");
                match kind {
                    EntryType::GNULongName => extended.path = Some(text()),
                    EntryType::GNULongLink => extended.link = Some(text()),
                    EntryType::XGlobalHeader => {
                        global.pax(&body).ok_or_else(malformed)?;
                        extended.pax(&body).ok_or_else(malformed)?;
                    }
                    _ => extended.pax(&body).ok_or_else(malformed)?,
                }
                self.at = padded(self.at + BLOCK, size);
                continue;
            }
            let told = std::mem::replace(&mut extended, global.clone());
            if !self.member(header, kind, size, &told).await? {
                return Ok(());
            }
        }
    }

    /// What a header that extends the next one holds.
    async fn body(&mut self, size: u64) -> Result<bytes::Bytes> {
        if size > MAX_EXTENDED {
            return Err(self.ask.corrupt("a header extends the next one endlessly"));
        }
        let body = self.tape.read(self.ask, self.at + BLOCK, size).await?;
        if (body.len() as u64) < size {
            return Err(self.ask.corrupt("the tar is cut off"));
        }
        Ok(body)
    }

    /// Adds a member and goes behind it. False if the tar ends in its middle.
    async fn member(&mut self, header: &Header, kind: EntryType, size: u64, told: &Extended) -> Result<bool> {
        let name = told.path.clone().unwrap_or_else(|| header.path_bytes().into_owned());
        let link = told.link.clone().or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        let stored = told.size.unwrap_or(size);
        let mut start = self.at + BLOCK;
        let old_sparse = kind == EntryType::GNUSparse;
        if old_sparse {
            start = self.behind_sparse_map(header, start).await?;
        }
        // Links and the like have no bytes behind them, whatever their size says.
        let follows = match kind {
            EntryType::Link | EntryType::Symlink | EntryType::Char | EntryType::Block => 0,
            EntryType::Directory | EntryType::Fifo => 0,
            _ => stored,
        };
        let mut entry = Entry { meta: told.meta(header), ..Entry::new(Kind::File) };
        let mut data = index::Data::None;
        let mut trouble = None;
        match kind {
            EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => entry.kind = Kind::Dir,
            EntryType::Regular | EntryType::Continuous if told.sparse => {
                entry.size = told.real_size.unwrap_or(stored);
                data = index::Data::Refused(ErrorKind::Unsupported, "a sparse file".into());
            }
            EntryType::Regular | EntryType::Continuous => {
                entry.size = stored;
                data = index::Data::Tar(Data { start, size: stored });
            }
            EntryType::GNUSparse => {
                entry.size = header.raw_file_size().unwrap_or(stored);
                data = index::Data::Refused(ErrorKind::Unsupported, "a sparse file".into());
            }
            EntryType::Directory => entry.kind = Kind::Dir,
            EntryType::Symlink => {
                entry.kind = Kind::Symlink;
                entry.target = link.unwrap_or_default().into();
                if entry.target.is_empty() {
                    entry.unknown = Some(Unknown::Unreadable);
                    trouble = Some((ProblemKind::Corrupt, "a symbolic link without a target".into()));
                }
            }
            EntryType::Link => match link.as_deref().and_then(safe_path) {
                Some(target) => data = index::Data::SameAs(target),
                None => {
                    entry.unknown = Some(Unknown::Unreadable);
                    trouble = Some((ProblemKind::Unsupported, "a hard link out of the archive".into()));
                }
            },
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                entry.unknown = Some(Unknown::Special);
                trouble = Some((ProblemKind::Special, "a fifo, socket or device".into()));
            }
            other => {
                entry.unknown = Some(Unknown::Unrepresentable);
                let what = format!("a member of the unknown type {:?}", char::from(other.as_byte()));
                trouble = Some((ProblemKind::Unsupported, what));
            }
        }
        if entry.kind != Kind::Dir {
            entry.change = digest(&self.version, &[self.at, entry.size]);
        }
        let next = padded(start, follows);
        let whole = self.has_all(start, follows).await?;
        if !whole {
            entry.unknown = Some(Unknown::Unreadable);
            trouble = Some((ProblemKind::Corrupt, "the tar is cut off in the middle of it".into()));
        }
        if let Some(why) = entry.unknown {
            entry = Entry { meta: entry.meta, ..Entry::unknown(why) };
            data = index::Data::None;
        }
        self.builder.add(&name, entry, data)?;
        if !told.xattrs.is_empty() {
            self.builder.attributes(told.xattrs.clone());
        }
        if let Some((kind, what)) = trouble {
            self.builder.trouble(kind, what);
        }
        if !whole {
            self.builder.cut_off("the tar is cut off");
        }
        self.at = next;
        Ok(whole)
    }

    /// Whether the tar has all of what follows a header.
    async fn has_all(&mut self, start: u64, size: u64) -> Result<bool> {
        let Some(end) = start.checked_add(size).filter(|end| *end < u64::MAX - BLOCK) else { return Ok(false) };
        if size == 0 {
            return Ok(true);
        }
        match self.tape.len().await {
            Some(len) => Ok(end <= len),
            None => Ok(!self.tape.read(self.ask, end - 1, 1).await?.is_empty()),
        }
    }

    /// GNU's older sparse files tell where their parts go in blocks that follow the header.
    async fn behind_sparse_map(&mut self, header: &Header, mut at: u64) -> Result<u64> {
        let mut more = header.as_gnu().is_some_and(|gnu| gnu.is_extended());
        while more {
            let block = self.tape.read(self.ask, at, BLOCK).await?;
            // 21 pairs of twelve bytes each, then whether another block follows.
            let Some(flag) = block.get(504) else { return Err(self.ask.corrupt("the tar is cut off")) };
            (more, at) = (*flag == 1, at + BLOCK);
        }
        Ok(at)
    }

    /// At the first block of zeros: the second one, or the file's end, must follow.
    async fn end(&mut self) -> Result<()> {
        let second = self.tape.read(self.ask, self.at + BLOCK, BLOCK).await?;
        if second.iter().any(|byte| *byte != 0) {
            self.builder.cut_off("only half an end mark, and more bytes behind it");
        }
        if let Tape::Decoded(blocks) = &self.tape {
            blocks.drain(self.ask, self.at).await?;
        }
        if self.at == 0 && self.tape.len().await.is_none_or(|len| len > MAX_EMPTY) {
            return Err(self.ask.error(ErrorKind::Unsupported, "it begins with zeros: no tar"));
        }
        Ok(())
    }
}

/// Where the header behind `size` bytes at `start` is.
fn padded(start: u64, size: u64) -> u64 {
    start.saturating_add(size).div_ceil(BLOCK).saturating_mul(BLOCK)
}

/// The bytes of a member in `range`; with `checked`, they are sure to be of the index's version if the stream ends well.
pub(super) async fn read(
    ask: &Ask,
    outside: &Arc<Outside>,
    index: &Arc<Index>,
    data: Data,
    range: std::ops::Range<u64>,
    checked: bool,
) -> Result<ByteStream> {
    let end = range.end.min(data.size);
    let range = data.start + range.start.min(end)..data.start + end;
    let bytes = match index.blocks {
        Some(_) => stream::empty().boxed(),
        None => outside.stream(ask, range.clone()).await?,
    };
    let state = (ask.clone(), outside.clone(), index.clone(), range, bytes);
    let stream = stream::unfold(Some(state), move |state| async move {
        let (ask, outside, index, mut left, mut bytes) = state?;
        let piece = match &index.blocks {
            _ if left.is_empty() => None,
            Some(blocks) => {
                let piece = blocks.some(&ask, left.start, left.end - left.start).await;
                Some(piece).filter(|piece| !piece.as_ref().is_ok_and(bytes::Bytes::is_empty))
            }
            None => bytes.next().await,
        };
        match piece {
            Some(Ok(mut piece)) => {
                piece.truncate(usize::try_from(left.end - left.start).unwrap_or(usize::MAX));
                left.start += piece.len() as u64;
                Some((Ok(piece), Some((ask, outside, index, left, bytes))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                let cut = (!left.is_empty()).then(|| ask.corrupt("the tar is cut off in the middle of it"));
                let error = match cut {
                    Some(cut) => Some(outside.blame(&ask, &index.version, cut).await),
                    None if checked => outside.check(&ask, &index.version).await.err(),
                    None => None,
                };
                error.map(|error| (Err(error), None))
            }
        }
    });
    Ok(stream.boxed())
}
