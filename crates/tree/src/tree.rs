//! A tree of entries in memory, packed: 72 bytes an entry plus its name.
//!
//! Entries live in one vector; a directory's children stand side by side, sorted by name, so that comparing two trees
//! is a merge of sorted slices. Names and link targets share one byte arena.

use std::collections::{HashMap, VecDeque};

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

    fn push(&mut self, parent: NodeId, name: &[u8], entry: &Entry) -> Result<NodeId, TooLarge> {
        let id = NodeId(u32::try_from(self.nodes.len()).map_err(|_| TooLarge)?);
        if self.names.len() + name.len() + entry.target.len() > u32::MAX as usize {
            return Err(TooLarge);
        }
        let name_len = u16::try_from(name.len()).map_err(|_| TooLarge)?;
        let name_start = self.names.len() as u32;
        self.names.extend_from_slice(name);
        let (first, count) = match entry.kind {
            Kind::Symlink => {
                let start = self.names.len() as u32;
                self.names.extend_from_slice(&entry.target);
                (start, entry.target.len() as u32)
            }
            Kind::Unknown => (0, entry.unknown.unwrap_or(Unknown::Unreadable) as u32),
            Kind::File | Kind::Dir => (0, 0),
        };
        self.nodes.push(Node {
            size: entry.size,
            id: entry.id,
            change: entry.change,
            mtime_secs: entry.meta.mtime.secs,
            mtime_nanos: entry.meta.mtime.nanos,
            mode: entry.meta.mode,
            uid: entry.meta.uid,
            gid: entry.meta.gid,
            parent: parent.0,
            name_start,
            first,
            count,
            content: 0,
            name_len,
            kind: entry.kind,
            flags: Flags(if entry.linked { Flags::LINKED } else { 0 }),
        });
        self.set_xattrs(id, entry.meta.xattrs);
        if let Some(hash) = entry.content {
            self.set_content(id, hash);
        }
        Ok(id)
    }

    /// Adds all entries of directory `dir`, once, in any order. Names must be valid and distinct.
    pub fn add_children<'e>(
        &mut self,
        dir: NodeId,
        entries: impl IntoIterator<Item = (&'e [u8], &'e Entry)>,
    ) -> Result<(), TooLarge> {
        debug_assert_eq!(self.node(dir).count, 0, "a directory's children are added once");
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_unstable_by_key(|(name, _)| *name);
        let first = self.nodes.len();
        for (name, entry) in &entries {
            debug_assert!(crate::check_name(name).is_ok());
            self.push(dir, name, entry)?;
        }
        let node = &mut self.nodes[dir.index()];
        (node.first, node.count) = (first as u32, entries.len() as u32);
        Ok(())
    }

    /// Begins the entries of directory `dir`: those that [`Tree::push_child`] adds until another is begun. How a scan
    /// fills a tree without holding its entries a second time.
    pub fn begin_children(&mut self, dir: NodeId) {
        let first = self.nodes.len() as u32;
        let node = &mut self.nodes[dir.index()];
        debug_assert_eq!(node.count, 0, "a directory's children are added once");
        (node.first, node.count) = (first, 0);
    }

    /// Adds the next entry of the directory that was begun last. Names must be valid and come in order.
    pub fn push_child(&mut self, dir: NodeId, name: &[u8], entry: &Entry) -> Result<NodeId, TooLarge> {
        let node = self.node(dir);
        debug_assert_eq!((node.first + node.count) as usize, self.nodes.len(), "the directory begun last");
        debug_assert!(node.count == 0 || self.name(NodeId(node.first + node.count - 1)) < name, "names in order");
        debug_assert!(crate::check_name(name).is_ok());
        let id = self.push(dir, name, entry)?;
        self.nodes[dir.index()].count += 1;
        Ok(id)
    }

    /// Hangs another tree's content below the empty directory `dir`: how parallel scans join their parts. The part's
    /// root gives `dir` its children and flags, not its metadata.
    pub fn graft(&mut self, dir: NodeId, part: Tree) -> Result<(), TooLarge> {
        let (nodes, names) = (self.nodes.len() - 1, self.names.len());
        if nodes + part.nodes.len() > u32::MAX as usize || names + part.names.len() > u32::MAX as usize {
            return Err(TooLarge);
        }
        let moved = |id: u32| if id == 0 { dir.0 } else { id + nodes as u32 };
        let contents = self.contents.len() as u32;
        let mut part_nodes = part.nodes.into_iter();
        let root = part_nodes.next().expect("a tree has a root");
        self.nodes.extend(part_nodes.map(|mut node| {
            node.parent = moved(node.parent);
            node.name_start += names as u32;
            match node.kind {
                Kind::Dir => node.first = moved(node.first),
                Kind::Symlink => node.first += names as u32,
                Kind::File | Kind::Unknown => {}
            }
            if node.content != 0 {
                node.content += contents;
            }
            node
        }));
        self.names.extend_from_slice(&part.names);
        self.contents.extend_from_slice(&part.contents);
        self.xattrs.extend(part.xattrs.into_iter().filter(|(id, _)| *id != 0).map(|(id, v)| (moved(id), v)));
        self.problems.extend(part.problems);
        let node = &mut self.nodes[dir.index()];
        (node.first, node.count) = (moved(root.first), root.count);
        node.flags.0 |= root.flags.0 & (Flags::INCOMPLETE | Flags::HOLDS_IGNORED);
        Ok(())
    }

    /// Builds a tree from `(path, entry)` pairs in [`RelPath`] order, each path once. Directories that are only
    /// implied, as object stores imply them, are added with no metadata.
    pub fn from_sorted(entries: impl IntoIterator<Item = (RelPath, Entry)>) -> Result<Self, TooLarge> {
        /// A name in a directory; for a directory, also where its own children are collected.
        struct Child {
            name: Box<[u8]>,
            entry: Entry,
            dir: Option<usize>,
        }
        let mut dirs: Vec<Vec<Child>> = vec![Vec::new()];
        let mut open: Vec<(Box<[u8]>, usize)> = Vec::new();
        let mut tree = Self::new();
        let mut add = |open: &mut Vec<(Box<[u8]>, usize)>, name: &[u8], entry: Entry| {
            let parent = open.last().map_or(0, |(_, index)| *index);
            let dir = (entry.kind == Kind::Dir).then_some(dirs.len());
            dirs[parent].push(Child { name: name.into(), entry, dir });
            if let Some(index) = dir {
                dirs.push(Vec::new());
                open.push((name.into(), index));
            }
        };
        for (path, entry) in entries {
            let parts: Vec<&[u8]> = path.parts().collect();
            let Some((name, above)) = parts.split_last() else {
                tree.set_root(&entry);
                continue;
            };
            let shared = open.iter().zip(above).take_while(|((name, _), part)| **name == ***part).count();
            open.truncate(shared);
            above[shared..].iter().for_each(|part| add(&mut open, part, Entry::new(Kind::Dir)));
            add(&mut open, name, entry);
        }
        let mut queue = VecDeque::from([(NodeId::ROOT, 0)]);
        while let Some((id, index)) = queue.pop_front() {
            let children = std::mem::take(&mut dirs[index]);
            let first = tree.len() as u32;
            tree.add_children(id, children.iter().map(|child| (&*child.name, &child.entry)))?;
            let made = children.iter().zip(first..).filter_map(|(child, id)| Some((NodeId(id), child.dir?)));
            queue.extend(made);
        }
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).expect("a valid path")
    }

    fn file(size: u64) -> Entry {
        Entry { size, id: size + 100, ..Entry::new(Kind::File) }
    }

    #[test]
    fn finds_children_and_paths() {
        let mut tree = Tree::new();
        let (dir, link) = (Entry::new(Kind::Dir), Entry { target: (*b"to").into(), ..Entry::new(Kind::Symlink) });
        let root: [(&[u8], &Entry); 3] = [(b"z", &link), (b"a", &file(1)), (b"d", &dir)];
        tree.add_children(NodeId::ROOT, root).unwrap();
        let d = tree.find(&path("d")).unwrap();
        let inner: [(&[u8], &Entry); 1] = [(b"in", &file(7))];
        tree.add_children(d, inner).unwrap();
        let names: Vec<_> = tree.children(NodeId::ROOT).map(|id| tree.name(id).to_vec()).collect();
        assert_eq!(names, [b"a", b"d", b"z"]);
        let inner = tree.find(&path("d/in")).unwrap();
        assert_eq!((tree.size(inner), tree.path(inner)), (7, path("d/in")));
        assert_eq!(tree.path(NodeId::ROOT), RelPath::root());
        assert_eq!(tree.target(tree.find(&path("z")).unwrap()), b"to");
        assert_eq!(tree.find(&path("d/none")), None);
        assert_eq!(tree.find(&path("a/none")), None);
    }

    #[test]
    fn a_scan_fills_a_tree_directory_by_directory() {
        let mut tree = Tree::new();
        tree.begin_children(NodeId::ROOT);
        let d = tree.push_child(NodeId::ROOT, b"d", &Entry::new(Kind::Dir)).unwrap();
        tree.push_child(NodeId::ROOT, b"e", &file(1)).unwrap();
        tree.begin_children(d);
        tree.push_child(d, b"in", &file(7)).unwrap();
        assert_eq!(tree.children(NodeId::ROOT).len(), 2);
        assert_eq!(tree.size(tree.find(&path("d/in")).unwrap()), 7);
    }

    #[test]
    fn parts_are_grafted_with_all_they_hold() {
        let hash = ContentHash([7; 32]);
        let mut part = Tree::from_sorted([
            (path("s"), Entry::new(Kind::Dir)),
            (path("s/f"), Entry { content: Some(hash), meta: Meta { xattrs: 5, ..Meta::default() }, ..file(3) }),
            (path("t"), Entry { target: (*b"s/f").into(), ..Entry::new(Kind::Symlink) }),
        ])
        .unwrap();
        part.set_incomplete(NodeId::ROOT);
        let mut tree = Tree::from_sorted([(path("x"), Entry::new(Kind::Dir)), (path("y"), file(1))]).unwrap();
        let x = tree.find(&path("x")).unwrap();
        tree.graft(x, part).unwrap();
        let f = tree.find(&path("x/s/f")).unwrap();
        assert_eq!((tree.path(f), tree.content(f), tree.meta(f).xattrs), (path("x/s/f"), Some(hash), 5));
        assert_eq!(tree.target(tree.find(&path("x/t")).unwrap()), b"s/f");
        assert!(!tree.is_complete(x) && tree.is_complete(NodeId::ROOT));
        assert_eq!(tree.len(), 6);
    }

    #[test]
    fn object_store_listings_imply_directories() {
        let tree =
            Tree::from_sorted([(path("a/b/c"), file(1)), (path("a/d"), file(2)), (path("e"), file(3))]).unwrap();
        let all: Vec<_> = tree.ids().map(|id| tree.path(id).to_string()).collect();
        assert_eq!(tree.kind(tree.find(&path("a/b")).unwrap()), Kind::Dir);
        assert_eq!(all.len(), 6, "{all:?}");
    }
}
