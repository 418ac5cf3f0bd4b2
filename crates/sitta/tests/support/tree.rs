//! Trees on disk: made, read whole, compared exactly.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Timespec, Timestamps};

/// One entry, completely.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    pub what: What,
    pub mode: u32,
    pub owner: (u32, u32),
    pub mtime: (i64, u64),
}

#[derive(Clone, PartialEq, Eq)]
pub enum What {
    File(Vec<u8>),
    Dir,
    Link(Vec<u8>),
    Other,
}

impl fmt::Debug for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(bytes) => {
                let start = String::from_utf8_lossy(&bytes[..bytes.len().min(24)]);
                write!(f, "file of {} bytes {start:?}…", bytes.len())
            }
            Self::Dir => f.write_str("directory"),
            Self::Link(target) => write!(f, "link to {:?}", String::from_utf8_lossy(target)),
            Self::Other => f.write_str("something else"),
        }
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, nanos) = self.mtime;
        write!(f, "{:?} mode {:o} mtime {secs}.{nanos:09} owner {:?}", self.what, self.mode, self.owner)
    }
}

/// A whole tree by relative path, without its root and without what is Sitta's own there.
pub type Snapshot = BTreeMap<Vec<u8>, Item>;

const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// Reads a tree, `.sitta` at its root left out. Works from directory to directory, so that no path is too long.
pub fn snapshot(root: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    read_dir(&open_dir(root), b"", &mut found);
    found.retain(|path, _| path != b".sitta" && !path.starts_with(b".sitta/"));
    found
}

/// Reads a tree with everything in it.
pub fn snapshot_all(root: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    read_dir(&open_dir(root), b"", &mut found);
    found
}

fn open_dir(root: &Path) -> OwnedFd {
    rustix::fs::openat(CWD, root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .unwrap_or_else(|e| panic!("open {}: {e}", root.display()))
}

fn read_dir(dir: &OwnedFd, path: &[u8], found: &mut Snapshot) {
    for entry in Dir::read_from(dir).expect("read a directory") {
        let entry = entry.expect("read a directory");
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let mut inner = path.to_vec();
        if !inner.is_empty() {
            inner.push(b'/');
        }
        inner.extend_from_slice(name.to_bytes());

        let Ok(stat) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let what = match kind {
            FileType::Directory => {
                if let Ok(fd) = rustix::fs::openat(dir, name, READ | OFlags::DIRECTORY, Mode::empty()) {
                    read_dir(&fd, &inner, found);
                }
                What::Dir
            }
            FileType::Symlink => What::Link(
                rustix::fs::readlinkat(dir, name, Vec::new()).map_or_else(|_| Vec::new(), CString::into_bytes),
            ),
            FileType::RegularFile => {
                let mut bytes = Vec::new();
                if let Ok(fd) = rustix::fs::openat(dir, name, READ, Mode::empty()) {
                    File::from(fd).read_to_end(&mut bytes).expect("read a file");
                }
                What::File(bytes)
            }
            _ => What::Other,
        };
        let mode = if kind == FileType::Symlink { 0 } else { stat.st_mode & 0o7777 };
        let mtime = (stat.st_mtime, stat.st_mtime_nsec);
        found.insert(inner, Item { what, mode, owner: (stat.st_uid, stat.st_gid), mtime });
    }
}

/// What differs between two trees, one line each.
pub fn differences(left: &Snapshot, right: &Snapshot) -> Vec<String> {
    let paths: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let differs = paths.into_iter().filter(|path| left.get(*path) != right.get(*path));
    let show = |path: &Vec<u8>| {
        let name = String::from_utf8_lossy(path).into_owned();
        format!("{name:?}: {:?} | {:?}", left.get(path), right.get(path))
    };
    differs.map(show).collect()
}

/// Demands that two trees are the same to the last nanosecond.
#[track_caller]
pub fn assert_same(left: &Path, right: &Path) {
    assert_same_snapshots(&snapshot(left), &snapshot(right));
}

#[track_caller]
pub fn assert_same_snapshots(left: &Snapshot, right: &Snapshot) {
    let differences = differences(left, right);
    let first: Vec<_> = differences.iter().take(12).cloned().collect();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), first.join("\n"));
}

