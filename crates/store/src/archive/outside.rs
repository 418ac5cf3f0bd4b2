//! The archive's file, wherever it is: read by ranges, and held to the version that the index was made of.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use bytes::{Buf, Bytes, BytesMut};
use futures::stream::{self, StreamExt};
use sitta_tree::{Fingerprint, Kind, RelPath};
use tokio::sync::Mutex;

use crate::{ByteStream, Error, ErrorKind, Fetched, Result, Store};

/// Who asks: what errors name.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub location: Arc<str>,
    pub path: RelPath,
}

impl Ask {
    pub fn error(&self, kind: ErrorKind, what: impl Into<String>) -> Error {
        Error::new(kind, &self.location, self.path.clone(), what.into())
    }

    pub fn corrupt(&self, what: impl Into<String>) -> Error {
        self.error(ErrorKind::Corrupt, what)
    }

    /// The same failure, as one of what is asked for.
    pub fn own(&self, error: Error) -> Error {
        Error { location: self.location.clone(), path: Some(self.path.clone()), ..error }
    }

    /// What a decoder said: an error of the store below that went through it, or of the decoder itself.
    pub fn decoded(&self, error: io::Error) -> Error {
        if let Some(below) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            return below.clone();
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.corrupt("the compressed bytes are cut off"),
            _ => self.corrupt(format!("the compressed bytes are damaged: {error}")),
        }
    }
}

/// The file that the archive is.
pub(super) struct Outside {
    store: Arc<dyn Store>,
    file: RelPath,
    /// Counts the wishes for a check.
    wishes: AtomicU64,
    /// Up to which wish the version has been checked, and which version that was.
    checked: Mutex<(u64, Fingerprint)>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("store", &self.store).field("file", &self.file).finish_non_exhaustive()
    }
}

impl Outside {
    pub fn new(store: Arc<dyn Store>, file: RelPath) -> Self {
        Self { store, file, wishes: AtomicU64::new(0), checked: Mutex::default() }
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The version that is there now.
    pub async fn version(&self, ask: &Ask) -> Result<Fingerprint> {
        let what = match self.store.stat(&self.file).await.map_err(|error| ask.own(error))? {
            Some(entry) if entry.kind == Kind::File => return Ok(entry.fingerprint()),
            Some(entry) if entry.kind == Kind::Symlink => "the archive is a symbolic link: name what it points to",
            Some(_) => "an archive is a file",
            None => return Err(ask.error(ErrorKind::NotFound, format!("there is no archive {}", self.file))),
        };
        Err(ask.error(ErrorKind::Unsupported, what))
    }

    /// Fails with `Changed` unless `version` is still there. Many who ask at the same time share one look.
    pub async fn check(&self, ask: &Ask, version: &Fingerprint) -> Result<()> {
        let wish = self.wishes.fetch_add(1, SeqCst);
        let mut checked = self.checked.lock().await;
        if checked.0 > wish && checked.1 == *version {
            return Ok(());
        }
        let wishes = self.wishes.load(SeqCst);
        match self.version(ask).await {
            Ok(now) if now.same_version(version) => {
                *checked = (wishes, *version);
                Ok(())
            }
            Ok(_) => Err(ask.error(ErrorKind::Changed, "the archive changed meanwhile")),
            Err(error) if error.kind == ErrorKind::NotFound => {
                Err(ask.error(ErrorKind::Changed, "the archive vanished meanwhile"))
            }
            Err(error) => Err(error),
        }
    }

    /// The error, unless what was found to be wrong comes from a change of the archive.
    pub async fn blame(&self, ask: &Ask, version: &Fingerprint, error: Error) -> Error {
        match error.kind {
            ErrorKind::Corrupt => self.check(ask, version).await.err().unwrap_or(error),
            _ => error,
        }
    }

    /// The bytes in `range`, which may come short.
    pub async fn stream(&self, ask: &Ask, range: Range<u64>) -> Result<ByteStream> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let stream = self.store.read(&self.file, range).await.map_err(|error| ask.own(error))?;
        Ok(named(ask, stream))
    }

    /// All bytes from `offset` on, and whether they are sure to be of `version`.
    pub async fn stream_from(&self, ask: &Ask, version: &Fingerprint, offset: u64) -> Result<(ByteStream, bool)> {
        let fetched = self.store.fetch(&self.file, version, offset).await;
        let Fetched { bytes, pinned, .. } = fetched.map_err(|error| ask.own(error))?;
        Ok((named(ask, bytes), pinned))
    }

    /// Exactly the bytes in `range`.
    pub async fn bytes(&self, ask: &Ask, range: Range<u64>) -> Result<Bytes> {
        let mut stream = self.stream(ask, range.clone()).await?;
        let mut all = BytesMut::new();
        while let Some(piece) = stream.next().await {
            all.extend_from_slice(&piece?);
        }
        if all.len() as u64 != range.end - range.start {
            return Err(ask.corrupt(format!("bytes {} to {} are not there", range.start, range.end)));
        }
        Ok(all.freeze())
    }
}

fn named(ask: &Ask, stream: ByteStream) -> ByteStream {
    let ask = ask.clone();
    stream.map(move |piece| piece.map_err(|error| ask.own(error))).boxed()
}

/// The first `left` bytes of a stream, which may have fewer.
pub(super) fn limited(stream: ByteStream, left: u64) -> ByteStream {
    let limited = stream::unfold((stream, left), |(mut stream, left)| async move {
        if left == 0 {
            return None;
        }
        match stream.next().await? {
            Ok(mut piece) => {
                piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - piece.len() as u64;
                Some((Ok(piece), (stream, left)))
            }
            Err(error) => Some((Err(error), (stream, 0))),
        }
    });
    limited.boxed()
}

/// Takes a head off a stream: `take` looks at what has arrived and says how many bytes to drop, or none for more.
/// `None` if the stream ended before.
pub(super) async fn behind_head(
    mut stream: ByteStream,
    mut take: impl FnMut(&[u8]) -> Result<Option<usize>>,
) -> Result<Option<ByteStream>> {
    let mut head = BytesMut::new();
    loop {
        if let Some(drop) = take(&head)?.filter(|drop| *drop <= head.len()) {
            head.advance(drop);
            let rest = head.freeze();
            return Ok(Some(stream::once(async { Ok(rest) }).chain(stream).boxed()));
        }
        match stream.next().await {
            Some(piece) => head.extend_from_slice(&piece?),
            None => return Ok(None),
        }
    }
}
