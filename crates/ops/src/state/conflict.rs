//! Which version a conflict copy holds: what its name alone does not tell.

use rusqlite::params;
use sitta_tree::{RelPath, Side};

use super::{Pair, State};
use crate::RunError;

/// A conflict copy that a run has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownConflict {
    /// The path that both sides had changed.
    pub path: RelPath,
    /// Where the version that gave up its name stands, on both sides.
    pub copy: RelPath,
    /// Whose version that is.
    pub side: Side,
    /// The run that made it.
    pub run: String,
}

impl State {
    /// Remembers a conflict copy.
    pub fn note_conflict(&self, pair: &Pair, conflict: &KnownConflict) -> Result<(), RunError> {
        self.write(|db| {
            db.execute(
                "INSERT OR REPLACE INTO conflict (pair, copy, path, right, run) VALUES (?, ?, ?, ?, ?)",
                params![
                    pair.id,
                    conflict.copy.as_bytes(),
                    conflict.path.as_bytes(),
                    conflict.side == Side::Right,
                    conflict.run
                ],
            )
            .map(drop)
        })
    }

    /// Forgets a conflict copy: it is settled, or gone.
    pub fn drop_conflict(&self, pair: &Pair, copy: &RelPath) -> Result<(), RunError> {
        self.write(|db| {
            db.execute("DELETE FROM conflict WHERE pair = ? AND copy = ?", params![pair.id, copy.as_bytes()])
                .map(drop)
        })
    }

    /// The conflict copies that runs on this pair have made, by path.
    pub fn known_conflicts(&self, pair: &Pair) -> Result<Vec<KnownConflict>, RunError> {
        let rows: Vec<(Vec<u8>, Vec<u8>, bool, String)> = self.read(|db| {
            db.prepare_cached("SELECT path, copy, right, run FROM conflict WHERE pair = ? ORDER BY path, copy")?
                .query_map([pair.id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect()
        })?;
        let conflicts = rows.into_iter().filter_map(|(path, copy, right, run)| {
            let side = if right { Side::Right } else { Side::Left };
            Some(KnownConflict { path: RelPath::new(path).ok()?, copy: RelPath::new(copy).ok()?, side, run })
        });
        Ok(conflicts.collect())
    }
}
