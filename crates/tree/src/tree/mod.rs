//! A tree of entries in memory, packed: 72 bytes an entry plus its name.
//!
//! Entries live in one vector; a directory's children stand side by side, sorted by name, so that comparing two trees
//! is a merge of sorted slices. Names and link targets share one byte arena.

mod build;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::{ContentHash, Entry, Fingerprint, Kind, Meta, Problem, RelPath, Time, Unknown};

/// Which entry of a [`Tree`]. Meaningful only for the tree it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The root directory, which every tree has.
    pub const ROOT: Self = Self(0);

    /// The index, from 0 to `Tree::len() - 1`.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Facts about a node that are one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Flags(u8);

impl Flags {
    /// A directory whose listing may lack entries: what is absent from it is unknown.
    const INCOMPLETE: u8 = 1;
    /// A directory that holds entries which a filter left out.
    const HOLDS_IGNORED: u8 = 2;
    /// A file with more than one name.
    const LINKED: u8 = 4;
    /// An entry with extended attributes, whose digest is in the tree's table.
    const XATTRS: u8 = 8;

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

#[derive(Debug, Clone)]
struct Node {
    size: u64,
    id: u64,
    change: u64,
    mtime_secs: i64,
    mtime_nanos: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    parent: u32,
    name_start: u32,
    /// Directory: its first child. Symlink: where the target starts in the arena.
    first: u32,
    /// Directory: how many children. Symlink: the target's length. Unknown: the reason.
    count: u32,
    /// 1 + the index of its hash; 0 when the content is not known.
    content: u32,
    name_len: u16,
    kind: Kind,
    flags: Flags,
}

const _: () = assert!(size_of::<Node>() == 72);

/// A whole tree, or as much of it as could be seen.
#[derive(Debug, Clone)]
pub struct Tree {
    nodes: Vec<Node>,
    names: Vec<u8>,
    contents: Vec<ContentHash>,
    xattrs: HashMap<u32, u64>,
    /// What could not be seen, in no particular order.
    pub problems: Vec<Problem>,
}

/// More than 2^32 entries or 4 GiB of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tree is too large: at most 4,294,967,295 entries and 4 GiB of names")]
pub struct TooLarge;

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A tree that holds an empty, complete root directory only.
    pub fn new() -> Self {
        let mut tree = Self {
            nodes: Vec::new(),
            names: Vec::new(),
            contents: Vec::new(),
            xattrs: HashMap::new(),
            problems: Vec::new(),
        };
        tree.push(NodeId::ROOT, b"", &Entry::new(Kind::Dir)).expect("one entry fits");
        tree
    }

    /// How many entries there are, the root included.
    #[expect(clippy::len_without_is_empty, reason = "a tree always has its root")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Bytes of memory held, for the limits in the documentation.
    pub fn memory(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.names.capacity()
            + self.contents.capacity() * size_of::<ContentHash>()
            + self.xattrs.capacity() * size_of::<(u32, u64)>()
    }

    /// All entries, in storage order: a directory's children stand together, after the directory.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// File, directory, link or unknown.
    pub fn kind(&self, id: NodeId) -> Kind {
        self.node(id).kind
    }

    /// The name in its directory; empty for the root.
    pub fn name(&self, id: NodeId) -> &[u8] {
        let node = self.node(id);
        &self.names[node.name_start as usize..][..node.name_len as usize]
    }

    /// The directory that holds it; the root's is the root.
    pub fn parent(&self, id: NodeId) -> NodeId {
        NodeId(self.node(id).parent)
    }

    /// Size in bytes.
    pub fn size(&self, id: NodeId) -> u64 {
        self.node(id).size
    }

    /// Modification time.
    pub fn mtime(&self, id: NodeId) -> Time {
        let node = self.node(id);
        Time::new(node.mtime_secs, node.mtime_nanos)
    }

    /// Metadata.
    pub fn meta(&self, id: NodeId) -> Meta {
        let node = self.node(id);
        let xattrs = if node.flags.has(Flags::XATTRS) { self.xattrs.get(&id.0).copied().unwrap_or(0) } else { 0 };
        Meta { mtime: self.mtime(id), mode: node.mode, uid: node.uid, gid: node.gid, xattrs }
    }

    /// What recognises this version again.
    pub fn fingerprint(&self, id: NodeId) -> Fingerprint {
        let node = self.node(id);
        Fingerprint { size: node.size, mtime: self.mtime(id), id: node.id, change: node.change }
    }

    /// Whether a file has more than one name.
    pub fn is_linked(&self, id: NodeId) -> bool {
        self.node(id).flags.has(Flags::LINKED)
    }

    /// A symbolic link's target; empty for others.
    pub fn target(&self, id: NodeId) -> &[u8] {
        let node = self.node(id);
        match node.kind {
            Kind::Symlink => &self.names[node.first as usize..][..node.count as usize],
            _ => b"",
        }
    }

    /// Why an entry is unknown; none for those that are not.
    pub fn unknown(&self, id: NodeId) -> Option<Unknown> {
        let node = self.node(id);
        match (node.kind, node.count) {
            (Kind::Unknown, 0) => Some(Unknown::Unreadable),
            (Kind::Unknown, 1) => Some(Unknown::Special),
            (Kind::Unknown, _) => Some(Unknown::Unrepresentable),
            _ => None,
        }
    }

