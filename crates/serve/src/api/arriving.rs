//! A request's body as it arrives: lists, small files, and the pieces of a large one; see `sitta::batch` of the client.

use std::sync::Arc;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sitta_store::sitta::batch::{BROKEN, COPY, LAST};
use sitta_store::sitta::wire::{Odd, Text, content, untag};
use sitta_store::{ByteStream, Error, ErrorKind, Source, Store};
use sitta_tree::ContentHash;

use super::once::broken;
use super::problem::Trouble;

/// A request's body, taken piece by piece.
pub(super) struct Arriving {
    body: BoxStream<'static, Result<Bytes, axum::Error>>,
    rest: BytesMut,
}

impl Arriving {
    pub fn new(body: Body) -> Self {
        Self { body: body.into_data_stream().boxed(), rest: BytesMut::new() }
    }

    /// All that was not taken yet.
    pub fn take_rest(&mut self) -> Self {
        std::mem::replace(self, Self { body: stream::empty().boxed(), rest: BytesMut::new() })
    }

    pub async fn take(&mut self, len: usize) -> Result<Bytes, Trouble> {
        match self.fill(len).await {
            true => Ok(self.rest.split_to(len).freeze()),
            false => Err(Trouble::odd("less was sent than was announced")),
        }
    }

    /// Waits until so many bytes are here; whether they came.
    async fn fill(&mut self, len: usize) -> bool {
        while self.rest.len() < len {
            match self.body.next().await {
                Some(Ok(piece)) if self.rest.is_empty() => self.rest = piece.into(),
                Some(Ok(piece)) => self.rest.extend_from_slice(&piece),
                Some(Err(_)) | None => return false,
            }
        }
        true
    }

    /// What is here of the next so many bytes, one at least.
    async fn some(&mut self, len: usize) -> Option<Bytes> {
        match self.fill(1).await {
            true => Some(self.rest.split_to(len.min(self.rest.len())).freeze()),
            false => None,
        }
    }

    pub async fn end(&mut self) -> Result<(), Trouble> {
        match self.rest.is_empty() && self.body.next().await.is_none() {
            true => Ok(()),
            false => Err(Trouble::odd("more was sent than was announced")),
        }
    }
}

const LOST: &str = "the client broke off";

/// What a word before a piece says.
enum Word {
    Piece(usize),
    Copy,
    Last,
}

/// The pieces of a large file.
pub(super) struct Pieces {
    arriving: Arriving,
    /// How much of the current piece is still to come.
    piece: usize,
    /// How much of the file is, where that was announced.
    left: Option<u64>,
}

impl Pieces {
    pub fn new(arriving: Arriving, size: Option<u64>) -> Self {
        Self { arriving, piece: 0, left: size }
    }

    pub fn bytes(self) -> ByteStream {
        let next = |mut pieces: Self| async move {
            let piece = pieces.next().await?;
            Ok(piece.map(|piece| (piece, pieces)))
        };
        stream::try_unfold(self, next).boxed()
    }

