//! Hearing of changes by inotify: one watch a directory, set **before** the directory is listed, so that nothing that
//! comes into a new one goes unheard. See inotify(7).
//!
//! The crate `notify` lists a new directory before it watches it, walks all its watches for each directory that goes, and
//! hears of every file that anybody opens; hence the kernel's interface itself.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use async_trait::async_trait;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use sitta_tree::RelPath;

use crate::watch::{Board, Look, Missed, Source, Watch};
use crate::{OWN_DIR, TEMP_PREFIX};

/// Changes of what a directory holds, and of the directory's own metadata.
const WATCHED: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW)
    .union(WatchFlags::EXCL_UNLINK);

/// How much is read from the kernel at a time.
const BUFFER: usize = 64 << 10;

/// What is asked of the thread.
struct Bell {
    fd: OwnedFd,
    /// It is to end.
    stop: AtomicBool,
    /// How often it was asked to read all that waits.
    asked: AtomicU64,
}

impl Bell {
    fn ring(&self) {
        let _ = rustix::io::write(&self.fd, &1_u64.to_ne_bytes());
    }

    /// The number of the last question; asked before what waits is read, all that had happened by then is read too.
    fn heed(&self) -> u64 {
        let _ = rustix::io::read(&self.fd, &mut [0; 8]);
        self.asked.load(Ordering::SeqCst)
    }
}

/// The thread, which ends when this is dropped.
struct Listener {
    bell: Arc<Bell>,
    /// The number of the last question that was answered; nothing more comes when the thread has ended.
    answered: tokio::sync::watch::Receiver<u64>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.bell.stop.store(true, Ordering::SeqCst);
        self.bell.ring();
    }
}

/// The kernel puts what happens into its queue before the call that did it returns. So it is enough that the queue is
/// read to its end once.
#[async_trait]
impl Source for Listener {
    async fn catch_up(&self) -> bool {
        let number = self.bell.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.bell.ring();
        self.answered.clone().wait_for(|answered| *answered >= number).await.is_ok()
    }
}

/// Watches the folder at `root` and all below it. When this returns, every directory is watched.
pub(super) fn watch(root: &Path) -> Result<Watch, Errno> {
    let board = Board::default();
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let bell = Arc::new(Bell { fd, stop: AtomicBool::new(false), asked: AtomicU64::new(0) });
    let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let mut watcher = Watcher {
        fd: Arc::new(fd),
        root: root.to_owned(),
        board: board.clone(),
        dirs: HashMap::new(),
        top: 0,
        leaving: HashMap::new(),
    };
    watcher.begin()?;
    let (answer, answered) = tokio::sync::watch::channel(0);
    let heeded = bell.clone();
    let listening = thread::Builder::new().name("watch".into()).spawn(move || watcher.listen(&heeded, &answer));
    listening.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
    Ok(Watch::new(board, Listener { bell, answered }))
}

/// A watched directory.
struct Dir {
    parent: i32,
    name: Box<[u8]>,
    inside: HashMap<Box<[u8]>, i32>,
}

struct Watcher {
    fd: Arc<OwnedFd>,
    root: PathBuf,
    board: Board,
    /// By watch descriptor.
    dirs: HashMap<i32, Dir>,
    top: i32,
    /// Directories that were renamed, by the cookie that their arrival will have; what does not arrive has left.
    leaving: HashMap<u32, i32>,
}

impl Watcher {
    fn begin(&mut self) -> Result<(), Errno> {
        // The root is what its path leads to, be it through a link.
        let flags = WATCHED.difference(WatchFlags::DONT_FOLLOW) | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        self.top = inotify::add_watch(&*self.fd, &*self.root, flags)?;
        self.dirs.insert(self.top, Dir { parent: self.top, name: Box::default(), inside: HashMap::new() });
        self.enter(self.top, RelPath::root());
        Ok(())
    }

