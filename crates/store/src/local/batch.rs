//! Many writes in one go: new directories are filled before they appear, overwritten files are replaced after one sync
//! for all of them.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use sitta_tree::{Entry, Kind, RelPath};
use tokio::sync::mpsc::Receiver;

use super::content::Fed;
use super::facts::{entry_at, stat_at, timestamps};
use super::links::{self, Links};
use super::place::{self, Spot};
use super::stage::{Session, Staged, Wanted};
use super::{Inner, errno::Fail};
use crate::{Displaced, Error, ErrorKind, Flow, Precondition, Result, Source, What, Write, Written, Xattrs};

/// Files up to this size are put into a new directory before it appears: a crash loses no more than a batch of them.
const IN_NEW_DIR: u64 = 4 << 20;
/// How many replaced files wait for one sync; each holds two handles.
const WAITING: usize = 64;
/// From so many files on, one sync of the file system is cheaper than one for each.
const SYNC_ALL: usize = 4;

/// One write, with the bytes that come from elsewhere.
pub(super) struct Item {
    pub write: Write,
    pub feed: Option<Receiver<Fed>>,
    /// The extended attributes of a file from elsewhere.
    pub xattrs: Xattrs,
}

/// A file that waits for the sync before it replaces another.
struct Waiting {
    index: usize,
    dir: Rc<OwnedFd>,
    staged: Staged,
    wanted: Wanted,
}

struct Batch<'a> {
    session: Session<'a>,
    items: Vec<Item>,
    results: Vec<Option<Result<Written>>>,
    waiting: Vec<Waiting>,
    /// New directories, whose metadata is set again once all is in them.
    made: Vec<(usize, Wanted)>,
}

/// Carries out the writes; one result each.
pub(super) fn run(inner: &Arc<Inner>, items: Vec<Item>, flow: &Flow) -> Vec<Result<Written>> {
    let session = match Session::new(inner, flow) {
        Ok(session) => session,
        Err(errno) => return items.iter().map(|item| Err(inner.error(&item.write.path, errno))).collect(),
    };
    let results = items.iter().map(|_| None).collect();
    let mut batch = Batch { session, items, results, waiting: Vec::new(), made: Vec::new() };
    batch.run();
    batch.results.into_iter().map(|result| result.expect("every write has its result")).collect()
}

