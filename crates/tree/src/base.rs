//! What both sides agreed on last time.

use crate::{ContentHash, Entry, Fingerprint, Kind, Meta, NodeId, RelPath, TooLarge, Tree};

/// What was agreed for one path: the same thing stood on both sides, and how each side tells that version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// File, directory or link.
    pub kind: Kind,
    /// The metadata both had.
    pub meta: Meta,
    /// The hash of the bytes, when it was known.
    pub content: Option<ContentHash>,
    /// A symbolic link's target.
    pub target: Box<[u8]>,
    /// How the left store told this version.
    pub left: Fingerprint,
    /// How the right store told this version.
    pub right: Fingerprint,
    /// A conflict was left for the user at this path: the fingerprints are those of the two versions that differ.
    /// It stays a conflict, and is not reported as new, until one of them changes.
    pub conflicted: bool,
}

/// The base of one pair: a tree whose entries also hold both sides' fingerprints.
///
/// Losing it costs no data: without it nothing counts as deleted.
#[derive(Debug, Clone, Default)]
pub struct Base {
    tree: Tree,
    sides: Vec<Sides>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sides {
    left: Fingerprint,
    right: Fingerprint,
    conflicted: bool,
}

impl Base {
    /// Builds a base from entries in [`RelPath`] order. Directories that were never agreed on but hold agreed entries
    /// are implied, with default fingerprints.
    pub fn from_sorted(entries: impl IntoIterator<Item = (RelPath, Agreed)>) -> Result<Self, TooLarge> {
        let mut sides = Vec::new();
        let plain = entries.into_iter().map(|(path, agreed)| {
            let mut entry = Entry::new(agreed.kind);
            entry.size = agreed.left.size;
            entry.meta = agreed.meta;
            entry.content = agreed.content;
            entry.target = agreed.target;
            // The entry's place in `sides` travels through the tree's re-ordering in the id.
            sides.push(Sides { left: agreed.left, right: agreed.right, conflicted: agreed.conflicted });
            entry.id = sides.len() as u64;
            (path, entry)
        });
        let tree = Tree::from_sorted(plain)?;
        Ok(Self { tree, sides })
    }

    /// Whether nothing was ever agreed: the first run, or the state was lost.
    pub fn is_empty(&self) -> bool {
        self.sides.is_empty()
    }

    /// The agreed tree: names, kinds, sizes, metadata, contents, link targets. Its own fingerprints mean nothing:
    /// see [`Base::left`] and [`Base::right`].
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    fn sides(&self, id: NodeId) -> Sides {
        match self.tree.fingerprint(id).id {
            0 => Sides::default(),
            place => self.sides[place as usize - 1],
        }
    }

    /// How the left store told the agreed version.
    pub fn left(&self, id: NodeId) -> Fingerprint {
        self.sides(id).left
    }

    /// How the right store told the agreed version.
    pub fn right(&self, id: NodeId) -> Fingerprint {
        self.sides(id).right
    }

    /// Whether a conflict was left for the user here.
    pub fn is_conflicted(&self, id: NodeId) -> bool {
        self.sides(id).conflicted
    }

    /// What was agreed for an entry; none for a directory that is only implied.
    pub fn agreed(&self, id: NodeId) -> Option<Agreed> {
        if self.is_implied(id) {
            return None;
        }
        let Sides { left, right, conflicted } = self.sides(id);
        let tree = &self.tree;
        let (meta, content, target) = (tree.meta(id), tree.content(id), tree.target(id).into());
        Some(Agreed { kind: tree.kind(id), meta, content, target, left, right, conflicted })
    }

    /// Whether this directory is only implied by what it holds.
    pub fn is_implied(&self, id: NodeId) -> bool {
        self.tree.fingerprint(id).id == 0
    }
}
