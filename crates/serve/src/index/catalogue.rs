//! What stands in the share as far as it is known, in SQLite: where everything is, which version was read, and which
//! document of the index that became. Written by one thread; see [`super::lookup`] for whoever reads.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, params};
use sitta_tree::{Entry, Fingerprint, Kind, RelPath, Time, Unknown, fold_key};

use super::Fault;

/// The file's name.
pub(super) const FILE: &str = "catalogue.db";

/// What the file and the segments mean; another number is another format.
const FORMAT: i64 = 1;

/// The document of a file that has not been read yet, or not as it is now.
pub(super) const UNREAD: i64 = 0;

/// The document of a file that an index is of no use for: it is read at each search.
pub(super) const NOISE: i64 = -1;

const SCHEMA: &str = "
    CREATE TABLE about (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE segments (name INTEGER PRIMARY KEY, first INTEGER NOT NULL, docs INTEGER NOT NULL);
    -- doc: NULL of what is no file, 0 not read yet, -1 read at each search.
    -- unsure: changes of it may go unheard, or it cannot be seen: looked at in each search.
    CREATE TABLE entries
       (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, kind INTEGER NOT NULL, size INTEGER NOT NULL,
        secs INTEGER NOT NULL, nanos INTEGER NOT NULL, node INTEGER NOT NULL, change INTEGER NOT NULL,
        access INTEGER NOT NULL, doc INTEGER, unsure INTEGER NOT NULL);
    CREATE INDEX docs ON entries (doc) WHERE doc IS NOT NULL;
    CREATE INDEX unsure ON entries (unsure) WHERE unsure;
    CREATE INDEX linked ON entries (node) WHERE doc IS NOT NULL;
    CREATE VIRTUAL TABLE names USING fts5
       (name, content = '', contentless_delete = 1, detail = 'none', tokenize = 'trigram case_sensitive 1');
";

/// A file to be read.
#[derive(Debug)]
pub(super) struct Unread {
    pub id: i64,
    pub path: RelPath,
    pub version: Fingerprint,
}

/// What is known of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub id: i64,
    pub kind: Kind,
    pub version: Fingerprint,
    /// Who may look into a directory.
    pub access: i64,
    pub doc: Option<i64>,
    pub unsure: bool,
}

/// Opens the catalogue in `dir`, or begins it, for the share at `location`.
pub(super) fn open(dir: &Path, location: &str) -> Result<Connection, Fault> {
    let db = connect(dir, true)?;
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000;")?;
    let format: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if format == 0 {
        db.execute_batch(&format!("BEGIN; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;"))?;
        db.execute("INSERT INTO about VALUES ('location', ?)", [location])?;
        return Ok(db);
    }
    if format != FORMAT {
        return Err(Fault::damaged("the index was made by another version"));
    }
    let of: String = db.query_row("SELECT value FROM about WHERE key = 'location'", [], |row| row.get(0))?;
    if of != location {
        return Err(Fault::damaged("the share is another folder now"));
    }
    let sound: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    match &*sound {
        "ok" => Ok(db),
        what => Err(Fault::damaged(what)),
    }
}

/// A connection to the catalogue in `dir`; `begin`: the file is made if it is not there.
pub(super) fn connect(dir: &Path, begin: bool) -> Result<Connection, Fault> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, begin);
    let db = Connection::open_with_flags(dir.join(FILE), flags)?;
    db.busy_timeout(Duration::from_secs(10))?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

fn number(kind: Kind) -> i64 {
    match kind {
        Kind::File => 0,
        Kind::Dir => 1,
        Kind::Symlink => 2,
        Kind::Unknown => 3,
    }
}

/// Who may look into a directory: a change of that may hide what is below, or show it.
pub(super) fn access(entry: &Entry) -> i64 {
    let meta = &entry.meta;
    let who = u64::from(meta.uid) << 32 | u64::from(meta.gid);
    (who.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(meta.mode)) as i64
}

const COLUMNS: &str = "id, path, kind, size, secs, nanos, node, change, access, doc, unsure";

fn version(row: &Row<'_>) -> rusqlite::Result<Fingerprint> {
    let unsigned = |column| row.get::<_, i64>(column).map(|number| number as u64);
    let mtime = Time::new(row.get("secs")?, row.get("nanos")?);
    Ok(Fingerprint { size: unsigned("size")?, mtime, id: unsigned("node")?, change: unsigned("change")? })
}

