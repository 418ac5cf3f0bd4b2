//! Uploads that were cut off: what has arrived stays where the write has put it so far, and whoever sends the rest soon
//! enough goes on from there.
//!
//! The write itself goes on as well: it waits for its next bytes. So nothing is kept twice, and it works with every
//! store. A server that is stopped gives them all up.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use sitta_store::{ByteStream, Error, ErrorKind, Written};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long the rest is waited for.
const KEEP: Duration = Duration::from_secs(15 * 60);

/// So many uploads can be gone on with; of more, the one that waits longest is given up.
const MANY: usize = 64;

/// So many pieces wait for the store at most.
const PIECES: usize = 4;

/// Which upload: one for each path that somebody writes to. Of those of others nobody hears, and none goes on with them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The account, and whether it is a token.
    pub who: (String, bool),
    pub share: String,
    pub path: Vec<u8>,
}

/// What became of a write.
pub(crate) type Done = Result<Option<Written>, Error>;

/// How a request with bytes of an upload ended.
pub(crate) enum Ended {
    /// All bytes came, or the store would not take them.
    Done(Done),
    /// It is not all: so many bytes are here. With what cut it off, if it did not end well.
    Waiting(u64, Option<Error>),
}

/// The uploads of a server that can be gone on with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Uploads {
    known: Arc<Known>,
}

type Known = Mutex<HashMap<Key, Arc<Upload>>>;

/// One upload.
struct Upload {
    /// What the client calls these bytes.
    id: String,
    /// All that the write is to do: who goes on with it must mean the same.
    what: String,
    /// Asks the request that is sending to make way for another one: its connection may be dead already.
    way: Notify,
    line: Arc<AsyncMutex<Line>>,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The line to the store. Whoever holds it is sending.
struct Line {
    /// A none says that these were all bytes. It is let go of where the upload is given up.
    sender: Option<Sender<Option<Bytes>>>,
    work: JoinHandle<Done>,
    received: u64,
    size: u64,
    since: Instant,
}

/// An upload that takes bytes.
pub(crate) struct Taking {
    known: Weak<Known>,
    key: Key,
    upload: Arc<Upload>,
    line: OwnedMutexGuard<Line>,
}

fn lock(known: &Known) -> MutexGuard<'_, HashMap<Key, Arc<Upload>>> {
    known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Upload {
    /// The line, once whoever is sending has made way.
    async fn line(&self) -> OwnedMutexGuard<Line> {
        if let Ok(line) = self.line.clone().try_lock_owned() {
            return line;
        }
        self.way.notify_one();
        let line = self.line.clone().lock_owned().await;
        // It may have ended by itself.
        let _ = self.way.notified().now_or_never();
        line
    }
}

impl Uploads {
    /// What an upload is called of which bytes are here, and how many of how many.
    pub async fn find(&self, key: &Key) -> Option<(String, u64, u64)> {
        let upload = lock(&self.known).get(key).cloned()?;
        let line = upload.line().await;
        (!line.work.is_finished()).then(|| (upload.id.clone(), line.received, line.size))
    }

    /// Begins an upload of `size` bytes; another one to the same path is given up. `start` writes what comes.
    pub fn begin(
        &self,
        key: Key,
        (id, what): (String, String),
        size: u64,
        start: impl FnOnce(ByteStream) -> JoinHandle<Done>,
    ) -> Taking {
        let (sender, receiver) = channel(PIECES);
        let line = Line {
            sender: Some(sender),
            work: start(arriving(receiver)),
            received: 0,
            size,
            since: Instant::now(),
        };
        let line = Arc::new(AsyncMutex::new(line));
        let guard = line.clone().try_lock_owned().expect("nobody else knows of it");
        let upload = Arc::new(Upload { id, what, way: Notify::new(), line });
        let mut known = lock(&self.known);
        if let Some(other) = known.remove(&key) {
            other.way.notify_one();
        }
        if known.len() >= MANY {
            let since = |upload: &Arc<Upload>| upload.line.try_lock().ok().map(|line| line.since);
            let waiting = known.iter().filter_map(|(key, upload)| Some((since(upload)?, key.clone())));
            if let Some((_, oldest)) = waiting.min_by_key(|(since, _)| *since) {
                known.remove(&oldest);
            }
        }
        if known.len() < MANY {
            known.insert(key.clone(), upload.clone());
        }
        Taking { known: Arc::downgrade(&self.known), key, upload, line: guard }
    }

    /// Gives up all that wait for their rest.
    pub fn give_up(&self) {
        lock(&self.known).clear();
    }

