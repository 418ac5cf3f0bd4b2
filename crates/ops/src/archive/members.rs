//! What goes into an archive, in the order in which it does: sorted by path, directories before what is in them, so that
//! the same folder gives the same archive.

use std::sync::Arc;

use sitta_tree::{Entry, Kind, NodeId, RelPath, Tree};

/// What goes into an archive.
#[derive(Debug, Clone)]
pub(super) enum Members {
    /// All that a folder holds.
    Tree(Arc<Tree>),
    /// One file, under its own name.
    One(RelPath, Box<Entry>),
}

/// One thing that goes into an archive.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// Where it is in its store.
    pub path: RelPath,
    /// What it is.
    pub entry: Entry,
}

impl Members {
    /// Each of them.
    pub fn iter(&self) -> Box<dyn Iterator<Item = Member> + Send> {
        match self {
            Self::Tree(tree) => Box::new(Walk { tree: tree.clone(), left: children(tree, NodeId::ROOT) }),
            Self::One(path, entry) => {
                Box::new(std::iter::once(Member { path: path.clone(), entry: (**entry).clone() }))
            }
        }
    }

    /// The name of a member in the archive, without a directory's slash.
    pub fn name<'p>(&self, path: &'p RelPath) -> &'p [u8] {
        match self {
            Self::Tree(_) => path.as_bytes(),
            Self::One(..) => path.name(),
        }
    }

    /// So many bytes the archive has at most if nothing can be compressed, as far as names and sizes tell.
    pub fn at_most(&self) -> u64 {
        self.iter().fold(64 << 10, |sum, member| {
            let (size, name) = (member.entry.size, member.path.as_bytes().len() as u64);
            sum + size + size / 256 + 2 * name + member.entry.target.len() as u64 + 3072
        })
    }
}

struct Walk {
    tree: Arc<Tree>,
    /// The next one last.
    left: Vec<NodeId>,
}

fn children(tree: &Tree, dir: NodeId) -> Vec<NodeId> {
    tree.children(dir).rev().collect()
}

impl Iterator for Walk {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        let id = self.left.pop()?;
        if self.tree.kind(id) == Kind::Dir {
            self.left.extend(children(&self.tree, id));
        }
        Some(Member { path: self.tree.path(id), entry: self.tree.entry(id) })
    }
}
