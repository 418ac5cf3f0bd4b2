//! A file that is on its way: kept when it is cut off, so that the same command goes on where it stopped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bytes::Bytes;
use sitta_ops::cache::Key;
use sitta_store::temps::{TempNames, is_left_over};
use sitta_store::{Flow, TEMP_PREFIX};
use sitta_tree::{Fingerprint, RelPath};
use tokio::sync::mpsc::Receiver;

/// The word in the names of these temporaries.
const WORD: &str = "get";

static NAMES: LazyLock<TempNames> = LazyLock::new(|| TempNames::new(WORD));

/// What has arrived of one version of one file.
#[derive(Debug)]
pub struct Partial {
    pub path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    /// So many bytes are here.
    pub len: u64,
    /// The version can be told from others, so that what is here may be kept for later.
    pub resumable: bool,
}

impl Partial {
    /// What an attempt before has left in `dir` of this version, or else an empty one.
    pub fn open(dir: &Path, location: &str, path: &RelPath, version: &Fingerprint) -> io::Result<Self> {
        let mark = &Key::new(location, path, version).hex()[..16];
        let own = dir.join(format!("{}-{mark}", NAMES.next()));
        let resumable = Key::is_certain(version);
        if let Some(left) = left_over(dir, mark).filter(|_| resumable) {
            // Taken over by a rename: of two that start now, one has it.
            if fs::rename(left, &own).is_ok() {
                return Self::resume(own, version.size);
            }
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&own)?;
        Ok(Self { path: own, file, hasher: blake3::Hasher::new(), len: 0, resumable })
    }

    /// Reads what is there, for its hash.
    fn resume(path: PathBuf, size: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).open(&path)?;
        if file.metadata()?.len() > size {
            file.set_len(0)?;
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file)?;
        let len = hasher.count();
        Ok(Self { path, file, hasher, len, resumable: true })
    }

    /// Takes all bytes from a file of this machine, in place of what is here.
    pub fn take(&mut self, from: &mut File) -> io::Result<()> {
        self.clear()?;
        io::copy(from, self).map(drop)
    }

    /// Begins anew.
    pub fn clear(&mut self) -> io::Result<()> {
        (self.hasher, self.len) = (blake3::Hasher::new(), 0);
        self.file.set_len(0)?;
        self.file.rewind()
    }

    /// Its bytes, to be read.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Writes what comes, until nothing more does.
    pub fn receive(&mut self, pieces: &mut Receiver<Bytes>, flow: &Flow) -> io::Result<()> {
        while let Some(piece) = pieces.blocking_recv() {
            self.write_all(&piece)?;
            flow.add_bytes(piece.len() as u64);
        }
        Ok(())
    }

    /// The hash of all that is here.
    pub fn hash(&self) -> sitta_tree::ContentHash {
        sitta_tree::ContentHash(*self.hasher.finalize().as_bytes())
    }

    /// Gives the file its time and permissions, and makes it safe from a power cut.
    pub fn finish(&self, mtime: Option<std::time::SystemTime>, mode: Option<u32>) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        if let Some(mode) = mode {
            self.file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        if let Some(mtime) = mtime {
            self.file.set_modified(mtime)?;
        }
        self.file.sync_all()
    }

    /// What is here stays for the next attempt, or goes if that could make nothing of it.
    pub fn keep(&self) -> bool {
        let kept = self.resumable && self.len > 0 && self.file.sync_all().is_ok();
        if !kept {
            self.remove();
        }
        kept
    }

    pub fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Write for Partial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A partial with this mark whose program is gone.
fn left_over(dir: &Path, mark: &str) -> Option<PathBuf> {
    let start = format!("{TEMP_PREFIX}{WORD}-");
    let fits = |name: &[u8]| name.starts_with(start.as_bytes()) && name.ends_with(mark.as_bytes());
    let entries = fs::read_dir(dir).ok()?.flatten();
    let found = entries.filter(|entry| {
        let name = entry.file_name();
        fits(name.as_bytes()) && is_left_over(name.as_bytes()) && entry.file_type().is_ok_and(|kind| kind.is_file())
    });
    found.map(|entry| entry.path()).max_by_key(|path| path.metadata().map_or(0, |meta| meta.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(size: u64, change: u64) -> Fingerprint {
        Fingerprint { size, change, ..Fingerprint::default() }
    }

    /// Leaves `text` behind as a program does that was killed.
    fn leave(dir: &Path, path: &RelPath, version: &Fingerprint, text: &[u8]) -> PathBuf {
        let partial = Partial::open(dir, "s3://b/", path, version).expect("a partial");
        fs::write(&partial.path, text).expect("write");
        let me = format!("-{}-", std::process::id());
        let left = PathBuf::from(partial.path.to_str().expect("UTF-8").replace(&me, "-2147483646-"));
        fs::rename(&partial.path, &left).expect("rename");
        left
    }

    #[test]
    fn what_a_dead_program_left_of_the_same_version_is_taken_over() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = RelPath::new("x").expect("a path");
        let left = leave(dir.path(), &path, &version(10, 7), b"12345");
        let partial = Partial::open(dir.path(), "s3://b/", &path, &version(10, 7)).expect("a partial");
        assert_eq!((partial.len, left.exists()), (5, false));
        assert_eq!(partial.hash().0, *blake3::hash(b"12345").as_bytes());
    }

    #[test]
    fn what_is_of_another_version_or_too_long_or_alive_is_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = RelPath::new("x").expect("a path");
        leave(dir.path(), &path, &version(10, 7), b"12345");
        for other in [version(10, 8), version(11, 7), version(10, 0)] {
            assert_eq!(Partial::open(dir.path(), "s3://b/", &path, &other).expect("a partial").len, 0);
        }
        assert_eq!(Partial::open(dir.path(), "s3://c/", &path, &version(10, 7)).expect("a partial").len, 0);
        let first = Partial::open(dir.path(), "s3://b/", &path, &version(10, 7)).expect("a partial");
        assert_eq!(first.len, 5);
        assert_eq!(Partial::open(dir.path(), "s3://b/", &path, &version(10, 7)).expect("a partial").len, 0);
        leave(dir.path(), &path, &version(3, 9), b"12345");
        assert_eq!(Partial::open(dir.path(), "s3://b/", &path, &version(3, 9)).expect("a partial").len, 0);
    }
}
