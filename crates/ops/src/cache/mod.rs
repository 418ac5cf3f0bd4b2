//! Files that were downloaded, kept for the next time: never more than so many bytes, the least recently used one leaves
//! first.
//!
//! A folder of plain files, each named by its [`Key`], and a SQLite table of what they are. Every process asks the table
//! first and changes it in transactions, so several may use one cache. A file is kept whole and under its hash, or not at
//! all; what is damaged, or is not listed, is no part of the cache.

mod table;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jiff::Timestamp;
use rustix::fs::OFlags;
use sitta_store::temps::{TempNames, is_left_over};
use sitta_tree::{ContentHash, Fingerprint, RelPath, Time};

use self::table::{Gone, Reserved, Table};

static NAMES: LazyLock<TempNames> = LazyLock::new(|| TempNames::new("cache"));

/// Why the cache is of no use. A download does not need it.
#[derive(Debug, thiserror::Error)]
#[error("the cache in {}: {what}", dir.display())]
pub struct CacheError {
    /// Its folder.
    pub dir: PathBuf,
    /// What went wrong.
    pub what: String,
}

/// One version of one file somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The version of the file at `path` of the store at `location`.
    pub fn new(location: &str, path: &RelPath, version: &Fingerprint) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [location.as_bytes(), path.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        for number in
            [version.size, version.mtime.secs as u64, u64::from(version.mtime.nanos), version.id, version.change]
        {
            hasher.update(&number.to_le_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// Whether a version can be told from all others, so that what is kept of it may be used again.
    pub fn is_certain(version: &Fingerprint) -> bool {
        version.change != 0 || version.mtime != Time::default()
    }

    /// 64 hex digits.
    pub fn hex(&self) -> String {
        ContentHash(self.0).to_string()
    }
}

/// What a file of the cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The store that it came from.
    pub location: String,
    /// Its path there.
    pub path: RelPath,
    /// Its size in bytes.
    pub size: u64,
    /// The hash of its bytes.
    pub hash: ContentHash,
}

/// A file of the cache, as it is shown.
#[derive(Debug, Clone)]
pub struct Kept {
    /// What it is.
    pub about: About,
    /// When it was used last.
    pub used: Timestamp,
}

/// What became of a file that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is in the cache now.
    Kept,
    /// It was there already, or another process is about to put it there.
    Known,
    /// It is too large: for all of the cache, or for what others are not filling just now.
    TooLarge,
}

/// A cache of downloads.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    limit: u64,
    table: Table,
}

