//! A file system in memory: inodes, times, permission bits, names that may fold.

use std::collections::BTreeMap;

use sitta_tree::{ContentHash, Entry, Fingerprint, Kind, Meta, RelPath, SideTraits, Time, Tree, fold_key};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A file; the number stands for its bytes.
    File(u64),
    Dir,
    Link(u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub what: What,
    pub inode: u64,
    pub mtime: i64,
    pub change: u64,
    pub mode: u32,
}

#[derive(Debug, Clone)]
pub struct Fs {
    /// A directory comes right before what it holds. The root is not in here.
    pub nodes: BTreeMap<RelPath, Node>,
    pub traits: SideTraits,
    /// It can rename. Otherwise a move is a copy and a removal.
    pub renames: bool,
    /// Its versions carry a change counter, as ctime does.
    pub changes: bool,
    /// Inodes and times; apart for the two sides, as clocks are.
    pub tick: u64,
}

pub const TRAITS: SideTraits = SideTraits {
    mtime_precision: 1,
    modes: true,
    owners: false,
    xattrs: false,
    symlinks: true,
    dirs: true,
    folds_names: false,
    stable_ids: true,
};

/// Many different contents have the same size, so that sizes prove nothing.
pub fn size_of_content(content: u64) -> u64 {
    content % 2 + 1
}

pub fn hash_of(content: u64) -> ContentHash {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&content.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    hash[8..16].copy_from_slice(&content.to_be_bytes());
    ContentHash(hash)
}

impl Fs {
    pub fn new(traits: SideTraits, first_tick: u64) -> Self {
        Self { nodes: BTreeMap::new(), traits, renames: true, changes: true, tick: first_tick }
    }

    /// The path under which `path` is stored, if it is there.
    pub fn resolve(&self, path: &RelPath) -> Option<RelPath> {
        if path.is_root() || self.nodes.contains_key(path) {
            return Some(path.clone());
        }
        if !self.traits.folds_names {
            return None;
        }
        path.parts().try_fold(RelPath::root(), |dir, name| {
            let key = fold_key(name);
            self.children(&dir).find(|child| fold_key(child.name()) == key)
        })
    }

    pub fn get(&self, path: &RelPath) -> Option<&Node> {
        self.nodes.get(&self.resolve(path)?)
    }

    pub fn children(&self, dir: &RelPath) -> impl Iterator<Item = RelPath> {
        let depth = dir.depth() + 1;
        self.below(dir).filter(move |path| path.depth() == depth)
    }

    /// All that lies below `dir`.
    pub fn below(&self, dir: &RelPath) -> impl Iterator<Item = RelPath> {
        let dir = dir.clone();
        let from = dir.clone();
        self.nodes
            .range(from..)
            .map(|(path, _)| path)
            .skip_while({
                let dir = dir.clone();
                move |path| **path == dir
            })
            .take_while(move |path| path.is_within(&dir))
            .cloned()
            .collect::<Vec<_>>()
            .into_iter()
    }

    pub fn is_dir(&self, path: &RelPath) -> bool {
        path.is_root() || self.get(path).is_some_and(|node| node.what == What::Dir)
    }

    pub fn next_tick(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }

    /// How many ticks of this clock make one of the times that it keeps; 0 if it keeps none.
    pub fn coarseness(&self) -> i64 {
        (self.traits.mtime_precision / 1_000_000_000) as i64 + i64::from(self.traits.mtime_precision == 1)
    }

    /// What becomes of a time that is to be kept.
    fn kept_time(&self, mtime: Option<i64>, tick: u64) -> i64 {
        match (mtime, self.coarseness()) {
            (None, 0) | (Some(_), 0) => tick as i64,
            (mtime, coarse) => mtime.unwrap_or(tick as i64).div_euclid(coarse) * coarse,
        }
    }

    fn touch_parent(&mut self, path: &RelPath) {
        let tick = self.next_tick();
        if let Some(parent) = path.parent()
            && let Some(node) = self.nodes.get_mut(&parent)
        {
            (node.mtime, node.change) = (tick as i64, tick);
        }
        self.round(&path.parent().unwrap_or_default());
    }

    fn round(&mut self, path: &RelPath) {
        let coarse = self.coarseness().max(1);
        if let Some(node) = self.nodes.get_mut(path) {
            node.mtime = node.mtime.div_euclid(coarse) * coarse;
            node.mode = if self.traits.modes { node.mode } else { 0 };
        }
    }

    /// Where something new called `path` is stored, if its directory is there.
    fn home(&self, path: &RelPath) -> Option<RelPath> {
        let dir = self.resolve(&path.parent()?)?;
        self.is_dir(&dir).then(|| dir.join(path.name()).expect("valid"))
    }