    async fn number<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.arriving.take(N).await.map_err(|_| broken(LOST))?;
        Ok(bytes[..].try_into().expect("as many as were asked for"))
    }

    async fn word(&mut self) -> Result<Word, Error> {
        match u32::from_be_bytes(self.number().await?) {
            LAST if self.left.is_some_and(|left| left > 0) => Err(broken("fewer bytes came than were announced")),
            LAST => Ok(Word::Last),
            // That is final: who only lost the way to us cannot say so.
            BROKEN => Err(failed(ErrorKind::Cancelled, "the client could not read the rest")),
            COPY => Ok(Word::Copy),
            len => Ok(Word::Piece(len as usize)),
        }
    }

    /// So many bytes of the file have come.
    fn count(&mut self, len: u64) -> Result<(), Error> {
        match &mut self.left {
            Some(left) => {
                *left = left.checked_sub(len).ok_or_else(|| broken("more bytes came than were announced"))?;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What is here of the current piece.
    async fn some(&mut self) -> Result<Bytes, Error> {
        let some = self.arriving.some(self.piece).await.ok_or_else(|| broken(LOST))?;
        self.piece -= some.len();
        self.count(some.len() as u64)?;
        Ok(some)
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.piece == 0 {
            match self.word().await? {
                Word::Last => return Ok(None),
                Word::Copy => return Err(failed(ErrorKind::Unsupported, "there is nothing to copy from")),
                Word::Piece(len) => self.piece = len,
            }
        }
        self.some().await.map(Some)
    }
}

/// A file that is put together from pieces of the version that stands at its path and from those that arrive. Its bytes
/// end well only if they have the hash that was announced.
pub(super) struct Pieced {
    old: Source,
    old_size: u64,
    size: u64,
    content: ContentHash,
}

/// One that is being put together.
struct Assembly {
    pieced: Pieced,
    pieces: Pieces,
    /// What is being copied, and how much of it is still to come.
    copying: Option<(ByteStream, u64)>,
    hasher: blake3::Hasher,
}

impl Pieced {
    pub fn new(store: &Arc<dyn Store>, path: &Text, of: &str, size: u64, hash: &str) -> Result<Self, Odd> {
        let version = untag(of).ok_or_else(|| Odd(format!("'{of}' is no version")))?;
        let content = content(hash).ok_or_else(|| Odd("the hash of a file is none".into()))?;
        let old = Source::Stored { store: store.clone(), path: path.path()?, version };
        Ok(Self { old, old_size: version.size, size, content })
    }

    /// Why the bytes are not those that were announced.
    async fn not_meant(&self) -> Error {
        let same = "put together from pieces, it is not what was meant";
        self.old.check().await.err().unwrap_or_else(|| failed(ErrorKind::Corrupt, same))
    }

    /// The bytes, with the pieces that arrive.
    pub fn bytes(self, arriving: Arriving) -> ByteStream {
        let pieces = Pieces::new(arriving, Some(self.size));
        let assembly = Assembly { pieced: self, pieces, copying: None, hasher: blake3::Hasher::new() };
        let next = |mut assembly: Assembly| async move {
            let piece = assembly.next().await?;
            Ok(piece.map(|piece| (piece, assembly)))
        };
        stream::try_unfold(assembly, next).boxed()
    }
}

impl Assembly {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let bytes = loop {
            if let Some((bytes, left)) = &mut self.copying {
                if *left == 0 {
                    self.copying = None;
                    continue;
                }
                match bytes.next().await {
                    Some(bytes) => {
                        let bytes = bytes?;
                        *left = left.saturating_sub(bytes.len() as u64);
                        break bytes;
                    }
                    None => return Err(self.pieced.not_meant().await),
                }
            }
            if self.pieces.piece > 0 {
                break self.pieces.some().await?;
            }
            match self.pieces.word().await? {
                Word::Piece(len) => self.pieces.piece = len,
                Word::Copy => self.copying = Some(self.copy().await?),
                Word::Last if self.hasher.finalize().as_bytes() == &self.pieced.content.0 => return Ok(None),
                Word::Last => return Err(self.pieced.not_meant().await),
            }
        };
        self.hasher.update(&bytes);
        Ok(Some(bytes))
    }

    /// Begins to copy what the next numbers say.
    async fn copy(&mut self) -> Result<(ByteStream, u64), Error> {
        let from = u64::from_be_bytes(self.pieces.number().await?);
        let len = u64::from_be_bytes(self.pieces.number().await?);
        let inside = from.checked_add(len).is_some_and(|end| end <= self.pieced.old_size);
        if !inside || len == 0 {
            return Err(failed(ErrorKind::Unsupported, "a piece lies outside of the version that stands there"));
        }
        self.pieces.count(len).map_err(|error| Error { kind: ErrorKind::Unsupported, ..error })?;
        Ok((self.pieced.old.part(from..from + len).await?, len))
    }
}

fn failed(kind: ErrorKind, what: &'static str) -> Error {
    Error::new(kind, &"".into(), None, what)
}
