//! What is remembered between runs: bases, the journal, history. A cache of the truth plus a journal: losing it costs
//! a rescan, never data.

mod base;
mod conflict;
mod history;
mod journal;
mod lock;
mod pair;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

pub use base::Segment;
pub use conflict::KnownConflict;
pub use history::RunRecord;
pub use journal::Intent;
pub use lock::{FileLock, Holder, PairLock};
pub use pair::{Pair, PairKey, RootSeen};

use crate::RunError;

/// Written into `user_version`; another one means another program's or a newer sitta's database.
const SCHEMA: i64 = 2;

const PAIRS: &str = "
CREATE TABLE pair (
    id INTEGER PRIMARY KEY,
    left TEXT NOT NULL, right TEXT NOT NULL,
    left_root TEXT, right_root TEXT,
    left_files INTEGER, right_files INTEGER,
    filter INTEGER,
    token INTEGER NOT NULL DEFAULT 0,
    two_way INTEGER NOT NULL DEFAULT 0,
    UNIQUE (left, right, two_way)
);
CREATE TABLE conflict (
    pair INTEGER NOT NULL,
    copy BLOB NOT NULL,
    path BLOB NOT NULL,
    right INTEGER NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (pair, copy)
) WITHOUT ROWID;
";

const TABLES: &str = "
CREATE TABLE base (
    id INTEGER PRIMARY KEY,
    pair INTEGER NOT NULL,
    records BLOB NOT NULL
);
CREATE INDEX base_of_pair ON base (pair);
CREATE TABLE intent (
    id INTEGER PRIMARY KEY,
    pair INTEGER NOT NULL,
    run TEXT NOT NULL,
    intents BLOB NOT NULL
);
CREATE INDEX intent_of_pair ON intent (pair);
CREATE TABLE run (
    id TEXT PRIMARY KEY,
    pair INTEGER NOT NULL,
    verb TEXT NOT NULL,
    started TEXT NOT NULL, ended TEXT,
    outcome TEXT,
    copied INTEGER, updated INTEGER, deleted INTEGER, moved INTEGER, unchanged INTEGER,
    bytes INTEGER, problems INTEGER
) WITHOUT ROWID;
";

/// From schema 1, which knew no two-way pairs.
const FROM_1: &str = "
INSERT INTO pair (id, left, right, left_root, right_root, left_files, right_files, filter, token)
    SELECT id, left, right, left_root, right_root, left_files, right_files, filter, token FROM old_pair;
DROP TABLE old_pair;
";

/// The state of one user on one machine: a SQLite database and lock files in one folder.
///
/// Nothing is created before something is written. A database that turns out damaged is set aside, a new one takes its
/// place, and the run goes on as if nothing had been remembered.
#[derive(Debug)]
pub struct State {
    dir: PathBuf,
    connection: Mutex<Option<Connection>>,
    damaged: OnceLock<PathBuf>,
}

impl State {
    /// The state kept in the folder `dir`, which need not exist yet.
    pub fn open(dir: &Path) -> Result<Self, RunError> {
        Ok(Self { dir: dir.to_owned(), connection: Mutex::new(None), damaged: OnceLock::new() })
    }

    /// Where a damaged database was set aside, if there was one.
    pub fn was_damaged(&self) -> Option<&Path> {
        self.damaged.get().map(PathBuf::as_path)
    }

    fn file(&self) -> PathBuf {
        self.dir.join("state.db")
    }

    /// Runs `read` on the database; gives the default where there is none yet.
    fn read<T: Default>(&self, read: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T, RunError> {
        if !self.file().exists() {
            return Ok(T::default());
        }
        self.with(|connection| read(connection))
    }

    /// Runs `write` in one transaction, creating the database first if there is none.
    fn write<T>(&self, write: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T, RunError> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            let result = write(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    fn with<T>(&self, f: impl Fn(&mut Connection) -> rusqlite::Result<T>) -> Result<T, RunError> {
        let mut slot = self.connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for fresh in [false, true] {
            let result = match slot.take() {
                Some(connection) => Ok(connection),
                None => self.connect(),
            }
            .and_then(|mut connection| {
                let result = f(&mut connection);
                *slot = Some(connection);
                result
            });
            match result {
                Err(error) if is_damage(&error) && !fresh => {
                    *slot = None;
                    self.set_aside()?;
                }
                result => return result.map_err(|error| self.error(error)),
            }
        }
        unreachable!("the second round returns")
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        // A folder that cannot be made shows as SQLite's own "unable to open database file".
        let _ = fs::create_dir_all(&self.dir);
        let mut connection =
            Connection::open_with_flags(self.file(), OpenFlags::default() | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        // Closing would otherwise fold the log into the database, with two syncs, after every little run.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        let version = |db: &Connection| db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
        if version(&connection)? == SCHEMA {
            return Ok(connection);
        }
        // Another process may be at it, too: who comes second finds it done.
        let begin = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match version(&begin)? {
            SCHEMA => {}
            0 => begin.execute_batch(&[PAIRS, TABLES].concat())?,
            1 => begin.execute_batch(&["ALTER TABLE pair RENAME TO old_pair;", PAIRS, FROM_1].concat())?,
            newer => {
                return Err(rusqlite::Error::ToSqlConversionFailure(
                    format!("it was written by a newer sitta (schema {newer}, this one knows {SCHEMA})").into(),
                ));
            }
        }
        begin.pragma_update(None, "user_version", SCHEMA)?;
        begin.commit()?;
        Ok(connection)
    }

    /// Moves the damaged database out of the way, whole, for whoever wants to look at it.
    fn set_aside(&self) -> Result<(), RunError> {
        let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let aside = self.dir.join(format!("state.db.damaged-{stamp}"));
        for suffix in ["", "-wal", "-shm"] {
            let from = self.dir.join(format!("state.db{suffix}"));
            let to = self.dir.join(format!("state.db.damaged-{stamp}{suffix}"));
            match fs::rename(&from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.error(error)),
                _ => {}
            }
        }
        let _ = self.damaged.set(aside);
        Ok(())
    }

    fn error(&self, error: impl std::fmt::Display) -> RunError {
        RunError::State { path: self.file(), message: error.to_string() }
    }
}

/// Whether the database itself is what is wrong.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                || message.as_deref().is_some_and(|m| m.contains("no such table") || m.contains("no such column"))
        }
        // A column of another type than the one that was written.
        rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..) => true,
        _ => false,
    }
}
