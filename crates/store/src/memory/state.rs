//! What a store in memory holds.

use std::collections::BTreeMap;

use bytes::Bytes;
use sitta_tree::{Entry, Kind, Meta, RelPath, SideTraits, Time};

use crate::check::same_bytes;
use crate::{Displaced, ErrorKind, Precondition};

type Refused = (ErrorKind, &'static str);
/// An entry with its name.
type Named = (Box<[u8]>, Entry);

/// What stands at a path.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    File(Bytes),
    Symlink(Box<[u8]>),
    Dir,
}

#[derive(Debug, Clone)]
struct Node {
    /// The path as it was given, where names are folded.
    path: RelPath,
    shape: Shape,
    meta: Meta,
    id: u64,
    change: u64,
}

#[derive(Debug)]
pub(super) struct State {
    traits: SideTraits,
    nodes: BTreeMap<RelPath, Node>,
    pub clock: Time,
    last: u64,
}

impl State {
    pub fn new(traits: SideTraits) -> Self {
        let mut state = Self { traits, nodes: BTreeMap::new(), clock: Time::new(1_700_000_000, 0), last: 0 };
        let meta = Meta { mode: 0o755, mtime: state.clock, ..Meta::default() };
        state.set(&RelPath::root(), Shape::Dir, &meta);
        state
    }

    /// The next moment of the store's clock.
    pub fn tick(&mut self) -> Time {
        let nanos = self.clock.as_nanos() + 1_000;
        self.clock = Time::new(nanos.div_euclid(1_000_000_000) as i64, nanos.rem_euclid(1_000_000_000) as u32);
        self.clock
    }

    fn serial(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn key(&self, path: &RelPath) -> RelPath {
        match std::str::from_utf8(path.as_bytes()) {
            Ok(text) if self.traits.folds_names => {
                RelPath::new(text.to_lowercase()).unwrap_or_else(|_| path.clone())
            }
            _ => path.clone(),
        }
    }

    /// The path with the directories above it spelled as they are.
    fn spelled(&self, path: &RelPath) -> RelPath {
        let above = path.parent().and_then(|dir| self.node(&dir)).map(|dir| dir.path.clone());
        above.and_then(|dir| dir.join(path.name()).ok()).unwrap_or_else(|| path.clone())
    }

    fn node(&self, path: &RelPath) -> Option<&Node> {
        self.nodes.get(&self.key(path))
    }

    fn describe(&self, node: &Node) -> Entry {
        let (kind, size, target) = match &node.shape {
            Shape::File(bytes) => (Kind::File, bytes.len() as u64, Box::default()),
            Shape::Symlink(target) => (Kind::Symlink, 0, target.clone()),
            Shape::Dir => (Kind::Dir, 0, Box::default()),
        };
        let id = if self.traits.stable_ids { node.id } else { 0 };
        Entry { size, meta: node.meta, id, change: node.change, target, ..Entry::new(kind) }
    }

    pub fn entry(&self, path: &RelPath) -> Option<Entry> {
        self.node(path).map(|node| self.describe(node))
    }

    /// All entries, in order.
    pub fn all(&self) -> Vec<(RelPath, Entry)> {
        let mut all: Vec<_> = self.nodes.values().map(|node| (node.path.clone(), self.describe(node))).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    pub fn list(&self, dir: &RelPath) -> Result<Vec<Named>, Refused> {
        self.dir(dir)?;
        let key = self.key(dir);
        let inside = self.below(&key).filter(|(path, _)| path.parent().as_ref() == Some(&key));
        Ok(inside.map(|(_, node)| (node.path.name().into(), self.describe(node))).collect())
    }

    /// What lies below a key, without itself.
    fn below<'s>(&'s self, key: &RelPath) -> impl Iterator<Item = (&'s RelPath, &'s Node)> + use<'s> {
        let key = key.clone();
        self.nodes
            .range(key.clone()..)
            .skip_while({
                let key = key.clone();
                move |(path, _)| **path == key
            })
            .take_while(move |(path, _)| path.is_within(&key))
    }

    /// Nothing stands at a path whose way is missing; a way through a file or link is one that is not there.
    fn dir(&self, path: &RelPath) -> Result<(), Refused> {
        match self.node(path).map(|node| &node.shape) {
            Some(Shape::Dir) => Ok(()),
            Some(_) => Err((ErrorKind::NotADirectory, "not a directory")),
            None => match path.parent() {
                Some(above) => self.dir(&above).and(Err((ErrorKind::NotFound, "no such directory"))),
                None => Err((ErrorKind::NotFound, "no such directory")),
            },
        }
    }