/// A path that the catalogue holds.
pub(super) fn path(bytes: Vec<u8>) -> Result<RelPath, Fault> {
    RelPath::new(bytes).map_err(|error| Fault::damaged(error.to_string()))
}

/// What is known of `path`.
pub(super) fn known(db: &Connection, path: &RelPath) -> Result<Option<Known>, Fault> {
    let mut select = db.prepare_cached(&format!("SELECT {COLUMNS} FROM entries WHERE path = ?"))?;
    let known = select.query_row([path.as_bytes()], |row| {
        let kind = match row.get("kind")? {
            0 => Kind::File,
            1 => Kind::Dir,
            2 => Kind::Symlink,
            _ => Kind::Unknown,
        };
        let (doc, unsure) = (row.get("doc")?, row.get("unsure")?);
        Ok(Known { id: row.get("id")?, kind, version: version(row)?, access: row.get("access")?, doc, unsure })
    });
    Ok(known.optional()?)
}

/// Files that are to be read, some of them, in the order of their ids: those that have not changed for `settle`, and for
/// as long as reading them takes. Times are nanoseconds.
pub(super) fn unread(
    db: &Connection,
    after: i64,
    now: i64,
    settle: i64,
    limit: usize,
) -> Result<Vec<Unread>, Fault> {
    // A byte is taken to be read in 16 nanoseconds.
    let mut select = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM entries WHERE doc = {UNREAD} AND id > ?
         AND (change + ? + size * 16 <= ? OR change > ?) ORDER BY id LIMIT ?"
    ))?;
    let rows = select.query_map(params![after, settle, now, now, limit as i64], |row| {
        Ok((row.get::<_, i64>("id")?, row.get::<_, Vec<u8>>("path")?, version(row)?))
    })?;
    let unread = |row: rusqlite::Result<(i64, Vec<u8>, Fingerprint)>| {
        let (id, bytes, version) = row?;
        Ok(Unread { id, path: path(bytes)?, version })
    };
    rows.map(unread).collect()
}

/// Changes of the catalogue that are made together.
pub(super) struct Change<'c> {
    db: Transaction<'c>,
    /// Entries that are others than they were: what was read of them before is of no use any more.
    pub touched: Vec<i64>,
}

impl<'c> Change<'c> {
    pub fn begin(db: &'c mut Connection) -> Result<Self, Fault> {
        Ok(Self { db: db.transaction()?, touched: Vec::new() })
    }

    /// Makes it so, and tells what was touched.
    pub fn commit(self) -> Result<Vec<i64>, Fault> {
        self.db.commit()?;
        Ok(self.touched)
    }

