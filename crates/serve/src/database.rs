//! The server's SQLite file: accounts, audit and WebDAV's properties each have a connection and tables of their own in it.

use std::fmt::Display;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use crate::ServeError;

/// Another process, `sitta user` say, may be writing; it is waited for so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens it, for nobody else to read, and makes what is missing of `tables`.
pub(crate) fn open(file: &Path, tables: &str) -> Result<Connection, ServeError> {
    let failed = |error: &dyn Display| failed(file, error);
    let db = Connection::open(file).map_err(|error| failed(&error))?;
    fs::set_permissions(file, Permissions::from_mode(0o600)).map_err(|error| failed(&error))?;
    db.busy_timeout(PATIENCE).map_err(|error| failed(&error))?;
    let made = db.execute_batch("PRAGMA journal_mode = WAL").and_then(|()| db.execute_batch(tables));
    made.map_err(|error| failed(&error))?;
    Ok(db)
}

/// What it is told as if it cannot be used.
pub(crate) fn failed(file: &Path, error: &dyn Display) -> ServeError {
    ServeError::Accounts { file: file.to_owned(), what: error.to_string() }
}
