//! A member's bytes: one range of the file, decoded, and held to the size and checksum that the directory tells.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_compression::tokio::bufread::{BzDecoder, Deflate64Decoder, DeflateDecoder, ZstdDecoder};
use bytes::BytesMut;
use futures::stream::{self, StreamExt, TryStreamExt};
use sitta_tree::Fingerprint;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::io::StreamReader;

use super::records::{LOCAL_LEN, local_header};
use super::{Data, Method};
use crate::archive::outside::{behind_head, limited};
use crate::archive::{Ask, Outside};
use crate::{ByteStream, Error, Result};

/// How much is decoded at a time.
const CHUNK: u64 = 128 << 10;

/// How many half-read members are kept, for whoever reads on where another read ended.
const PARKED: usize = 8;

/// A member on its way: all bytes before `at` have been decoded and are in the checksum.
struct Cursor {
    at: u64,
    crc32: crc32fast::Hasher,
    reader: Box<dyn AsyncRead + Send + Unpin>,
}

/// Members that were read up to some point, by where they begin: a member that is asked for in parts, in order, is
/// decoded once.
#[derive(Default)]
pub(in crate::archive) struct Parked(Mutex<Vec<(u64, Cursor)>>);

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parked")
    }
}

impl Parked {
    fn take(&self, start: u64, at: u64) -> Option<Cursor> {
        let mut parked = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let fits = |(of, cursor): &(u64, Cursor)| *of == start && cursor.at <= at;
        let (found, _) = parked.iter().enumerate().filter(|(_, p)| fits(p)).max_by_key(|(_, p)| p.1.at)?;
        Some(parked.swap_remove(found).1)
    }

    fn put(&self, start: u64, cursor: Cursor) {
        let mut parked = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if parked.len() >= PARKED {
            parked.remove(0);
        }
        parked.push((start, cursor));
    }
}

/// The bytes of a member in `range`. If they reach to its end, the stream ends well only if all of the member is what
/// it should be.
pub(in crate::archive) async fn read(
    ask: &Ask,
    outside: &Arc<Outside>,
    version: Fingerprint,
    data: Data,
    range: Range<u64>,
    parked: &Arc<Parked>,
) -> Result<ByteStream> {
    let cursor = match parked.take(data.span.start, range.start) {
        Some(cursor) => cursor,
        None => match open(ask, outside, &data).await {
            Ok(cursor) => cursor,
            Err(error) => return Err(outside.blame(ask, &version, error).await),
        },
    };
    let end = range.end.min(data.size);
    let reading = Reading {
        ask: ask.clone(),
        outside: outside.clone(),
        version,
        data,
        range: range.start.min(end)..end,
        parked: parked.clone(),
        cursor,
    };
    let stream = stream::unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        match reading.next().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(reading))),
            Ok(None) => match reading.end().await {
                Ok(()) => None,
                Err(error) => Some((Err(error), None)),
            },
            Err(error) => {
                let error = reading.outside.blame(&reading.ask, &reading.version, error).await;
                Some((Err(error), None))
            }
        }
    });
    Ok(stream.boxed())
}

/// The bytes of a stored member in `range`, read right there: an archive in an archive costs what is read of it. No
/// checksum vouches for them.
pub(in crate::archive) async fn read_stored(
    ask: &Ask,
    outside: &Arc<Outside>,
    version: Fingerprint,
    data: Data,
    range: Range<u64>,
) -> Result<ByteStream> {
    let range = range.start.min(data.size)..range.end.min(data.size);
    if data.size != data.compressed {
        return Err(ask.corrupt("it is stored as it is, but its two sizes differ"));
    }
    let found = async {
        let head = outside.bytes(ask, data.span.start..data.span.start + LOCAL_LEN as u64).await?;
        let (_, len) = local_header(&head).ok_or_else(|| ask.corrupt("its header is missing"))?;
        let start = data.span.start + len as u64;
        if start + data.size > data.span.end {
            return Err(ask.corrupt("its header and the zip's directory differ"));
        }
        outside.stream(ask, start + range.start..start + range.end.max(range.start)).await
    };
    match found.await {
        Ok(stream) => Ok(stream),
        Err(error) => Err(outside.blame(ask, &version, error).await),
    }
}