    /// Puts a new node at `path`, in the place of a file or link if there is one. False if that cannot be.
    pub fn put(&mut self, path: &RelPath, what: What, mtime: Option<i64>, mode: u32) -> bool {
        let Some(home) = self.resolve(path).or_else(|| self.home(path)) else { return false };
        if self.nodes.get(&home).is_some_and(|node| node.what == What::Dir) {
            return false;
        }
        let tick = self.next_tick();
        let node = Node { what, inode: tick, mtime: self.kept_time(mtime, tick), change: tick, mode };
        self.nodes.insert(home.clone(), node);
        self.round(&home);
        self.touch_parent(&home);
        true
    }

    /// Removes a file, link or empty directory.
    pub fn remove(&mut self, path: &RelPath) -> bool {
        let Some(path) = self.resolve(path) else { return false };
        if path.is_root() || self.below(&path).next().is_some() {
            return false;
        }
        self.nodes.remove(&path);
        self.touch_parent(&path);
        true
    }

    /// Renames, with all that lies below; the new name must be free, or another spelling of the old one.
    pub fn rename(&mut self, from: &RelPath, to: &RelPath) -> bool {
        let (Some(from), Some(home)) = (self.resolve(from), self.home(to)) else { return false };
        let taken = self.resolve(to).is_some_and(|there| there != from);
        if taken || from.is_root() || home == from || home.is_within(&from) {
            return false;
        }
        let paths: Vec<_> = std::iter::once(from.clone()).chain(self.below(&from)).collect();
        for path in paths {
            let node = self.nodes.remove(&path).expect("listed");
            let rest: Vec<_> = path.parts().skip(from.depth()).collect();
            let new = rest.iter().fold(home.clone(), |dir, name| dir.join(name).expect("valid"));
            self.nodes.insert(new, node);
        }
        let tick = self.next_tick();
        self.nodes.get_mut(&home).expect("just renamed").change = tick;
        self.touch_parent(&from);
        self.touch_parent(&home);
        true
    }

    pub fn change(&mut self, path: &RelPath, change: impl FnOnce(&mut Node, u64)) {
        let tick = self.next_tick();
        if let Some(path) = self.resolve(path)
            && let Some(node) = self.nodes.get_mut(&path)
        {
            node.change = tick;
            let mtime = node.mtime;
            change(node, tick);
            // Without times of its own, a store tells when it got the bytes.
            if self.traits.mtime_precision == 0 && node.mtime != mtime {
                node.mtime = tick as i64;
            }
            self.round(&path);
        }
    }

    pub fn entry(&self, node: &Node) -> Entry {
        let mut entry = Entry::new(match node.what {
            What::File(_) => Kind::File,
            What::Dir => Kind::Dir,
            What::Link(_) => Kind::Symlink,
        });
        match node.what {
            What::File(content) => entry.size = size_of_content(content),
            What::Link(target) => entry.target = target.to_string().into_bytes().into(),
            What::Dir => {}
        }
        entry.meta = Meta { mtime: Time::new(node.mtime, 0), mode: node.mode, ..Meta::default() };
        entry.id = if self.traits.stable_ids { node.inode } else { 0 };
        entry.change = if self.changes { node.change } else { 0 };
        entry
    }

    pub fn fingerprint(&self, path: &RelPath) -> Option<Fingerprint> {
        self.get(path).map(|node| self.entry(node).fingerprint())
    }

    pub fn content(&self, path: &RelPath) -> Option<u64> {
        match self.get(path)?.what {
            What::File(content) => Some(content),
            _ => None,
        }
    }

    pub fn holds_content(&self, content: u64) -> bool {
        self.nodes.values().any(|node| node.what == What::File(content))
    }

    /// All on one line, for messages.
    pub fn show(&self) -> String {
        let each = self.nodes.iter().map(|(path, n)| format!("{path}={:?}#{}@{} ", n.what, n.inode, n.mtime));
        each.collect()
    }

    /// What a scan sees; of the directories in `blind` nothing but some of their entries.
    pub fn scan(&self, blind: &[RelPath]) -> Tree {
        let hidden =
            |path: &RelPath| blind.iter().any(|dir| path != dir && path.is_within(dir) && path.name()[0] & 1 == 1);
        let seen = self.nodes.iter().filter(|(path, _)| !hidden(path));
        let mut tree = Tree::from_sorted(seen.map(|(path, node)| (path.clone(), self.entry(node)))).expect("small");
        for dir in blind {
            if let Some(id) = tree.find(dir).filter(|id| tree.kind(*id) == Kind::Dir) {
                tree.set_incomplete(id);
            }
        }
        tree
    }
}
