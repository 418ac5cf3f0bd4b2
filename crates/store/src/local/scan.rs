//! A whole folder as a tree: names by `getdents64`, facts by one `fstatat` an entry relative to the open directory,
//! and no path made unless a filter or a problem asks for it.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, RawDir};
use rustix::io::Errno;
use sitta_tree::{Entry, Kind, NodeId, Problem, ProblemKind, RelPath, TooLarge, Tree, Unknown};

use super::errno::OsError;
use super::facts::Facts;
use super::links::{self, Inode, Links};
use super::tick::Youngest;
use super::{Inner, dirs, errno, facts, xattrs};
use crate::{Error, ErrorKind, OWN_DIR, Result, ScanOptions, TEMP_PREFIX};

/// How much of a directory one system call tells.
const LISTING: usize = 32 << 10;
/// How many directories on the way down stay open; those above are opened again on the way back.
const OPEN: usize = 64;

/// The names in an open directory, in no particular order.
pub(super) fn names(dir: &OwnedFd) -> Result<Vec<Box<[u8]>>, Errno> {
    let mut buffer = vec![MaybeUninit::uninit(); LISTING];
    let mut listing = RawDir::new(dir, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = listing.next() {
        match entry?.file_name().to_bytes() {
            b"." | b".." => {}
            name => names.push(name.into()),
        }
    }
    Ok(names)
}

/// The tree below the directory `base`.
pub(super) fn scan(inner: &Arc<Inner>, base: &RelPath, options: &ScanOptions) -> Result<Tree> {
    let at_root = |errno| inner.error(base, errno);
    let root = inner.reopen_root().map_err(at_root)?;
    let way = match inner.links {
        Links::Kept => Vec::new(),
        Links::Followed => links::way(&root.fd, base.as_bytes()).map_err(at_root)?,
    };
    let facts = inner.facts(&root);
    let mut tree = Tree::new();
    let fd = dirs::open_dir(&*root.fd, base.as_bytes(), inner.links).map_err(at_root)?;
    let mut entry = facts.entry(&rustix::fs::fstat(&fd).map_err(at_root)?);
    if options.xattrs {
        entry.meta.xattrs = xattrs::digest_fd(&fd).unwrap_or(0);
    }
    tree.set_root(&entry);
    let mut scan = Scan {
        options,
        links: inner.links,
        way,
        facts,
        tree,
        path: Vec::new(),
        buffer: vec![MaybeUninit::uninit(); LISTING],
        text: Vec::new(),
        names: Vec::new(),
        pending: Vec::new(),
        youngest: (!inner.fine_times).then(Youngest::new),
    };
    let top = rustix::io::fcntl_dupfd_cloexec(&fd, 0).map_err(at_root)?;
    let above = scan.way.len();
    match scan.descend(&top, fd, above) {
        Ok(()) => {
            if let Some(youngest) = scan.youngest {
                youngest.wait(inner.capabilities.traits.mtime_precision, &options.flow);
            }
            Ok(scan.tree)
        }
        Err(Stop::Cancelled) => {
            Err(Error::new(ErrorKind::Cancelled, &inner.location, RelPath::root(), "cancelled"))
        }
        Err(Stop::Root(errno)) => Err(at_root(errno)),
        Err(Stop::TooLarge(e)) => Err(Error::new(ErrorKind::Unsupported, &inner.location, RelPath::root(), e)),
    }
}

/// Why a scan ended early.
enum Stop {
    Cancelled,
    Root(Errno),
    TooLarge(TooLarge),
}

impl From<TooLarge> for Stop {
    fn from(e: TooLarge) -> Self {
        Self::TooLarge(e)
    }
}

/// A name in the arena `Scan::text`, which holds a NUL behind it. The first bytes stand here to be compared fast.
struct Name {
    prefix: u64,
    start: u32,
    len: u32,
}

/// A directory on the way down.
struct Level {
    dir: NodeId,
    fd: Option<OwnedFd>,
    /// Its subdirectories that are still to be listed: from `next` to the end of `Scan::pending` as long as this is
    /// the last level.
    start: usize,
    next: usize,
    /// How many directories are on the way to it and with it, where links are followed.
    depth: usize,
}

struct Scan<'o> {
    options: &'o ScanOptions,
    links: Links,
    /// The directories on the way to the current one, where links are followed.
    way: Vec<Inode>,
    facts: Facts,
    tree: Tree,
    /// The current directory's path, kept up only while a filter asks for it.
    path: Vec<u8>,
    buffer: Vec<MaybeUninit<u8>>,
    text: Vec<u8>,
    names: Vec<Name>,
    /// The subdirectories of all levels, one after the other.
    pending: Vec<NodeId>,
    /// The youngest file, where two changes may get the same time.
    youngest: Option<Youngest>,
}

