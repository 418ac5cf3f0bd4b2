//! A file of the index: which of a run of documents each bucket holds. Written once, as a whole; read by parts, each of
//! which has a checksum.
//!
//! ```text
//! groups      each: count, then (bucket - the one before, length of its list) for each, then the lists
//! directory   of each group: where it ends (8 bytes), its CRC-32 (4 bytes)
//! footer      magic, first document, documents, groups, CRC-32 of the directory, CRC-32 of the footer
//! ```
//!
//! Numbers in groups are LEB128, those elsewhere little-endian. A group is what is read at a time; there are as many as
//! make them a few kilobytes large.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Fault;
use super::postings::{Docs, get, intersect, put};
use super::trigram::BITS;

const MAGIC: &[u8; 8] = b"sittaix1";
const FOOTER: usize = 8 + 8 + 4 + 4 + 4 + 4;
const PLACE: usize = 8 + 4;

/// As many groups at most.
const MOST: u32 = 12;

/// So many postings make a group worth while.
const GROUP: u64 = 8 << 10;

/// Fewer documents than this are read rather than narrowed down further.
const FEW: usize = 4;

/// Writes a segment; buckets must rise.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
    first: u64,
    docs: u32,
    /// The logarithm of the number of groups.
    groups: u32,
    group: Group,
    /// Which one that is.
    number: u32,
    end: u64,
    directory: Vec<u8>,
}

#[derive(Debug, Default)]
struct Group {
    count: u64,
    last: u32,
    heads: Vec<u8>,
    lists: Vec<u8>,
}

impl Writer {
    /// Begins a segment of `docs` documents from the number `first` on, with about so many postings.
    pub fn create(path: &Path, first: u64, docs: u32, postings: u64) -> Result<Self, Fault> {
        let groups = (postings / GROUP).max(1).ilog2().min(MOST);
        let file = BufWriter::with_capacity(256 << 10, File::create(path)?);
        let path = path.to_owned();
        let (group, directory) = (Group::default(), Vec::new());
        Ok(Self { path, file, first, docs, groups, group, number: 0, end: 0, directory })
    }

    /// Adds the list of a bucket.
    pub fn push(&mut self, bucket: u32, list: &[u8]) -> Result<(), Fault> {
        let number = bucket >> (BITS - self.groups);
        while self.number < number {
            self.finish_group()?;
        }
        put(&mut self.group.heads, u64::from(bucket - self.group.last));
        put(&mut self.group.heads, list.len() as u64);
        self.group.lists.extend_from_slice(list);
        self.group.last = bucket;
        self.group.count += 1;
        Ok(())
    }

    fn finish_group(&mut self) -> Result<(), Fault> {
        let mut count = Vec::new();
        put(&mut count, self.group.count);
        let mut hasher = crc32fast::Hasher::new();
        for part in [&count, &self.group.heads, &self.group.lists] {
            hasher.update(part);
            self.file.write_all(part)?;
            self.end += part.len() as u64;
        }
        self.directory.extend_from_slice(&self.end.to_le_bytes());
        self.directory.extend_from_slice(&hasher.finalize().to_le_bytes());
        (self.group.count, self.group.last) = (0, 0);
        self.group.heads.clear();
        self.group.lists.clear();
        self.number += 1;
        Ok(())
    }

    /// Makes it whole, and safe from a power cut.
    pub fn finish(mut self) -> Result<Segment, Fault> {
        while self.number < 1 << self.groups {
            self.finish_group()?;
        }
        self.file.write_all(&self.directory)?;
        let mut footer = MAGIC.to_vec();
        footer.extend_from_slice(&self.first.to_le_bytes());
        footer.extend_from_slice(&self.docs.to_le_bytes());
        footer.extend_from_slice(&(1_u32 << self.groups).to_le_bytes());
        footer.extend_from_slice(&crc32fast::hash(&self.directory).to_le_bytes());
        footer.extend_from_slice(&crc32fast::hash(&footer).to_le_bytes());
        self.file.write_all(&footer)?;
        let file = self.file.into_inner().map_err(|error| error.into_error())?;
        file.sync_all()?;
        Segment::open(&self.path)
    }
}

/// A segment that is read.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    /// The number of its first document.
    pub first: u64,
    /// How many there are.
    pub docs: u32,
    /// The logarithm of the number of groups.
    groups: u32,
    /// Where each ends, and its checksum.
    directory: Vec<(u64, u32)>,
}

