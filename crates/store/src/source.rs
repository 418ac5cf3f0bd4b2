//! Where the bytes of a file come from.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use sitta_tree::{Fingerprint, Meta, RelPath};

use crate::{ByteStream, Error, ErrorKind, Result, Store, Xattrs};

/// Where a file's bytes come from: can be opened again and from any offset, so that a store may choose whole upload,
/// parts, resume or retry.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file of a store, in the version that was seen.
    Stored {
        /// Its store.
        store: Arc<dyn Store>,
        /// Its path there.
        path: RelPath,
        /// The version that is meant: a write from any other fails with [`crate::ErrorKind::Changed`].
        version: Fingerprint,
    },
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes that are made while they are sent. How many they are is known only when all of them are made.
    Made(Arc<dyn Maker>),
}

/// Makes the bytes of a [`Source`]: an archive, say, that is packed on its way to the store.
#[async_trait]
pub trait Maker: Send + Sync + fmt::Debug {
    /// Makes all of them, from the first one on, each time it is asked: a write that failed half way begins again with
    /// what is made then. The stream ends well only if it gave all that there shall be.
    async fn make(&self) -> Result<ByteStream>;

    /// The extended attributes that the file shall get, asked for if [`Meta::xattrs`] of the write says that there are any.
    async fn xattrs(&self) -> Result<Xattrs> {
        Ok(Xattrs::new())
    }

    /// So many bytes at most, as far as can be told before: object stores choose the size of their parts by it.
    fn at_most(&self) -> u64;
}

impl Source {
    /// The size in bytes; none where it is not known before all bytes are made.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Stored { version, .. } => Some(version.size),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Made(_) => None,
        }
    }

    /// The size, or what it is expected to be at most.
    pub fn at_most(&self) -> u64 {
        match self {
            Self::Made(maker) => maker.at_most(),
            source => source.size().unwrap_or(u64::MAX),
        }
    }

    /// The bytes from `offset` on. The stream ends well only if it gave all of them, and from the version that was
    /// meant; it fails with [`crate::ErrorKind::Changed`] otherwise. Nothing of them may become visible before that.
    pub async fn open(&self, offset: u64) -> Result<Fetched> {
        let (store, path, version) = match self {
            Self::Stored { store, path, version } => (store, path, version),
            Self::Bytes(bytes) => {
                let rest = bytes.slice(bytes.len().min(offset as usize)..);
                let bytes = stream::once(async { Ok(rest) }).boxed();
                return Ok(Fetched { bytes, meta: None, pinned: true });
            }
            Self::Made(maker) => {
                let bytes = skip(maker.make().await?, offset);
                return Ok(Fetched { bytes, meta: None, pinned: true });
            }
        };
        let Fetched { bytes, meta, pinned } = store.fetch(path, version, offset).await?;
        let left = version.size.saturating_sub(offset);
        let whole = stream::unfold(Some((bytes, self.clone(), left)), move |state| async move {
            let (mut bytes, source, left) = state?;
            let failed = match bytes.next().await {
                Some(Ok(piece)) if piece.len() as u64 <= left => {
                    let left = left - piece.len() as u64;
                    return Some((Ok(piece), Some((bytes, source, left))));
                }
                Some(Ok(_)) => source.changed("gave more bytes than it should have"),
                Some(Err(error)) => error,
                // A file that shrank is told as changed by its store, or gave fewer bytes than it said.
                None if pinned && left == 0 => return None,
                None => match source.check().await {
                    Ok(()) if left == 0 => return None,
                    Ok(()) => source.changed("gave fewer bytes than it should have"),
                    Err(error) => error,
                },
            };
            Some((Err(failed), None))
        });
        Ok(Fetched { bytes: whole.boxed(), meta, pinned: true })
    }

    /// The extended attributes that come with the file.
    pub async fn xattrs(&self) -> Result<Xattrs> {
        match self {
            Self::Stored { store, path, .. } => store.xattrs(path).await,
            Self::Bytes(_) => Ok(Xattrs::new()),
            Self::Made(maker) => maker.xattrs().await,
        }
    }

    /// The bytes of a part, for stores that send parts on their own. That they are of the version that was meant is
    /// known only when [`Source::check`] has said so after the last part.
    pub async fn part(&self, range: Range<u64>) -> Result<ByteStream> {
        match self {
            Self::Stored { store, path, .. } => store.read(path, range).await,
            Self::Bytes(bytes) => {
                let end = bytes.len().min(range.end as usize);
                let part = bytes.slice(end.min(range.start as usize)..end);
                Ok(stream::once(async { Ok(part) }).boxed())
            }
            Self::Made(maker) => Ok(cut(skip(maker.make().await?, range.start), range.end - range.start)),
        }
    }

    /// Fails with [`crate::ErrorKind::Changed`] unless it is still the version that was meant.
    pub async fn check(&self) -> Result<()> {
        let Self::Stored { store, path, version } = self else { return Ok(()) };
        match store.stat(path).await? {
            Some(entry) if entry.fingerprint().same_version(version) => Ok(()),
            _ => Err(self.changed("changed while it was being read")),
        }
    }

    fn changed(&self, how: &'static str) -> Error {
        let (location, path) = match self {
            Self::Stored { store, path, .. } => (store.location().into(), Some(path.clone())),
            Self::Bytes(_) | Self::Made(_) => ("".into(), None),
        };
        Error::new(ErrorKind::Changed, &location, path, how)
    }
}

/// The stream without its first `left` bytes.
fn skip(bytes: ByteStream, mut left: u64) -> ByteStream {
    if left == 0 {
        return bytes;
    }
    let rest = bytes.map(move |piece| {
        let mut piece = piece?;
        let gone = left.min(piece.len() as u64);
        left -= gone;
        Ok(piece.split_off(gone as usize))
    });
    rest.boxed()
}

/// The stream's first `left` bytes.
fn cut(bytes: ByteStream, left: u64) -> ByteStream {
    let first = stream::unfold((bytes, left), |(mut bytes, left)| async move {
        match bytes.next().await {
            _ if left == 0 => None,
            Some(Ok(mut piece)) => {
                piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - piece.len() as u64;
                Some((Ok(piece), (bytes, left)))
            }
            Some(Err(error)) => Some((Err(error), (bytes, 0))),
            None => None,
        }
    });
    first.boxed()
}

/// A file's bytes, and what came with them.
pub struct Fetched {
    /// The bytes.
    pub bytes: ByteStream,
    /// The file's metadata, where the store tells it along with the bytes; a field that it did not tell is 0.
    pub meta: Option<Meta>,
    /// The store has made sure that all bytes are of the version that was asked for; nothing has to be checked at the
    /// end.
    pub pinned: bool,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched").field("meta", &self.meta).field("pinned", &self.pinned).finish_non_exhaustive()
    }
}
