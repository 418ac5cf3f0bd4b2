//! What jobs did, and who is still to be told: a SQLite database of its own beside the state, which is only a cache.

mod outbox;
mod runs;
mod standing;
#[cfg(test)]
mod tests;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

pub use outbox::Queued;
pub use standing::Standing;

use crate::JobError;

/// Written into `user_version`.
const SCHEMA: i64 = 2;

const TABLES: &str = "
CREATE TABLE run (
    id TEXT PRIMARY KEY,
    job TEXT NOT NULL, verb TEXT NOT NULL, cause TEXT NOT NULL, pid INTEGER NOT NULL,
    started INTEGER NOT NULL, ended INTEGER,
    outcome TEXT, exit INTEGER, seconds REAL,
    counts TEXT, problems TEXT, message TEXT, steps TEXT, named TEXT
) WITHOUT ROWID;
CREATE INDEX run_of_job ON run (job, started);
CREATE TABLE job (
    name TEXT PRIMARY KEY,
    schedule TEXT, seen INTEGER NOT NULL,
    succeeded INTEGER, alarm INTEGER, away INTEGER
) WITHOUT ROWID;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    notify TEXT NOT NULL, job TEXT NOT NULL, run TEXT,
    created INTEGER NOT NULL, message TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, next INTEGER, sent INTEGER, error TEXT
);
CREATE INDEX outbox_due ON outbox (next) WHERE next IS NOT NULL;
";

/// The history of one user's jobs on one machine.
#[derive(Debug)]
pub struct History {
    file: PathBuf,
    connection: Mutex<Connection>,
    damaged: Option<PathBuf>,
}

impl History {
    /// The history in the folder of the state, made if there is none. A damaged one is set aside for whoever wants to look
    /// at it, and a new one begun.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Self, JobError> {
        let file = dir.join("jobs.db");
        let failed = |message: String| JobError::History { path: file.clone(), message };
        // Names of files and what servers said are nobody else's business.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| failed(error.to_string()))?;
        let mut damaged = None;
        let connection = match connect(&file) {
            Err(error) if is_damage(&error) => {
                let aside = dir.join(format!("jobs.db.damaged-{}", now.strftime("%Y%m%dT%H%M%SZ")));
                fs::rename(&file, &aside).map_err(|error| failed(error.to_string()))?;
                for suffix in ["-wal", "-shm"] {
                    let _ = fs::remove_file(dir.join(format!("jobs.db{suffix}")));
                }
                damaged = Some(aside);
                connect(&file)
            }
            result => result,
        };
        let connection = connection.map_err(|error| failed(error.to_string()))?;
        Ok(Self { file, connection: Mutex::new(connection), damaged })
    }

    /// Where a damaged history was set aside, if there was one.
    pub fn was_damaged(&self) -> Option<&Path> {
        self.damaged.as_deref()
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn with<T>(&self, f: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, JobError> {
        f(&self.connection())
            .map_err(|error| JobError::History { path: self.file.clone(), message: error.to_string() })
    }
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    // SQLite gives its log the permissions of the database.
    let _ = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(file);
    let mut connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    let begin = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    match begin.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? {
        SCHEMA => {}
        0 => begin.execute_batch(TABLES)?,
        // The named steps of archives came later.
        1 => {
            let has = "SELECT count(*) FROM pragma_table_info('run') WHERE name='named'";
            if begin.query_row(has, [], |row| row.get::<_, i64>(0))? == 0 {
                begin.execute_batch("ALTER TABLE run ADD COLUMN named TEXT")?;
            }
        }
        newer => {
            return Err(rusqlite::Error::ToSqlConversionFailure(
                format!("it was written by a newer sitta (schema {newer}, this one knows {SCHEMA})").into(),
            ));
        }
    }
    begin.pragma_update(None, "user_version", SCHEMA)?;
    begin.commit()?;
    let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            Some(sound),
        ));
    }
    Ok(connection)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode;
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

fn from_millis(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}
