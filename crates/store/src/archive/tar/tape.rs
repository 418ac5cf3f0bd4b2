//! The bytes of a tar, wherever they come from, for whoever looks for headers in them.

use bytes::{Bytes, BytesMut};

use super::Blocks;
use crate::Result;
use crate::archive::{Ask, Outside};

/// The least that is read of a plain tar at a time.
const LEAST: u64 = 64 << 10;

/// The most.
const MOST: u64 = 4 << 20;

pub(super) enum Tape<'t> {
    /// A plain tar, of which only a window is read: members behind it are jumped over.
    Plain {
        outside: &'t Outside,
        len: u64,
        window: Bytes,
        at: u64,
        next: u64,
    },
    Decoded(&'t Blocks),
}

impl<'t> Tape<'t> {
    pub fn plain(outside: &'t Outside, len: u64) -> Self {
        Self::Plain { outside, len, window: Bytes::new(), at: 0, next: LEAST }
    }

    /// How many bytes there are, if that is known yet.
    pub async fn len(&self) -> Option<u64> {
        match self {
            Self::Plain { len, .. } => Some(*len),
            Self::Decoded(blocks) => blocks.len().await,
        }
    }

    /// The `want` bytes at `from`; fewer only where it all ends.
    pub async fn read(&mut self, ask: &Ask, from: u64, want: u64) -> Result<Bytes> {
        match self {
            Self::Decoded(blocks) => {
                let mut all = BytesMut::new();
                while (all.len() as u64) < want {
                    let some = blocks.some(ask, from + all.len() as u64, want - all.len() as u64).await?;
                    if some.is_empty() {
                        break;
                    }
                    all.extend_from_slice(&some);
                }
                Ok(all.freeze())
            }
            Self::Plain { outside, len, window, at, next } => {
                let (from, to) = (from.min(*len), from.saturating_add(want).min(*len));
                let end = *at + window.len() as u64;
                if from < *at || to > end {
                    // Small members come one after the other: more at a time. Large ones are jumped over: less.
                    let jump = from.saturating_sub(end);
                    *next = if jump < *next { *next * 2 } else { *next / 4 }.clamp(LEAST, MOST);
                    let size = if *at == 0 && window.is_empty() { LEAST } else { *next };
                    let until = to.max(from.saturating_add(size).min(*len));
                    *window = outside.bytes(ask, from..until).await?;
                    *at = from;
                }
                Ok(window.slice((from - *at) as usize..(to - *at) as usize))
            }
        }
    }
}
