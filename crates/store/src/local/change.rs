//! Changes that carry no bytes: remove, rename, metadata.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use sitta_tree::{Entry, Kind, Meta, RelPath, fold_key};

use super::dirs::Dirs;
use super::errno::Fail;
use super::facts::{Facts, entry_at, timestamps};
use super::links::{self, Links};
use super::place::{self, Spot, move_new};
use super::stage::Wanted;
use super::{Inner, LocalStore, errno, xattrs};
use crate::check::same_bytes;
use crate::{
    Change, Displaced, Error, ErrorKind, Flow, Precondition, Result, TEMP_PREFIX, Written, Xattrs, XattrsOf,
};

fn expected(entry: Option<Entry>, expect: &Precondition) -> Result<Entry, Fail> {
    match (entry, expect) {
        (Some(_), Precondition::Absent) => Err(Fail::changed("something stands there")),
        (None, Precondition::Version(_)) => Err(Fail::changed("it is gone")),
        (None, _) => Err(Errno::NOENT.into()),
        (Some(entry), expect) if !expect.admits(Some(&entry)) => {
            Err(Fail::changed("it is not the version that was expected"))
        }
        (Some(entry), _) if !super::is_ours(&entry) => {
            Err(Fail::Said(ErrorKind::Unsupported, "a fifo, socket or device"))
        }
        (Some(entry), _) => Ok(entry),
    }
}

const OTHER: Fail = Fail::Said(ErrorKind::Changed, "it changed at the last moment");

/// See [`crate::Store::remove`].
pub(super) fn remove(inner: &Inner, path: &RelPath, expect: &Precondition, displaced: &Displaced) -> Result<()> {
    let run = || -> Result<(), Fail> {
        let (mut dirs, facts) = inner.enter_to_change()?;
        let (dir, name) = dirs.parent(path).or_else(|errno| gone(errno, expect))?;
        let at = Spot { dir: &dir, name };
        let found = entry_at(facts, &*dir, name)?;
        if links::refuse(inner.links, found.as_ref()).is_err() {
            return remove_link(&mut dirs, facts, path, expect, displaced);
        }
        let old = expected(found, expect)?;
        let verify = |spot: &Spot<'_>| -> Result<bool, Errno> {
            let now = entry_at(facts, &**spot.dir, spot.name)?;
            Ok(now.is_some_and(|now| now.kind == old.kind && same_bytes(&now, &old.fingerprint())))
        };
        match displaced {
            Displaced::MoveTo(trash) => to_trash(inner, &mut dirs, &at, trash, &old, &verify),
            // The system removes no directory that holds anything.
            Displaced::Discard if old.kind == Kind::Dir => {
                rustix::fs::unlinkat(&*dir, name, AtFlags::REMOVEDIR).map_err(not_empty)
            }
            Displaced::Discard if *expect == Precondition::None => {
                Ok(rustix::fs::unlinkat(&*dir, name, AtFlags::empty())?)
            }
            Displaced::Discard => {
                // Taken aside, looked at, removed: whoever puts another version there meanwhile gets it back.
                let aside = inner.learned.temps.next();
                let aside = Spot { dir: &dir, name: aside.as_bytes() };
                move_new(inner, &at, &aside, false)?;
                if !verify(&aside).unwrap_or(false) {
                    match move_new(inner, &aside, &at, false) {
                        // Yet another version was saved there meanwhile, and takes the place of this one too.
                        Err(Fail::Said(ErrorKind::Changed, _)) => aside.drop_it(),
                        put_back => put_back?,
                    }
                    return Err(OTHER);
                }
                Ok(rustix::fs::unlinkat(&*dir, aside.name, AtFlags::empty())?)
            }
        }
    };
    run().map_err(|fail| inner.fail(path, fail))
}

/// Removes a link that is followed, which takes nothing away from what it leads to, be that a directory that is not empty.
fn remove_link(
    dirs: &mut Dirs,
    facts: Facts,
    path: &RelPath,
    expect: &Precondition,
    displaced: &Displaced,
) -> Result<(), Fail> {
    expected(super::dirs::entry(dirs, facts, path)?, expect)?;
    if let Displaced::MoveTo(_) = displaced {
        let what = "a symbolic link, which may lead elsewhere from the trash";
        return Err(Fail::Said(ErrorKind::Unsupported, what));
    }
    let (dir, name) = dirs.parent(path)?;
    Ok(rustix::fs::unlinkat(&*dir, name, AtFlags::empty())?)
}

fn gone<T>(errno: Errno, expect: &Precondition) -> Result<T, Fail> {
    match expect {
        Precondition::Version(_) if super::is_missing(errno) => Err(Fail::changed("it is gone")),
        _ => Err(errno.into()),
    }
}

fn not_empty(errno: Errno) -> Fail {
    match errno {
        Errno::EXIST => Errno::NOTEMPTY.into(),
        errno => errno.into(),
    }
}

