//! Who may come in: users with passwords, and tokens for scripts, each with what it opens. A small SQLite file.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{ServeError, database};

/// What an account opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// These shares; none: all.
    pub shares: Option<Vec<String>>,
    /// It may write where the share may be written to.
    pub write: bool,
}

impl Scope {
    /// Everything.
    pub const ALL: Self = Self { shares: None, write: true };

    /// Whether it opens this share.
    pub fn opens(&self, share: &str) -> bool {
        self.shares.as_ref().is_none_or(|shares| shares.iter().any(|known| known == share))
    }
}

/// A user, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// What it opens.
    pub scope: Scope,
}

/// A token, as it is listed: without itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is for.
    pub name: String,
    /// What it opens.
    pub scope: Scope,
    /// When it ends, in seconds since 1970.
    pub expires: Option<i64>,
}

/// What the file holds is the same as long as this is: what others have changed, and what this connection has.
type Version = (i64, u64);

/// A password that was found right is not hashed again for so long: that costs a tenth of a second by design.
const REMEMBERED: Duration = Duration::from_secs(300);

/// More are not remembered.
const MANY: usize = 1_000;

/// What is safe on the disk when it is told to be: a token that was revoked must not come back.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS user
        (name TEXT PRIMARY KEY, password TEXT NOT NULL, shares TEXT, write INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS token
        (name TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, shares TEXT, write INTEGER NOT NULL, expires INTEGER);";

/// The accounts of one server.
pub struct Accounts {
    file: PathBuf,
    db: Mutex<Connection>,
    /// Whether there was any account, and at which version of the file that was found out.
    any: Mutex<Option<(Version, bool)>>,
    /// Logins that were right lately, hashed with a key of this process, and against which hash they were right.
    right: Mutex<HashMap<blake3::Hash, (Instant, String)>>,
    key: [u8; 32],
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Accounts {
    /// Those in `file`, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(file: &Path) -> Result<Self, ServeError> {
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir).map_err(|error| database::failed(file, &error))?;
        }
        let db = database::open(file, TABLES)?;
        let mut key = [0; 32];
        let salt = argon2::password_hash::phc::Salt::generate();
        key[..16].copy_from_slice(&salt.as_ref()[..16]);
        Ok(Self { file: file.into(), db: Mutex::new(db), any: Mutex::default(), right: Mutex::default(), key })
    }

    /// Where they are.
    pub fn file(&self) -> &Path {
        &self.file
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn failed(&self, error: &dyn fmt::Display) -> ServeError {
        database::failed(&self.file, error)
    }

    /// Whether nobody needs to log in yet: there is neither user nor token.
    pub fn is_empty(&self) -> bool {
        // Where that cannot be told, nobody comes in without a login.
        matches!(self.any(), Ok(false))
    }

    /// Whether there is any account. Each request without a login asks; the tables are looked into only if something was
    /// changed since.
    fn any(&self) -> Result<bool, rusqlite::Error> {
        let (db, mut known) = (self.db(), self.any.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        let version = || -> Result<Version, rusqlite::Error> {
            let others = db.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
            Ok((others, db.total_changes()))
        };
        let now = version()?;
        if let Some((then, any)) = *known
            && then == now
        {
            return Ok(any);
        }
        let any = "SELECT EXISTS (SELECT 1 FROM user) OR EXISTS (SELECT 1 FROM token)";
        let any = db.prepare_cached(any)?.query_row([], |row| row.get(0))?;
        // What came between the two looks is looked at the next time.
        *known = Some((now, any));
        Ok(any)
    }

    /// Adds a user, or gives one another password and scope.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn set_user(&self, name: &str, password: &str, scope: &Scope) -> Result<(), ServeError> {
        let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|error| self.failed(&error))?;
        let hash = PasswordHash::to_string(&hash);
        let (shares, write) = (listed(scope), scope.write);
        self.db()
            .execute("INSERT OR REPLACE INTO user VALUES (?, ?, ?, ?)", params![name, hash, shares, write])
            .map_err(|error| self.failed(&error))?;
        Ok(())
    }

    /// Removes a user; whether there was one.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn remove_user(&self, name: &str) -> Result<bool, ServeError> {
        let removed = self.db().execute("DELETE FROM user WHERE name = ?", [name]);
        Ok(removed.map_err(|error| self.failed(&error))? > 0)
    }

    /// All users, by name.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn users(&self) -> Result<Vec<User>, ServeError> {
        let db = self.db();
        let users = db.prepare("SELECT name, shares, write FROM user ORDER BY name").and_then(|mut all| {
            all.query_map([], |row| Ok(User { name: row.get(0)?, scope: scope(row.get(1)?, row.get(2)?) }))?
                .collect()
        });
        users.map_err(|error| self.failed(&error))
    }

    /// Makes a token, in place of one of that name; gives the token itself, which is not kept.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn make_token(&self, name: &str, scope: &Scope, expires: Option<i64>) -> Result<String, ServeError> {
        let salts = [(); 2].map(|()| argon2::password_hash::phc::Salt::generate());
        let token = salts
            .iter()
            .fold(String::from("sitta_"), |token, salt| token + &sitta_store::sitta::wire::hex(salt.as_ref()));
        let (hash, shares) = (blake3::hash(token.as_bytes()), listed(scope));
        self.db()
            .execute(
                "INSERT OR REPLACE INTO token VALUES (?, ?, ?, ?, ?)",
                params![name, &hash.as_bytes()[..], shares, scope.write, expires],
            )
            .map_err(|error| self.failed(&error))?;
        Ok(token)
    }

    /// Takes a token back; whether there was one.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn revoke_token(&self, name: &str) -> Result<bool, ServeError> {
        let removed = self.db().execute("DELETE FROM token WHERE name = ?", [name]);
        Ok(removed.map_err(|error| self.failed(&error))? > 0)
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn tokens(&self) -> Result<Vec<Token>, ServeError> {
        let db = self.db();
        let tokens =
            db.prepare("SELECT name, shares, write, expires FROM token ORDER BY name").and_then(|mut all| {
                all.query_map([], |row| {
                    let scope = scope(row.get(1)?, row.get(2)?);
                    Ok(Token { name: row.get(0)?, scope, expires: row.get(3)? })
                })?
                .collect()
            });
        tokens.map_err(|error| self.failed(&error))
    }

    /// What a token opens at `now`, in seconds since 1970; none if it is none of ours, or has ended.
    pub fn by_token(&self, token: &str, now: i64) -> Option<(String, Scope)> {
        let hash = blake3::hash(token.as_bytes());
        let token = "SELECT name, shares, write FROM token WHERE hash = ? AND (expires IS NULL OR expires > ?)";
        let db = self.db();
        let found = db.prepare_cached(token).and_then(|mut token| {
            token.query_row(params![&hash.as_bytes()[..], now], |row| {
                Ok((row.get(0)?, scope(row.get(1)?, row.get(2)?)))
            })
        });
        found.optional().ok().flatten()
    }

    /// What a password opens; none if it is not the user's. Takes a tenth of a second by design: not for the threads that
    /// answer requests.
    pub fn by_password(&self, name: &str, password: &str) -> Option<Scope> {
        let found: Option<(String, Scope)> = self
            .db()
            .query_row("SELECT password, shares, write FROM user WHERE name = ?", [name], |row| {
                Ok((row.get(0)?, scope(row.get(1)?, row.get(2)?)))
            })
            .optional()
            .ok()?;
        // A user that is none takes as long, so that nobody learns who is.
        let (hash, scope) = found.map_or((NOBODY.to_owned(), None), |(hash, scope)| (hash, Some(scope)));
        let login = blake3::keyed_hash(&self.key, &[name.as_bytes(), b"\0", password.as_bytes()].concat());
        if self.right().get(&login).is_some_and(|(at, then)| at.elapsed() < REMEMBERED && *then == hash) {
            return scope;
        }
        let known = PasswordHash::new(&hash).ok()?;
        Argon2::default().verify_password(password.as_bytes(), &known).ok()?;
        let mut right = self.right();
        if right.len() >= MANY {
            right.clear();
        }
        right.insert(login, (Instant::now(), hash));
        scope
    }

    fn right(&self) -> MutexGuard<'_, HashMap<blake3::Hash, (Instant, String)>> {
        self.right.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The hash of a password that nobody has.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2l0dGFzaXR0YXNpdHRh$0000000000000000000000000000000000000000000";

