//! How a tree comes to be: directory by directory, from parts, or from sorted paths.

use std::collections::VecDeque;

use super::{Flags, Node, NodeId, TooLarge, Tree};
use crate::{Entry, Kind, RelPath, Unknown};

impl Tree {
    pub(super) fn push(&mut self, parent: NodeId, name: &[u8], entry: &Entry) -> Result<NodeId, TooLarge> {
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