    /// Goes on with an upload of which `from` bytes are here; none if there is no such one.
    pub async fn go_on(&self, key: &Key, what: &str, from: u64) -> Option<Taking> {
        let upload = lock(&self.known).get(key).filter(|upload| upload.what == what).cloned()?;
        let line = upload.line().await;
        let known = Arc::downgrade(&self.known);
        (line.received == from).then(|| Taking { known, key: key.clone(), upload, line })
    }
}

impl Taking {
    /// Takes the bytes. Goes on though nobody may wait for it: it has to be a task.
    pub async fn take(mut self, mut bytes: ByteStream) -> Ended {
        loop {
            let piece = tokio::select! {
                biased;
                () = self.upload.way.notified() => {
                    return self.wait(Some(lost("another request goes on with this upload")));
                }
                piece = bytes.next() => piece,
            };
            match piece {
                Some(Ok(piece)) => {
                    let len = piece.len() as u64;
                    if self.line.received + len > self.line.size {
                        return self.wait(Some(lost("more bytes came than were announced")));
                    }
                    if !self.send(Some(piece)).await {
                        return self.end().await;
                    }
                    self.line.received += len;
                }
                // The way to us was lost.
                Some(Err(error)) if error.kind == ErrorKind::Unreachable => return self.wait(Some(error)),
                Some(Err(error)) => {
                    self.line.sender = None;
                    return match self.end().await {
                        Ended::Done(Err(_)) => Ended::Done(Err(error)),
                        ended => ended,
                    };
                }
                None if self.line.received == self.line.size => {
                    self.send(None).await;
                    return self.end().await;
                }
                None => return self.wait(None),
            }
        }
    }

    /// Whether the store takes it.
    async fn send(&self, piece: Option<Bytes>) -> bool {
        match &self.line.sender {
            Some(sender) => sender.send(piece).await.is_ok(),
            None => false,
        }
    }

    /// The store ends the write.
    async fn end(mut self) -> Ended {
        forget(&self.known, &self.key, &self.upload);
        let done = (&mut self.line.work).await;
        Ended::Done(done.unwrap_or_else(|_| Err(lost("the file could not be written"))))
    }

    /// There may be more to come.
    fn wait(mut self, error: Option<Error>) -> Ended {
        self.line.since = Instant::now();
        let received = self.line.received;
        let Self { known, key, upload, line } = self;
        drop(line);
        // It must not live for as long as somebody looks at the clock.
        let upload = Arc::downgrade(&upload);
        tokio::spawn(async move {
            tokio::time::sleep(KEEP).await;
            let Some(upload) = upload.upgrade() else { return };
            let over = upload.line.try_lock().is_ok_and(|line| line.since.elapsed() >= KEEP);
            if over {
                forget(&known, &key, &upload);
            }
        });
        Ended::Waiting(received, error)
    }
}

fn forget(known: &Weak<Known>, key: &Key, upload: &Arc<Upload>) {
    if let Some(known) = known.upgrade() {
        let mut known = lock(&known);
        if known.get(key).is_some_and(|other| Arc::ptr_eq(other, upload)) {
            known.remove(key);
        }
    }
}

/// The bytes as the store takes them: they end well only if all came.
fn arriving(receiver: Receiver<Option<Bytes>>) -> ByteStream {
    let next = |mut receiver: Receiver<Option<Bytes>>| async move {
        match receiver.recv().await {
            Some(Some(piece)) => Ok(Some((piece, receiver))),
            Some(None) => Ok(None),
            None => Err(lost("the client broke off")),
        }
    };
    stream::try_unfold(receiver, next).boxed()
}

fn lost(what: &'static str) -> Error {
    Error::new(ErrorKind::Unreachable, &"".into(), None, what)
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use sitta_tree::{Entry, Kind};

    use super::*;

    fn key(path: &str) -> Key {
        Key { who: ("w".into(), false), share: "s".into(), path: path.into() }
    }

    fn stream_of(pieces: &'static [&'static str], end: Option<&'static str>) -> ByteStream {
        let pieces = pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        stream::iter(pieces.chain(end.map(|what| Err(lost(what))))).boxed()
    }

    /// A store that counts what it takes; one that fails leaves nothing.
    fn counting(bytes: ByteStream) -> JoinHandle<Done> {
        tokio::spawn(async move {
            let pieces: Vec<Bytes> = bytes.try_collect().await?;
            let entry = Entry { size: pieces.concat().len() as u64, ..Entry::new(Kind::File) };
            Ok(Some(Written { entry, content: None }))
        })
    }

