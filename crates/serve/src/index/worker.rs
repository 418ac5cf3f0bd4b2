//! Keeps an index up to date, on a thread of its own that gives way to everybody else.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use sitta_store::Store;
use sitta_store::watch::{Heard, Missed};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::builder::{Builder, merge};
use super::catalogue::{self, Change, NOISE, Unread};
use super::segment::Segment;
use super::trigram::Bag;
use super::walk::{self, unseen};
use super::{Fault, Index, IndexEvent, IndexNotice, IndexOptions};
use crate::feed::{Follower, Hub};

/// So many files are read before it is asked whether something else is to be done.
const ROUND: usize = 256;

/// How much of a file is read at a time.
const PIECE: usize = 256 << 10;

/// Segments of about the same size become one when there are so many.
const TOGETHER: usize = 8;

/// What is no larger than this counts as of the same size.
const SMALL: u64 = 64 << 10;

/// After so long everything is walked through, for what nobody was told of; and after so long it is tried again what
/// failed.
const WALK: Duration = Duration::from_secs(3600);
const AGAIN: Duration = Duration::from_secs(30);

/// What is heard at once is taken in together.
const QUIET: Duration = Duration::from_millis(50);

/// What to do, and for whom.
#[derive(Debug)]
pub(super) struct Work {
    pub share: String,
    pub store: Arc<dyn Store>,
    pub hub: Arc<Hub>,
    pub options: IndexOptions,
    pub stopped: watch::Receiver<bool>,
}

impl Work {
    fn is_stopped(&self) -> bool {
        *self.stopped.borrow() || self.stopped.has_changed().is_err()
    }

    fn tell(&self, what: IndexEvent) {
        // Perhaps nobody wants to know.
        let _ = self.options.notices.send(IndexNotice { share: self.share.clone(), what });
    }
}

/// Begins; `tasks` gets one that ends when this has.
pub(super) fn start(index: Arc<Index>, work: Work, tasks: &mut JoinSet<()>) {
    let (handle, (ended, end)) = (Handle::current(), oneshot::channel::<()>());
    let thread = std::thread::Builder::new().name("index".into()).spawn(move || {
        // Of this thread alone, on Linux.
        let _ = rustix::process::nice(15);
        run(&index, &work, &handle);
        drop(ended);
    });
    if thread.is_ok() {
        tasks.spawn(async { drop(end.await) });
    }
}

fn run(index: &Arc<Index>, work: &Work, handle: &Handle) {
    let mut told_off = false;
    while !work.is_stopped() {
        let ended = Worker::open(index, work, handle).and_then(|mut worker| worker.work());
        index.usable.store(false, Ordering::Release);
        index.stock.forget();
        match ended {
            Ok(()) => {}
            Err(Fault::Damaged(why)) => {
                work.tell(IndexEvent::Rebuilt { why });
                clear(&index.stock.dir);
            }
            Err(Fault::Failed(why)) => {
                if !std::mem::replace(&mut told_off, true) {
                    work.tell(IndexEvent::Off { why });
                }
                pause(index, work, handle, AGAIN, None);
            }
        }
    }
}

