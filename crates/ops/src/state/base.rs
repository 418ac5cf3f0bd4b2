//! The base of a pair, kept as segments: one sorted snapshot, then what each later batch changed. Loading is one pass
//! over bytes, recording a batch is one row, and a snapshot is rewritten only after as much has changed as it holds.

use std::collections::HashSet;

use rusqlite::params;
use serde::{Deserialize, Serialize};
use sitta_tree::{Agreed, Base, ContentHash, Kind, Meta, RelPath, Time};

use super::journal::{StoredFingerprint, load_fingerprint, store_fingerprint};
use super::{Pair, State};
use crate::RunError;

/// A path and what is agreed for it from now on; none if nothing is.
pub type Change = (RelPath, Option<Agreed>);

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

/// A checksum, then the records one after another.
fn encode<'r>(records: impl IntoIterator<Item = Stored<'r>>) -> Vec<u8> {
    let mut blob = vec![0; CHECKSUM];
    for record in records {
        blob = postcard::to_extend(&record, blob).expect("a vector takes everything");
    }
    let sum = blake3::hash(&blob[CHECKSUM..]);
    blob[..CHECKSUM].copy_from_slice(&sum.as_bytes()[..CHECKSUM]);
    blob
}

/// The records of a segment; none if it is damaged.
fn decode(blob: &[u8]) -> Option<Vec<Stored<'_>>> {
    let (sum, mut rest) = blob.split_at_checked(CHECKSUM)?;
    if blake3::hash(rest).as_bytes()[..CHECKSUM] != *sum {
        return None;
    }
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (record, tail) = postcard::take_from_bytes(rest).ok()?;
        records.push(record);
        rest = tail;
    }
    Some(records)
}

/// What all segments together say, sorted by path. A damaged segment makes the whole base worthless: what it dropped
/// would come back as agreed.
fn join(segments: &[Vec<u8>]) -> Option<Vec<(RelPath, Stored<'_>)>> {
    let mut newest = Vec::new();
    let mut seen = HashSet::new();
    for blob in segments.iter().rev() {
        for record in decode(blob)?.into_iter().rev() {
            if seen.insert(record.path) && record.agreed.is_some() {
                newest.push((RelPath::new(record.path).ok()?, record));
            }
        }
    }
    newest.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Some(newest)
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
        let records = join(&segments).unwrap_or_default();
        let agreed = records.iter().filter_map(|(path, record)| {
            Some((path.clone(), record.agreed.as_ref().and_then(StoredAgreed::load)?))
        });
        Ok(Base::from_sorted(agreed)?)
    }

    /// Records what batches have done, and that their intents are resolved: in one transaction, so that the base
    /// never lags behind what was done. The data must be safe from a power cut before.
    pub fn settle(&self, pair: &Pair, changes: &[Change], intents: &[i64]) -> Result<(), RunError> {
        if changes.is_empty() && intents.is_empty() {
            return Ok(());
        }
        let blob = encode(changes.iter().map(|(path, agreed)| Stored {
            path: path.as_bytes(),
            agreed: agreed.as_ref().map(StoredAgreed::new),
        }));
        self.write(|db| {
            if !changes.is_empty() {
                db.execute("INSERT INTO base (pair, records) VALUES (?, ?)", params![pair.id, blob])?;
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
        let blob = encode(join(&segments).unwrap_or_default().into_iter().map(|(_, record)| record));
        self.write(|db| {
            db.execute("DELETE FROM base WHERE pair = ?", [pair.id])?;
            db.execute("INSERT INTO base (pair, records) VALUES (?, ?)", params![pair.id, blob]).map(drop)
        })
    }
}
