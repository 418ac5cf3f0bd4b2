//! The base of a pair, kept as segments: one sorted snapshot, then what each later batch changed. Loading is one pass
//! over bytes, recording a batch is one row, and a snapshot is rewritten only after as much has changed as it holds.

use rusqlite::params;
use serde::{Deserialize, Serialize};
use sitta_tree::{Agreed, Base, ContentHash, Kind, Meta, RelPath, Time};

use super::journal::{StoredFingerprint, load_fingerprint, store_fingerprint};
use super::{Pair, State};
use crate::RunError;

/// Fewer segments than this are not worth rewriting.
const MANY_SEGMENTS: usize = 32;

const CHECKSUM: usize = 16;

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    path: &'a [u8],
    agreed: Option<StoredAgreed<'a>>,
}

#[derive(Serialize, Deserialize)]
struct StoredAgreed<'a> {
    kind: u8,
    mtime: (i64, u32),
    mode: u32,
    owner: (u32, u32),
    xattrs: u64,
    content: Option<[u8; 32]>,
    #[serde(borrow)]
    target: &'a [u8],
    left: StoredFingerprint,
    right: StoredFingerprint,
    conflicted: bool,
}

impl<'a> StoredAgreed<'a> {
    fn new(agreed: &'a Agreed) -> Self {
        let meta = &agreed.meta;
        Self {
            kind: agreed.kind as u8,
            mtime: (meta.mtime.secs, meta.mtime.nanos),
            mode: meta.mode,
            owner: (meta.uid, meta.gid),
            xattrs: meta.xattrs,
            content: agreed.content.map(|hash| hash.0),
            target: &agreed.target,
            left: store_fingerprint(&agreed.left),
            right: store_fingerprint(&agreed.right),
            conflicted: agreed.conflicted,
        }
    }

    fn load(&self) -> Option<Agreed> {
        let kind = [Kind::File, Kind::Dir, Kind::Symlink].into_iter().find(|kind| *kind as u8 == self.kind)?;
        Some(Agreed {
            kind,
            meta: Meta {
                mtime: Time::new(self.mtime.0, self.mtime.1),
                mode: self.mode,
                uid: self.owner.0,
                gid: self.owner.1,
                xattrs: self.xattrs,
            },
            content: self.content.map(ContentHash),
            target: self.target.into(),
            left: load_fingerprint(self.left),
            right: load_fingerprint(self.right),
            conflicted: self.conflicted,
        })
    }
}

/// What batches have changed in a base, in the form in which it is stored: a checksum, then the records one after
/// another.
#[derive(Debug)]
pub struct Segment(Vec<u8>);

impl Default for Segment {
    fn default() -> Self {
        Self(vec![0; CHECKSUM])
    }
}

impl Segment {
    /// From now on this is agreed for the path; none if nothing is.
    pub fn push(&mut self, path: &RelPath, agreed: Option<&Agreed>) {
        self.push_stored(&Stored { path: path.as_bytes(), agreed: agreed.map(StoredAgreed::new) });
    }

    fn push_stored(&mut self, record: &Stored<'_>) {
        let bytes = std::mem::take(&mut self.0);
        self.0 = postcard::to_extend(record, bytes).expect("a vector takes everything");
    }

    /// Whether it holds no records.
    pub fn is_empty(&self) -> bool {
        self.0.len() == CHECKSUM
    }

    /// Its size in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// With its checksum.
    fn into_bytes(mut self) -> Vec<u8> {
        let sum = blake3::hash(&self.0[CHECKSUM..]);
        self.0[..CHECKSUM].copy_from_slice(&sum.as_bytes()[..CHECKSUM]);
        self.0
    }
}

/// Paths with what is agreed for them from then on; none if nothing is.
pub type BaseChanges = Vec<(RelPath, Option<Agreed>)>;

/// Where a record stands: its path and all bytes from its beginning on.
#[derive(Clone, Copy)]
struct Found<'s> {
    path: &'s [u8],
    bytes: &'s [u8],
}

impl<'s> Found<'s> {
    fn record(&self) -> Option<Stored<'s>> {
        postcard::from_bytes(self.bytes).ok()
    }
}

/// The records of a segment; none if it is damaged.
fn records(segment: &[u8]) -> Option<Vec<Found<'_>>> {
    let (sum, mut rest) = segment.split_at_checked(CHECKSUM)?;
    if blake3::hash(rest).as_bytes()[..CHECKSUM] != *sum {
        return None;
    }
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (record, tail): (Stored<'_>, _) = postcard::take_from_bytes(rest).ok()?;
        found.push(Found { path: record.path, bytes: &rest[..rest.len() - tail.len()] });
        rest = tail;
    }
    Some(found)
}