impl Segment {
    /// Opens a segment, if it is whole.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let file = File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Fault::damaged("a file of the index is missing"),
            _ => error.into(),
        })?;
        let cut = || Fault::damaged("a file of the index was cut or written over");
        let length = file.metadata()?.len();
        let footer_at = length.checked_sub(FOOTER as u64).ok_or_else(cut)?;
        let mut footer = [0; FOOTER];
        file.read_exact_at(&mut footer, footer_at)?;
        let number = |at: usize| u32::from_le_bytes(footer[at..at + 4].try_into().expect("four bytes"));
        if footer[..8] != *MAGIC || number(FOOTER - 4) != crc32fast::hash(&footer[..FOOTER - 4]) {
            return Err(cut());
        }
        let first = u64::from_le_bytes(footer[8..16].try_into().expect("eight bytes"));
        let (docs, groups) = (number(16), number(20));
        if !groups.is_power_of_two() || groups > 1 << MOST {
            return Err(cut());
        }
        let mut directory = vec![0; groups as usize * PLACE];
        let directory_at = footer_at.checked_sub(directory.len() as u64).ok_or_else(cut)?;
        file.read_exact_at(&mut directory, directory_at)?;
        if number(24) != crc32fast::hash(&directory) {
            return Err(cut());
        }
        let place = |bytes: &[u8]| {
            let end = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
            (end, u32::from_le_bytes(bytes[8..].try_into().expect("four bytes")))
        };
        let directory: Vec<_> = directory.chunks_exact(PLACE).map(place).collect();
        if directory.last().map(|(end, _)| *end) != Some(directory_at)
            || !directory.is_sorted_by_key(|(end, _)| *end)
        {
            return Err(cut());
        }
        Ok(Self { file, first, docs, groups: groups.ilog2(), directory })
    }

    /// How large it is, without its directory.
    pub fn size(&self) -> u64 {
        self.directory.last().map_or(0, |(end, _)| *end)
    }

    fn read_group(&self, number: usize) -> Result<Vec<u8>, Fault> {
        let start = number.checked_sub(1).map_or(0, |before| self.directory[before].0);
        let (end, sum) = self.directory[number];
        let mut bytes = vec![0; (end - start) as usize];
        self.file.read_exact_at(&mut bytes, start)?;
        match crc32fast::hash(&bytes) == sum {
            true => Ok(bytes),
            false => Err(Fault::damaged("a file of the index holds other bytes than were written")),
        }
    }

    /// The numbers, from [`Segment::first`] on, of the documents that are in all of these buckets, or may be.
    pub fn holding(&self, buckets: &[u32]) -> Result<Vec<u32>, Fault> {
        let mut lists = Vec::with_capacity(buckets.len());
        let mut group: Option<(usize, Vec<u8>)> = None;
        for bucket in buckets {
            let number = (bucket >> (BITS - self.groups)) as usize;
            if group.as_ref().is_none_or(|(read, _)| *read != number) {
                group = Some((number, self.read_group(number)?));
            }
            let (_, bytes) = group.as_ref().expect("just read");
            match entries(bytes)?.find(|(known, _)| known == bucket) {
                Some((_, list)) => lists.push(bytes[list].to_vec()),
                None => return Ok(Vec::new()),
            }
        }
        lists.sort_by_key(Vec::len);
        let mut lists = lists.iter();
        let Some(shortest) = lists.next() else { return Ok(Vec::new()) };
        let mut docs = Docs::new(shortest).collect::<Result<Vec<u32>, Fault>>()?;
        for list in lists {
            if docs.len() < FEW {
                break;
            }
            intersect(&mut docs, Docs::new(list))?;
        }
        Ok(docs)
    }

    /// All buckets that hold anything, with their lists.
    pub fn walk(&self) -> Walk<'_> {
        Walk { segment: self, next: 0, bytes: Vec::new(), entries: Vec::new().into_iter() }
    }
}

/// The buckets of a group, and where in it their lists are.
fn entries(group: &[u8]) -> Result<impl Iterator<Item = (u32, Range<usize>)>, Fault> {
    let odd = || Fault::damaged("a part of the index makes no sense");
    let mut rest = group;
    let count = get(&mut rest).ok_or_else(odd)?;
    let mut heads = rest;
    for _ in 0..2 * count {
        get(&mut rest).ok_or_else(odd)?;
    }
    let (mut bucket, mut at) = (0, group.len() - rest.len());
    Ok((0..count).map_while(move |_| {
        bucket += u32::try_from(get(&mut heads)?).ok()?;
        let end = at.checked_add(usize::try_from(get(&mut heads)?).ok()?)?;
        let list = std::mem::replace(&mut at, end)..end;
        (end <= group.len()).then_some((bucket, list))
    }))
}

/// Goes through a segment from the first bucket to the last, a group at a time.
#[derive(Debug)]
pub(super) struct Walk<'s> {
    segment: &'s Segment,
    next: usize,
    bytes: Vec<u8>,
    /// The buckets of the group at hand, and where in it their lists are.
    entries: std::vec::IntoIter<(u32, Range<usize>)>,
}

impl Walk<'_> {
    /// The next bucket with its list.
    pub fn next(&mut self) -> Result<Option<(u32, &[u8])>, Fault> {
        loop {
            if let Some((bucket, at)) = self.entries.next() {
                return Ok(Some((bucket, &self.bytes[at])));
            }
            if self.next == self.segment.directory.len() {
                return Ok(None);
            }
            self.bytes = self.segment.read_group(self.next)?;
            self.next += 1;
            self.entries = entries(&self.bytes)?.collect::<Vec<_>>().into_iter();
        }
    }
}
