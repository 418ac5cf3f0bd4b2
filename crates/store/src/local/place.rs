//! The one step in which a change becomes visible.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use rustix::fs::{AtFlags, RenameFlags, renameat, renameat_with};
use rustix::io::Errno;
use sitta_tree::{Entry, Kind};

use super::dirs::{Dirs, open_child};
use super::errno::{Fail, cannot};
use super::facts::{entry_at, stat_at};
use super::links::{self, Inode, inode};
use super::{Inner, scan};
use crate::check::same_bytes;
use crate::{Displaced, ErrorKind, Precondition};

/// A place below the root: an open directory and a name in it.
#[derive(Clone, Copy)]
pub(super) struct Spot<'a> {
    pub dir: &'a Rc<OwnedFd>,
    pub name: &'a [u8],
}

impl Spot<'_> {
    fn unlink(&self, is_dir: bool) -> Result<(), Errno> {
        rustix::fs::unlinkat(&**self.dir, self.name, if is_dir { AtFlags::REMOVEDIR } else { AtFlags::empty() })
    }

    /// Removes a file or link that shall not appear after all.
    pub fn drop_it(&self) {
        let _ = self.unlink(false);
    }

    fn inode(&self) -> Result<Inode, Errno> {
        stat_at(&**self.dir, self.name)?.map(|stat| inode(&stat)).ok_or(Errno::NOENT)
    }

    fn exchange(&self, other: &Spot<'_>) -> Result<(), Errno> {
        renameat_with(&**self.dir, self.name, &**other.dir, other.name, RenameFlags::EXCHANGE)
    }
}

/// Moves `from` to `to`, where nothing may stand.
pub(super) fn move_new(inner: &Inner, from: &Spot<'_>, to: &Spot<'_>, is_dir: bool) -> Result<(), Fail> {
    let taken = || Fail::changed("something stands there already");
    if !inner.learned.no_noreplace.load(Relaxed) {
        match renameat_with(&**from.dir, from.name, &**to.dir, to.name, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => return Err(taken()),
            // Also said of a directory that would go into itself, which the plain rename says too.
            Err(errno) if cannot(errno) => inner.learned.no_noreplace.store(errno != Errno::INVAL, Relaxed),
            Err(errno) => return Err(errno.into()),
        }
    }
    if inner.capabilities.hard_links && !is_dir {
        match rustix::fs::linkat(&**from.dir, from.name, &**to.dir, to.name, AtFlags::empty()) {
            Ok(()) => return Ok(from.unlink(false)?),
            Err(Errno::EXIST) => return Err(taken()),
            Err(errno) if cannot(errno) || errno == Errno::PERM => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    if stat_at(&**to.dir, to.name)?.is_some() {
        return Err(taken());
    }
    Ok(renameat(&**from.dir, from.name, &**to.dir, to.name)?)
}

/// Lets the new thing at `temp` (a directory or not) appear at `at`, if what is expected stands there.
pub(super) fn publish(
    inner: &Inner,
    dirs: &mut Dirs,
    temp: &Spot<'_>,
    at: &Spot<'_>,
    new_dir: bool,
    expect: &Precondition,
    displaced: &Displaced,
) -> Result<(), Fail> {
    if *expect == Precondition::Absent {
        return move_new(inner, temp, at, new_dir);
    }
    let facts = inner.facts(&inner.root()?);
    let Some(old) = entry_at(facts, &**at.dir, at.name)? else {
        return match expect {
            Precondition::None => move_new(inner, temp, at, new_dir),
            _ => Err(Fail::changed("it is gone")),
        };
    };
    links::refuse(inner.links, Some(&old))?;
    may_displace(at, &old, expect)?;
    let verify = |spot: &Spot<'_>| -> Result<bool, Errno> {
        let now = entry_at(facts, &**spot.dir, spot.name)?;
        Ok(now.is_some_and(|now| now.kind == old.kind && same_bytes(&now, &old.fingerprint())))
    };
    match displaced {
        Displaced::Discard => discard(inner, temp, at, old.kind == Kind::Dir, new_dir, &verify),
        Displaced::MoveTo(path) => {
            let (dir, name) = dirs.make_parent(path)?;
            let trash = Spot { dir: &dir, name };
            keep(inner, temp, at, &trash, new_dir, &old, &verify)
        }
    }
}

/// Whether what stands at a path may make way.
pub(super) fn may_displace(at: &Spot<'_>, old: &Entry, expect: &Precondition) -> Result<(), Fail> {
    if !super::is_ours(old) {
        return Err(Fail::Said(ErrorKind::Unsupported, "a fifo, socket or device stands there"));
    }
    if !expect.admits(Some(old)) {
        return Err(Fail::changed("it is not the version that was expected"));
    }
    if old.kind == Kind::Dir && !scan::names(&open_child(&**at.dir, at.name)?)?.is_empty() {
        return Err(Fail::Said(ErrorKind::NotEmpty, "a directory that is not empty stands there"));
    }
    Ok(())
}

/// Undoes an exchange that took from `at` what it should not have, and left our new thing, the inode `ours`, there.
/// Whoever replaces it at this very moment has the newer version, which is not to be taken away either: it is put back
/// in turn, until what comes back is what was put there last.
fn put_back(held: &Spot<'_>, at: &Spot<'_>, ours: Inode) {
    let mut placed = ours;
    while let Ok(next) = held.inode() {
        let swapped = held.exchange(at);
        if swapped.is_err() || held.inode().is_ok_and(|now| now == placed) {
            return;
        }
        placed = next;
    }
}

type Verify<'v> = dyn Fn(&Spot<'_>) -> Result<bool, Errno> + 'v;