    /// Takes in what stands at `path`. `heard`: something happened to it; a file is read again even if it looks as it did.
    /// `blind`: a directory of which not all could be seen.
    pub fn put(&mut self, path: &RelPath, entry: &Entry, heard: bool, blind: bool) -> Result<i64, Fault> {
        let known = known(&self.db, path)?;
        let version = entry.fingerprint();
        let is_file = entry.kind == Kind::File;
        let unsure = blind || entry.linked || entry.unknown == Some(Unknown::Unreadable);
        let access = access(entry);
        let doc = match &known {
            _ if !is_file => None,
            Some(known) if known.version == version && !heard => known.doc.or(Some(UNREAD)),
            _ => Some(UNREAD),
        };
        let Fingerprint { size, mtime, id, change } = version;
        if let Some(known) = known {
            let now = Known { kind: entry.kind, version, access, doc, unsure, ..known.clone() };
            if heard || now != known {
                self.touched.push(known.id);
            }
            if now != known {
                let mut update = self.db.prepare_cached(
                    "UPDATE entries SET kind = ?, size = ?, secs = ?, nanos = ?, node = ?, change = ?, access = ?, doc = ?,
                     unsure = ? WHERE id = ?",
                )?;
                update.execute(params![
                    number(entry.kind),
                    size as i64,
                    mtime.secs,
                    mtime.nanos,
                    id as i64,
                    change as i64,
                    access,
                    doc,
                    unsure,
                    known.id
                ])?;
            }
            return Ok(known.id);
        }
        if is_file && entry.linked {
            // Until now it had one name; what is written under the other is not heard of here.
            let mut others =
                self.db.prepare_cached("UPDATE entries SET unsure = 1 WHERE node = ? AND doc IS NOT NULL")?;
            others.execute([id as i64])?;
        }
        let mut insert = self.db.prepare_cached(
            "INSERT INTO entries (path, kind, size, secs, nanos, node, change, access, doc, unsure)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        insert.execute(params![
            path.as_bytes(),
            number(entry.kind),
            size as i64,
            mtime.secs,
            mtime.nanos,
            id as i64,
            change as i64,
            access,
            doc,
            unsure
        ])?;
        let id = self.db.last_insert_rowid();
        let mut insert = self.db.prepare_cached("INSERT INTO names (rowid, name) VALUES (?, ?)")?;
        insert.execute(params![id, String::from_utf8_lossy(&fold_key(path.name()))])?;
        Ok(id)
    }

    /// Forgets an entry.
    pub fn remove(&mut self, id: i64) -> Result<(), Fault> {
        self.touched.push(id);
        self.db.prepare_cached("DELETE FROM names WHERE rowid = ?")?.execute([id])?;
        self.db.prepare_cached("DELETE FROM entries WHERE id = ?")?.execute([id])?;
        Ok(())
    }

    /// Forgets what is known below `dir`, but for what `keep` says.
    pub fn remove_below(&mut self, dir: &RelPath, keep: impl Fn(i64) -> bool) -> Result<(), Fault> {
        let (from, to) = below(dir);
        let mut select = self.db.prepare_cached("SELECT id FROM entries WHERE path >= ? AND path < ?")?;
        let ids = select.query_map(params![from, to], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
        drop(select);
        ids.into_iter().filter(|id| !keep(*id)).try_for_each(|id| self.remove(id))
    }

    /// What is known of `path`, with these changes.
    pub fn known(&self, path: &RelPath) -> Result<Option<Known>, Fault> {
        known(&self.db, path)
    }

    /// A segment is part of the index from now on.
    pub fn add_segment(&self, name: i64, first: u64, docs: u32) -> Result<(), Fault> {
        self.db.execute("INSERT INTO segments VALUES (?, ?, ?)", params![name, first as i64, docs])?;
        Ok(())
    }

    /// It is no part of it any more.
    pub fn remove_segment(&self, name: i64) -> Result<(), Fault> {
        self.db.execute("DELETE FROM segments WHERE name = ?", [name])?;
        Ok(())
    }

    /// A file was read, and became this document.
    pub fn is_read(&self, id: i64, doc: i64) -> Result<(), Fault> {
        self.db.prepare_cached("UPDATE entries SET doc = ? WHERE id = ?")?.execute([doc, id])?;
        Ok(())
    }
}

/// The paths below `dir`: from the first on, before the second.
pub(super) fn below(dir: &RelPath) -> (Vec<u8>, Vec<u8>) {
    if dir.is_root() {
        // No name has more than 255 bytes.
        return (vec![0], vec![0xff; 256]);
    }
    let mut from = dir.as_bytes().to_vec();
    let mut to = from.clone();
    from.push(b'/');
    to.push(b'/' + 1);
    (from, to)
}

/// The segments' names, in the order of their documents.
pub(super) fn segments(db: &Connection) -> Result<Vec<i64>, Fault> {
    let mut select = db.prepare_cached("SELECT name FROM segments ORDER BY first")?;
    Ok(select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// The documents from `first` on, before `end`, that are a file as it is now.
pub(super) fn living(db: &Connection, first: u64, end: u64) -> Result<Vec<u64>, Fault> {
    let mut select = db.prepare_cached("SELECT doc FROM entries WHERE doc >= ? AND doc < ?")?;
    let docs = select.query_map(params![first as i64, end as i64], |row| row.get(0).map(|doc: i64| doc as u64))?;
    Ok(docs.collect::<Result<_, _>>()?)
}

/// How many files there are, and how many of them were not read yet.
pub(super) fn counts(db: &Connection) -> Result<(u64, u64), Fault> {
    let count = |what: &str| -> Result<u64, Fault> {
        let query = format!("SELECT count(*) FROM entries WHERE {what}");
        Ok(db.query_row(&query, [], |row| row.get::<_, i64>(0))? as u64)
    };
    Ok((count("doc IS NOT NULL")?, count(&format!("doc = {UNREAD}"))?))
}
