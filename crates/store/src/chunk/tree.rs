//! A tree of hashes over a file's chunks. Which nodes go together follows from their hashes, as the borders of chunks
//! follow from the bytes: what is put in somewhere changes the nodes above it, and no others.

use std::ops::Range;

use sitta_tree::ContentHash;

use super::cut::{Cutter, Sizes};

/// A node ends with one of so many nodes below it, on average.
const WIDTH: u8 = 32;

/// Nodes that one above holds at least, but the last one of a level (so that each level is shorter than the one below),
/// and at most (where the hashes never say that it ends).
const LEAST: usize = 2;
const MOST: usize = 256;

/// A chunk, or what lies below a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// How many bytes of the file.
    pub len: u64,
    /// Of a chunk the BLAKE3 hash of its bytes, else the hash of the nodes below.
    pub hash: ContentHash,
}

impl Node {
    /// The node above these; none if they are no file's, being longer than anything.
    pub fn above(below: &[Self]) -> Option<Self> {
        let mut hasher = blake3::Hasher::new_derive_key("sitta 2026 nodes of chunk trees");
        let mut len = 0_u64;
        for node in below {
            hasher.update(&node.len.to_le_bytes()).update(&node.hash.0);
            len = len.checked_add(node.len)?;
        }
        Some(Self { len, hash: ContentHash(*hasher.finalize().as_bytes()) })
    }
}

/// One level: all its nodes together are the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Level {
    nodes: Vec<Node>,
    /// Of each node, where those below it end in the level below; nothing on the level of the chunks.
    ends: Vec<u32>,
}

/// The tree over all chunks of one version of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkTree {
    /// The chunks first; the last level has one node. A file without bytes has none.
    levels: Vec<Level>,
    size: u64,
    content: ContentHash,
}

impl ChunkTree {
    /// The tree over these chunks, whatever bytes they are of: of a file too large to be made for a test.
    #[cfg(test)]
    pub(super) fn over(chunks: Vec<Node>) -> Self {
        let content = Node::above(&chunks).expect("a file's size is one");
        Self { levels: levels(chunks), size: content.len, content: content.hash }
    }

    /// The size of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash of all its bytes.
    pub fn content(&self) -> ContentHash {
        self.content
    }

    /// The chunks, in order.
    pub fn chunks(&self) -> &[Node] {
        &self.levels[0].nodes
    }

    /// How many nodes there are, the chunks among them.
    pub fn len(&self) -> usize {
        self.levels.iter().map(|level| level.nodes.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// The level to begin at, below the one that has one node only, and its nodes.
    pub fn top(&self) -> (usize, &[Node]) {
        let level = self.levels.len().saturating_sub(2);
        (level, &self.levels[level].nodes)
    }

    /// Where the nodes below a node stand in the level below, and they; none if there is no such node, or nothing below.
    pub fn below(&self, level: usize, node: usize) -> Option<(usize, &[Node])> {
        let range = self.range_below(level, node)?;
        Some((range.start, &self.levels[level - 1].nodes[range]))
    }

    fn range_below(&self, level: usize, node: usize) -> Option<Range<usize>> {
        let ends = &self.levels.get(level)?.ends;
        let end = *ends.get(node)? as usize;
        let start = node.checked_sub(1).map_or(0, |before| ends[before] as usize);
        Some(start..end)
    }

    /// The chunks of which a node consists; the node must be there.
    pub fn chunks_of(&self, level: usize, node: usize) -> Range<usize> {
        let mut range = node..node + 1;
        for level in (1..=level).rev() {
            let first = self.range_below(level, range.start).map_or(0, |below| below.start);
            let last = self.range_below(level, range.end - 1).map_or(0, |below| below.end);
            range = first..last;
        }
        range
    }

    /// All nodes with their levels and places.
    pub fn nodes(&self) -> impl Iterator<Item = (usize, usize, &Node)> {
        let levels = self.levels.iter().enumerate();
        levels.flat_map(|(level, one)| one.nodes.iter().enumerate().map(move |(at, node)| (level, at, node)))
    }
}

/// Makes a [`ChunkTree`] from a file's bytes.
#[derive(Debug)]
pub struct TreeBuilder {
    cutter: Cutter,
    chunk: blake3::Hasher,
    filled: u64,
    content: blake3::Hasher,
    size: u64,
    chunks: Vec<Node>,
}

impl TreeBuilder {
    /// A tree of chunks of these sizes.
    pub fn new(sizes: Sizes) -> Self {
        Self {
            cutter: Cutter::new(sizes),
            chunk: blake3::Hasher::new(),
            filled: 0,
            content: blake3::Hasher::new(),
            size: 0,
            chunks: Vec::new(),
        }
    }

    /// The next bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.content.update(bytes);
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            let (taken, ends) = self.cutter.next(bytes);
            self.chunk.update(&bytes[..taken]);
            self.filled += taken as u64;
            if ends {
                self.end();
            }
            bytes = &bytes[taken..];
        }
    }

    fn end(&mut self) {
        let hash = ContentHash(*self.chunk.finalize().as_bytes());
        self.chunks.push(Node { len: std::mem::take(&mut self.filled), hash });
        self.chunk.reset();
    }

    /// These were all.
    pub fn finish(mut self) -> ChunkTree {
        if self.filled > 0 {
            self.end();
        }
        let content = ContentHash(*self.content.finalize().as_bytes());
        ChunkTree { levels: levels(self.chunks), size: self.size, content }
    }
}

fn levels(chunks: Vec<Node>) -> Vec<Level> {
    let mut levels = vec![Level { nodes: chunks, ends: Vec::new() }];
    loop {
        let below = &levels[levels.len() - 1].nodes;
        if below.len() <= 1 {
            return levels;
        }
        let (mut nodes, mut ends, mut start) = (Vec::new(), Vec::new(), 0);
        for (at, node) in below.iter().enumerate() {
            let held = at + 1 - start;
            let ends_here = held >= LEAST && node.hash.0[0] % WIDTH == 0;
            if ends_here || held == MOST || at + 1 == below.len() {
                nodes.push(Node::above(&below[start..=at]).expect("a file's size is one"));
                ends.push(u32::try_from(at + 1).expect("chunks are bounded"));
                start = at + 1;
            }
        }
        levels.push(Level { nodes, ends });
    }
}