    /// Watches all directories inside `dir`, which is watched already.
    fn enter(&mut self, dir: i32, path: RelPath) {
        let mut pending = vec![(dir, path)];
        while let Some((dir, path)) = pending.pop() {
            // What is gone or closed by now is met by the scan, which tells so.
            let Ok(entries) = std::fs::read_dir(self.absolute(&path)) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name();
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) || self.is_ours(dir, name.as_bytes()) {
                    continue;
                }
                let Ok(path) = path.join(name.as_bytes()) else { continue };
                if let Some(inside) = self.add(dir, name.as_bytes(), &path) {
                    pending.push((inside, path));
                }
            }
        }
    }

    /// Watches one directory; none if it cannot be.
    fn add(&mut self, parent: i32, name: &[u8], path: &RelPath) -> Option<i32> {
        match inotify::add_watch(&*self.fd, self.absolute(path), WATCHED) {
            Ok(dir) => {
                // A directory that was renamed keeps its watch.
                self.detach(dir);
                let inside = self.dirs.remove(&dir).map(|known| known.inside).unwrap_or_default();
                self.dirs.insert(dir, Dir { parent, name: name.into(), inside });
                if let Some(parent) = self.dirs.get_mut(&parent) {
                    parent.inside.insert(name.into(), dir);
                }
                Some(dir)
            }
            Err(Errno::NOSPC | Errno::NOMEM) => {
                self.board.missed(Missed::Limit);
                None
            }
            Err(_) => None,
        }
    }

    /// Takes a directory out of the one that holds it.
    fn detach(&mut self, dir: i32) {
        let Some((parent, name)) = self.dirs.get(&dir).map(|dir| (dir.parent, dir.name.clone())) else { return };
        if let Some(parent) = self.dirs.get_mut(&parent)
            && parent.inside.get(&name) == Some(&dir)
        {
            parent.inside.remove(&name);
        }
    }

    /// Stops watching a directory and all inside it.
    fn forget(&mut self, dir: i32) {
        self.detach(dir);
        let mut pending = vec![dir];
        while let Some(dir) = pending.pop() {
            if let Some(gone) = self.dirs.remove(&dir) {
                pending.extend(gone.inside.into_values());
                // One that was deleted has no watch any more.
                let _ = inotify::remove_watch(&*self.fd, dir);
            }
        }
    }

    /// Where a watched directory is now; none for one that has left.
    fn path(&self, mut dir: i32) -> Option<RelPath> {
        let mut names = Vec::new();
        while dir != self.top {
            let known = self.dirs.get(&dir)?;
            names.push(&*known.name);
            dir = known.parent;
        }
        names.reverse();
        RelPath::new(names.join(&b"/"[..])).ok()
    }

    fn absolute(&self, path: &RelPath) -> PathBuf {
        self.root.join(OsStr::from_bytes(path.as_bytes()))
    }

    /// Temporaries and our own directory are nobody's business.
    fn is_ours(&self, dir: i32, name: &[u8]) -> bool {
        name.starts_with(TEMP_PREFIX.as_bytes()) || (dir == self.top && *name == *OWN_DIR.as_bytes())
    }

    fn listen(mut self, bell: &Bell, answer: &tokio::sync::watch::Sender<u64>) {
        let fd = self.fd.clone();
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        loop {
            let mut ready = [PollFd::new(&*fd, PollFlags::IN), PollFd::new(&bell.fd, PollFlags::IN)];
            match poll(&mut ready, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return self.board.missed(Missed::Gone),
            }
            if bell.stop.load(Ordering::SeqCst) {
                return;
            }
            let asked = bell.heed();
            if !self.read(&fd, &mut buffer) {
                return self.board.missed(Missed::Gone);
            }
            for (_, dir) in std::mem::take(&mut self.leaving) {
                self.forget(dir);
            }
            answer.send_replace(asked);
        }
    }

    /// Takes in all that waits; false once the root is gone.
    fn read(&mut self, fd: &OwnedFd, buffer: &mut [MaybeUninit<u8>]) -> bool {
        let mut reader = inotify::Reader::new(fd.as_fd(), buffer);
        loop {
            let Ok(event) = reader.next() else { return true };
            let name = event.file_name().map_or(&b""[..], |name| name.to_bytes());
            let (dir, what, cookie) = (event.wd(), event.events(), event.cookie());
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                // Directories may have come unheard: those are watched now, and then everything is looked at.
                self.enter(self.top, RelPath::root());
                self.board.missed(Missed::Overflow);
            } else if what.intersects(ReadFlags::IGNORED | ReadFlags::UNMOUNT) {
                if dir == self.top {
                    return false;
                }
                self.forget(dir);
                if what.contains(ReadFlags::UNMOUNT) {
                    self.board.missed(Missed::Overflow);
                }
            } else if dir == self.top && what.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) {
                return false;
            } else if !self.is_ours(dir, name) {
                self.take_in(dir, name, what, cookie);
            }
        }
    }

    fn take_in(&mut self, dir: i32, name: &[u8], what: ReadFlags, cookie: u32) {
        let Some(parent) = self.path(dir) else { return };
        if name.is_empty() {
            return self.board.changed(parent, Look::Entry);
        }
        let Ok(path) = parent.join(name) else { return };
        let is_dir = what.contains(ReadFlags::ISDIR);
        if is_dir && what.contains(ReadFlags::MOVED_FROM) {
            self.leave(dir, name, cookie);
        } else if is_dir && what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
            self.leaving.remove(&cookie);
            if let Some(new) = self.add(dir, name, &path) {
                self.enter(new, path.clone());
            }
            return self.board.changed(path, Look::Below);
        } else if is_dir && what.contains(ReadFlags::DELETE) {
            let gone = self.dirs.get(&dir).and_then(|dir| dir.inside.get(name).copied());
            gone.into_iter().for_each(|gone| self.forget(gone));
        }
        self.board.changed(path, Look::Entry);
    }

    /// A directory gets another name, here or elsewhere.
    fn leave(&mut self, dir: i32, name: &[u8], cookie: u32) {
        if let Some(moved) = self.dirs.get_mut(&dir).and_then(|dir| dir.inside.remove(name)) {
            self.leaving.insert(cookie, moved);
        }
    }
}