    fn parent_dir(&self, path: &RelPath) -> Result<(), Refused> {
        match path.parent() {
            Some(above) => self.dir(&above),
            None => Err((ErrorKind::IsADirectory, "the root itself")),
        }
    }

    pub fn bytes(&self, path: &RelPath) -> Result<Bytes, Refused> {
        match self.node(path).map(|node| &node.shape) {
            Some(Shape::File(bytes)) => Ok(bytes.clone()),
            Some(Shape::Dir) => Err((ErrorKind::IsADirectory, "a directory")),
            Some(Shape::Symlink(_)) => Err((ErrorKind::Unsupported, "a symbolic link")),
            None => self.parent_dir(path).and(Err((ErrorKind::NotFound, "no such file"))),
        }
    }

    /// The metadata that is kept of `meta`.
    fn kept(&mut self, meta: &Meta, old: Meta) -> Meta {
        let traits = self.traits;
        let told = traits.mtime_precision > 0 && meta.mtime != Time::default();
        let now = if told { meta.mtime } else { self.tick() };
        let mtime = self.rounded(now);
        let (uid, gid) = if traits.owners { (meta.uid, meta.gid) } else { (0, 0) };
        let mode = match (traits.modes, meta.mode) {
            (false, _) => 0,
            (true, 0) => old.mode,
            (true, mode) => mode,
        };
        Meta { mtime, mode, uid, gid, xattrs: 0 }
    }

    /// A time as the clock's ticks can tell it.
    fn rounded(&self, time: Time) -> Time {
        let precision = i128::from(self.traits.mtime_precision.max(1));
        let nanos = time.as_nanos().div_euclid(precision) * precision;
        Time::new(nanos.div_euclid(1_000_000_000) as i64, nanos.rem_euclid(1_000_000_000) as u32)
    }

    /// Lets `shape` stand at `path`, whatever stood there.
    pub fn set(&mut self, path: &RelPath, shape: Shape, meta: &Meta) {
        let default = match &shape {
            Shape::Dir => 0o755,
            Shape::Symlink(_) => 0o777,
            Shape::File(_) => 0o644,
        };
        let is_link = matches!(shape, Shape::Symlink(_));
        let mut meta = self.kept(meta, Meta { mode: default, ..Meta::default() });
        if is_link && self.traits.modes {
            meta.mode = default;
        }
        let (id, change) = (self.serial(), self.serial());
        self.nodes.insert(self.key(path), Node { path: self.spelled(path), shape, meta, id, change });
    }

    /// Writes into the file at `path`, if there is one.
    pub fn edit(&mut self, path: &RelPath, bytes: Bytes) {
        let now = self.tick();
        let (mtime, change, key) = (self.rounded(now), self.serial(), self.key(path));
        if let Some(node) = self.nodes.get_mut(&key).filter(|node| matches!(node.shape, Shape::File(_))) {
            (node.shape, node.change) = (Shape::File(bytes), change);
            node.meta.mtime = mtime;
        }
    }

    /// Makes the directories above `path`, down to where something else is in the way.
    pub fn make_dirs(&mut self, path: &RelPath) {
        if let Some(above) = path.parent()
            && self.node(&above).is_none()
        {
            self.make_dirs(&above);
            if self.parent_dir(&above).is_err() {
                return;
            }
            self.set(&above, Shape::Dir, &Meta { mode: 0o755, ..Meta::default() });
        }
    }

    pub fn take_all(&mut self, path: &RelPath) {
        let key = self.key(path);
        self.nodes.retain(|at, _| !at.is_within(&key));
        self.prune(path);
    }

    /// Where directories are only implied, those above `path` go with the last thing in them.
    fn prune(&mut self, path: &RelPath) {
        let mut above = path.parent().filter(|_| !self.traits.dirs);
        while let Some(dir) = above.filter(|dir| !dir.is_root()) {
            let key = self.key(&dir);
            if self.below(&key).next().is_some() {
                return;
            }
            if self.nodes.get(&key).is_some_and(|node| matches!(node.shape, Shape::Dir)) {
                self.nodes.remove(&key);
            }
            above = dir.parent();
        }
    }

    /// What stands at `path` may make way.
    fn may_displace(&mut self, path: &RelPath, expect: &Precondition) -> Result<Option<Entry>, Refused> {
        let mut old = self.entry(path);
        // Where directories are only implied, one that holds nothing but directories is none.
        let key = self.key(path);
        if !self.traits.dirs
            && *expect == Precondition::Absent
            && old.as_ref().is_some_and(|old| old.kind == Kind::Dir)
            && self.below(&key).all(|(_, node)| matches!(node.shape, Shape::Dir))
        {
            self.nodes.retain(|at, _| !at.is_within(&key));
            old = None;
        }
        if !expect.admits(old.as_ref()) {
            return Err((ErrorKind::Changed, "it is not what was expected"));
        }
        if old.as_ref().is_some_and(|old| old.kind == Kind::Dir) && self.below(&self.key(path)).next().is_some() {
            return Err((ErrorKind::NotEmpty, "a directory that is not empty"));
        }
        Ok(old)
    }

