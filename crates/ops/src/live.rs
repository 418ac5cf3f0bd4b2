//! A pair's base in memory while the pair is watched: as it was loaded, with what has changed since laid over it. A few
//! paths of it cost a few look-ups, however large it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use sitta_store::watch::Look;
use sitta_tree::{Agreed, Base, Kind, NodeId, RelPath};

use crate::RunError;
use crate::state::{Pair, State};

/// More bytes of changes than this are not laid over the base, but loaded with it.
const LARGE: u64 = 4 << 20;

/// More changes than this, and more than a quarter of the base, are taken into it.
const MANY: usize = 10_000;

/// What both sides agree on, kept up with the state.
#[derive(Debug, Default)]
pub(crate) struct LiveBase {
    loaded: Arc<Base>,
    /// What has changed since; none for what is agreed on no more.
    since: BTreeMap<RelPath, Option<Agreed>>,
    /// The newest record of the state that is taken in.
    record: i64,
}

impl LiveBase {
    /// As the state has it now.
    pub fn load(state: &State, pair: &Pair) -> Result<Self, RunError> {
        let record = state.newest_record(pair)?;
        Ok(Self { loaded: Arc::new(state.load_base(pair)?), since: BTreeMap::new(), record })
    }

    /// Takes in what the state has recorded since.
    pub fn catch_up(&mut self, state: &State, pair: &Pair) -> Result<(), RunError> {
        if state.grown_since(pair, self.record)? > LARGE {
            // What is in memory goes first.
            *self = Self::default();
            *self = Self::load(state, pair)?;
            return Ok(());
        }
        let (changes, record) = state.base_since(pair, self.record)?;
        self.record = record;
        self.since.extend(changes);
        if self.since.len() > MANY.max(self.loaded.tree().len() / 4) {
            *self = Self::load(state, pair)?;
        }
        Ok(())
    }

    /// All of it.
    pub fn whole(&mut self, state: &State, pair: &Pair) -> Result<Arc<Base>, RunError> {
        if !self.since.is_empty() {
            *self = Self::load(state, pair)?;
        }
        Ok(self.loaded.clone())
    }

    /// What kind of thing is agreed on at the path; a directory that is only implied by what it holds counts.
    pub fn kind(&self, path: &RelPath) -> Option<Kind> {
        if path.is_root() {
            return Some(Kind::Dir);
        }
        match self.since.get(path) {
            Some(Some(agreed)) => Some(agreed.kind),
            _ if self.changed_below(path).any(|(_, agreed)| agreed.is_some()) => Some(Kind::Dir),
            Some(None) => None,
            None => self.loaded.tree().find(path).map(|id| self.loaded.tree().kind(id)),
        }
    }

    fn changed_below<'b>(&'b self, path: &'b RelPath) -> impl Iterator<Item = (&'b RelPath, &'b Option<Agreed>)> {
        let from = (std::ops::Bound::Excluded(path), std::ops::Bound::Unbounded);
        self.since.range(from).take_while(|(below, _)| below.is_within(path))
    }

    /// Puts into `out` what is agreed on at the path, and, if asked, below it.
    pub fn collect(&self, path: &RelPath, look: Look, out: &mut BTreeMap<RelPath, Agreed>) {
        let mut pending: Vec<(NodeId, RelPath)> =
            self.loaded.tree().find(path).map(|id| (id, path.clone())).into_iter().collect();
        while let Some((id, path)) = pending.pop() {
            if look == Look::Below {
                let tree = self.loaded.tree();
                pending.extend(tree.children(id).map(|child| (child, tree.path(child))));
            }
            if !self.since.contains_key(&path)
                && let Some(agreed) = self.loaded.agreed(id)
            {
                out.insert(path, agreed);
            }
        }
        let changed = self.since.get_key_value(path).into_iter();
        let below = self.changed_below(path).take_while(|_| look == Look::Below);
        for (path, agreed) in changed.chain(below) {
            out.extend(agreed.clone().map(|agreed| (path.clone(), agreed)));
        }
    }

    /// The names agreed on in a directory.
    pub fn names(&self, dir: &RelPath) -> Vec<Box<[u8]>> {
        let tree = self.loaded.tree();
        let loaded = tree.find(dir).into_iter().flat_map(|id| tree.children(id)).map(|id| tree.name(id).into());
        let changed = self.changed_below(dir).filter(|(path, _)| path.depth() == dir.depth() + 1);
        loaded.chain(changed.map(|(path, _)| path.name().into())).collect()
    }
}
