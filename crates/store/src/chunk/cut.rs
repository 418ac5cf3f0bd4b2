//! Where chunks end: FastCDC (Xia and others, USENIX ATC 2016), with normalised chunking of level 2.

use std::sync::LazyLock;

/// So many chunks a file has at most, on average: larger files have larger chunks.
const CHUNKS: u64 = 1 << 17;

/// One random number for each byte: no part of the content must be likely to look like a border.
static GEAR: LazyLock<[u64; 256]> = LazyLock::new(|| {
    std::array::from_fn(|byte| {
        let hash = blake3::derive_key("sitta 2026 gear table of content-defined chunks", &[byte as u8]);
        u64::from_le_bytes(hash[..8].try_into().expect("eight bytes"))
    })
});

/// How large chunks are, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// None is smaller, but the last one of a file.
    pub least: u32,
    /// What they come to on average, about.
    pub average: u32,
    /// None is larger.
    pub most: u32,
}

impl Sizes {
    /// The sizes for a file of `size` bytes: 16, 64 and 256 KiB, and four times as much whenever there would be more than
    /// 131,072 chunks (from 8 GiB on).
    pub fn of(size: u64) -> Self {
        let mut average = 64 << 10;
        while size > u64::from(average) * CHUNKS && average < 256 << 20 {
            average *= 4;
        }
        Self { least: average / 4, average, most: average * 4 }
    }
}

/// Finds the ends of chunks in bytes that come piece by piece.
#[derive(Debug, Clone)]
pub struct Cutter {
    gear: &'static [u64; 256],
    sizes: Sizes,
    /// What the rolling hash must be zero in: before the average size more bits than after it.
    strict: u64,
    loose: u64,
    hash: u64,
    /// Bytes of the chunk so far.
    filled: usize,
}

impl Cutter {
    /// Chunks of these sizes.
    pub fn new(sizes: Sizes) -> Self {
        let bits = sizes.average.ilog2();
        // The topmost bits depend on the last 64 bytes, the others on fewer.
        let top = |bits: u32| u64::MAX << (64 - bits);
        Self { gear: &GEAR, sizes, strict: top(bits + 2), loose: top(bits - 2), hash: 0, filled: 0 }
    }

    /// How many of `bytes`, which follow on those before, belong to the current chunk, and whether it ends with them.
    pub fn next(&mut self, bytes: &[u8]) -> (usize, bool) {
        let Sizes { least, average, most } = self.sizes;
        let mut at = (least as usize).saturating_sub(self.filled).min(bytes.len());
        for (until, mask) in [(average, self.strict), (most, self.loose)] {
            let end = (until as usize).saturating_sub(self.filled).min(bytes.len());
            if let Some(found) = self.find(&bytes[at.min(end)..end], mask) {
                return self.end(at + found);
            }
            at = at.max(end);
        }
        if self.filled + at == most as usize {
            return self.end(at);
        }
        self.filled += at;
        (at, false)
    }

    /// Behind which byte the hash says that the chunk ends.
    fn find(&mut self, bytes: &[u8], mask: u64) -> Option<usize> {
        let mut hash = self.hash;
        for (at, byte) in bytes.iter().enumerate() {
            hash = (hash << 1).wrapping_add(self.gear[usize::from(*byte)]);
            if hash & mask == 0 {
                return Some(at + 1);
            }
        }
        self.hash = hash;
        None
    }

    fn end(&mut self, at: usize) -> (usize, bool) {
        (self.hash, self.filled) = (0, 0);
        (at, true)
    }
}
