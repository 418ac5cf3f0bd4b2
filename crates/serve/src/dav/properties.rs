//! What clients noted of entries and the server knows nothing of (RFC 4918, 4.4): dead properties, in a table by share and
//! path, which follow what is moved and copied by WebDAV.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::{Connection, params};
use sitta_tree::RelPath;

use super::xml::Name;
use crate::api::problem::Trouble;
use crate::{ServeError, database};

/// So long is what stands in one property at most, in bytes of XML.
const LONGEST: usize = 64 << 10;

/// So many has one entry at most, and all shares together.
const MANY: i64 = 200;
const MOST: i64 = 100_000;

const TABLES: &str = "
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS dav_property
        (share TEXT NOT NULL, path BLOB NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
         PRIMARY KEY (share, path, namespace, name)) WITHOUT ROWID;";

/// A property: its name and its element, which can stand alone.
pub(super) type Property = (Name, String);

/// A change of one property: its element, or none to remove it.
pub(super) type Set = (Name, Option<String>);

/// The properties of all shares.
#[derive(Debug, Clone)]
pub(crate) struct Properties {
    db: Arc<Mutex<Connection>>,
}

/// Why properties are not noted.
#[derive(Debug)]
pub(super) enum Unnoted {
    /// They are too long or too many.
    TooMuch,
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Unnoted {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Unnoted> for Trouble {
    fn from(unnoted: Unnoted) -> Self {
        match unnoted {
            Unnoted::TooMuch => full(),
            Unnoted::Failed(error) => failed(&error),
        }
    }
}

/// The refusal of more properties than are kept.
pub(super) fn full() -> Trouble {
    let what = "the properties are too long, or too many";
    Trouble::new(http::StatusCode::INSUFFICIENT_STORAGE, "full", what)
}

fn failed(error: &dyn std::fmt::Display) -> Trouble {
    let what = format!("the table of properties: {error}");
    Trouble::new(http::StatusCode::INTERNAL_SERVER_ERROR, "other", &what)
}

/// What stands in the columns `path`: at a path, or below it.
const WITHIN: &str = "share = ?1 AND (path = ?2 OR (path > ?3 AND path < ?4))";

/// The bounds of what lies below a path: behind `path/`, before `path0`, which is the byte behind the slash.
fn below(path: &RelPath) -> (Vec<u8>, Vec<u8>) {
    match path.as_bytes() {
        b"" => (Vec::new(), vec![0xff; 512]),
        path => ([path, b"/"].concat(), [path, b"0"].concat()),
    }
}

impl Properties {
    /// Those in `file`, beside the accounts.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(file: &Path) -> Result<Self, ServeError> {
        Ok(Self { db: Arc::new(Mutex::new(database::open(file, TABLES)?)) })
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Unnoted> + Send + 'static,
    ) -> Result<T, Trouble> {
        let own = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&mut own.db()));
        Ok(done.await.map_err(|error| failed(&error))??)
    }

    /// The properties of each of the paths that has any, by name.
    pub(super) async fn of(
        &self,
        share: &str,
        paths: Vec<RelPath>,
    ) -> Result<HashMap<RelPath, Vec<Property>>, Trouble> {
        let share = share.to_owned();
        self.with(move |db| Ok(select(db, &share, paths)?)).await
    }

    /// Makes the changes, all or none, in order.
    pub(super) async fn set(&self, share: &str, path: &RelPath, sets: Vec<Set>) -> Result<(), Trouble> {
        let (share, path) = (share.to_owned(), path.clone());
        self.with(move |db| set(db, &share, &path, &sets)).await
    }

    /// Forgets those of a path, and of all below it.
    pub(crate) async fn forget(&self, share: &str, path: &RelPath) -> Result<(), Trouble> {
        let (share, path) = (share.to_owned(), path.clone());
        self.with(move |db| Ok(forget(db, &share, &path)?)).await
    }

    /// Takes those of one path, and of all below it, to another one, in place of those that are there.
    pub(crate) async fn follow(
        &self,
        from: (&str, &RelPath),
        to: (&str, &RelPath),
        keep: bool,
    ) -> Result<(), Trouble> {
        let from = (from.0.to_owned(), from.1.clone());
        let to = (to.0.to_owned(), to.1.clone());
        self.with(move |db| follow(db, (&from.0, &from.1), (&to.0, &to.1), keep)).await
    }
}

fn select(
    db: &Connection,
    share: &str,
    paths: Vec<RelPath>,
) -> Result<HashMap<RelPath, Vec<Property>>, rusqlite::Error> {
    let mut all = HashMap::new();
    let any = "SELECT EXISTS (SELECT 1 FROM dav_property WHERE share = ?)";
    if !db.query_row(any, [share], |row| row.get::<_, bool>(0))? {
        return Ok(all);
    }
    let query = "SELECT namespace, name, value FROM dav_property WHERE share = ? AND path = ?";
    let mut select = db.prepare_cached(query)?;
    for path in paths {
        let rows = select.query_map(params![share, path.as_bytes()], |row| {
            Ok((Name { namespace: row.get(0)?, local: row.get(1)? }, row.get(2)?))
        })?;
        let found: Vec<Property> = rows.collect::<Result<_, _>>()?;
        if !found.is_empty() {
            all.insert(path, found);
        }
    }
    Ok(all)
}

fn count(db: &Connection) -> Result<i64, rusqlite::Error> {
    db.query_row("SELECT count(*) FROM dav_property", [], |row| row.get(0))
}