impl Cache {
    /// The cache in the folder `dir`, which is made if it is not there, of at most `limit` bytes. What programs that were
    /// killed have left there is removed; files that are not the cache's stay.
    ///
    /// # Errors
    /// If the folder or its table cannot be used. A damaged table is made anew, and the files are forgotten.
    pub fn open(dir: &Path, limit: u64) -> Result<Self, CacheError> {
        let error = |what: &dyn std::fmt::Display| CacheError { dir: dir.to_owned(), what: what.to_string() };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| error(&e))?;
        let table = Table::open(&dir.join("files.db")).map_err(|e| error(&e))?;
        let cache = Self { dir: dir.to_owned(), limit, table };
        cache.sweep()?;
        let gone = cache.table.shrink(limit).map_err(|e| cache.error(e))?;
        cache.remove(&gone);
        Ok(cache)
    }

    /// Its limit, in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The bytes of a version, opened, and their hash: whoever reads them compares it. From now on it is the one that was
    /// used last.
    ///
    /// # Errors
    /// If the table cannot be used.
    pub fn find(&self, key: &Key) -> Result<Option<(File, ContentHash)>, CacheError> {
        let Some(about) = self.table.used(key).map_err(|e| self.error(e))? else { return Ok(None) };
        match self.open_file(key) {
            Ok(file) if file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == about.size) => {
                Ok(Some((file, about.hash)))
            }
            // Somebody was here by hand.
            _ => {
                self.forget(key)?;
                Ok(None)
            }
        }
    }

    /// Keeps a copy of the bytes of `from`, after those have made room that were not used for longest.
    ///
    /// # Errors
    /// If it cannot be written, or is not what `about` says.
    pub fn add(&self, key: &Key, about: &About, from: &mut File) -> Result<Added, CacheError> {
        let temp = NAMES.next();
        match self.table.reserve(key, about, &temp, self.limit).map_err(|e| self.error(e))? {
            Reserved::Room(gone) => self.remove(&gone),
            Reserved::Known => return Ok(Added::Known),
            Reserved::Full => return Ok(Added::TooLarge),
        };
        let (temp, place) = (self.dir.join(&*temp), self.place(key));
        let copied = copy(from, &temp, about).and_then(|()| fs::rename(&temp, &place));
        if let Err(error) = copied {
            let _ = fs::remove_file(&temp);
            self.forget(key)?;
            return Err(self.error(error));
        }
        self.table.fill(key).map_err(|e| self.error(e))?;
        Ok(Added::Kept)
    }

    /// Lets a file go: it is not what it should be.
    ///
    /// # Errors
    /// If the table cannot be used.
    pub fn forget(&self, key: &Key) -> Result<(), CacheError> {
        self.table.remove(key).map_err(|e| self.error(e))?;
        let _ = fs::remove_file(self.place(key));
        Ok(())
    }

    /// All files, the most recently used one first.
    ///
    /// # Errors
    /// If the table cannot be used.
    pub fn files(&self) -> Result<Vec<Kept>, CacheError> {
        self.table.all().map_err(|e| self.error(e))
    }

    /// Removes all files; how many, and how many bytes.
    ///
    /// # Errors
    /// If the table cannot be used.
    pub fn clear(&self) -> Result<(usize, u64), CacheError> {
        let gone = self.table.clear().map_err(|e| self.error(e))?;
        self.remove(&gone);
        Ok((gone.len(), gone.iter().map(|(_, size)| size).sum()))
    }

    /// Removes the files of what is not listed any more.
    fn remove(&self, gone: &Gone) {
        for (key, _) in gone {
            let _ = fs::remove_file(self.place(key));
        }
    }

    /// Removes files of ours that are not listed, and forgets those that are listed and not there.
    fn sweep(&self) -> Result<(), CacheError> {
        // Whoever adds a file lists it first: what is found here and is not listed after, belongs to nobody.
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(|e| self.error(e))?.flatten() {
            if let Ok(name) = entry.file_name().into_string() {
                found.push(name);
            }
        }
        let listed = self.table.names().map_err(|e| self.error(e))?;
        let names: HashSet<String> = listed.iter().map(|(key, _)| key.hex()).collect();
        for name in &found {
            let is_file = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_left_over(name.as_bytes()) || (is_file && !names.contains(name)) {
                let _ = fs::remove_file(self.dir.join(name));
            }
        }
        for (key, temp) in listed {
            match temp {
                Some(temp) if !is_left_over(temp.as_bytes()) => {}
                None if self.place(&key).exists() => {}
                _ => self.forget(&key)?,
            }
        }
        Ok(())
    }

    fn place(&self, key: &Key) -> PathBuf {
        self.dir.join(key.hex())
    }

    fn open_file(&self, key: &Key) -> io::Result<File> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        OpenOptions::new().read(true).custom_flags(flags as i32).open(self.place(key))
    }

    fn error(&self, what: impl std::fmt::Display) -> CacheError {
        CacheError { dir: self.dir.clone(), what: what.to_string() }
    }
}

/// Copies the bytes, sharing them where the file system can.
fn copy(from: &mut File, to: &Path, about: &About) -> io::Result<()> {
    from.rewind()?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let copied = io::copy(&mut from.take(about.size.saturating_add(1)), &mut file)?;
    match copied == about.size {
        true => Ok(()),
        false => Err(io::Error::other("what was to be kept is of another size")),
    }
}
