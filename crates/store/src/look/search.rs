//! Which files hold a text: read as streams, or, on this machine, on as many threads as there are processors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::available_parallelism;

use futures::{FutureExt, Stream, StreamExt, stream};
use memchr::memmem::Finder;
use sitta_tree::RelPath;

use super::{Item, Place};
use crate::local::{LocalStore, Reader};
use crate::{Error, ErrorKind, Result, Store};

/// How much of a file is read at a time.
const PIECE: usize = 256 << 10;

/// A thread takes so many files, neighbours, at a time.
const TURN: usize = 32;

impl Place {
    /// Whether the text stands in each of the items, in their order. Files are read only while the stream is.
    pub(super) fn stream(
        &self,
        items: Vec<Item>,
        finder: &Finder<'static>,
    ) -> impl Stream<Item = (Item, Result<bool>)> + use<> {
        let in_flight = self.store.capabilities().concurrency.max(2);
        let (place, finder) = (self.clone(), finder.clone());
        stream::iter(items)
            .map(move |item| {
                let (place, finder) = (place.clone(), finder.clone());
                async move {
                    // On any processor; and no longer than somebody waits for it.
                    let (task, result) = async move {
                        let held = holds(&place.store, &place.at(&item), &finder).await;
                        (item, held)
                    }
                    .remote_handle();
                    tokio::spawn(task);
                    result.await
                }
            })
            .buffered(in_flight)
    }
}

async fn holds(store: &Arc<dyn Store>, path: &RelPath, finder: &Finder<'_>) -> Result<bool> {
    let mut bytes = store.read(path, 0..u64::MAX).await?;
    // The text may begin in one piece and end in the next.
    let overlap = finder.needle().len().saturating_sub(1);
    let mut window: Vec<u8> = Vec::new();
    while let Some(piece) = bytes.next().await {
        window.extend_from_slice(&piece?);
        if finder.find(&window).is_some() {
            return Ok(true);
        }
        window.drain(..window.len().saturating_sub(overlap));
    }
    Ok(finder.needle().is_empty())
}

/// A search through files of this machine.
#[derive(Debug)]
struct Work {
    local: LocalStore,
    base: RelPath,
    items: Vec<Item>,
    finder: Finder<'static>,
    most: usize,
    /// The first item that nobody has taken.
    next: AtomicUsize,
    /// How many were found.
    found: AtomicUsize,
    stopped: AtomicBool,
}

/// Stops a search that nobody waits for any more.
struct Stop(Arc<Work>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}

/// What was found out: the number of an item, and that it holds the text or could not be read.
type Seen = (usize, Result<()>);

/// Of the items the first `most`, at least, that hold the text, and those before them that could not be read, in their
/// order.
pub(super) async fn of_local(
    local: &LocalStore,
    base: &RelPath,
    items: Vec<Item>,
    finder: &Finder<'static>,
    most: usize,
) -> Vec<(Item, Result<()>)> {
    let threads = available_parallelism().map_or(2, usize::from).min(items.len().div_ceil(TURN));
    let (next, found) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (local, base, finder) = (local.clone(), base.clone(), finder.clone());
    let work = Arc::new(Work { local, base, items, finder, most, next, found, stopped: AtomicBool::new(false) });
    let stop = Stop(work.clone());
    let tasks: Vec<_> = (0..threads)
        .map(|_| {
            let work = work.clone();
            tokio::task::spawn_blocking(move || work.search())
        })
        .collect();
    let mut seen: Vec<Seen> = Vec::new();
    for task in tasks {
        match task.await {
            Ok(part) => seen.extend(part),
            Err(error) => {
                let (at, location) = (seen.len(), work.local.location().into());
                seen.push((at, Err(Error::new(ErrorKind::Other, &location, None, error))));
            }
        }
    }
    drop(stop);
    seen.sort_unstable_by_key(|(at, _)| *at);
    seen.into_iter().filter_map(|(at, result)| Some((work.items.get(at)?.clone(), result))).collect()
}

impl Work {
    /// Takes turns until nothing is left. Turns are taken in order and each is done to its end, or until it alone has found
    /// enough: so the first ones are among what was found.
    fn search(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        let mut buffer = vec![0; PIECE + self.finder.needle().len()];
        let mut reader = self.local.reader();
        while self.found.load(Ordering::Relaxed) < self.most {
            let first = self.next.fetch_add(TURN, Ordering::Relaxed);
            if first >= self.items.len() {
                break;
            }
            let mut found = 0;
            for at in first..(first + TURN).min(self.items.len()) {
                if self.stopped.load(Ordering::Relaxed) || found >= self.most {
                    break;
                }
                let held = match &mut reader {
                    Ok(reader) => self.holds(reader, &self.items[at], &mut buffer),
                    Err(error) => Err(Error::new(error.kind, &error.location, None, error.source.to_string())),
                };
                match held {
                    Ok(true) => {
                        found += 1;
                        seen.push((at, Ok(())));
                    }
                    Ok(false) => {}
                    Err(error) => seen.push((at, Err(error))),
                }
            }
            self.found.fetch_add(found, Ordering::Relaxed);
        }
        seen
    }

    fn holds(&self, reader: &mut Reader, item: &Item, buffer: &mut [u8]) -> Result<bool> {
        let mut file = match self.base.is_root() {
            true => reader.open(&item.path)?,
            false => reader.open(&self.base.join_path(&item.path))?,
        };
        if self.finder.needle().is_empty() {
            return Ok(true);
        }
        // The text may begin in one piece and end in the next.
        let overlap = self.finder.needle().len() - 1;
        let mut kept = 0;
        loop {
            let end = kept + file.fill(&mut buffer[kept..])?;
            if self.finder.find(&buffer[..end]).is_some() {
                return Ok(true);
            }
            if end < buffer.len() || self.stopped.load(Ordering::Relaxed) {
                return Ok(false);
            }
            kept = overlap;
            buffer.copy_within(end - kept.., 0);
        }
    }
}
