//! What is known of a pair of locations.

use rusqlite::{OptionalExtension, Row, params};
use sitta_tree::Side;

use super::State;
use crate::RunError;

/// How a side's root looked at the end of the last run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RootSeen {
    /// What tells this root from another one at the same location (file system and inode), where the store can say.
    pub identity: Option<String>,
    /// How many files and links it held.
    pub files: u64,
}

/// A pair of locations that was worked on before.
#[derive(Debug, Clone, Default)]
pub struct Pair {
    pub(crate) id: i64,
    /// Grows with each run; a run whose token is no longer the newest has lost the pair to another.
    pub(crate) token: i64,
    left: RootSeen,
    right: RootSeen,
    /// The digest of the filter of the last run; none if there was none.
    pub filter: Option<u64>,
}

impl Pair {
    /// How that side's root looked at the end of the last run.
    pub fn root(&self, side: Side) -> &RootSeen {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let root = |identity: Option<String>, files: Option<i64>| RootSeen {
            identity,
            files: files.unwrap_or(0).max(0) as u64,
        };
        Ok(Self {
            id: row.get(0)?,
            token: row.get(1)?,
            left: root(row.get(2)?, row.get(4)?),
            right: root(row.get(3)?, row.get(5)?),
            filter: row.get::<_, Option<i64>>(6)?.map(i64::cast_unsigned),
        })
    }
}

/// What tells a pair from others. What a copy or mirror remembers is not what a sync does: who only ever copied has agreed
/// to no deletes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairKey {
    /// The source's location, or the left side's.
    pub left: String,
    /// The destination's location, or the right side's.
    pub right: String,
    /// Both sides take over each other's changes.
    pub two_way: bool,
}

const SELECT: &str = "SELECT id, token, left_root, right_root, left_files, right_files, filter FROM pair \
                      WHERE left=? AND right=? AND two_way=?";

impl State {
    /// What is known of the pair, without writing anything; none if it is new.
    pub fn known_pair(&self, key: &PairKey) -> Result<Option<Pair>, RunError> {
        self.read(|db| db.query_row(SELECT, params![key.left, key.right, key.two_way], Pair::from_row).optional())
    }

    /// What is known of the pair, with a new token for the run that begins. The caller holds its lock.
    pub fn begin_pair(&self, key: &PairKey) -> Result<Pair, RunError> {
        let key = params![key.left, key.right, key.two_way];
        self.write(|db| {
            db.execute(
                "INSERT INTO pair (left, right, two_way) VALUES (?, ?, ?) \
                 ON CONFLICT DO UPDATE SET token = token + 1",
                key,
            )?;
            db.query_row(SELECT, key, Pair::from_row)
        })
    }

    /// The pairs that are kept in step both ways, in the order in which they became known.
    pub fn two_way_pairs(&self) -> Result<Vec<PairKey>, RunError> {
        self.read(|db| {
            db.prepare_cached("SELECT left, right FROM pair WHERE two_way ORDER BY id")?
                .query_map([], |row| Ok(PairKey { left: row.get(0)?, right: row.get(1)?, two_way: true }))?
                .collect()
        })
    }

    /// Forgets a pair with all that it agreed on; says whether it was known. The caller holds its lock.
    pub fn forget_pair(&self, key: &PairKey) -> Result<bool, RunError> {
        let Some(pair) = self.known_pair(key)? else { return Ok(false) };
        self.write(|db| {
            for table in ["base", "intent", "conflict"] {
                db.execute(&format!("DELETE FROM {table} WHERE pair = ?"), [pair.id])?;
            }
            db.execute("DELETE FROM pair WHERE id = ?", [pair.id])
        })?;
        Ok(true)
    }

    /// Records how both roots look at the end of a run.
    pub fn end_pair(
        &self,
        pair: &Pair,
        left: &RootSeen,
        right: &RootSeen,
        filter: Option<u64>,
    ) -> Result<(), RunError> {
        self.write(|db| {
            db.execute(
                "UPDATE pair SET left_root=?, right_root=?, left_files=?, right_files=?, filter=? WHERE id=?",
                params![
                    left.identity,
                    right.identity,
                    left.files as i64,
                    right.files as i64,
                    filter.map(u64::cast_signed),
                    pair.id
                ],
            )?;
            Ok(())
        })
    }
}
