//! What the file system below a folder keeps.

use std::path::Path;

use rustix::fs::{FsWord, IFlags};
use sitta_tree::SideTraits;

use crate::Capabilities;

const MSDOS: u32 = 0x4d44;
const EXFAT: u32 = 0x2011_bab0;
const NTFS: u32 = 0x5346_544e;
const NTFS3: u32 = 0x7366_746e;
const SMB: u32 = 0x517b;
const CIFS: u32 = 0xff53_4d42;
const SMB2: u32 = 0xfe53_4d42;
const FUSE: u32 = 0x6573_5546;
const HFSPLUS: u32 = 0x482b;
const EXT: u32 = 0xef53;
const XFS: u32 = 0x5846_5342;
const BTRFS: u32 = 0x9123_683e;
const TMPFS: u32 = 0x0102_1994;

/// What the file system that holds a path can do.
pub(super) struct Probed {
    pub capabilities: Capabilities,
    /// Inodes stay with their files.
    pub stable_ids: bool,
    /// No two changes get the same time if somebody looks between them.
    pub fine_times: bool,
    /// It is on this machine: what is in memory is told without asking anybody.
    pub on_disk: bool,
}

/// What the file system that holds `path`, or its nearest existing parent, can do.
pub(super) fn probe(path: &Path) -> Probed {
    let existing = path.ancestors().find_map(|dir| Some((dir, rustix::fs::statfs(dir).ok()?)));
    let magic = existing.as_ref().map_or(0, |(_, fs)| magic(fs.f_type));
    let read_only = existing.as_ref().is_some_and(|(dir, _)| is_read_only(dir));
    let fat = matches!(magic, MSDOS | EXFAT);
    let foreign = matches!(magic, SMB | CIFS | SMB2);
    let stable_ids = !fat && !foreign && magic != FUSE;
    let folds =
        fat || foreign || matches!(magic, NTFS | NTFS3 | HFSPLUS) || existing.is_some_and(|(d, _)| folds(d));
    let traits = SideTraits {
        mtime_precision: match magic {
            MSDOS => 2_000_000_000,
            EXFAT => 10_000_000,
            HFSPLUS => 1_000_000_000,
            NTFS | NTFS3 | SMB | CIFS | SMB2 => 100,
            _ => 1,
        },
        modes: !fat && !foreign,
        owners: !fat && !foreign && rustix::process::geteuid().is_root(),
        xattrs: !fat && !foreign,
        symlinks: !fat,
        dirs: true,
        folds_names: folds,
        stable_ids,
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
    let capabilities = Capabilities {
        traits,
        rename: true,
        atomic_preconditions: !fat && !foreign && magic != FUSE,
        hard_links: !fat && !foreign,
        writable: !read_only,
        lists_meta: true,
        verifies: false,
        concurrency: threads,
        batch: 256,
        batches: threads,
    };
    let on_disk = matches!(magic, EXT | XFS | BTRFS | TMPFS);
    let fine_times = on_disk && kernel_tells_changes_apart();
    Probed { capabilities, stable_ids, fine_times, on_disk }
}

/// Linux 6.13 and later give a change a finer time if the last one was looked at since.
fn kernel_tells_changes_apart() -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    cfg!(target_os = "linux") && version >= (6, 13)
}

fn magic(word: FsWord) -> u32 {
    word as u32
}

fn is_read_only(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|fs| fs.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// Whether the directory was told to fold names, as ext4 and f2fs can be.
fn folds(dir: &Path) -> bool {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let opened = rustix::fs::open(dir, flags, rustix::fs::Mode::empty());
    const CASEFOLD: u32 = 0x4000_0000;
    opened.and_then(|fd| rustix::fs::ioctl_getflags(&fd)).is_ok_and(|flags| IFlags::bits(&flags) & CASEFOLD != 0)
}