impl Scan<'_> {
    /// Walks depth first, with as few handles as the depth needs.
    fn descend(&mut self, root: &OwnedFd, fd: OwnedFd, depth: usize) -> Result<(), Stop> {
        if let Err(errno) = self.list(&fd, NodeId::ROOT)? {
            return Err(Stop::Root(errno));
        }
        let mut levels = vec![Level { dir: NodeId::ROOT, fd: Some(fd), start: 0, next: 0, depth }];
        while let Some(level) = levels.last_mut() {
            let Some(&child) = self.pending.get(level.next) else {
                self.pending.truncate(level.start);
                levels.pop();
                continue;
            };
            level.next += 1;
            self.way.truncate(level.depth);
            let opened = self.open(root, level, child);
            let depth = level.depth + 1;
            if level.next == self.pending.len() {
                self.pending.truncate(level.start);
                levels.pop();
            }
            let start = self.pending.len();
            match opened {
                Ok(fd) => match self.list(&fd, child)? {
                    Ok(()) => levels.push(Level { dir: child, fd: Some(fd), start, next: start, depth }),
                    Err(errno) => self.incomplete(child, errno),
                },
                Err(errno) => self.incomplete(child, errno),
            }
            if let Some(far) = levels.len().checked_sub(OPEN) {
                levels[far].fd = None;
            }
        }
        Ok(())
    }

    /// Opens `child`, first its directory again if that was closed meanwhile.
    fn open(&mut self, root: &OwnedFd, level: &mut Level, child: NodeId) -> Result<OwnedFd, Errno> {
        if self.options.filter.is_some() {
            self.path.clear();
            self.tree.write_path(child, &mut self.path);
        }
        if let Some(fd) = &level.fd {
            return self.open_child(fd, child);
        }
        let mut path = Vec::new();
        self.tree.write_path(level.dir, &mut path);
        let fd = dirs::open_dir(root, &path, self.links)?;
        if self.facts.fingerprint(&rustix::fs::fstat(&fd)?).id != self.tree.fingerprint(level.dir).id {
            return Err(Errno::NOTDIR);
        }
        let fd = level.fd.insert(fd);
        self.open_child(fd, child)
    }

    /// Opens `child` of an open directory. Where links are followed, it may be any directory but one on the way to itself.
    fn open_child(&mut self, dir: &OwnedFd, child: NodeId) -> Result<OwnedFd, Errno> {
        let name = self.tree.name(child);
        if self.links == Links::Kept {
            return dirs::open_child(dir, name);
        }
        let fd = links::open_dir(dir, name)?;
        links::step(&fd, &mut self.way)?;
        Ok(fd)
    }

    fn incomplete(&mut self, dir: NodeId, errno: Errno) {
        self.tree.set_incomplete(dir);
        let kind = match errno::kind(errno) {
            ErrorKind::NotFound | ErrorKind::NotADirectory => ProblemKind::Changed,
            _ => ProblemKind::Unreadable,
        };
        self.tree.problems.push(Problem::new(self.tree.path(dir), kind, OsError(errno).to_string()));
    }

    /// Adds the entries of an open directory to the tree. The inner error is the directory's own: it stays empty.
    fn list(&mut self, fd: &OwnedFd, dir: NodeId) -> Result<Result<(), Errno>, Stop> {
        if self.options.flow.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        self.tree.begin_children(dir);
        if let Err(errno) = self.read_names(fd, dir) {
            return Ok(Err(errno));
        }
        self.options.flow.add_entries(self.names.len() as u64);
        let (names, text) = (std::mem::take(&mut self.names), std::mem::take(&mut self.text));
        let added = names.iter().try_for_each(|name| {
            let with_nul = &text[name.start as usize..][..name.len as usize + 1];
            self.add(fd, dir, CStr::from_bytes_with_nul(with_nul).expect("a name the system gave"))
        });
        (self.names, self.text) = (names, text);
        added.map(Ok)
    }

    /// Fills `names`, sorted, with what the directory holds and is not ours.
    fn read_names(&mut self, fd: &OwnedFd, dir: NodeId) -> Result<(), Errno> {
        self.names.clear();
        self.text.clear();
        let mut listing = RawDir::new(fd, &mut self.buffer);
        while let Some(entry) = listing.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes_with_nul();
            let bare = &name[..name.len() - 1];
            if bare.first() == Some(&b'.') {
                if matches!(bare, b"." | b"..") || (dir == NodeId::ROOT && *bare == *OWN_DIR.as_bytes()) {
                    continue;
                }
                if bare.starts_with(TEMP_PREFIX.as_bytes()) {
                    note_temp(self.options, &self.tree, dir, bare);
                    continue;
                }
            }
            let start = self.text.len() as u32;
            self.text.extend_from_slice(name);
            self.names.push(Name { prefix: prefix(bare), start, len: bare.len() as u32 });
        }
        let text = &self.text;
        let bare = |name: &Name| &text[name.start as usize..][..name.len as usize];
        self.names.sort_unstable_by(|a, b| a.prefix.cmp(&b.prefix).then_with(|| bare(a).cmp(bare(b))));
        Ok(())
    }

    /// Looks at one entry and adds it.
    fn add(&mut self, fd: &OwnedFd, dir: NodeId, name: &CStr) -> Result<(), Stop> {
        let bytes = name.to_bytes();
        let mut entry = match rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let entry = self.facts.entry(&stat);
                links::shown(self.links, self.facts, fd, bytes, entry, || Ok(self.way.clone()))
            }
            // It went away since it was listed.
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return self.unreadable(dir, bytes, errno),
        };
        if self.options.filter.is_some() && self.leaves_out(bytes, &entry) {
            self.tree.set_holds_ignored(dir);
            return Ok(());
        }
        if let Some(youngest) = &mut self.youngest {
            youngest.see(&entry);
        }
        if entry.kind == Kind::Symlink {
            match facts::target_at(fd, bytes) {
                Ok(target) => entry.target = target,
                Err(errno) => return self.unreadable(dir, bytes, errno),
            }
        }
        if self.options.xattrs && entry.kind != Kind::Unknown {
            entry.meta.xattrs = xattrs::digest_at(fd.as_fd(), bytes, self.links).unwrap_or(0);
        }
        let id = self.tree.push_child(dir, bytes, &entry)?;
        if entry.kind == Kind::Dir {
            self.pending.push(id);
        }
        if entry.kind == Kind::Unknown {
            let what = "a fifo, socket or device";
            self.tree.problems.push(Problem::new(self.tree.path(id), ProblemKind::Special, what));
        }
        Ok(())
    }

    fn unreadable(&mut self, dir: NodeId, name: &[u8], errno: Errno) -> Result<(), Stop> {
        let id = self.tree.push_child(dir, name, &Entry::unknown(Unknown::Unreadable))?;
        let message = OsError(errno).to_string();
        self.tree.problems.push(Problem::new(self.tree.path(id), ProblemKind::Unreadable, message));
        Ok(())
    }

    /// Whether the filter leaves the entry out.
    fn leaves_out(&mut self, name: &[u8], entry: &Entry) -> bool {
        let Some(filter) = &self.options.filter else { return false };
        let length = self.path.len();
        if length > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        let out = filter.excludes(&self.path, entry.kind == Kind::Dir)
            || (entry.kind == Kind::File && !filter.admits_file(&self.path, entry.size, entry.meta.mtime));
        self.path.truncate(length);
        out
    }
}

/// The first eight bytes of a name, so that most comparisons are of two numbers.
fn prefix(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = name.len().min(8);
    bytes[..len].copy_from_slice(&name[..len]);
    u64::from_be_bytes(bytes)
}

fn note_temp(options: &ScanOptions, tree: &Tree, dir: NodeId, name: &[u8]) {
    if let (Some(temps), Ok(path)) = (&options.temps, tree.path(dir).join(name)) {
        temps.lock().unwrap_or_else(|e| e.into_inner()).push(path);
    }
}