/// Demands that no temporary of ours is left anywhere.
#[track_caller]
pub fn assert_no_temporaries(root: &Path) {
    let all = snapshot_all(root);
    let is_temporary = |path: &&Vec<u8>| path.split(|b| *b == b'/').any(|name| name.starts_with(b".sitta-tmp-"));
    let left: Vec<_> = all.keys().filter(is_temporary).map(|path| String::from_utf8_lossy(path)).collect();
    assert!(left.is_empty(), "temporaries are left: {left:?}");
}

/// The files of the trash at a root: their contents.
pub fn trashed(root: &Path) -> Vec<Vec<u8>> {
    let trash = root.join(".sitta/trash");
    if !trash.exists() {
        return Vec::new();
    }
    let files = snapshot_all(&trash).into_values();
    files.filter_map(|item| if let What::File(bytes) = item.what { Some(bytes) } else { None }).collect()
}

/// Writes a file and the directories above it.
pub fn put(root: &Path, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
    fs::write(&path, bytes).unwrap_or_else(|e| panic!("write {path:?}: {e}"));
}

/// Makes a symbolic link and the directories above it.
pub fn link(root: &Path, path: &str, target: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
    std::os::unix::fs::symlink(target, path).expect("symlink");
}

pub fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

/// Sets an entry's own mtime (a link's, not its target's).
pub fn set_mtime(path: &Path, secs: i64, nanos: i64) {
    let time = Timespec { tv_sec: secs, tv_nsec: nanos };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("utimensat");
}

/// So many small files in directories of ten.
pub fn many(root: &Path, count: usize) {
    for i in 0..count {
        put(root, format!("d{}/f{i}", i / 10), format!("content of file {i}\n"));
    }
}

/// A tree with a bit of everything that a mirror carries.
pub fn assorted(root: &Path) {
    put(root, "empty", "");
    put(root, "text", "hello\n");
    put(root, "dir/inner/deep.txt", "deep\n");
    put(root, "big", super::Rng::seeded(7).bytes(300_000));
    put(root, "tool", "#!/bin/sh\n");
    chmod(&root.join("tool"), 0o755);
    put(root, "secret", "shh\n");
    chmod(&root.join("secret"), 0o600);
    fs::create_dir_all(root.join("hollow/inside")).expect("mkdir");
    chmod(&root.join("hollow"), 0o700);
    link(root, "to-text", "text");
    link(root, "to-dir", "dir");
    link(root, "dangling", "no/such/thing");
    set_mtime(&root.join("text"), 1_000_000_000, 123_456_789);
    set_mtime(&root.join("to-text"), 1_100_000_000, 1);
    set_mtime(&root.join("hollow/inside"), 1_200_000_000, 999_999_999);
}

/// Makes a chain of directories `name/name/…` of any depth below `root` with a file `leaf` at its end.
pub fn dig(root: &Path, name: &str, depth: usize, leaf: &[u8]) {
    let mut dir = open_dir(root);
    for _ in 0..depth {
        rustix::fs::mkdirat(&dir, name, Mode::RWXU).expect("mkdirat");
        dir = rustix::fs::openat(&dir, name, READ | OFlags::DIRECTORY, Mode::empty()).expect("openat");
    }
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir.as_fd(), "leaf", flags, Mode::RUSR | Mode::WUSR).expect("openat");
    File::from(file).write_all(leaf).expect("write");
}

/// What stands at the end of such a chain.
pub fn dug(root: &Path, name: &str, depth: usize) -> Option<Vec<u8>> {
    let mut dir = open_dir(root);
    for _ in 0..depth {
        dir = rustix::fs::openat(&dir, name, READ | OFlags::DIRECTORY, Mode::empty()).ok()?;
    }
    let mut bytes = Vec::new();
    let file = rustix::fs::openat(&dir, "leaf", READ, Mode::empty()).ok()?;
    File::from(file).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The bytes of a path.
pub fn raw(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
