//! Hands in a folder of this machine.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, RenameFlags, Timespec, Timestamps, UTIME_OMIT, renameat_with};
use sitta_store::TEMP_PREFIX;
use sitta_tree::{RelPath, Time};

use super::hands::{Everything, Hands, Save, Thing, is_ours};

/// Changes go through a folder beside the root, so that each is one rename, and it is known for certain what it
/// destroyed.
pub struct Folder {
    pub root: PathBuf,
    pub aside: PathBuf,
    /// Whose files they are, if not ours.
    pub owner: Option<u32>,
    count: u64,
}

impl Folder {
    pub fn new(root: PathBuf, aside: PathBuf, owner: Option<u32>) -> Self {
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&aside).unwrap();
        let folder = Self { root, aside, owner, count: 0 };
        folder.own(&folder.root);
        folder
    }

    fn at(&self, path: &RelPath) -> PathBuf {
        self.root.join(OsStr::from_bytes(path.as_bytes()))
    }

    fn aside(&mut self) -> PathBuf {
        self.count += 1;
        self.aside.join(self.count.to_string())
    }

    fn own(&self, path: &Path) {
        if let Some(owner) = self.owner {
            lchown(path, Some(owner), None).unwrap();
            if path.is_dir() {
                fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
            }
        }
    }

    fn make_parents(&self, path: &RelPath) -> bool {
        let Some(parent) = path.parent().filter(|parent| !parent.is_root()) else { return true };
        if !self.make_parents(&parent) {
            return false;
        }
        let at = self.at(&parent);
        match fs::create_dir(&at) {
            Ok(()) => {
                self.own(&at);
                true
            }
            Err(_) => fs::symlink_metadata(&at).is_ok_and(|meta| meta.is_dir()),
        }
    }

    /// Puts what stands at `from` to `to` unless something is there.
    fn appear(&self, from: &Path, to: &Path) -> bool {
        renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).is_ok()
    }

    fn walk(dir: &Path, at: &RelPath, out: &mut Vec<(RelPath, PathBuf, fs::Metadata)>) {
        let Ok(listing) = fs::read_dir(dir) else { return };
        for entry in listing {
            let Ok(entry) = entry else { return };
            let path = at.join(entry.file_name().as_bytes()).unwrap();
            let Ok(meta) = fs::symlink_metadata(entry.path()) else { continue };
            let is_dir = meta.is_dir();
            out.push((path.clone(), entry.path(), meta));
            if is_dir {
                Self::walk(&entry.path(), &path, out);
            }
        }
    }

    fn all(&self) -> Vec<(RelPath, PathBuf, fs::Metadata)> {
        let mut all = Vec::new();
        Self::walk(&self.root, &RelPath::root(), &mut all);
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// The bytes of what was put aside.
    fn destroyed(aside: &Path) -> Vec<Vec<u8>> {
        let meta = fs::symlink_metadata(aside).unwrap();
        if meta.is_file() {
            let bytes = fs::read(aside).unwrap();
            fs::remove_file(aside).unwrap();
            return vec![bytes];
        }
        if meta.is_dir() {
            let mut all = Vec::new();
            Self::walk(aside, &RelPath::root(), &mut all);
            let bytes = all.iter().filter(|(_, _, meta)| meta.is_file()).map(|(_, at, _)| fs::read(at).unwrap());
            let bytes = bytes.collect();
            fs::remove_dir_all(aside).unwrap();
            return bytes;
        }
        fs::remove_file(aside).unwrap();
        Vec::new()
    }
}

fn set_mtime(path: &Path, mtime: Time) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ },
        last_modification: Timespec { tv_sec: mtime.secs, tv_nsec: mtime.nanos.into() },
    };
    let _ = rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
}

/// A mode that is given within the tick in which Sitta itself made the file is told by nothing on file systems whose
/// clocks tick slowly.
fn wait_for_tick_after(meta: &fs::Metadata) {
    let changed = (meta.ctime(), meta.ctime_nsec());
    let now = || rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    while (now().tv_sec, now().tv_nsec) <= changed {
        std::thread::sleep(std::time::Duration::from_micros(500));
    }
}

fn mtime(meta: &fs::Metadata) -> Time {
    Time::new(meta.mtime(), meta.mtime_nsec() as u32)
}

impl Hands for Folder {
    fn paths(&mut self) -> Vec<(RelPath, bool)> {
        let users = self.all().into_iter().filter(|(path, _, _)| {
            !is_ours(path) && !path.parts().any(|part| part.starts_with(TEMP_PREFIX.as_bytes()))
        });
        users.map(|(path, _, meta)| (path, meta.is_dir())).collect()
    }