impl Batch<'_> {
    fn run(&mut self) {
        let inside = self.directly_in_new_dirs();
        for index in 0..self.items.len() {
            if self.results[index].is_some() {
                continue;
            }
            let path = &self.items[index].write.path;
            if self.session.flow.is_cancelled() {
                self.results[index] = Some(Err(self.session.cancelled(path)));
                continue;
            }
            match self.items[index].write.what {
                What::Dir => {
                    let children = inside.get(path).map_or(&[][..], |children| children);
                    if let Err(error) = self.make_dir(index, children) {
                        self.results[index] = Some(Err(error));
                    }
                }
                What::File(_) => self.write_file(index),
                What::Symlink(_) | What::Link(_) => {
                    self.settle_waiting();
                    self.results[index] = Some(self.write_link(index));
                }
            }
        }
        self.settle_waiting();
        self.finish_dirs();
    }

    /// For each directory to be made, the small new files and links right inside it that come later.
    fn directly_in_new_dirs(&self) -> HashMap<RelPath, Vec<usize>> {
        let mut inside = HashMap::new();
        for (index, Item { write, feed, .. }) in self.items.iter().enumerate() {
            if write.expect != Precondition::Absent {
                continue;
            }
            let fits = match &write.what {
                What::Dir => {
                    inside.insert(write.path.clone(), Vec::new());
                    false
                }
                What::File(source) => feed.is_none() && source.size().is_some_and(|size| size <= IN_NEW_DIR),
                What::Symlink(_) => self.session.inner.links == Links::Kept,
                What::Link(_) => false,
            };
            if fits
                && !inside.is_empty()
                && let Some(children) = write.path.parent().and_then(|dir| inside.get_mut(&dir))
            {
                children.push(index);
            }
        }
        inside
    }

    fn error(&self, index: usize, fail: impl Into<Fail>) -> Error {
        self.session.inner.fail(&self.items[index].write.path, fail)
    }

    fn wanted(&self, write: &Write) -> Wanted {
        let exact = match &write.what {
            What::File(Source::Stored { store, .. }) => store.as_local().is_some(),
            _ => false,
        };
        let mut wanted = Wanted::new(self.session.inner, &write.meta, exact);
        if matches!(write.what, What::Dir | What::Symlink(_)) {
            wanted.xattrs = false;
        }
        wanted
    }

    /// Makes a directory under its temporary name, puts `children` into it, and lets it appear.
    fn make_dir(&mut self, index: usize, children: &[usize]) -> Result<()> {
        let write = self.items[index].write.clone();
        let wanted = self.wanted(&write);
        let inner = self.session.inner;
        let fail = |fail: Fail| inner.fail(&write.path, fail);
        let (parent, name) = self.session.dirs.parent(&write.path).map_err(|e| fail(e.into()))?;
        let (temp, at) = (Spot { dir: &parent, name: write.temp.as_bytes() }, Spot { dir: &parent, name });
        let fd = new_dir(&temp, &wanted).map_err(|e| fail(e.into()))?;
        for &child in children.iter().filter(|child| self.results[**child].is_none()).collect::<Vec<_>>() {
            self.results[child] = Some(match self.session.flow.is_cancelled() {
                true => Err(self.session.cancelled(&self.items[child].write.path)),
                false => self.fill(&fd, child),
            });
        }
        let session = &mut self.session;
        let held = Wanted { mode: wanted.mode.map(|mode| mode | 0o700), ..wanted };
        let placed = session.dress(&fd, &held).map_err(Fail::from).and_then(|()| {
            place::publish(inner, &mut session.dirs, &temp, &at, true, &write.expect, &write.displaced)
        });
        if let Err(cause) = placed {
            let error = fail(cause);
            let _ = place::remove_all(&parent, temp.name);
            self.undone(children, &error);
            return Err(error);
        }
        session.dirs.forget(write.path.as_bytes());
        session.dirs.keep(write.path.as_bytes(), fd);
        self.made.push((index, wanted));
        // Filled in by `finish_dirs`.
        self.results[index] = Some(Err(self.error(index, Errno::NOENT)));
        Ok(())
    }

    /// A directory that did not appear took its children with it. Where one was there already, they are written into
    /// that one when their turn comes.
    fn undone(&mut self, children: &[usize], error: &Error) {
        for &child in children {
            if let Some(Ok(_)) = self.results[child] {
                let path = Some(self.items[child].write.path.clone());
                let taken = error.kind == ErrorKind::Changed;
                self.results[child] = (!taken).then(|| Err(Error { path, ..error.clone() }));
            }
        }
    }

    /// Creates one file or link by its own name in a directory that nobody sees yet.
    fn fill(&mut self, dir: &Rc<OwnedFd>, index: usize) -> Result<Written> {
        let wanted = self.wanted(&self.items[index].write);
        let Item { write: Write { path, what, .. }, xattrs, .. } = &self.items[index];
        let session = &mut self.session;
        let name = path.name();
        match what {
            What::File(source) => {
                let staged = session.stage_file(dir, name, path, (source, xattrs), None, &wanted)?;
                let entry = session.settle(dir, &staged.fd, &wanted);
                Ok(Written { entry: entry.map_err(|e| session.inner.error(path, e))?, content: staged.content })
            }
            What::Symlink(target) => {
                let made = symlink(dir, name, target, &wanted).and_then(|()| entry_at(session.facts, &**dir, name));
                gone_or(made).map(plain).map_err(|e| session.inner.error(path, e))
            }
            What::Dir | What::Link(_) => unreachable!("only files and links are put into a new directory"),
        }
    }

    fn write_file(&mut self, index: usize) {
        match self.stage(index) {
            Ok(waiting) if self.items[index].write.expect == Precondition::Absent => {
                self.results[index] = Some(self.appear(&waiting));
            }
            Ok(waiting) => {
                self.waiting.push(waiting);
                // Filled in by `settle_waiting`.
                self.results[index] = Some(Err(self.error(index, Errno::NOENT)));
                if self.waiting.len() >= WAITING {
                    self.settle_waiting();
                }
            }
            Err(error) => self.results[index] = Some(Err(error)),
        }
    }

    /// Writes a file under its temporary name.
    fn stage(&mut self, index: usize) -> Result<Waiting> {
        let path = self.items[index].write.path.clone();
        if self.waiting.iter().any(|waiting| self.items[waiting.index].write.path == path) {
            self.settle_waiting();
        }
        let mut wanted = self.wanted(&self.items[index].write);
        let inner = self.session.inner;
        let (dir, name) = self.session.dirs.parent(&path).map_err(|e| inner.error(&path, e))?;
        let Item { write, feed, xattrs } = &mut self.items[index];
        let What::File(source) = &write.what else { unreachable!("a file") };
        // A precondition that fails already spares the transfer; the one that counts comes last.
        if write.expect != Precondition::Absent || source.size().is_none_or(|size| size > IN_NEW_DIR) {
            let old = entry_at(self.session.facts, &*dir, name).map_err(|e| inner.error(&path, e))?;
            let refused = links::refuse(inner.links, old.as_ref());
            let early = refused.and_then(|()| match (&old, &write.expect) {
                (Some(_), Precondition::Absent) => Err(Fail::changed("something stands there already")),
                (None, Precondition::Version(_)) => Err(Fail::changed("it is gone")),
                (Some(old), expect) => place::may_displace(&Spot { dir: &dir, name }, old, expect),
                _ => Ok(()),
            });
            early.map_err(|fail| inner.fail(&path, fail))?;
            keep_mode(&mut wanted, old.as_ref(), inner);
        }
        let temp = write.temp.as_bytes();
        let staged = self.session.stage_file(&dir, temp, &path, (source, xattrs), feed.as_mut(), &wanted)?;
        Ok(Waiting { index, dir, staged, wanted })
    }

    /// Lets a staged file appear.
    fn appear(&mut self, waiting: &Waiting) -> Result<Written> {
        let session = &mut self.session;
        let Write { path, expect, displaced, temp, .. } = &self.items[waiting.index].write;
        let (temp, at) = (temp.as_bytes(), path.name());
        let (temp, at) = (Spot { dir: &waiting.dir, name: temp }, Spot { dir: &waiting.dir, name: at });
        let placed = match session.flow.is_cancelled() {
            true => Err(Fail::Said(ErrorKind::Cancelled, "cancelled")),
            false => place::publish(session.inner, &mut session.dirs, &temp, &at, false, expect, displaced),
        };
        if let Err(fail) = placed {
            let _ = rustix::fs::unlinkat(&*waiting.dir, temp.name, AtFlags::empty());
            return Err(session.inner.fail(path, fail));
        }
        let entry = session.settle(&waiting.dir, &waiting.staged.fd, &waiting.wanted);
        let entry = entry.map_err(|errno| session.inner.error(path, errno))?;
        Ok(Written { entry, content: waiting.staged.content })
    }

    /// Makes the waiting files' bytes safe, then lets each replace what it is to replace.
    fn settle_waiting(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let synced = match waiting.len() {
            0 => return,
            1..SYNC_ALL => waiting.iter().try_for_each(|one| rustix::fs::fdatasync(&one.staged.fd)),
            _ => sync_all(&waiting),
        };
        for one in &waiting {
            let result = match synced {
                Ok(()) => self.appear(one),
                Err(errno) => {
                    let temp = self.items[one.index].write.temp.as_bytes();
                    let _ = rustix::fs::unlinkat(&*one.dir, temp, AtFlags::empty());
                    Err(self.error(one.index, errno))
                }
            };
            self.results[one.index] = Some(result);
        }
    }

    /// Makes a symbolic or hard link under its temporary name and lets it appear.
    fn write_link(&mut self, index: usize) -> Result<Written> {
        let write = self.items[index].write.clone();
        let wanted = self.wanted(&write);
        let session = &mut self.session;
        let fail = |fail: Fail| session.inner.fail(&write.path, fail);
        let (dir, name) = session.dirs.parent(&write.path).map_err(|e| fail(e.into()))?;
        let (temp, at) = (Spot { dir: &dir, name: write.temp.as_bytes() }, Spot { dir: &dir, name });
        let made = match &write.what {
            What::Symlink(_) if session.inner.links == Links::Followed => {
                return Err(fail(Fail::Said(ErrorKind::Unsupported, "links are followed here: none can be made")));
            }
            What::Symlink(target) => symlink(&dir, temp.name, target, &wanted),
            What::Link(to) => session.dirs.parent(to).and_then(|(from, name)| {
                match stat_at(&*from, name)?.map(|stat| session.facts.entry(&stat).kind) {
                    Some(Kind::File) => rustix::fs::linkat(&*from, name, &*dir, temp.name, AtFlags::empty()),
                    Some(_) => Err(Errno::INVAL),
                    None => Err(Errno::NOENT),
                }
            }),
            What::File(_) | What::Dir => unreachable!("links only"),
        };
        made.map_err(|e| fail(e.into()))?;
        let placed = publish_or_drop(session, &temp, &at, &write.expect, &write.displaced);
        let entry = placed.and_then(|()| Ok(gone_or(entry_at(session.facts, &*dir, name))?));
        entry.map(plain).map_err(|fail| session.inner.fail(&write.path, fail))
    }

    /// Sets the metadata of new directories again where what was put into them has moved it, and tells their entries.
    fn finish_dirs(&mut self) {
        for (index, wanted) in std::mem::take(&mut self.made) {
            let path = self.items[index].write.path.clone();
            let result = self.finish_dir(&path, &wanted).map_err(|errno| self.error(index, errno));
            self.results[index] = Some(result.map(plain));
        }
    }

    fn finish_dir(&mut self, path: &RelPath, wanted: &Wanted) -> Result<Entry, Errno> {
        let session = &mut self.session;
        let (dir, name) = session.dirs.parent(path)?;
        let entry = gone_or(entry_at(session.facts, &*dir, name))?;
        let mode = wanted.mode.is_none_or(|mode| mode == entry.meta.mode);
        let owner = wanted.owner.is_none_or(|owner| owner == (entry.meta.uid, entry.meta.gid));
        if mode && owner && wanted.mtime.is_none_or(|mtime| mtime == entry.meta.mtime) {
            return Ok(entry);
        }
        let fd = super::dirs::open_child(&*dir, name)?;
        if let (false, Some(mode)) = (mode && owner, wanted.mode) {
            session.dress(&fd, wanted)?;
            rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode as _))?;
        }
        if let Some(mtime) = wanted.mtime {
            rustix::fs::futimens(&fd, &timestamps(mtime))?;
        }
        Ok(session.facts.entry(&rustix::fs::fstat(&fd)?))
    }
}