/// Moves the old version to the trash.
fn to_trash(
    inner: &Inner,
    dirs: &mut Dirs,
    at: &Spot<'_>,
    trash: &RelPath,
    old: &Entry,
    verify: &dyn Fn(&Spot<'_>) -> Result<bool, Errno>,
) -> Result<(), Fail> {
    let is_dir = old.kind == Kind::Dir;
    if is_dir {
        place::may_displace(at, old, &Precondition::None)?;
    }
    let (dir, name) = dirs.make_parent(trash)?;
    let to = Spot { dir: &dir, name };
    match move_new(inner, at, &to, is_dir) {
        // What it held went to the trash before it: its place there is made already.
        Err(Fail::Said(ErrorKind::Changed, _)) if is_dir => {
            let trashed = super::dirs::open_child(&*dir, name)?;
            rustix::fs::unlinkat(&**at.dir, at.name, AtFlags::REMOVEDIR).map_err(not_empty)?;
            let _ = rustix::fs::fchmod(&trashed, Mode::from_raw_mode(old.meta.mode as _));
            let _ = rustix::fs::futimens(&trashed, &timestamps(old.meta.mtime));
            return Ok(());
        }
        Err(Fail::Said(ErrorKind::Changed, _)) => {
            return Err(Fail::changed("something stands in the trash already"));
        }
        moved => moved?,
    }
    if verify(&to)? {
        return Ok(());
    }
    move_new(inner, &to, at, is_dir)?;
    Err(OTHER)
}

/// See [`crate::Store::rename`].
pub(super) fn rename(inner: &Inner, from: &RelPath, to: &RelPath, expect: &Precondition) -> Result<Written> {
    let run = || -> Result<Entry, Fail> {
        let (mut dirs, facts) = inner.enter_to_change()?;
        let (dir, name) = dirs.parent(from).or_else(|errno| gone(errno, expect))?;
        let found = entry_at(facts, &*dir, name)?;
        links::refuse(inner.links, found.as_ref())?;
        let old = expected(found, expect)?;
        let (to_dir, to_name) = dirs.parent(to)?;
        let (at, new) = (Spot { dir: &dir, name }, Spot { dir: &to_dir, name: to_name });
        let is_dir = old.kind == Kind::Dir;
        if is_dir && inner.links == Links::Followed && from.parent() != to.parent() {
            let what = "a directory, in which relative links may be that are followed";
            return Err(Fail::Said(ErrorKind::Unsupported, what));
        }
        // A file system that folds names takes the new spelling for taken.
        let respelled = inner.capabilities.traits.folds_names
            && from != to
            && from.parent() == to.parent()
            && fold_key(name) == fold_key(to_name);
        if respelled {
            let aside = inner.learned.temps.next();
            let aside = Spot { dir: &dir, name: aside.as_bytes() };
            move_new(inner, &at, &aside, is_dir)?;
            if let Err(fail) = move_new(inner, &aside, &new, is_dir) {
                move_new(inner, &aside, &at, is_dir)?;
                return Err(fail);
            }
        } else {
            move_new(inner, &at, &new, is_dir)?;
        }
        match entry_at(facts, &*to_dir, to_name)? {
            Some(now) if now.kind == old.kind && same_bytes(&now, &old.fingerprint()) => Ok(now),
            _ => {
                move_new(inner, &new, &at, is_dir)?;
                Err(OTHER)
            }
        }
    };
    run().map(|entry| Written { entry, content: None }).map_err(|fail| inner.fail(from, fail))
}

/// See [`crate::Store::set_meta`] and [`Change::SetMeta`].
pub(super) fn set_meta(
    inner: &Inner,
    path: &RelPath,
    meta: &Meta,
    expect: &Precondition,
    like: Option<Like<'_>>,
) -> Result<Written> {
    let run = || -> Result<Entry, Fail> {
        let (mut dirs, facts) = inner.enter_to_change()?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = if path.is_root() {
            rustix::fs::openat(dirs.root(), c".", flags, Mode::empty())?
        } else {
            let (dir, name) = dirs.parent(path).or_else(|errno| gone(errno, expect))?;
            match rustix::fs::openat(&*dir, name, flags, Mode::empty()) {
                Err(errno) => return gone(errno, expect),
                Ok(fd) => fd,
            }
        };
        // From here on the handle is meant, whatever becomes of the name.
        let old = facts.entry(&rustix::fs::fstat(&fd)?);
        links::refuse(inner.links, Some(&old))?;
        let old = expected(Some(old), expect)?;
        if let Some(like) = like {
            give_xattrs(like, &fd, &old)?;
        }
        apply(&fd, &old, &Wanted::new(inner, meta, true))?;
        let mut entry = facts.entry(&rustix::fs::fstat(&fd)?);
        if entry.kind == Kind::Symlink {
            entry.target = rustix::fs::readlinkat(&fd, c"", Vec::new())?.into_bytes().into();
        }
        Ok(entry)
    };
    run().map(|entry| Written { entry, content: None }).map_err(|fail| inner.fail(path, fail))
}

/// Where an entry gets its extended attributes from.
pub(super) enum Like<'l> {
    /// An entry of this machine.
    Local(&'l LocalStore, &'l RelPath),
    /// These.
    These(&'l Xattrs),
}

/// Gives an entry, open as a handle, the extended attributes of another one. Those of links are left alone.
fn give_xattrs(like: Like<'_>, fd: &OwnedFd, old: &Entry) -> Result<(), Fail> {
    if old.kind == Kind::Symlink {
        return Ok(());
    }
    // The handle cannot be written through; opened again by its own name it is the same inode.
    let itself = || rustix::fs::open(format!("/proc/self/fd/{}", fd.as_raw_fd()), OFlags::RDONLY, Mode::empty());
    let (store, path) = match like {
        Like::Local(store, path) => (store, path),
        Like::These(pairs) => return Ok(xattrs::replace_by(pairs, itself()?.as_fd())?),
    };
    let (mut dirs, _) = store.inner.enter()?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | store.inner.links.no_follow();
    let source = if path.is_root() {
        rustix::fs::openat(dirs.root(), c".", flags, Mode::empty())?
    } else {
        let (dir, name) = dirs.parent(path)?;
        rustix::fs::openat(&*dir, name, flags, Mode::empty())?
    };
    Ok(xattrs::replace(source.as_fd(), itself()?.as_fd())?)
}

/// Sets what differs, through the handle.
fn apply(fd: &OwnedFd, old: &Entry, wanted: &Wanted) -> Result<(), Errno> {
    let owner = wanted.owner.filter(|owner| *owner != (old.meta.uid, old.meta.gid));
    if let Some((uid, gid)) = owner {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::chownat(fd, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
    }
    if let Some(mode) = wanted.mode.filter(|mode| owner.is_some() || *mode != old.meta.mode)
        && old.kind != Kind::Symlink
    {
        // The handle names the inode itself; no link is followed behind it.
        let itself = format!("/proc/self/fd/{}", fd.as_raw_fd());
        rustix::fs::chmodat(CWD, itself, Mode::from_raw_mode(mode as _), AtFlags::empty())?;
    }
    match wanted.mtime {
        Some(mtime) if mtime != old.meta.mtime => {
            rustix::fs::utimensat(fd, c"", &timestamps(mtime), AtFlags::EMPTY_PATH)
        }
        _ => Ok(()),
    }
}

/// See [`crate::Store::apply`]; there are no writes among the changes. Each comes with the extended attributes that it
/// sets, where they are those of an entry elsewhere.
pub(super) fn apply_all(
    inner: &Arc<Inner>,
    changes: Vec<(Change, Result<Option<Xattrs>>)>,
    flow: &Flow,
) -> Vec<Result<Option<Written>>> {
    let one = |(change, pairs): (Change, Result<Option<Xattrs>>)| match change {
        Change::Remove { path, expect, displaced } => {
            stopped(inner, &path, flow).and_then(|()| remove(inner, &path, &expect, &displaced)).map(|()| None)
        }
        Change::Rename { from, to, expect } => {
            stopped(inner, &from, flow).and_then(|()| rename(inner, &from, &to, &expect)).map(Some)
        }
        Change::SetMeta { path, meta, expect, xattrs } => stopped(inner, &path, flow)
            .and_then(|()| {
                let pairs = pairs?;
                let local = match &xattrs {
                    Some(XattrsOf::Entry(store, path)) => store.as_local().map(|store| Like::Local(store, path)),
                    _ => None,
                };
                let like = local.or(pairs.as_ref().map(Like::These));
                set_meta(inner, &path, &meta, &expect, like)
            })
            .map(Some),
        Change::Write(_) => unreachable!("writes go by batches of their own"),
    };
    changes.into_iter().map(one).collect()
}

fn stopped(inner: &Inner, path: &RelPath, flow: &Flow) -> Result<()> {
    match flow.is_cancelled() {
        true => Err(Error::new(ErrorKind::Cancelled, &inner.location, path.clone(), "cancelled")),
        false => Ok(()),
    }
}

/// See [`crate::Store::remove_temp`].
pub(super) fn remove_temp(inner: &Arc<Inner>, path: &RelPath) -> Result<()> {
    if !path.name().starts_with(TEMP_PREFIX.as_bytes()) {
        return Err(Error::new(ErrorKind::Unsupported, &inner.location, path.clone(), "not a temporary"));
    }
    let run = || -> Result<(), Errno> {
        let (mut dirs, _) = inner.enter_to_change()?;
        match dirs.parent(path) {
            Ok((dir, name)) => place::remove_all(&dir, name),
            Err(errno) if super::is_missing(errno) => Ok(()),
            Err(errno) => Err(errno),
        }
    };
    run().map_err(|errno| errno::at(&inner.location, path, errno))
}