    fn everything(&mut self) -> Everything {
        let thing = |at: &Path, meta: &fs::Metadata| {
            let mode = meta.permissions().mode() & 0o7777;
            if meta.is_dir() {
                Thing::Dir { mode }
            } else if meta.is_symlink() {
                Thing::Link { target: fs::read_link(at).unwrap().as_os_str().as_bytes().into() }
            } else {
                Thing::File { bytes: fs::read(at).unwrap(), mode, mtime: mtime(meta) }
            }
        };
        self.all().into_iter().map(|(path, at, meta)| (path, thing(&at, &meta))).collect()
    }

    fn read(&mut self, path: &RelPath) -> Option<Vec<u8>> {
        let at = self.at(path);
        fs::symlink_metadata(&at).ok().filter(fs::Metadata::is_file)?;
        fs::read(at).ok()
    }

    fn put(&mut self, path: &RelPath, bytes: &[u8], save: Save) -> Option<Vec<Vec<u8>>> {
        let (at, aside) = (self.at(path), self.aside());
        if !self.make_parents(path) {
            return None;
        }
        let there = fs::symlink_metadata(&at).ok();
        if there.as_ref().is_some_and(|there| there.is_dir()) {
            return None;
        }
        if save == Save::InPlace && there.is_some_and(|there| there.is_file()) {
            let old = fs::read(&at).ok()?;
            fs::write(&at, bytes).unwrap();
            return Some(vec![old]);
        }
        fs::write(&aside, bytes).unwrap();
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o644)).unwrap();
        self.own(&aside);
        if self.appear(&aside, &at) {
            return Some(Vec::new());
        }
        match renameat_with(CWD, &aside, CWD, &at, RenameFlags::EXCHANGE) {
            Ok(()) => Some(Self::destroyed(&aside)),
            Err(_) => {
                fs::remove_file(&aside).unwrap();
                None
            }
        }
    }

    fn make_dir(&mut self, path: &RelPath) -> bool {
        let made = self.make_parents(path) && fs::create_dir(self.at(path)).is_ok();
        if made {
            self.own(&self.at(path));
        }
        made
    }

    fn link(&mut self, path: &RelPath, target: &[u8]) -> bool {
        self.make_parents(path) && symlink(OsStr::from_bytes(target), self.at(path)).is_ok()
    }

    fn remove(&mut self, path: &RelPath) -> Option<Vec<Vec<u8>>> {
        let aside = self.aside();
        self.appear(&self.at(path), &aside).then(|| Self::destroyed(&aside))
    }

    fn rename(&mut self, from: &RelPath, to: &RelPath) -> bool {
        self.make_parents(to) && self.appear(&self.at(from), &self.at(to))
    }

    fn chmod(&mut self, path: &RelPath, mode: u32) {
        let at = self.at(path);
        if let Ok(meta) = fs::symlink_metadata(&at)
            && !meta.is_symlink()
        {
            wait_for_tick_after(&meta);
            let _ = fs::set_permissions(at, fs::Permissions::from_mode(mode));
        }
    }

    fn touch(&mut self, path: &RelPath, long_ago: Option<i64>) {
        let at = self.at(path);
        if fs::symlink_metadata(&at).is_ok_and(|meta| meta.is_file()) {
            match long_ago {
                Some(secs) => set_mtime(&at, Time::new(secs, 0)),
                None => {
                    let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW as _ };
                    let times = Timestamps { last_access: now, last_modification: now };
                    let _ = rustix::fs::utimensat(CWD, &at, &times, AtFlags::SYMLINK_NOFOLLOW);
                }
            }
        }
    }

    fn restore(&mut self, copy: &Everything) {
        for (path, _, _) in self.all().into_iter().rev() {
            if !is_ours(&path) {
                let at = self.at(&path);
                let _ = fs::remove_file(&at).or_else(|_| fs::remove_dir(&at));
            }
        }
        for (path, thing) in copy.iter().filter(|(path, _)| !is_ours(path)) {
            let at = self.at(path);
            match thing {
                Thing::Dir { .. } => fs::create_dir(&at).unwrap(),
                Thing::Link { target } => symlink(OsStr::from_bytes(target), &at).unwrap(),
                Thing::File { bytes, mtime, .. } => {
                    fs::write(&at, bytes).unwrap();
                    set_mtime(&at, *mtime);
                }
            }
            self.own(&at);
            if let Thing::Dir { mode } | Thing::File { mode, .. } = thing {
                fs::set_permissions(&at, fs::Permissions::from_mode(*mode)).unwrap();
            }
        }
    }

    fn age_temporaries(&mut self) {
        let me = format!("-{}-", std::process::id());
        for (path, at, _) in self.all().into_iter().rev() {
            let name = String::from_utf8_lossy(path.name()).into_owned();
            if name.starts_with(TEMP_PREFIX) {
                fs::rename(&at, at.with_file_name(name.replace(&me, "-2147483646-"))).unwrap();
            }
        }
    }
}