fn publish_or_drop(
    session: &mut Session<'_>,
    temp: &Spot<'_>,
    at: &Spot<'_>,
    expect: &Precondition,
    displaced: &Displaced,
) -> Result<(), Fail> {
    place::publish(session.inner, &mut session.dirs, temp, at, false, expect, displaced)
        .inspect_err(|_| temp.drop_it())
}

/// A new, empty directory that its owner can fill, open.
fn new_dir(temp: &Spot<'_>, wanted: &Wanted) -> Result<Rc<OwnedFd>, Errno> {
    let mode = wanted.mode.unwrap_or(0o777) & 0o777 | 0o700;
    rustix::fs::mkdirat(&**temp.dir, temp.name, Mode::from_raw_mode(mode as _))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&**temp.dir, temp.name, flags, Mode::empty()).map(Rc::new)
}

fn symlink(dir: &OwnedFd, name: &[u8], target: &[u8], wanted: &Wanted) -> Result<(), Errno> {
    rustix::fs::symlinkat(target, dir, name)?;
    let set = || {
        if let Some((uid, gid)) = wanted.owner {
            let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
            rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        match wanted.mtime {
            Some(mtime) => rustix::fs::utimensat(dir, name, &timestamps(mtime), AtFlags::SYMLINK_NOFOLLOW),
            None => Ok(()),
        }
    };
    set().inspect_err(|_| {
        let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
    })
}

/// Syncs the file systems that the files are on.
fn sync_all(waiting: &[Waiting]) -> Result<(), Errno> {
    let mut synced = Vec::new();
    for one in waiting {
        let dev = rustix::fs::fstat(&one.staged.fd)?.st_dev;
        if !synced.contains(&dev) {
            rustix::fs::syncfs(&one.staged.fd)?;
            synced.push(dev);
        }
    }
    Ok(())
}

/// A file that replaces another keeps its permissions where nobody told any.
fn keep_mode(wanted: &mut Wanted, old: Option<&Entry>, inner: &Inner) {
    if let (None, Some(old), true) = (wanted.mode, old, inner.capabilities.traits.modes)
        && old.kind == Kind::File
    {
        wanted.mode = Some(old.meta.mode);
        wanted.owner = inner.capabilities.traits.owners.then_some((old.meta.uid, old.meta.gid));
    }
}

fn gone_or(entry: Result<Option<Entry>, Errno>) -> Result<Entry, Errno> {
    entry?.ok_or(Errno::NOENT)
}

fn plain(entry: Entry) -> Written {
    Written { entry, content: None }
}
