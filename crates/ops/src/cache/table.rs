//! What the files of a cache are, in SQLite.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use sitta_tree::{ContentHash, RelPath};

use super::{About, Kept, Key};
use crate::state::is_damage;

const SCHEMA: i64 = 1;

/// `temp`: the temporary of whoever is putting the file there; it is not there yet. `turn`: the larger, the later it was
/// used, whatever clocks say.
const TABLES: &str = "
CREATE TABLE file (
    key BLOB PRIMARY KEY,
    location TEXT NOT NULL,
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    hash BLOB NOT NULL,
    turn INTEGER NOT NULL,
    used INTEGER NOT NULL,
    temp TEXT
) WITHOUT ROWID;
CREATE INDEX by_turn ON file (turn);
";

const NEXT_TURN: &str = "(SELECT coalesce(max(turn), 0) + 1 FROM file)";

type Result<T> = rusqlite::Result<T>;

/// What the table has let go, with its size: the files are to be removed.
pub(super) type Gone = Vec<(Key, u64)>;

/// Whether there is room for a file.
#[derive(Debug)]
pub(super) enum Reserved {
    /// It is listed now; these made room for it.
    Room(Gone),
    /// It was listed already.
    Known,
    /// There is none.
    Full,
}

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    connection: Mutex<Connection>,
}

impl Table {
    /// Opens it; a damaged one is made anew.
    pub fn open(file: &Path) -> Result<Self> {
        let opened = connect(file).and_then(|connection| {
            let sound: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
            Ok((sound == "ok").then_some(connection))
        });
        let connection = match opened {
            Ok(Some(connection)) => connection,
            Err(error) if !is_damage(&error) => return Err(error),
            Ok(None) | Err(_) => {
                for suffix in ["", "-wal", "-shm"] {
                    let _ = fs::remove_file(PathBuf::from(format!("{}{suffix}", file.display())));
                }
                connect(file)?
            }
        };
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// What stands under the key, if it is there as a whole; it was used now.
    pub fn used(&self, key: &Key) -> Result<Option<About>> {
        let sql = format!(
            "UPDATE file SET turn = {NEXT_TURN}, used = ? WHERE key = ? AND temp IS NULL
             RETURNING location, path, size, hash, used"
        );
        let now = Timestamp::now().as_second();
        let found = self.with(|db| db.query_row(&sql, params![now, key.0], kept).optional())?;
        Ok(found.map(|kept| kept.about))
    }

    /// Lists what is about to be there, in place of what was not used for longest, so that all together are `most` bytes
    /// at most.
    pub fn reserve(&self, key: &Key, about: &About, temp: &str, most: u64) -> Result<Reserved> {
        self.with(|db| {
            let begun = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let known = begun.query_row("SELECT 1 FROM file WHERE key = ?", [key.0], |_| Ok(())).optional()?;
            if known.is_some() {
                return Ok(Reserved::Known);
            }
            let Some(room) = most.checked_sub(about.size) else { return Ok(Reserved::Full) };
            let (gone, left) = remove_oldest(&begun, room)?;
            // What others are putting there just now is not to be had.
            if left > room {
                return Ok(Reserved::Full);
            }
            let sql = format!(
                "INSERT INTO file (key, location, path, size, hash, turn, used, temp)
                 VALUES (?, ?, ?, ?, ?, {NEXT_TURN}, ?, ?)"
            );
            let now = Timestamp::now().as_second();
            let About { location, path, size, hash } = about;
            let row = params![key.0, location, path.as_bytes(), size.cast_signed(), hash.0, now, temp];
            begun.execute(&sql, row)?;
            begun.commit()?;
            Ok(Reserved::Room(gone))
        })
    }

    /// It is there as a whole.
    pub fn fill(&self, key: &Key) -> Result<()> {
        self.with(|db| db.execute("UPDATE file SET temp = NULL WHERE key = ?", [key.0]).map(drop))
    }

    /// Lists it no longer.
    pub fn remove(&self, key: &Key) -> Result<()> {
        self.with(|db| db.execute("DELETE FROM file WHERE key = ?", [key.0]).map(drop))
    }

    /// Lists no longer what was not used for longest, until the rest is `most` bytes at most.
    pub fn shrink(&self, most: u64) -> Result<Gone> {
        self.with(|db| {
            let begun = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let (gone, _) = remove_oldest(&begun, most)?;
            begun.commit()?;
            Ok(gone)
        })
    }

    /// Lists nothing any more but what is being put there just now.
    pub fn clear(&self) -> Result<Gone> {
        self.with(|db| {
            let mut all = db.prepare("DELETE FROM file WHERE temp IS NULL RETURNING key, size")?;
            all.query_map([], key_and_size)?.collect()
        })
    }

    /// All keys, and the temporaries of those that are being put there.
    pub fn names(&self) -> Result<Vec<(Key, Option<String>)>> {
        self.with(|db| {
            let mut all = db.prepare("SELECT key, temp FROM file")?;
            all.query_map([], |row| Ok((Key(row.get(0)?), row.get(1)?)))?.collect()
        })
    }

    /// All files that are there as a whole, the last used one first.
    pub fn all(&self) -> Result<Vec<Kept>> {
        self.with(|db| {
            let sql = "SELECT location, path, size, hash, used FROM file WHERE temp IS NULL ORDER BY turn DESC";
            db.prepare(sql)?.query_map([], kept)?.collect()
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        f(&mut self.connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

/// Removes what was not used for longest until the rest is `most` bytes at most; and how many it is. What is being put there
/// just now counts, and stays.
fn remove_oldest(db: &Connection, most: u64) -> Result<(Gone, u64)> {
    let all: i64 = db.query_row("SELECT coalesce(sum(size), 0) FROM file", [], |row| row.get(0))?;
    let (mut left, mut gone) = (all.unsigned_abs(), Gone::new());
    let mut oldest = db.prepare("SELECT key, size FROM file WHERE temp IS NULL ORDER BY turn")?;
    let mut rows = oldest.query([])?;
    while left > most
        && let Some(row) = rows.next()?
    {
        let (key, size) = key_and_size(row)?;
        left -= size;
        gone.push((key, size));
    }
    for (key, _) in &gone {
        db.execute("DELETE FROM file WHERE key = ?", [key.0])?;
    }
    Ok((gone, left))
}

fn key_and_size(row: &Row<'_>) -> Result<(Key, u64)> {
    Ok((Key(row.get(0)?), row.get::<_, i64>(1)?.unsigned_abs()))
}

fn connect(file: &Path) -> Result<Connection> {
    let mut connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = begun.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != SCHEMA {
        begun.execute_batch(&format!("DROP TABLE IF EXISTS file; {TABLES}"))?;
        begun.pragma_update(None, "user_version", SCHEMA)?;
    }
    begun.commit()?;
    Ok(connection)
}

fn kept(row: &Row<'_>) -> Result<Kept> {
    let path: Vec<u8> = row.get(1)?;
    let wrong = |error: sitta_tree::PathError| {
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, error.into())
    };
    Ok(Kept {
        about: About {
            location: row.get(0)?,
            path: RelPath::new(path).map_err(wrong)?,
            size: row.get::<_, i64>(2)?.unsigned_abs(),
            hash: ContentHash(row.get(3)?),
        },
        used: Timestamp::from_second(row.get(4)?).unwrap_or(Timestamp::UNIX_EPOCH),
    })
}