    fn begin(uploads: &Uploads, path: &str, size: u64) -> Taking {
        uploads.begin(key(path), ("id".into(), "what".into()), size, counting)
    }

    fn size(ended: Ended) -> u64 {
        let Ended::Done(Ok(Some(written))) = ended else { panic!("not done") };
        written.entry.size
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_cut_off_goes_on_where_it_stopped() {
        let uploads = Uploads::default();
        let ended = begin(&uploads, "f", 6).take(stream_of(&["ab", "c"], Some("cut"))).await;
        assert!(matches!(ended, Ended::Waiting(3, Some(_))));
        assert_eq!(uploads.find(&key("f")).await, Some(("id".into(), 3, 6)));
        assert_eq!(uploads.find(&key("g")).await, None);
        assert!(uploads.go_on(&key("f"), "what", 2).await.is_none());
        assert!(uploads.go_on(&key("f"), "else", 3).await.is_none());
        let again = uploads.go_on(&key("f"), "what", 3).await.unwrap();
        assert!(matches!(again.take(stream_of(&["d"], None)).await, Ended::Waiting(4, None)));
        let again = uploads.go_on(&key("f"), "what", 4).await.unwrap();
        assert_eq!(size(again.take(stream_of(&["ef"], None)).await), 6);
        assert_eq!(uploads.find(&key("f")).await, None, "it is done");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_whose_connection_is_dead_makes_way() {
        let uploads = Uploads::default();
        let dead = stream_of(&["ab"], None).chain(stream::pending()).boxed();
        let sending = tokio::spawn(begin(&uploads, "f", 4).take(dead));
        tokio::time::sleep(Duration::from_millis(1)).await;
        let again = uploads.go_on(&key("f"), "what", 2).await.expect("it made way");
        assert!(matches!(sending.await.unwrap(), Ended::Waiting(2, Some(_))));
        assert_eq!(size(again.take(stream_of(&["cd"], None)).await), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_for_ever_and_not_for_everybody() {
        let uploads = Uploads::default();
        begin(&uploads, "f", 6).take(stream_of(&["ab"], Some("cut"))).await;
        tokio::time::sleep(KEEP / 2).await;
        assert!(uploads.find(&key("f")).await.is_some());
        tokio::time::sleep(KEEP).await;
        assert_eq!(uploads.find(&key("f")).await, None);
        for n in 0..2 * MANY {
            begin(&uploads, &n.to_string(), 6).take(stream_of(&["ab"], Some("cut"))).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(lock(&uploads.known).len(), MANY);
        assert!(uploads.find(&key(&(2 * MANY - 1).to_string())).await.is_some(), "the youngest are kept");
        // One that begins anew puts an end to the one before.
        let taking = begin(&uploads, "again", 3);
        begin(&uploads, "again", 2).take(stream_of(&["a"], Some("cut"))).await;
        assert!(matches!(taking.take(stream_of(&["abc"], None)).await, Ended::Waiting(0, Some(_))));
        assert_eq!(uploads.find(&key("again")).await, Some(("id".into(), 1, 2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_gives_up_is_not_waited_for() {
        let uploads = Uploads::default();
        let taking = begin(&uploads, "f", 4);
        let work = taking.upload.line.clone();
        let gives_up =
            stream::iter([Err(Error::new(ErrorKind::Cancelled, &"".into(), None, "unreadable"))]).boxed();
        let Ended::Done(Err(error)) = taking.take(gives_up).await else { panic!("it is over") };
        assert_eq!((error.kind, uploads.find(&key("f")).await), (ErrorKind::Cancelled, None));
        assert!(work.lock().await.work.is_finished(), "nothing is left by then");
        begin(&uploads, "g", 4).take(stream_of(&["ab"], Some("cut"))).await;
        uploads.give_up();
        assert_eq!(uploads.find(&key("g")).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_says_so() {
        let uploads = Uploads::default();
        let failing = |bytes: ByteStream| {
            drop(bytes);
            tokio::spawn(async { Err(Error::new(ErrorKind::Full, &"".into(), None, "full")) })
        };
        let taking = uploads.begin(key("f"), (String::new(), String::new()), 9, failing);
        let Ended::Done(Err(error)) = taking.take(stream_of(&["ab", "cd"], None)).await else {
            panic!("it failed")
        };
        assert_eq!(error.kind, ErrorKind::Full);
        assert_eq!(uploads.find(&key("f")).await, None);
    }
}