    fn displace(&mut self, path: &RelPath, old: &Entry, displaced: &Displaced) -> Result<(), Refused> {
        let key = self.key(path);
        let Displaced::MoveTo(trash) = displaced else {
            self.nodes.remove(&key);
            return Ok(());
        };
        match self.node(trash).map(|node| &node.shape) {
            Some(Shape::Dir) if old.kind == Kind::Dir => drop(self.nodes.remove(&key)),
            Some(_) => return Err((ErrorKind::Changed, "something stands in the trash already")),
            None => {
                self.make_dirs(trash);
                let node = self.nodes.remove(&key).expect("it stands there");
                self.nodes.insert(self.key(trash), Node { path: self.spelled(trash), ..node });
            }
        }
        Ok(())
    }

    pub fn write(
        &mut self,
        path: &RelPath,
        shape: Shape,
        meta: &Meta,
        expect: &Precondition,
        displaced: &Displaced,
    ) -> Result<Entry, Refused> {
        if !self.traits.dirs {
            self.make_dirs(path);
        }
        self.parent_dir(path)?;
        if let Some(old) = self.may_displace(path, expect)? {
            self.displace(path, &old, displaced)?;
        }
        self.set(path, shape, meta);
        Ok(self.entry(path).expect("just set"))
    }

    fn expected(&self, path: &RelPath, expect: &Precondition) -> Result<Entry, Refused> {
        match self.entry(path) {
            entry if !expect.admits(entry.as_ref()) => Err((ErrorKind::Changed, "it is not what was expected")),
            None => self.parent_dir(path).and(Err((ErrorKind::NotFound, "nothing stands there"))),
            Some(entry) => Ok(entry),
        }
    }

    pub fn remove(&mut self, path: &RelPath, expect: &Precondition, displaced: &Displaced) -> Result<(), Refused> {
        self.expected(path, expect)?;
        if let Some(old) = self.may_displace(path, expect)? {
            self.displace(path, &old, displaced)?;
            self.prune(path);
        }
        Ok(())
    }

    pub fn rename(&mut self, from: &RelPath, to: &RelPath, expect: &Precondition) -> Result<Entry, Refused> {
        let old = self.expected(from, expect)?;
        if !self.traits.dirs {
            self.make_dirs(to);
        }
        self.parent_dir(to)?;
        if self.node(to).is_some() && (to == from || self.key(to) != self.key(from)) {
            return Err((ErrorKind::Changed, "something stands there already"));
        }
        let (old_path, from, moved) = (from.clone(), self.key(from), self.spelled(to));
        if self.key(to) != from && self.key(to).is_within(&from) {
            return Err((ErrorKind::Unsupported, "into itself"));
        }
        let paths: Vec<_> = self.nodes.keys().filter(|path| path.is_within(&from)).cloned().collect();
        for path in paths {
            let mut node = self.nodes.remove(&path).expect("just listed");
            let rest = node.path.parts().skip(from.depth()).collect::<Vec<_>>().join(&b"/"[..]);
            node.path = moved.join_path(&RelPath::new(rest).expect("part of a path"));
            self.nodes.insert(self.key(&node.path), node);
        }
        let change = self.serial();
        let key = self.key(to);
        self.nodes.get_mut(&key).expect("just moved").change = change;
        let now = self.entry(to).expect("just moved");
        debug_assert!(same_bytes(&now, &old.fingerprint()));
        self.prune(&old_path);
        Ok(now)
    }

    pub fn set_meta(&mut self, path: &RelPath, meta: &Meta, expect: &Precondition) -> Result<Entry, Refused> {
        let old = self.expected(path, expect)?;
        let (traits, rounded, mut kept) = (self.traits, self.rounded(meta.mtime), old.meta);
        if traits.mtime_precision > 0 {
            kept.mtime = rounded;
        }
        if traits.modes && old.kind != Kind::Symlink {
            kept.mode = meta.mode;
        }
        if traits.owners {
            (kept.uid, kept.gid) = (meta.uid, meta.gid);
        }
        let change = self.serial();
        let key = self.key(path);
        let node = self.nodes.get_mut(&key).expect("it stands there");
        (node.meta, node.change) = (kept, change);
        Ok(self.entry(path).expect("it stands there"))
    }
}
