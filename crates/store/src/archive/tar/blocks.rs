//! A compressed tar, decoded: as blocks, of which the last used are kept, made by cursors, of which a few are kept too.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, ZstdDecoder};
use bytes::{Bytes, BytesMut};
use futures::stream::TryStreamExt;
use sitta_tree::Fingerprint;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Mutex;
use tokio_util::io::StreamReader;

use crate::archive::{Ask, Coding, Outside};
use crate::{ErrorKind, Result};

/// The size of a block, decoded.
const BLOCK: u64 = 256 << 10;

/// How many blocks are kept (64 MiB): a tar up to that size is decoded once, whatever is read in which order.
const KEPT: usize = 256;

/// What decodes to more than [`BOMB_SIZE`] bytes and to so many times its size is refused. gzip grows by 1032 at most.
const BOMB_RATIO: u64 = 2000;

/// Less than this, in bytes, may grow as it likes.
const BOMB_SIZE: u64 = 1 << 30;

/// How many cursors are kept: each stands where somebody's reading ended.
const CURSORS: usize = 4;

/// Where the decoding of the whole file has come to.
struct Cursor {
    next: u64,
    reader: Box<dyn AsyncRead + Send + Unpin>,
}

#[derive(Default)]
struct State {
    blocks: HashMap<u64, Bytes>,
    /// The blocks that are kept, the one used longest ago first.
    order: VecDeque<u64>,
    cursors: Vec<Cursor>,
    len: Option<u64>,
}

/// The decoded bytes of a file. One at a time decodes.
pub(in crate::archive) struct Blocks {
    outside: Arc<Outside>,
    version: Fingerprint,
    coding: Coding,
    state: Mutex<State>,
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks").field("coding", &self.coding).finish_non_exhaustive()
    }
}

impl Blocks {
    pub fn new(outside: Arc<Outside>, version: Fingerprint, coding: Coding) -> Self {
        Self { outside, version, coding, state: Mutex::default() }
    }

    /// How many bytes there are, once the end has been seen.
    pub async fn len(&self) -> Option<u64> {
        self.state.lock().await.len
    }

    /// Up to `len` bytes at `at`, out of one block; fewer at the block's end, none at the end of it all.
    pub async fn some(&self, ask: &Ask, at: u64, len: u64) -> Result<Bytes> {
        let mut state = self.state.lock().await;
        let block = self.block(ask, &mut state, at / BLOCK).await?;
        let start = block.len().min((at % BLOCK) as usize);
        let end = block.len().min(start + usize::try_from(len).unwrap_or(usize::MAX).min(BLOCK as usize));
        Ok(block.slice(start..end))
    }

    /// Decodes the rest, so that all checksums have been looked at.
    pub async fn drain(&self, ask: &Ask, from: u64) -> Result<()> {
        let mut at = from;
        loop {
            match self.some(ask, at, BLOCK).await?.len() as u64 {
                0 => return Ok(()),
                len => at += len,
            }
        }
    }

    async fn block(&self, ask: &Ask, state: &mut State, wanted: u64) -> Result<Bytes> {
        if let Some(block) = state.blocks.get(&wanted).cloned() {
            state.order.retain(|kept| *kept != wanted);
            state.order.push_back(wanted);
            return Ok(block);
        }
        if state.len.is_some_and(|len| wanted * BLOCK >= len) {
            return Ok(Bytes::new());
        }
        let nearest = (0..state.cursors.len()).filter(|at| state.cursors[*at].next <= wanted);
        let mut cursor = match nearest.max_by_key(|at| state.cursors[*at].next) {
            Some(at) => state.cursors.remove(at),
            None => self.begin(ask).await?,
        };
        loop {
            let block = match fill(&mut cursor.reader).await {
                Ok(block) => block,
                Err(error) => return Err(self.outside.blame(ask, &self.version, ask.decoded(error)).await),
            };
            let at = cursor.next;
            cursor.next += 1;
            let decoded = cursor.next * BLOCK;
            if decoded > BOMB_SIZE && decoded / self.version.size.max(1) > BOMB_RATIO {
                let what =
                    format!("{} bytes become more than {decoded}: that looks like a bomb", self.version.size);
                return Err(ask.error(ErrorKind::Unsupported, what));
            }
            let ended = (block.len() as u64) < BLOCK;
            if ended {
                state.len = Some(at * BLOCK + block.len() as u64);
            }
            keep(state, at, block.clone());
            if !ended && at < wanted {
                continue;
            }
            if !ended {
                if state.cursors.len() >= CURSORS {
                    state.cursors.remove(0);
                }
                state.cursors.push(cursor);
            }
            return Ok(if at == wanted { block } else { Bytes::new() });
        }
    }

    async fn begin(&self, ask: &Ask) -> Result<Cursor> {
        let (stream, _) = self.outside.stream_from(ask, &self.version, 0).await?;
        let bytes = StreamReader::new(stream.map_err(std::io::Error::other));
        let reader: Box<dyn AsyncRead + Send + Unpin> = match self.coding {
            Coding::Plain => Box::new(bytes),
            Coding::Gzip => {
                let mut decoder = GzipDecoder::new(bytes);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
            Coding::Zstd => {
                let mut decoder = ZstdDecoder::new(bytes);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
            Coding::Bzip2 => {
                let mut decoder = BzDecoder::new(bytes);
                decoder.multiple_members(true);
                Box::new(decoder)
            }
        };
        Ok(Cursor { next: 0, reader })
    }
}

/// A whole block, or what is left.
async fn fill(reader: &mut (dyn AsyncRead + Send + Unpin)) -> std::io::Result<Bytes> {
    let mut block = BytesMut::with_capacity(BLOCK as usize);
    let mut limited = reader.take(BLOCK);
    while (block.len() as u64) < BLOCK {
        if limited.read_buf(&mut block).await? == 0 {
            break;
        }
    }
    Ok(block.freeze())
}

fn keep(state: &mut State, at: u64, block: Bytes) {
    if state.blocks.insert(at, block).is_some() {
        state.order.retain(|kept| *kept != at);
    }
    state.order.push_back(at);
    if state.order.len() > KEPT
        && let Some(oldest) = state.order.pop_front()
    {
        state.blocks.remove(&oldest);
    }
}
