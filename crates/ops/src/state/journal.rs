//! The journal: what is about to become visible, written down before it does, so that the next run can tell what an
//! interrupted one may have left half done.

use rusqlite::params;
use serde::{Deserialize, Serialize};
use sitta_tree::{Fingerprint, RelPath, Side, Time};

use super::{Pair, State};
use crate::RunError;

/// One change that was about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The side that is changed.
    pub side: Side,
    /// Where.
    pub path: RelPath,
    /// The temporary beside it, if the change may need one.
    pub temp: Option<RelPath>,
    /// The version that stood there, if one did.
    pub before: Option<Fingerprint>,
    /// Where that version goes in the trash, if it does.
    pub trash: Option<RelPath>,
}

/// As it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    right: bool,
    path: Vec<u8>,
    temp: Option<Vec<u8>>,
    before: Option<StoredFingerprint>,
    trash: Option<Vec<u8>>,
}

/// size, mtime seconds, mtime nanoseconds, id, change.
pub(super) type StoredFingerprint = (u64, i64, u32, u64, u64);

pub(super) fn store_fingerprint(f: &Fingerprint) -> StoredFingerprint {
    (f.size, f.mtime.secs, f.mtime.nanos, f.id, f.change)
}

pub(super) fn load_fingerprint((size, secs, nanos, id, change): StoredFingerprint) -> Fingerprint {
    Fingerprint { size, mtime: Time::new(secs, nanos), id, change }
}

impl From<&Intent> for Stored {
    fn from(intent: &Intent) -> Self {
        let bytes = |path: &RelPath| path.as_bytes().to_vec();
        Self {
            right: intent.side == Side::Right,
            path: bytes(&intent.path),
            temp: intent.temp.as_ref().map(bytes),
            before: intent.before.as_ref().map(store_fingerprint),
            trash: intent.trash.as_ref().map(bytes),
        }
    }
}

impl Stored {
    fn load(self) -> Option<Intent> {
        let path = |bytes: Option<Vec<u8>>| bytes.map(RelPath::new).transpose();
        Some(Intent {
            side: if self.right { Side::Right } else { Side::Left },
            path: RelPath::new(self.path).ok()?,
            temp: path(self.temp).ok()?,
            before: self.before.map(load_fingerprint),
            trash: path(self.trash).ok()?,
        })
    }
}

impl State {
    /// Writes down what a batch is about to do; gives the number to close it by. Fails when another run has taken the
    /// pair over meanwhile (the lock file was removed, say).
    pub fn open_intents(&self, pair: &Pair, run: &str, intents: &[Intent]) -> Result<i64, RunError> {
        let stored: Vec<Stored> = intents.iter().map(Stored::from).collect();
        let blob = postcard::to_stdvec(&stored).map_err(|error| self.error(error))?;
        self.write(|db| {
            let added = db.execute(
                "INSERT INTO intent (pair, run, intents) SELECT ?, ?, ? FROM pair WHERE id = ?1 AND token = ?4",
                params![pair.id, run, blob, pair.token],
            )?;
            match added {
                0 => Err(rusqlite::Error::ToSqlConversionFailure("another run has taken this pair over".into())),
                _ => Ok(db.last_insert_rowid()),
            }
        })
    }

    /// What runs that never ended had begun on this pair, oldest first.
    pub fn left_over_intents(&self, pair: &Pair) -> Result<Vec<Intent>, RunError> {
        let blobs: Vec<Vec<u8>> = self.read(|db| {
            db.prepare_cached("SELECT intents FROM intent WHERE pair = ? ORDER BY id")?
                .query_map([pair.id], |row| row.get(0))?
                .collect()
        })?;
        // An intent that cannot be read is no more than a temporary that stays until a scan meets it.
        let stored = blobs.iter().flat_map(|blob| postcard::from_bytes::<Vec<Stored>>(blob).unwrap_or_default());
        Ok(stored.filter_map(Stored::load).collect())
    }

    /// Forgets all intents of the pair: they were resolved.
    pub fn clear_intents(&self, pair: &Pair) -> Result<(), RunError> {
        self.write(|db| db.execute("DELETE FROM intent WHERE pair = ?", [pair.id]).map(drop))
    }
}
