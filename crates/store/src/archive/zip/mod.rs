//! Zip: the directory stands at the end, each member is compressed and has a checksum of its own.
//!
//! The records are read by code of ours, not by a crate: those at hand give up the whole archive for one bad name, hide
//! the names' raw bytes, or want to seek in a file where we have ranges of a store.

mod names;
mod read;
mod records;

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use futures::stream::StreamExt;
use sitta_tree::{Entry, Fingerprint, Kind, Meta, ProblemKind, Unknown};

pub(super) use self::read::{Parked, read, read_stored};
use self::records::{END64_LEN, End, LOCAL_LEN, LOCATOR64_LEN, Parsed, Record, locator64};
use super::index::{self, Builder, Index};
use super::{Ask, Outside, digest};
use crate::{ErrorKind, Result};

/// How much of the file's end is read at first: room for the longest comment (64 KiB) and the directory of a thousand
/// members, in one request.
const TAIL: u64 = 128 << 10;

/// A directory larger than this, in bytes, is refused.
const MAX_DIRECTORY: u64 = 1 << 30;

/// A member of more than [`BOMB_SIZE`] bytes that would grow by more than this factor is refused.
const BOMB_RATIO: u64 = 1000;

/// Smaller members may grow as they like.
const BOMB_SIZE: u64 = 1 << 30;

/// Targets of symbolic links longer than this, in bytes, are none.
const MAX_TARGET: u64 = 4096;

/// How many links' targets are read at a time.
const LINKS_IN_FLIGHT: usize = 8;

/// Where a member's bytes are, and what they should be.
#[derive(Debug, Clone)]
pub(super) struct Data {
    /// From the local header to where the next member or the directory begins.
    span: Range<u64>,
    method: Method,
    compressed: u64,
    size: u64,
    crc32: u32,
}