/// What all segments together say: for each path the newest record, sorted as [`RelPath`] sorts. A damaged segment
/// makes the whole base worthless: what it dropped would come back as agreed.
fn join(segments: &[Vec<u8>]) -> Option<Vec<Found<'_>>> {
    let mut all = Vec::new();
    for segment in segments.iter().rev() {
        let mut found = records(segment)?;
        found.reverse();
        all.append(&mut found);
    }
    fn parts<'s>(found: &Found<'s>) -> impl Iterator<Item = &'s [u8]> + use<'s> {
        found.path.split(|b| *b == b'/')
    }
    // Stable: of one path's records the newest comes first, and stays.
    all.sort_by(|a, b| parts(a).cmp(parts(b)));
    all.dedup_by(|later, first| later.path == first.path);
    Some(all)
}

impl State {
    pub(super) fn segments(&self, pair: &Pair) -> Result<Vec<Vec<u8>>, RunError> {
        self.read(|db| {
            db.prepare_cached("SELECT records FROM base WHERE pair = ? ORDER BY id")?
                .query_map([pair.id], |row| row.get(0))?
                .collect()
        })
    }

    /// What both sides of the pair agreed on; empty if nothing was, or if what was remembered is damaged.
    pub fn load_base(&self, pair: &Pair) -> Result<Base, RunError> {
        let segments = self.segments(pair)?;
        let agreed = join(&segments).unwrap_or_default().into_iter().filter_map(|found| {
            let record = found.record()?;
            Some((RelPath::new(record.path).ok()?, record.agreed?.load()?))
        });
        Ok(Base::from_sorted(agreed)?)
    }

    /// What has changed in the base since its record `since`, oldest first, and the newest record's number.
    pub fn base_since(&self, pair: &Pair, since: i64) -> Result<(BaseChanges, i64), RunError> {
        let segments: Vec<(i64, Vec<u8>)> = self.read(|db| {
            db.prepare_cached("SELECT id, records FROM base WHERE pair = ? AND id > ? ORDER BY id")?
                .query_map([pair.id, since], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })?;
        let newest = segments.last().map_or(since, |(id, _)| *id);
        let mut changes = Vec::new();
        for (_, segment) in &segments {
            for record in records(segment).unwrap_or_default().iter().filter_map(Found::record) {
                if let Ok(path) = RelPath::new(record.path) {
                    changes.push((path, record.agreed.as_ref().and_then(StoredAgreed::load)));
                }
            }
        }
        Ok((changes, newest))
    }

    /// How many bytes the base has grown by since its record `since`.
    pub fn grown_since(&self, pair: &Pair, since: i64) -> Result<u64, RunError> {
        let grown: i64 = self.read(|db| {
            db.query_row(
                "SELECT coalesce(sum(length(records)), 0) FROM base WHERE pair = ? AND id > ?",
                [pair.id, since],
                |row| row.get(0),
            )
        })?;
        Ok(grown.unsigned_abs())
    }

    /// The number of the base's newest record; 0 if there is none.
    pub fn newest_record(&self, pair: &Pair) -> Result<i64, RunError> {
        self.read(|db| {
            db.query_row("SELECT coalesce(max(id), 0) FROM base WHERE pair = ?", [pair.id], |row| row.get(0))
        })
    }

    /// Records what batches have done, and that their intents are resolved: in one transaction, so that the base
    /// never lags behind what was done. The data must be safe from a power cut before.
    pub fn settle(&self, pair: &Pair, changes: Segment, intents: &[i64]) -> Result<(), RunError> {
        if changes.is_empty() && intents.is_empty() {
            return Ok(());
        }
        let records = (!changes.is_empty()).then(|| changes.into_bytes());
        self.write(|db| {
            if let Some(records) = &records {
                db.execute("INSERT INTO base (pair, records) VALUES (?, ?)", params![pair.id, records])?;
            }
            let mut close = db.prepare_cached("DELETE FROM intent WHERE id = ?")?;
            intents.iter().try_for_each(|id| close.execute([id]).map(drop))
        })
    }

    /// Joins the base's segments into one when they have grown to more than they would be together.
    pub fn compact_base(&self, pair: &Pair) -> Result<(), RunError> {
        let sizes: Vec<i64> = self.read(|db| {
            db.prepare_cached("SELECT length(records) FROM base WHERE pair = ? ORDER BY id")?
                .query_map([pair.id], |row| row.get(0))?
                .collect()
        })?;
        let grown: i64 = sizes.iter().skip(1).sum();
        if sizes.len() <= MANY_SEGMENTS || grown <= sizes[0] {
            return Ok(());
        }
        let segments = self.segments(pair)?;
        let mut snapshot = Segment::default();
        for record in join(&segments).unwrap_or_default().iter().filter_map(Found::record) {
            if record.agreed.is_some() {
                snapshot.push_stored(&record);
            }
        }
        drop(segments);
        let blob = snapshot.into_bytes();
        self.write(|db| {
            db.execute("DELETE FROM base WHERE pair = ?", [pair.id])?;
            db.execute("INSERT INTO base (pair, records) VALUES (?, ?)", params![pair.id, blob]).map(drop)
        })
    }
}
