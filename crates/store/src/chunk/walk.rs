//! Going down a tree that is elsewhere, only where it differs from one that is here.

use std::collections::HashMap;
use std::ops::Range;

use sitta_tree::ContentHash;

use super::tree::{ChunkTree, Node};

/// What is told of a tree elsewhere: nodes of one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// The hash of the file's bytes.
    pub content: ContentHash,
    /// The level of the nodes that are told.
    pub level: usize,
    /// Of each node that was asked for, those below it, and where the first of them stands; at the beginning one group
    /// with the whole level.
    pub groups: Vec<(u32, Vec<Node>)>,
}

/// What is here.
pub(crate) struct Known<'t> {
    tree: &'t ChunkTree,
    places: HashMap<ContentHash, (usize, usize)>,
    /// Where each chunk begins.
    starts: Vec<u64>,
}

impl<'t> Known<'t> {
    pub fn new(tree: &'t ChunkTree) -> Self {
        let places = tree.nodes().map(|(level, at, node)| (node.hash, (level, at))).collect();
        let begin = |at: &mut u64, chunk: &Node| Some(std::mem::replace(at, *at + chunk.len));
        let starts = tree.chunks().iter().scan(0, begin).collect();
        Self { tree, places, starts }
    }

    /// The chunks of which a node with this hash consists.
    fn find(&self, node: &Node) -> Option<Range<usize>> {
        let (level, at) = self.places.get(&node.hash)?;
        let chunks = self.tree.chunks_of(*level, *at);
        let len: u64 = self.tree.chunks()[chunks.clone()].iter().map(|chunk| chunk.len).sum();
        (len == node.len).then_some(chunks)
    }

    /// Where a chunk begins.
    pub fn start(&self, chunk: usize) -> u64 {
        self.starts[chunk]
    }

    pub fn tree(&self) -> &ChunkTree {
        self.tree
    }
}

/// A stretch of the file elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub len: u64,
    /// The chunks here that are the same bytes, if there are.
    pub known: Option<Range<usize>>,
    /// Its hash, and where it stands in its level.
    hash: ContentHash,
    at: u32,
}

/// How far down it went.
pub(crate) struct Walk {
    level: usize,
    stretches: Vec<Stretch>,
}

impl Walk {
    /// Begins with what was told of the top; `size` is that of the file elsewhere. Fails with what makes no sense.
    pub fn begin(known: &Known<'_>, told: Told, size: u64) -> Result<Self, &'static str> {
        let [(0, nodes)] = &told.groups[..] else { return Err("a tree begins with one group of nodes") };
        if Node::above(nodes).is_none_or(|top| top.len != size) {
            return Err("its nodes are not as long as the file");
        }
        let stretches = nodes.iter().zip(0..).map(|(node, at)| stretch(known, node, at)).collect();
        Ok(Self { level: told.level, stretches })
    }

    /// The level and the places there of the nodes below which it has to be looked; none if all is known.
    pub fn wanted(&self) -> Option<(usize, Vec<u32>)> {
        let unknown = self.stretches.iter().filter(|stretch| stretch.known.is_none());
        let wanted: Vec<u32> = unknown.map(|stretch| stretch.at).collect();
        (self.level > 0 && !wanted.is_empty()).then_some((self.level, wanted))
    }

    /// Goes down to what was told, in order, of all that was wanted.
    pub fn descend(&mut self, known: &Known<'_>, told: Vec<(u32, Vec<Node>)>) -> Result<(), &'static str> {
        let mut told = told.into_iter();
        let mut below = Vec::new();
        for above in std::mem::take(&mut self.stretches) {
            if above.known.is_some() {
                below.push(above);
                continue;
            }
            let (first, nodes) = told.next().ok_or("it tells less than it was asked for")?;
            let same = Node::above(&nodes).is_some_and(|node| node.len == above.len && node.hash == above.hash);
            if !same {
                return Err("the nodes below a node are not what it is the hash of");
            }
            below.extend(nodes.iter().zip(first..).map(|(node, at)| stretch(known, node, at)));
        }
        (self.stretches, self.level) = (below, self.level.saturating_sub(1));
        match told.next() {
            None => Ok(()),
            Some(_) => Err("it tells more than it was asked for"),
        }
    }

    /// The file elsewhere, from its beginning to its end.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }
}

fn stretch(known: &Known<'_>, node: &Node, at: u32) -> Stretch {
    Stretch { len: node.len, known: known.find(node), hash: node.hash, at }
}