async fn open(ask: &Ask, outside: &Outside, data: &Data) -> Result<Cursor> {
    let stream = outside.stream(ask, data.span.clone()).await?;
    let stream = behind_head(stream, |head| match local_header(head) {
        Some((method, len)) if Method::of(method) == Some(data.method) => Ok(Some(len)),
        Some(_) => Err(ask.corrupt("its header and the zip's directory differ")),
        None if head.len() < 64 => Ok(None),
        None => Err(ask.corrupt("its header is missing")),
    });
    let stream = stream.await?.ok_or_else(|| ask.corrupt("its header is missing"))?;
    let bytes = StreamReader::new(limited(stream, data.compressed).map_err(std::io::Error::other));
    let reader: Box<dyn AsyncRead + Send + Unpin> = match data.method {
        Method::Stored => Box::new(bytes),
        Method::Deflate => Box::new(DeflateDecoder::new(bytes)),
        Method::Deflate64 => Box::new(Deflate64Decoder::new(bytes)),
        Method::Bzip2 => Box::new(BzDecoder::new(bytes)),
        Method::Zstd => Box::new(ZstdDecoder::new(bytes)),
    };
    Ok(Cursor { at: 0, crc32: crc32fast::Hasher::new(), reader })
}

struct Reading {
    ask: Ask,
    outside: Arc<Outside>,
    version: Fingerprint,
    data: Data,
    range: Range<u64>,
    parked: Arc<Parked>,
    cursor: Cursor,
}

impl Reading {
    /// The next piece of the range; none at its end.
    async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        while self.cursor.at < self.range.end {
            let skipping = self.cursor.at < self.range.start;
            let until = if skipping { self.range.start } else { self.range.end };
            let want = CHUNK.min(until - self.cursor.at);
            let mut piece = BytesMut::with_capacity(want as usize);
            let mut limited = (&mut self.cursor.reader).take(want);
            // A decoder gives what it has: filled up, pieces are fewer.
            while (piece.len() as u64) < want {
                match limited.read_buf(&mut piece).await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => return Err(self.ask.decoded(error)),
                }
            }
            if piece.is_empty() {
                return Err(self.wrong("ends", self.cursor.at));
            }
            self.cursor.crc32.update(&piece);
            self.cursor.at += piece.len() as u64;
            if !skipping {
                return Ok(Some(piece.freeze()));
            }
        }
        Ok(None)
    }

    fn wrong(&self, how: &str, at: u64) -> Error {
        self.ask.corrupt(format!("its content {how} at byte {at}, but should have {} bytes", self.data.size))
    }

    /// At the end of the range: the member is checked if it ends too, else kept for whoever reads on.
    async fn end(self) -> Result<()> {
        let Self { data, .. } = &self;
        if self.cursor.at < data.size {
            self.parked.put(data.span.start, self.cursor);
            return Ok(());
        }
        if self.cursor.at > self.range.end || self.range.is_empty() && data.size > 0 {
            return Ok(());
        }
        let (ask, outside, version) = (self.ask.clone(), self.outside.clone(), self.version);
        match self.verify().await {
            Ok(()) => Ok(()),
            Err(error) => Err(outside.blame(&ask, &version, error).await),
        }
    }

    async fn verify(mut self) -> Result<()> {
        let mut one = [0];
        let more = self.cursor.reader.read(&mut one).await.map_err(|error| self.ask.decoded(error))?;
        if more > 0 {
            return Err(self.wrong("goes on", self.cursor.at));
        }
        let found = self.cursor.crc32.finalize();
        if found != self.data.crc32 {
            let what = format!("its checksum is {found:08x}, but should be {:08x}", self.data.crc32);
            return Err(self.ask.corrupt(what));
        }
        Ok(())
    }
}