fn set(db: &mut Connection, share: &str, path: &RelPath, sets: &[Set]) -> Result<(), Unnoted> {
    let change = db.transaction()?;
    for (name, value) in sets {
        let Name { namespace, local } = name;
        match value {
            Some(value) if value.len() > LONGEST => return Err(Unnoted::TooMuch),
            Some(value) => change.execute(
                "INSERT OR REPLACE INTO dav_property VALUES (?, ?, ?, ?, ?)",
                params![share, path.as_bytes(), namespace, local, value],
            )?,
            None => change.execute(
                "DELETE FROM dav_property WHERE share = ? AND path = ? AND namespace = ? AND name = ?",
                params![share, path.as_bytes(), namespace, local],
            )?,
        };
    }
    let own = "SELECT count(*) FROM dav_property WHERE share = ? AND path = ?";
    let own: i64 = change.query_row(own, params![share, path.as_bytes()], |row| row.get(0))?;
    if own > MANY || count(&change)? > MOST {
        return Err(Unnoted::TooMuch);
    }
    Ok(change.commit()?)
}

fn forget(db: &Connection, share: &str, path: &RelPath) -> Result<(), rusqlite::Error> {
    let (from, to) = below(path);
    let query = format!("DELETE FROM dav_property WHERE {WITHIN}");
    db.prepare_cached(&query)?.execute(params![share, path.as_bytes(), from, to])?;
    Ok(())
}

fn follow(db: &mut Connection, from: (&str, &RelPath), to: (&str, &RelPath), keep: bool) -> Result<(), Unnoted> {
    let change = db.transaction()?;
    forget(&change, to.0, to.1)?;
    {
        let (first, last) = below(from.1);
        let query = format!("SELECT path, namespace, name, value FROM dav_property WHERE {WITHIN}");
        let mut select = change.prepare(&query)?;
        let rows = select.query_map(params![from.0, from.1.as_bytes(), first, last], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        let rows: Vec<(Vec<u8>, String, String, String)> = rows.collect::<Result<_, _>>()?;
        // The copy of a tree is whole without them (RFC 4918, 9.8.2).
        if !keep || count(&change)? + rows.len() as i64 <= MOST {
            let mut insert = change.prepare("INSERT OR REPLACE INTO dav_property VALUES (?, ?, ?, ?, ?)")?;
            for (path, namespace, name, value) in rows {
                let rest = path.strip_prefix(from.1.as_bytes()).unwrap_or(&path);
                let rest = rest.strip_prefix(b"/").unwrap_or(rest);
                let path =
                    [to.1.as_bytes(), if to.1.is_root() || rest.is_empty() { b"" } else { b"/" }, rest].concat();
                insert.execute(params![to.0, path, namespace, name, value])?;
            }
        }
    }
    if !keep {
        forget(&change, from.0, from.1)?;
    }
    Ok(change.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(bytes: &[u8]) -> RelPath {
        RelPath::new(bytes).unwrap()
    }

    #[tokio::test]
    async fn properties_follow_what_they_are_of() {
        let dir = tempfile::tempdir().unwrap();
        let properties = Properties::open(&dir.path().join("server.db")).unwrap();
        let name = |local: &str| Name::new("urn:x", local);
        let all = [&b"d"[..], b"d/\xff", b"d-", b"d0", b"e"].map(path);
        for at in &all {
            properties.set("s", at, vec![(name("p"), Some("<p/>".into()))]).await.unwrap();
        }
        let paths = async |share: &str| {
            let mut all = [&b"d"[..], b"d/\xff", b"d-", b"d0", b"e", b"n", b"n/\xff"].map(path).to_vec();
            let found = properties.of(share, all.clone()).await.unwrap();
            all.retain(|path| found.contains_key(path));
            all
        };
        assert_eq!(paths("s").await, all);
        properties.follow(("s", &all[0]), ("t", &path(b"n")), true).await.unwrap();
        assert_eq!((paths("s").await.len(), paths("t").await), (5, vec![path(b"n"), path(b"n/\xff")]));
        properties.follow(("s", &all[0]), ("s", &path(b"n")), false).await.unwrap();
        assert_eq!(paths("s").await, [&b"d-"[..], b"d0", b"e", b"n", b"n/\xff"].map(path));
        properties.forget("s", &path(b"n")).await.unwrap();
        assert_eq!(paths("s").await, [&b"d-"[..], b"d0", b"e"].map(path));
        properties.set("s", &path(b"e"), vec![(name("p"), None)]).await.unwrap();
        assert_eq!(paths("s").await, [&b"d-"[..], b"d0"].map(path));
    }

    #[tokio::test]
    async fn there_are_not_too_many_and_none_is_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let properties = Properties::open(&dir.path().join("server.db")).unwrap();
        let some = |many: i64| (0..many).map(|n| (Name::new("", &format!("p{n}")), Some(String::new()))).collect();
        properties.set("s", &path(b"f"), some(MANY)).await.unwrap();
        properties.set("s", &path(b"g"), some(MANY + 1)).await.unwrap_err();
        let long = vec![(Name::new("", "p"), Some("x".repeat(LONGEST + 1)))];
        properties.set("s", &path(b"g"), long).await.unwrap_err();
        let found = properties.of("s", vec![path(b"f"), path(b"g")]).await.unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), [&path(b"f")], "all or nothing");
    }
}