impl Data {
    /// Whether a part is asked for, and stands in the file as it is.
    pub fn is_stored_and_cut_by(&self, range: &Range<u64>) -> bool {
        self.method == Method::Stored && (range.start > 0 || range.end < self.size)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Stored,
    Deflate,
    Deflate64,
    Bzip2,
    Zstd,
}

impl Method {
    fn of(code: u16) -> Option<Self> {
        Some(match code {
            0 => Self::Stored,
            8 => Self::Deflate,
            9 => Self::Deflate64,
            12 => Self::Bzip2,
            20 | 93 => Self::Zstd,
            _ => return None,
        })
    }
}

/// Whether the file's end is that of a zip file: what begins with a program may be one too.
pub(super) async fn is_behind(ask: &Ask, outside: &Outside, size: u64) -> Result<bool> {
    let tail = outside.bytes(ask, size.saturating_sub(TAIL)..size).await?;
    Ok(End::find(&tail).is_some())
}

/// Where the directory is.
struct Directory {
    /// Its place in the file.
    range: Range<u64>,
    members: u64,
    /// Only the lower 16 bits of the count are told.
    is_short: bool,
    /// What stands before the archive's first byte: added to all offsets.
    before: u64,
}

/// Reads the directory: one request for all of it if it is small, one more if not, and one for each symbolic link.
pub(super) async fn index(ask: &Ask, outside: &Arc<Outside>, version: Fingerprint) -> Result<Index> {
    let tail_at = version.size.saturating_sub(TAIL);
    let tail = outside.bytes(ask, tail_at..version.size).await?;
    let directory = find(ask, outside, &tail, tail_at).await?;
    let mut builder = Builder::new(ask, version);
    let mut spans = Vec::new();
    each(ask, outside, &directory, &tail, tail_at, |record| {
        add(&mut builder, &version, &directory, &mut spans, record)
    })
    .await?;
    let count = spans.len() as u64;
    let told = if directory.is_short { (count & 0xffff, directory.members) } else { (count, directory.members) };
    if told.0 != told.1 {
        let what = format!("the directory has {count} members, but should have {}", directory.members);
        return Err(ask.corrupt(what));
    }
    let mut index = builder.finish(true)?;
    bound(&mut index, spans, directory.range.start);
    read_links(ask, outside, &mut index).await?;
    Ok(index)
}

async fn find(ask: &Ask, outside: &Outside, tail: &[u8], tail_at: u64) -> Result<Directory> {
    let missing = || ask.corrupt("the end of the zip's directory is missing: the file is cut off, or no zip file");
    let (end_at, mut end) = End::find(tail).ok_or_else(missing)?;
    let mut directory_end = tail_at + end_at as u64;
    let mut is_short = true;
    let locator_at = end_at.checked_sub(LOCATOR64_LEN);
    if let Some((at, told)) = locator_at.and_then(|at| Some((at, locator64(&tail[at..])?))) {
        // Right before the locator if nothing extends it, whatever stands before the archive.
        let here = at.checked_sub(END64_LEN).and_then(|at| Some((tail_at + at as u64, End::parse64(&tail[at..])?)));
        let (at, end64) = match here {
            Some(found) => found,
            None if told < directory_end => {
                let bytes = outside.bytes(ask, told..(told + END64_LEN as u64).min(directory_end)).await?;
                (told, End::parse64(&bytes).ok_or_else(missing)?)
            }
            None => return Err(missing()),
        };
        (directory_end, end, is_short) = (at, end64, false);
    }
    if end.disks != (0, 0) {
        return Err(ask.error(ErrorKind::Unsupported, "one part of a zip archive that was split"));
    }
    if end.size > MAX_DIRECTORY {
        return Err(ask.error(ErrorKind::Unsupported, format!("a directory of more than {MAX_DIRECTORY} bytes")));
    }
    let start = directory_end.checked_sub(end.size);
    let before = start.and_then(|start| start.checked_sub(end.offset));
    match (start, before) {
        (Some(start), Some(before)) => {
            Ok(Directory { range: start..directory_end, members: end.members, is_short, before })
        }
        _ => Err(ask.corrupt("the beginning of the zip's directory is missing")),
    }
}

/// Gives all records of the directory, which is streamed unless the tail has it.
async fn each(
    ask: &Ask,
    outside: &Outside,
    directory: &Directory,
    tail: &Bytes,
    tail_at: u64,
    mut take: impl FnMut(&Record<'_>) -> Result<()>,
) -> Result<()> {
    let range = directory.range.clone();
    let damaged = |what: &str| ask.corrupt(format!("the zip's directory {what}"));
    let mut have = BytesMut::new();
    let mut stream = match range.start.checked_sub(tail_at) {
        Some(at) => {
            let end = (range.end - tail_at) as usize;
            have.extend_from_slice(&tail[at as usize..end]);
            futures::stream::empty().boxed()
        }
        None => outside.stream(ask, range).await?,
    };
    loop {
        loop {
            match Record::parse(&have) {
                _ if have.is_empty() => break,
                Parsed::Record(record, len) => {
                    take(&record)?;
                    have.advance(len);
                }
                Parsed::Partly => break,
                // A signature of the whole directory may stand behind the members.
                Parsed::Else if have.starts_with(b"PK\x05\x05") => return Ok(()),
                Parsed::Else => return Err(damaged("is damaged")),
            }
        }
        match stream.next().await {
            Some(piece) => have.extend_from_slice(&piece?),
            None if have.is_empty() => return Ok(()),
            None => return Err(damaged("is cut off")),
        }
    }
}

/// A member's place in the file: where its local header is, and where it ends at the earliest.
type Span = (u64, u64);

fn add(
    builder: &mut Builder,
    version: &Fingerprint,
    directory: &Directory,
    spans: &mut Vec<Span>,
    record: &Record<'_>,
) -> Result<()> {
    let offset = record.offset.saturating_add(directory.before);
    let least = (LOCAL_LEN + record.name.len()) as u64;
    let end = offset.saturating_add(least).saturating_add(record.compressed);
    spans.push((offset, end));
    let name = names::name(record);
    let (kind, mode) = names::kind(record, &name);
    let meta = Meta { mtime: record.modified, mode, ..Meta::default() };
    let Some(kind) = kind else {
        builder.add(&name, Entry { meta, ..Entry::unknown(Unknown::Special) }, index::Data::None)?;
        builder.trouble(ProblemKind::Special, "a fifo, socket or device");
        return Ok(());
    };
    let mut entry = Entry { meta, ..Entry::new(kind) };
    if kind == Kind::Dir {
        return builder.add(&name, entry, index::Data::None);
    }
    entry.size = if kind == Kind::File { record.size } else { 0 };
    entry.change = digest(version, &[offset, record.crc32.into(), record.size]);
    // The next member's place is known only when all are.
    let data = match refusal(record) {
        Some(why) => index::Data::Refused(ErrorKind::Unsupported, why),
        None if end > directory.range.start => {
            let why = "its bytes would reach into the zip's directory: the file is cut off, or damaged";
            index::Data::Refused(ErrorKind::Corrupt, why.into())
        }
        None => index::Data::Zip(Data {
            span: offset..end,
            method: Method::of(record.method).unwrap_or(Method::Stored),
            compressed: record.compressed,
            size: record.size,
            crc32: record.crc32,
        }),
    };
    builder.add(&name, entry, data)
}

/// Why a member's bytes will not be given.
fn refusal(record: &Record<'_>) -> Option<Box<str>> {
    if record.is_encrypted() {
        return Some("encrypted".into());
    }
    if record.disk != 0 {
        return Some("it lies in another part of the archive".into());
    }
    if Method::of(record.method).is_none() {
        return Some(format!("compressed by method {}, which is not supported", record.method).into());
    }
    if record.size > BOMB_SIZE && record.size / record.compressed.max(1) > BOMB_RATIO {
        let what = format!("{} bytes would become {}: that looks like a zip bomb", record.compressed, record.size);
        return Some(what.into());
    }
    None
}

/// Tells each member where the next one begins, and refuses those that share bytes with another one.
fn bound(index: &mut Index, mut spans: Vec<Span>, directory: u64) {
    spans.sort_unstable();
    // Of those up to each: the end that reaches farthest.
    let mut farthest: Vec<u64> = Vec::with_capacity(spans.len());
    for (_, end) in &spans {
        farthest.push(farthest.last().map_or(*end, |far| (*end).max(*far)));
    }
    for member in &mut index.members {
        let index::Data::Zip(data) = &mut member.data else { continue };
        let at = spans.partition_point(|span| *span < (data.span.start, data.span.end));
        let next = spans.get(at + 1).map_or(directory, |next| next.0).min(directory);
        let before = at.checked_sub(1).map_or(0, |before| farthest[before]);
        if before > data.span.start || next < data.span.end {
            let why = "it shares bytes with another member: that looks like a zip bomb";
            member.data = index::Data::Refused(ErrorKind::Unsupported, why.into());
            continue;
        }
        // The local header's extra fields may be longer than what is known of them, but not endlessly.
        data.span.end = next.min(data.span.end + u64::from(u16::MAX));
    }
}

/// Reads the targets of symbolic links, which are their content.
async fn read_links(ask: &Ask, outside: &Arc<Outside>, index: &mut Index) -> Result<()> {
    let parked = Arc::new(Parked::default());
    let links = index.members.iter().enumerate().filter(|(_, member)| member.entry.kind == Kind::Symlink);
    let version = index.version;
    let reads = links.map(|(at, member)| {
        let (data, parked) = (member.data.clone(), parked.clone());
        let ask = Ask { path: member.path.clone(), ..ask.clone() };
        async move { (at, target(&ask, outside, version, data, parked).await) }
    });
    let targets: Vec<_> =
        futures::stream::iter(reads.collect::<Vec<_>>()).buffer_unordered(LINKS_IN_FLIGHT).collect().await;
    for (at, target) in targets {
        let member = &mut index.members[at];
        match target {
            Ok(target) => member.entry.target = target,
            Err(error) if matches!(error.kind, ErrorKind::Corrupt | ErrorKind::Unsupported) => {
                member.entry = Entry::unknown(Unknown::Unreadable);
                member.problem = Some((error.problem_kind(false), error.source.to_string().into()));
            }
            Err(error) => return Err(ask.own(error)),
        }
    }
    Ok(())
}

async fn target(
    ask: &Ask,
    outside: &Arc<Outside>,
    version: Fingerprint,
    data: index::Data,
    parked: Arc<Parked>,
) -> Result<Box<[u8]>> {
    let data = match data {
        index::Data::Zip(data) if (1..=MAX_TARGET).contains(&data.size) => data,
        index::Data::Refused(kind, why) => return Err(ask.error(kind, why)),
        _ => return Err(ask.corrupt("the target of a symbolic link has an impossible length")),
    };
    let whole = 0..data.size;
    let mut stream = read(ask, outside, version, data, whole, &parked).await?;
    let mut target = Vec::new();
    while let Some(piece) = stream.next().await {
        target.extend_from_slice(&piece?);
    }
    Ok(target.into())
}
