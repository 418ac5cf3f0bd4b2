//! What the system tells of an entry, as the contract's nouns.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;
use sitta_tree::{Entry, Fingerprint, Kind, Meta, Time, Unknown};

/// What of a stat can be trusted on this file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The root's device; inodes of other devices are mixed with theirs.
    pub dev: u64,
    /// Inodes stay with their files.
    pub stable_ids: bool,
}

#[allow(clippy::unnecessary_cast, reason = "the fields' types differ between architectures")]
impl Facts {
    /// The inode, unique below the root though several file systems are mounted there.
    fn id(self, stat: &Stat) -> u64 {
        let dev = dev(stat);
        match (self.stable_ids, dev == self.dev) {
            (false, _) => 0,
            (true, true) => stat.st_ino as u64,
            (true, false) => stat.st_ino as u64 ^ dev.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        }
    }

    /// The entry that `stat` tells of; a link's target is for the caller to add.
    pub fn entry(self, stat: &Stat) -> Entry {
        let kind = match FileType::from_raw_mode(stat.st_mode as _) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Dir,
            FileType::Symlink => Kind::Symlink,
            _ => Kind::Unknown,
        };
        Entry {
            kind,
            size: if kind == Kind::File { stat.st_size as u64 } else { 0 },
            meta: Meta {
                mtime: Time::new(stat.st_mtime as i64, stat.st_mtime_nsec as u32),
                mode: stat.st_mode as u32 & 0o7777,
                uid: stat.st_uid as u32,
                gid: stat.st_gid as u32,
                xattrs: 0,
            },
            id: self.id(stat),
            change: if self.stable_ids { nanos(stat.st_ctime as i64, stat.st_ctime_nsec as u64) } else { 0 },
            linked: kind == Kind::File && stat.st_nlink as u64 > 1,
            target: Box::default(),
            unknown: (kind == Kind::Unknown).then_some(Unknown::Special),
            content: None,
        }
    }

    /// What recognises this version again.
    pub fn fingerprint(self, stat: &Stat) -> Fingerprint {
        self.entry(stat).fingerprint()
    }
}

fn nanos(secs: i64, nanos: u64) -> u64 {
    (secs as u64).wrapping_mul(1_000_000_000).wrapping_add(nanos)
}

/// The device that an entry is on.
#[allow(clippy::unnecessary_cast, reason = "the type differs between architectures")]
pub(super) fn dev(stat: &Stat) -> u64 {
    stat.st_dev as u64
}

/// The modification time as the system takes it, the access time left alone.
pub(super) fn timestamps(mtime: Time) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT as _ },
        last_modification: Timespec { tv_sec: mtime.secs as _, tv_nsec: mtime.nanos as _ },
    }
}

/// `lstat` below an open directory; none when nothing is there.
pub(super) fn stat_at(dir: impl AsFd, name: &[u8]) -> Result<Option<Stat>, Errno> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// A link's target.
pub(super) fn target_at(dir: impl AsFd, name: &[u8]) -> Result<Box<[u8]>, Errno> {
    Ok(rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes().into_boxed_slice())
}

/// The entry at `name` of an open directory, with its target.
pub(super) fn entry_at(facts: Facts, dir: impl AsFd, name: &[u8]) -> Result<Option<Entry>, Errno> {
    let dir = dir.as_fd();
    let Some(stat) = stat_at(dir, name)? else { return Ok(None) };
    let mut entry = facts.entry(&stat);
    if entry.kind == Kind::Symlink {
        entry.target = target_at(dir, name)?;
    }
    Ok(Some(entry))
}
