//! By which way a file's bytes come: parts of it side by side over TCP, by UDP, or by whichever is faster here.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use sitta_store::{ByteStream, Downloads, Error, ErrorKind, Result, Scheme, Source, Store};
use sitta_tree::{Fingerprint, RelPath};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::pace::{Lane, Pace};
use crate::context::Context;
use crate::open::{Named, open_entry, scheme};

/// The size of a part, and how many are on their way at a time. What of them is not at its turn yet waits in memory.
const PART: u64 = 8 << 20;
const IN_FLIGHT: usize = 4;

/// How often it is looked how fast it goes.
const TICK: Duration = Duration::from_millis(250);

/// The ways to one version of one file.
#[derive(Debug)]
pub struct Lanes {
    /// By lane.
    stores: [OnceLock<Arc<dyn Store>>; 2],
    path: RelPath,
    version: Fingerprint,
    lane: watch::Sender<Lane>,
    arrived: AtomicU64,
}

impl Lanes {
    /// The way on which the file was found.
    pub fn new(lane: Lane, store: Arc<dyn Store>, path: &RelPath, version: Fingerprint) -> Arc<Self> {
        let stores = [OnceLock::new(), OnceLock::new()];
        let _ = stores[lane as usize].set(store);
        let lane = watch::Sender::new(lane);
        Arc::new(Self { stores, path: path.clone(), version, lane, arrived: AtomicU64::new(0) })
    }

    /// The one that is used now.
    pub fn lane(&self) -> Lane {
        *self.lane.borrow()
    }

    /// The size of the version, in bytes.
    pub fn size(&self) -> u64 {
        self.version.size
    }

    /// Requests sent on all of them.
    pub fn requests(&self) -> u64 {
        self.stores.iter().filter_map(OnceLock::get).map(|store| store.requests()).sum()
    }

    fn source(&self, lane: Lane) -> Source {
        let store = self.stores[lane as usize].get().expect("a lane that is there");
        Source::Stored { store: store.clone(), path: self.path.clone(), version: self.version }
    }

    fn has_both(&self) -> bool {
        self.stores.iter().all(|store| store.get().is_some())
    }

    fn location(&self) -> &str {
        self.stores.iter().find_map(OnceLock::get).expect("one way at least").location()
    }

    /// Whether there is more than one way at all.
    pub fn is_sitta(&self) -> bool {
        scheme(self.location()) == Some(Scheme::Sitta)
    }

    /// Whether parts of the file may come side by side.
    fn in_parts(&self) -> bool {
        self.version.size > PART && matches!(scheme(self.location()), Some(Scheme::Sitta | Scheme::S3))
    }

    /// The bytes from `from` on, in order; and with them their metadata, where that comes along. As with
    /// [`Source::open`], the stream ends well only if all came from the version that was meant.
    pub async fn open(self: &Arc<Self>, from: u64) -> Result<sitta_store::Fetched> {
        let source = self.source(self.lane());
        if !self.in_parts() {
            return source.open(from).await;
        }
        let bytes = Parts::new(self.clone(), from).stream();
        Ok(sitta_store::Fetched { bytes, meta: None, pinned: true })
    }

    /// Fails unless the version is still there.
    pub async fn check(&self) -> Result<()> {
        self.source(self.lane()).check().await
    }

    /// Brings a part, piece by piece; what is still missing when another lane turns out faster comes by that.
    async fn bring(&self, range: Range<u64>, pieces: &mpsc::UnboundedSender<Result<Bytes>>) {
        let mut at = range.start;
        let mut lanes = self.lane.subscribe();
        while at < range.end {
            let lane = *lanes.borrow_and_update();
            let failed = tokio::select! {
                () = changed(&mut lanes) => continue,
                failed = self.read(lane, &mut at, range.end, pieces) => failed,
            };
            match failed {
                None => {}
                // There is another way, which is tried before anybody gives up.
                Some(_) if lane == Lane::Udp && self.has_both() => {
                    self.lane.send_replace(Lane::Tcp);
                }
                Some(error) => {
                    let _ = pieces.send(Err(error));
                    return;
                }
            }
        }
    }