const OTHER: Fail = Fail::Said(ErrorKind::Changed, "it changed at the last moment");

/// Puts `temp` in the place of `at`, whose old version is gone afterwards.
fn discard(
    inner: &Inner,
    temp: &Spot<'_>,
    at: &Spot<'_>,
    old_dir: bool,
    new_dir: bool,
    verify: &Verify<'_>,
) -> Result<(), Fail> {
    if !inner.learned.no_exchange.load(Relaxed) {
        let ours = temp.inode()?;
        match temp.exchange(at) {
            Ok(()) => {
                // The old version now has the temporary's name.
                let gone = match verify(temp) {
                    Ok(true) => temp.unlink(old_dir).map_err(Fail::from),
                    Ok(false) => Err(OTHER),
                    Err(errno) => Err(errno.into()),
                };
                return gone.inspect_err(|_| put_back(temp, at, ours));
            }
            Err(Errno::NOENT) => return Err(Fail::changed("it is gone")),
            Err(errno) if cannot(errno) => inner.learned.no_exchange.store(true, Relaxed),
            Err(errno) => return Err(errno.into()),
        }
    }
    if old_dir && !new_dir {
        at.unlink(true)?;
    } else if new_dir && !old_dir {
        at.unlink(false)?;
    }
    Ok(renameat(&**temp.dir, temp.name, &**at.dir, at.name)?)
}

/// Puts `temp` in the place of `at`, whose old version is found at `trash` afterwards. At no moment is it nowhere: the
/// new version takes the trash's name first, and then both change places.
fn keep(
    inner: &Inner,
    temp: &Spot<'_>,
    at: &Spot<'_>,
    trash: &Spot<'_>,
    new_dir: bool,
    old: &Entry,
    verify: &Verify<'_>,
) -> Result<(), Fail> {
    if !inner.learned.no_exchange.load(Relaxed) {
        move_new(inner, temp, trash, new_dir)?;
        let ours = trash.inode()?;
        let back = |fail: Fail| {
            let _ = move_new(inner, trash, temp, new_dir);
            fail
        };
        match trash.exchange(at) {
            Ok(()) => {
                let kept = match verify(trash) {
                    Ok(true) => return Ok(()),
                    Ok(false) => OTHER,
                    Err(errno) => errno.into(),
                };
                put_back(trash, at, ours);
                return Err(back(kept));
            }
            Err(Errno::NOENT) => return Err(back(Fail::changed("it is gone"))),
            Err(errno) if cannot(errno) => {
                inner.learned.no_exchange.store(true, Relaxed);
                move_new(inner, trash, temp, new_dir)?;
            }
            Err(errno) => return Err(back(errno.into())),
        }
    }
    if old.kind != Kind::Dir && !new_dir && inner.capabilities.hard_links {
        match rustix::fs::linkat(&**at.dir, at.name, &**trash.dir, trash.name, AtFlags::empty()) {
            Ok(()) if !verify(trash)? => {
                trash.unlink(false)?;
                return Err(OTHER);
            }
            Ok(()) => return Ok(renameat(&**temp.dir, temp.name, &**at.dir, at.name)?),
            Err(Errno::EXIST) => return Err(Fail::changed("something stands in the trash already")),
            Err(errno) if cannot(errno) || matches!(errno, Errno::PERM | Errno::MLINK) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    move_new(inner, at, trash, old.kind == Kind::Dir)?;
    if !verify(trash)? {
        let _ = move_new(inner, trash, at, old.kind == Kind::Dir);
        return Err(OTHER);
    }
    move_new(inner, temp, at, new_dir).inspect_err(|_| drop(move_new(inner, trash, at, old.kind == Kind::Dir)))
}

/// Removes what stands under a temporary name, a directory with all it holds. Links in it are removed, not followed.
pub(super) fn remove_all(dir: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    let inside = open_child(dir, name)?;
    for name in scan::names(&inside)? {
        remove_all(&inside, &name)?;
    }
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
