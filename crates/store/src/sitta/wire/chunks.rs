//! Nodes of a file's chunk tree, as bytes: hashes do not get shorter as JSON.
//!
//! The hash of the file's bytes (32 bytes), the level of the nodes that follow (1 byte), and groups: where the first node
//! of the group stands in its level (4 bytes), how many there are (4 bytes), and of each its length (8 bytes) and its
//! hash (32 bytes). Numbers are big-endian.

use sitta_tree::ContentHash;

use super::Odd;
use crate::chunk::{ChunkTree, Node, Told};

/// What such an answer holds.
pub const CHUNKS: &str = "application/vnd.sitta.chunks";

const NODE: usize = 40;

/// The answer to one question.
#[derive(Debug)]
pub struct Nodes(Vec<u8>);

impl Nodes {
    /// The nodes of the level to begin at.
    pub fn top(tree: &ChunkTree) -> Self {
        let (level, nodes) = tree.top();
        let mut told = Self::begin(tree, level);
        told.add(0, nodes);
        told
    }

    /// The nodes below these of a level; none if one of them is not there.
    pub fn below(tree: &ChunkTree, level: usize, wanted: impl Iterator<Item = u32>) -> Option<Self> {
        let mut told = Self::begin(tree, level.checked_sub(1)?);
        for at in wanted {
            let (first, nodes) = tree.below(level, at as usize)?;
            told.add(first, nodes);
        }
        Some(told)
    }

    fn begin(tree: &ChunkTree, level: usize) -> Self {
        let mut bytes = tree.content().0.to_vec();
        bytes.push(u8::try_from(level).expect("each level is half as long as the one below"));
        Self(bytes)
    }

    fn add(&mut self, first: usize, nodes: &[Node]) {
        for number in [first, nodes.len()] {
            self.0.extend_from_slice(&u32::try_from(number).expect("chunks are bounded").to_be_bytes());
        }
        for node in nodes {
            self.0.extend_from_slice(&node.len.to_be_bytes());
            self.0.extend_from_slice(&node.hash.0);
        }
    }

    /// As it is sent.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// What was told.
pub(crate) fn told(bytes: &[u8]) -> Result<Told, Odd> {
    read(bytes).ok_or_else(|| Odd("the chunks of a file are garbled".into()))
}

fn read(bytes: &[u8]) -> Option<Told> {
    let (content, rest) = bytes.split_first_chunk::<32>()?;
    let (level, mut rest) = rest.split_first()?;
    let mut groups = Vec::new();
    while !rest.is_empty() {
        let (first, after) = rest.split_first_chunk::<4>()?;
        let (count, after) = after.split_first_chunk::<4>()?;
        let (first, count) = (u32::from_be_bytes(*first), u32::from_be_bytes(*count));
        first.checked_add(count)?.checked_add(1)?;
        let (nodes, after) = after.split_at_checked((count as usize).checked_mul(NODE)?)?;
        groups.push((first, nodes.chunks(NODE).map(node).collect::<Option<_>>()?));
        rest = after;
    }
    Some(Told { content: ContentHash(*content), level: usize::from(*level), groups })
}

fn node(bytes: &[u8]) -> Option<Node> {
    let (len, hash) = bytes.split_first_chunk::<8>()?;
    Some(Node { len: u64::from_be_bytes(*len), hash: ContentHash(hash.try_into().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Sizes, TreeBuilder};

    #[test]
    fn nodes_come_back_as_they_went_and_nothing_else_does() {
        let mut builder = TreeBuilder::new(Sizes { least: 64, average: 256, most: 1024 });
        (0..100_000_u32).for_each(|n| builder.push(blake3::hash(&n.to_le_bytes()).as_bytes()));
        let tree = builder.finish();
        let (level, nodes) = tree.top();
        let sent = Nodes::top(&tree).into_bytes();
        let back = told(&sent).unwrap();
        assert_eq!((back.level, &back.groups[0].1[..], back.content), (level, nodes, tree.content()));
        let below = told(&Nodes::below(&tree, level, [1, 0].into_iter()).unwrap().into_bytes()).unwrap();
        for (at, (first, nodes)) in [1, 0].into_iter().zip(&below.groups) {
            assert_eq!((*first as usize, &nodes[..]), tree.below(level, at).unwrap());
        }
        assert!(Nodes::below(&tree, level, [u32::MAX].into_iter()).is_none());
        assert!(
            Nodes::below(&tree, 0, [0].into_iter()).is_none() && Nodes::below(&tree, 99, [0].into_iter()).is_none()
        );
        for cut in [0, 32, 34, 40, 41, sent.len() - 1] {
            assert!(told(&sent[..cut]).is_err(), "{cut}");
        }
        let mut far = sent.clone();
        far[33..37].fill(0xff);
        assert!(told(&far).is_err(), "a place beyond all numbers");
    }
}