    async fn read(
        &self,
        lane: Lane,
        at: &mut u64,
        end: u64,
        pieces: &mpsc::UnboundedSender<Result<Bytes>>,
    ) -> Option<Error> {
        let source = self.source(lane);
        let mut bytes = match source.part(*at..end).await {
            Ok(bytes) => bytes,
            Err(error) => return Some(error),
        };
        while let Some(piece) = bytes.next().await {
            let piece = match piece {
                Ok(piece) if piece.len() as u64 <= end - *at => piece,
                Ok(_) => return Some(self.odd("gave more bytes than it should have")),
                Err(error) => return Some(error),
            };
            *at += piece.len() as u64;
            self.arrived.fetch_add(piece.len() as u64, Relaxed);
            // Whoever waited for it may be gone.
            pieces.send(Ok(piece)).ok()?;
        }
        (*at < end).then(|| self.odd("gave fewer bytes than it should have"))
    }

    fn odd(&self, what: &'static str) -> Error {
        Error::new(ErrorKind::Changed, &self.location().into(), self.path.clone(), what)
    }

    /// Looks how fast it goes while `rest` bytes come, and goes over to what is faster.
    pub async fn choose(&self, context: &Context, location: &OsStr, rest: u64) {
        let mut pace = Pace::new(rest);
        let started = tokio::time::Instant::now();
        while self.is_sitta() && self.in_parts() && !pace.is_settled() {
            tokio::time::sleep(TICK).await;
            let lane = pace.look(started.elapsed(), self.arrived.load(Relaxed), self.lane());
            if lane == Lane::Udp && !self.has_both() && !self.open_udp(context, location).await {
                break;
            }
            self.lane.send_if_modified(|now| std::mem::replace(now, lane) != lane);
        }
        std::future::pending().await
    }

    /// A server that cannot be had by UDP is no trouble: there is TCP.
    async fn open_udp(&self, context: &Context, location: &OsStr) -> bool {
        let by_udp = context.downloading(Downloads::Udp);
        match open_entry(&by_udp, location).await {
            Ok((udp, Named::Entry(..))) => self.stores[Lane::Udp as usize].set(udp.store).is_ok(),
            _ => false,
        }
    }
}

async fn changed(lanes: &mut watch::Receiver<Lane>) {
    if lanes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Parts on their way, in their order.
struct Parts {
    lanes: Arc<Lanes>,
    next: u64,
    coming: VecDeque<mpsc::UnboundedReceiver<Result<Bytes>>>,
    /// They end when nobody waits for them any more.
    tasks: JoinSet<()>,
}

impl Parts {
    fn new(lanes: Arc<Lanes>, from: u64) -> Self {
        Self { lanes, next: from, coming: VecDeque::new(), tasks: JoinSet::new() }
    }

    /// Lets more come, as far as there is room.
    fn fill(&mut self) {
        while self.coming.len() < IN_FLIGHT && self.next < self.lanes.version.size {
            let range = self.next..self.lanes.version.size.min(self.next + PART);
            self.next = range.end;
            let (pieces, coming) = mpsc::unbounded_channel();
            self.coming.push_back(coming);
            let lanes = self.lanes.clone();
            self.tasks.spawn(async move { lanes.bring(range, &pieces).await });
        }
    }

    async fn piece(&mut self) -> Option<Result<Bytes>> {
        loop {
            self.fill();
            match self.coming.front_mut()?.recv().await {
                Some(piece) => return Some(piece),
                None => drop(self.coming.pop_front()),
            }
        }
    }

    fn stream(self) -> ByteStream {
        let all = stream::unfold(Some(self), |state| async move {
            let mut parts = state?;
            match parts.piece().await {
                Some(Ok(piece)) => Some((Ok(piece), Some(parts))),
                Some(Err(error)) => Some((Err(error), None)),
                // Parts are read one by one: only now it is known that they belong together.
                None => parts.lanes.check().await.err().map(|error| (Err(error), None)),
            }
        });
        all.boxed()
    }
}