    /// The hash of a file's bytes, when known.
    pub fn content(&self, id: NodeId) -> Option<ContentHash> {
        let index = self.node(id).content.checked_sub(1)?;
        Some(self.contents[index as usize])
    }

    /// Whether a directory's listing is whole. What is absent from one that is not is unknown, not absent.
    pub fn is_complete(&self, id: NodeId) -> bool {
        !self.node(id).flags.has(Flags::INCOMPLETE)
    }

    /// Whether a filter left out entries of this directory: it must not be removed.
    pub fn holds_ignored(&self, id: NodeId) -> bool {
        self.node(id).flags.has(Flags::HOLDS_IGNORED)
    }

    /// A directory's entries, sorted by name; empty for what is not a directory.
    pub fn children(&self, id: NodeId) -> impl DoubleEndedIterator<Item = NodeId> + ExactSizeIterator + use<> {
        let node = self.node(id);
        let range = if node.kind == Kind::Dir { node.first..node.first + node.count } else { 0..0 };
        range.map(NodeId)
    }

    /// The entry called `name` in directory `dir`.
    pub fn child(&self, dir: NodeId, name: &[u8]) -> Option<NodeId> {
        let node = self.node(dir);
        if node.kind != Kind::Dir {
            return None;
        }
        let children = &self.nodes[node.first as usize..][..node.count as usize];
        let at = children
            .binary_search_by(|n| self.names[n.name_start as usize..][..n.name_len as usize].cmp(name))
            .ok()?;
        Some(NodeId(node.first + at as u32))
    }

    /// The entry at `path`.
    pub fn find(&self, path: &RelPath) -> Option<NodeId> {
        path.parts().try_fold(NodeId::ROOT, |dir, name| self.child(dir, name))
    }

    /// The path of an entry.
    pub fn path(&self, id: NodeId) -> RelPath {
        let mut bytes = Vec::new();
        self.write_path(id, &mut bytes);
        RelPath::from_valid(bytes)
    }

    /// Appends the path's bytes to `out`: for callers that make many paths in one buffer.
    pub fn write_path(&self, id: NodeId, out: &mut Vec<u8>) {
        let (mut at, mut len) = (id, 0);
        while at != NodeId::ROOT {
            len += self.name(at).len() + 1;
            at = self.parent(at);
        }
        let start = out.len();
        out.resize(start + len.saturating_sub(1), b'/');
        let (mut at, mut end) = (id, out.len());
        while at != NodeId::ROOT {
            let name = self.name(at);
            out[end - name.len()..end].copy_from_slice(name);
            end = end.saturating_sub(name.len() + 1);
            at = self.parent(at);
        }
    }

    /// The entry on its own, as `stat` would tell it.
    pub fn entry(&self, id: NodeId) -> Entry {
        Entry {
            kind: self.kind(id),
            size: self.size(id),
            meta: self.meta(id),
            id: self.node(id).id,
            change: self.node(id).change,
            linked: self.is_linked(id),
            target: self.target(id).into(),
            unknown: self.unknown(id),
            content: self.content(id),
        }
    }

    /// Records the hash of a file's bytes.
    pub fn set_content(&mut self, id: NodeId, hash: ContentHash) {
        self.contents.push(hash);
        self.nodes[id.index()].content = u32::try_from(self.contents.len()).expect("as many as entries");
    }

    /// Takes in metadata that the scan could not tell.
    pub fn set_meta(&mut self, id: NodeId, meta: &Meta) {
        let node = &mut self.nodes[id.index()];
        (node.mtime_secs, node.mtime_nanos) = (meta.mtime.secs, meta.mtime.nanos);
        (node.mode, node.uid, node.gid) = (meta.mode, meta.uid, meta.gid);
        self.set_xattrs(id, meta.xattrs);
    }

    /// Turns a file into something unknown: it was seen, but its content could not be read when it was needed.
    pub fn set_unknown(&mut self, id: NodeId, why: Unknown) {
        let node = &mut self.nodes[id.index()];
        debug_assert_eq!(node.kind, Kind::File);
        (node.kind, node.count) = (Kind::Unknown, why as u32);
    }

    /// Marks a directory's listing as not whole.
    pub fn set_incomplete(&mut self, dir: NodeId) {
        self.nodes[dir.index()].flags.0 |= Flags::INCOMPLETE;
    }

    /// Marks that a filter left out entries of this directory.
    pub fn set_holds_ignored(&mut self, dir: NodeId) {
        self.nodes[dir.index()].flags.0 |= Flags::HOLDS_IGNORED;
    }

    /// Sets what is known of the root directory itself; its children stay.
    pub fn set_root(&mut self, entry: &Entry) {
        debug_assert_eq!(entry.kind, Kind::Dir);
        let root = &mut self.nodes[0];
        (root.id, root.change) = (entry.id, entry.change);
        (root.mtime_secs, root.mtime_nanos) = (entry.meta.mtime.secs, entry.meta.mtime.nanos);
        (root.mode, root.uid, root.gid) = (entry.meta.mode, entry.meta.uid, entry.meta.gid);
        self.set_xattrs(NodeId::ROOT, entry.meta.xattrs);
    }

    fn set_xattrs(&mut self, id: NodeId, digest: u64) {
        if digest != 0 {
            self.nodes[id.index()].flags.0 |= Flags::XATTRS;
            self.xattrs.insert(id.0, digest);
        }
    }
}