/// Removes what is in the index's folder, but for the lock.
fn clear(dir: &std::path::Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name() != LOCK {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Waits until something is to be done, or so long.
fn pause(index: &Index, work: &Work, handle: &Handle, most: Duration, follower: Option<&Follower>) {
    let mut stopped = work.stopped.clone();
    handle.block_on(async {
        let news = async {
            match follower {
                Some(follower) => follower.news().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = news => tokio::time::sleep(QUIET).await,
            () = index.woken.notified() => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = tokio::time::sleep(most) => {}
        }
    });
}

/// How files of segments end.
const ENDING: &str = ".segment";

fn path(index: &Index, name: i64) -> PathBuf {
    index.stock.dir.join(format!("{name}{ENDING}"))
}

fn next_name(names: &[i64]) -> i64 {
    names.iter().max().map_or(1, |name| name + 1)
}

/// How many of the last segments, given the sizes of all, are to become one; none while they may stay.
fn alike(sizes: &[u64]) -> Option<usize> {
    let level = |size: u64| (size / SMALL).checked_ilog(TOGETHER as u64).map_or(0, |log| log + 1);
    let highest = sizes.iter().map(|size| level(*size)).max()?;
    let run = |most| sizes.iter().rev().take_while(move |size| level(**size) <= most);
    let full = |most: &u32| run(*most).filter(|size| level(**size) == *most).count() >= TOGETHER;
    (0..=highest).find(full).map(|most| run(most).count())
}

/// The file that says that somebody works here.
const LOCK: &str = "lock";

struct Worker<'w> {
    index: &'w Arc<Index>,
    work: &'w Work,
    handle: &'w Handle,
    db: Connection,
    builder: Builder,
    bag: Bag,
    buffer: Vec<u8>,
    /// The number of the builder's first document.
    first: u64,
    /// Files that were read: the entry, and its document.
    read: HashMap<i64, i64>,
    /// Where to go on with what was not read yet.
    after: i64,
    /// How many files were not read when there was nothing left to do, and how long to wait until that is tried again.
    unread: u64,
    patience: Duration,
    walked: Instant,
    ready: bool,
    _lock: File,
}

impl<'w> Worker<'w> {
    fn open(index: &'w Arc<Index>, work: &'w Work, handle: &'w Handle) -> Result<Self, Fault> {
        let dir = &index.stock.dir;
        fs::create_dir_all(dir)?;
        let lock = File::create(dir.join(LOCK))?;
        lock.try_lock().map_err(|_| Fault::Failed("another server works on it".into()))?;
        *index.damaged.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let db = catalogue::open(dir, index.local.location())?;
        let names = catalogue::segments(&db)?;
        let mut segments = Vec::new();
        for name in &names {
            segments.push(Arc::new(Segment::open(&path(index, *name))?));
        }
        let ours = |file: &str| file.strip_suffix(ENDING).and_then(|name| name.parse().ok());
        for entry in fs::read_dir(dir)?.flatten() {
            let name: Option<i64> = entry.file_name().to_str().and_then(ours);
            if name.is_some_and(|name| !names.contains(&name)) {
                fs::remove_file(entry.path())?;
            }
        }
        let first = segments.last().map_or(1, |last| last.first + u64::from(last.docs));
        index.stock.replace(|there| *there = segments, || Ok(Vec::new()))?;
        index.usable.store(true, Ordering::Release);
        Ok(Self {
            index,
            work,
            handle,
            db,
            builder: Builder::default(),
            bag: Bag::new(),
            buffer: Vec::new(),
            first,
            read: HashMap::new(),
            after: 0,
            unread: 0,
            patience: QUIET,
            walked: Instant::now(),
            ready: false,
            _lock: lock,
        })
    }

    /// Works until it is to stop, or something is wrong.
    fn work(&mut self) -> Result<(), Fault> {
        let follow = || self.handle.block_on(self.work.hub.follow(&self.work.store));
        let follower = follow().map_err(unseen)?;
        let follower = Arc::new(follower.ok_or_else(|| Fault::Failed("it cannot be watched".into()))?);
        self.index.hearing().follower = Some(follower.clone());
        let ended = self.keep_up(&follower);
        *self.index.hearing() = super::Hearing::default();
        ended
    }

    fn keep_up(&mut self, follower: &Follower) -> Result<(), Fault> {
        while !self.work.is_stopped() {
            if let Some(why) = self.index.damaged.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(Fault::Damaged(why));
            }
            if follower.is_gone() {
                return Err(Fault::Failed("the folder is gone".into()));
            }
            let heard = {
                let mut hearing = self.index.hearing();
                hearing.working.join(follower.take());
                if self.walked.elapsed() > WALK {
                    hearing.working.missed = Some(Missed::Overflow);
                }
                hearing.working.clone()
            };
            self.take_in(&heard)?;
            self.index.hearing().working = Heard::default();
            let more = self.read_some()?;
            if !more || self.builder.bytes() >= self.work.options.memory {
                self.write_down()?;
            }
            if !more && !self.work.is_stopped() {
                self.rest(follower)?;
            }
        }
        self.write_down()
    }

    /// Nothing is left to be done for now.
    fn rest(&mut self, follower: &Follower) -> Result<(), Fault> {
        let (files, unread) = catalogue::counts(&self.db)?;
        if !std::mem::replace(&mut self.ready, true) {
            self.work.tell(IndexEvent::Ready { files: files - unread, unread });
        }
        // What cannot be read is not tried all the time.
        self.patience = match unread == self.unread {
            true => (self.patience * 2).min(AGAIN),
            false => self.work.options.settle.max(QUIET),
        };
        self.unread = unread;
        let to_walk = WALK.saturating_sub(self.walked.elapsed());
        let most = if unread > 0 { self.patience.min(to_walk) } else { to_walk };
        pause(self.index, self.work, self.handle, most, Some(follower));
        Ok(())
    }

    /// Makes the catalogue know what was heard.
    fn take_in(&mut self, heard: &Heard) -> Result<(), Fault> {
        if heard.is_empty() {
            return Ok(());
        }
        let mut change = Change::begin(&mut self.db)?;
        walk::take_in(self.index, &mut change, heard)?;
        for id in change.commit()? {
            self.read.remove(&id);
        }
        if heard.missed.is_some() {
            self.walked = Instant::now();
        }
        // What was passed by may be meant.
        self.after = 0;
        Ok(())
    }

    /// Reads some files; whether there are more.
    fn read_some(&mut self) -> Result<bool, Fault> {
        let now = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        let settle = i64::try_from(self.work.options.settle.as_nanos()).unwrap_or(i64::MAX);
        let files = catalogue::unread(&self.db, self.after, now, settle, ROUND)?;
        let Some(last) = files.last() else {
            self.after = 0;
            return Ok(false);
        };
        self.after = last.id;
        let mut reader = self.index.local.reader().map_err(unseen)?;
        for file in files.iter().filter(|file| !self.read.contains_key(&file.id)).collect::<Vec<_>>() {
            if self.work.is_stopped() || self.builder.bytes() >= self.work.options.memory {
                // The rest comes next time.
                self.after = file.id - 1;
                break;
            }
            self.read_one(&mut reader, file);
        }
        Ok(true)
    }

    /// Reads a file. What cannot be read, or is another version by now, stays unread: it is heard of again, or met by the
    /// next walk.
    fn read_one(&mut self, reader: &mut sitta_store::local::Reader, file: &Unread) {
        self.bag.clear();
        let Ok(mut open) = reader.open(&file.path) else { return };
        let told = loop {
            self.buffer.clear();
            match open.read(&mut self.buffer, PIECE) {
                Ok(0) => break true,
                Ok(_) if !self.bag.take(&self.buffer) => break false,
                Ok(_) if self.work.is_stopped() => return,
                Ok(_) => {}
                Err(_) => return,
            }
        };
        if open.check(&file.version).is_err() {
            return;
        }
        let doc = match told {
            true => (self.first + u64::from(self.builder.docs())) as i64,
            false => NOISE,
        };
        if told {
            self.builder.add(self.bag.found());
        }
        self.read.insert(file.id, doc);
    }

    /// What was read becomes part of the index.
    fn write_down(&mut self) -> Result<(), Fault> {
        if self.read.is_empty() && self.builder.docs() == 0 {
            return Ok(());
        }
        let (docs, name) = (self.builder.docs(), next_name(&catalogue::segments(&self.db)?));
        let segment = match docs {
            0 => None,
            _ => Some(Arc::new(self.builder.write(&path(self.index, name), self.first)?)),
        };
        let change = Change::begin(&mut self.db)?;
        if docs > 0 {
            change.add_segment(name, self.first, docs)?;
        }
        self.read.drain().try_for_each(|(id, doc)| change.is_read(id, doc))?;
        self.index.stock.replace(|segments| segments.extend(segment), || change.commit())?;
        self.first += u64::from(docs);
        self.put_together()
    }

    /// Keeps the number of segments small.
    fn put_together(&mut self) -> Result<(), Fault> {
        loop {
            let segments = self.index.stock.segments();
            let Some(count) = alike(&segments.iter().map(|segment| segment.size()).collect::<Vec<_>>()) else {
                return Ok(());
            };
            let old = &segments[segments.len() - count..];
            let (first, end) = (old[0].first, self.first);
            let mut living = vec![0_u64; (end - first).div_ceil(64) as usize];
            for doc in catalogue::living(&self.db, first, end)? {
                living[((doc - first) / 64) as usize] |= 1 << ((doc - first) % 64);
            }
            let lives = |doc: u64| living[((doc - first) / 64) as usize] & 1 << ((doc - first) % 64) != 0;
            let names = catalogue::segments(&self.db)?;
            let name = next_name(&names);
            let parts: Vec<&Segment> = old.iter().map(|segment| &**segment).collect();
            let Some(merged) = merge(&path(self.index, name), &parts, lives, || !self.work.is_stopped())? else {
                return Ok(());
            };
            let change = Change::begin(&mut self.db)?;
            let gone = names[names.len() - count..].to_vec();
            gone.iter().try_for_each(|name| change.remove_segment(*name))?;
            change.add_segment(name, merged.first, merged.docs)?;
            let replaced = |segments: &mut Vec<Arc<Segment>>| {
                segments.truncate(segments.len() - count);
                segments.push(Arc::new(merged));
            };
            self.index.stock.replace(replaced, || change.commit())?;
            // Not before the catalogue is safe from a power cut.
            self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
            gone.iter().for_each(|name| drop(fs::remove_file(path(self.index, *name))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_about_a_size_are_put_together() {
        let (small, large) = (SMALL / 2, SMALL * 100);
        assert_eq!(alike(&[]), None);
        assert_eq!(alike(&[small; 7]), None);
        assert_eq!(alike(&[small; 8]), Some(8));
        assert_eq!(alike(&[&[large; 3][..], &[small; 7]].concat()), None, "the large ones are left alone");
        assert_eq!(alike(&[&[large; 3][..], &[small; 9]].concat()), Some(9));
        assert_eq!(alike(&[&[large; 8][..], &[small; 2]].concat()), Some(10));
    }
}