fn listed(scope: &Scope) -> Option<String> {
    scope.shares.as_ref().map(|shares| shares.join("\n"))
}

fn scope(shares: Option<String>, write: bool) -> Scope {
    let shares =
        shares.map(|shares| shares.split('\n').filter(|name| !name.is_empty()).map(str::to_owned).collect());
    Scope { shares, write }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> (tempfile::TempDir, Accounts) {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(&dir.path().join("server.db")).unwrap();
        (dir, accounts)
    }

    #[test]
    fn the_right_password_opens_what_it_shall() {
        let (_dir, accounts) = accounts();
        assert!(accounts.is_empty());
        let scope = Scope { shares: Some(vec!["docs".into()]), write: false };
        accounts.set_user("ann", "right", &scope).unwrap();
        assert!(!accounts.is_empty());
        assert_eq!(accounts.by_password("ann", "right"), Some(scope.clone()));
        assert_eq!(accounts.by_password("ann", "right"), Some(scope.clone()), "remembered");
        assert_eq!(accounts.by_password("ann", "wrong"), None);
        assert_eq!(accounts.by_password("bob", "right"), None);
        assert!(scope.opens("docs") && !scope.opens("doc"));
        accounts.set_user("ann", "other", &Scope::ALL).unwrap();
        assert_eq!(accounts.by_password("ann", "right"), None, "not remembered any more");
        assert_eq!(accounts.users().unwrap(), [User { name: "ann".into(), scope: Scope::ALL }]);
        assert!(accounts.remove_user("ann").unwrap() && !accounts.remove_user("ann").unwrap());
        assert_eq!(accounts.by_password("ann", "other"), None);
    }

    #[test]
    fn a_token_opens_until_it_ends() {
        let (dir, accounts) = accounts();
        let token = accounts.make_token("ci", &Scope::ALL, Some(100)).unwrap();
        assert_eq!(accounts.by_token(&token, 99), Some(("ci".into(), Scope::ALL)));
        assert_eq!(accounts.by_token(&token, 100), None);
        assert_eq!(accounts.by_token("sitta_0", 0), None);
        let bytes = std::fs::read(dir.path().join("server.db")).unwrap();
        let wal = std::fs::read(dir.path().join("server.db-wal")).unwrap_or_default();
        assert!(![bytes, wal].concat().windows(token.len()).any(|part| part == token.as_bytes()), "it is not kept");
        assert!(accounts.revoke_token("ci").unwrap());
        assert_eq!(accounts.by_token(&token, 0), None);
    }
}
