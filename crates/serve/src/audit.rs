//! Who did what, when, from where, and how it ended: written down behind the requests by a thread of its own, in the order
//! in which it was done, many at a time.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, params};
use tokio::sync::mpsc;

use crate::{ServeError, database};

/// So many wait at most; whoever does more then waits for them.
const WAITING: usize = 4096;

/// What is older than this is forgotten, and so is what is more than that.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
const MOST: i64 = 1_000_000;

/// What comes within so long is written down together: being woken costs more than writing down.
const GATHERING: Duration = Duration::from_millis(20);

/// So often that is looked at.
const CHORES: Duration = Duration::from_secs(3600);

/// One thing that was done, or was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// The user or token; empty for whoever works on this machine without an account, and for who was not let in.
    pub who: String,
    /// The address that it came from.
    pub from: String,
    /// `get`, `list`, `write`, `remove`, `rename`, `set_meta`, `login` …
    pub what: String,
    /// The share.
    pub share: String,
    /// The path in it.
    pub path: Vec<u8>,
    /// `done`, or the kind of error.
    pub result: String,
}

/// Where it is written down.
#[derive(Debug)]
pub(crate) struct Audit {
    sender: mpsc::Sender<Record>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// A power cut may cost the last seconds: to wait for the disk each time would cost more than the requests.
const TABLES: &str = "
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS audit
        (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, peer TEXT NOT NULL, what TEXT NOT NULL,
         share TEXT NOT NULL, path BLOB NOT NULL, result TEXT NOT NULL);";

impl Audit {
    /// Begins to write into `file`.
    pub fn start(file: PathBuf) -> Result<Self, ServeError> {
        let db = database::open(&file, TABLES)?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let writer = std::thread::spawn(move || write(db, receiver));
        Ok(Self { sender, writer: Mutex::new(Some(writer)) })
    }

    /// Writes it down, soon.
    pub async fn note(&self, record: Record) {
        // The writer lives as long as this.
        let _ = self.sender.send(record).await;
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        // Without a sender the writer ends, once it has written what waits.
        let (nobody, _) = mpsc::channel(1);
        self.sender = nobody;
        let writer = self.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        drop(writer.map(JoinHandle::join));
    }
}

fn write(mut db: Connection, mut receiver: mpsc::Receiver<Record>) {
    let mut chores: Option<Instant> = None;
    let mut waiting = Vec::new();
    while receiver.blocking_recv_many(&mut waiting, WAITING) > 0 {
        // A full disk, say: the server goes on, and so does what comes after.
        let _ = insert(&mut db, &waiting);
        waiting.clear();
        if chores.is_none_or(|last| last.elapsed() > CHORES) {
            chores = Some(Instant::now());
            let _ = forget(&db, Timestamp::now());
        }
        std::thread::sleep(GATHERING);
    }
}

fn insert(db: &mut Connection, records: &[Record]) -> Result<(), rusqlite::Error> {
    let change = db.transaction()?;
    {
        let mut insert = change.prepare_cached(
            "INSERT INTO audit (at, who, peer, what, share, path, result) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?;
        for Record { at, who, from, what, share, path, result } in records {
            insert.execute(params![at.as_millisecond(), who, from, what, share, path, result])?;
        }
    }
    change.commit()
}

fn forget(db: &Connection, now: Timestamp) -> Result<(), rusqlite::Error> {
    let oldest = now.as_millisecond() - i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
    db.execute("DELETE FROM audit WHERE at < ?", [oldest])?;
    db.execute("DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?", [MOST])?;
    Ok(())
}

/// The newest `limit` of what was written down in `file`, the newest first; nothing if no server ever ran.
///
/// # Errors
/// If it cannot be read.
pub fn read(file: &Path, limit: u32) -> Result<Vec<Record>, ServeError> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let db = database::open(file, TABLES)?;
    let query = "SELECT at, who, peer, what, share, path, result FROM audit ORDER BY id DESC LIMIT ?";
    let read = || -> Result<Vec<Record>, rusqlite::Error> {
        let mut select = db.prepare(query)?;
        let rows = select.query_map([limit], |row| {
            Ok(Record {
                at: Timestamp::from_millisecond(row.get(0)?).unwrap_or_default(),
                who: row.get(1)?,
                from: row.get(2)?,
                what: row.get(3)?,
                share: row.get(4)?,
                path: row.get(5)?,
                result: row.get(6)?,
            })
        })?;
        rows.collect()
    };
    read().map_err(|error| database::failed(file, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_or_too_much_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.db");
        let mut db = database::open(&file, TABLES).unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let record = |days: i64| Record {
            at: now - jiff::SignedDuration::from_hours(24 * days),
            who: "ann".into(),
            from: "127.0.0.1".into(),
            what: "get".into(),
            share: "docs".into(),
            path: b"a\xff".to_vec(),
            result: "done".into(),
        };
        insert(&mut db, &[record(91), record(89), record(0)]).unwrap();
        forget(&db, now).unwrap();
        assert_eq!(read(&file, 10).unwrap(), [record(0), record(89)]);
        assert_eq!(read(&file, 1).unwrap(), [record(0)]);
        db.execute("UPDATE audit SET id = id + ? WHERE at = ?", params![MOST, now.as_millisecond()]).unwrap();
        forget(&db, now).unwrap();
        assert_eq!(read(&file, 10).unwrap(), [record(0)]);
    }
}
