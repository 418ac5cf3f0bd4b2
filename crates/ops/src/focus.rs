//! Looking at a few paths on both sides instead of at everything. What is not looked at is in none of the three trees, so
//! the planner decides nothing about it: a change costs what it touches, however large the folders are.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use sitta_store::watch::Look;
use sitta_store::{Error, ErrorKind, OWN_DIR, TEMP_PREFIX};
use sitta_tree::{Base, Entry, Kind, Problem, ProblemKind, RelPath, Side, Tree, Unknown, fold_key};

use crate::RunError;
use crate::live::LiveBase;
use crate::transfer::{Run, Trees};

const SIDES: [Side; 2] = [Side::Left, Side::Right];

/// What is looked at, by path.
type Looks = BTreeMap<RelPath, Look>;

/// Both sides at the paths, with the directories above them, and what was agreed on there.
pub(crate) async fn look(run: &Run<'_>, live: &LiveBase, wanted: &Looks) -> Result<Trees, RunError> {
    let mut focus = Focus { run, live, sides: Default::default() };
    let mut looks: Looks = wanted.iter().filter(|(p, _)| !is_ours(p)).map(|(p, l)| (p.clone(), *l)).collect();
    if SIDES.iter().any(|side| run.store(*side).capabilities().traits.folds_names) {
        focus.add_twins(&mut looks).await?;
    }
    let above: BTreeSet<RelPath> = looks.keys().flat_map(parents).collect();
    focus.stat(above.iter()).await?;
    let looks = focus.lifted(looks);
    focus.stat(looks.keys()).await?;
    let looks = focus.deepened(looks);
    for (path, _) in looks.iter().filter(|(_, look)| **look == Look::Below) {
        focus.descend(path).await?;
    }
    focus.trees(&looks)
}

/// Temporaries and our own directory are nobody's business.
fn is_ours(path: &RelPath) -> bool {
    path.is_root()
        || path.parts().next() == Some(OWN_DIR.as_bytes())
        || path.parts().any(|name| name.starts_with(TEMP_PREFIX.as_bytes()))
}

/// The directories above a path, nearest first; not the root.
fn parents(path: &RelPath) -> impl Iterator<Item = RelPath> + use<> {
    std::iter::successors(path.parent(), RelPath::parent).filter(|dir| !dir.is_root())
}

/// What one side was seen to hold.
#[derive(Default)]
struct Seen {
    entries: BTreeMap<RelPath, Entry>,
    /// Directories of which not all is known.
    incomplete: BTreeSet<RelPath>,
    /// Directories that hold what a filter leaves out.
    holds_ignored: BTreeSet<RelPath>,
    problems: Vec<Problem>,
}

struct Focus<'r> {
    run: &'r Run<'r>,
    live: &'r LiveBase,
    sides: [Seen; 2],
}

impl Focus<'_> {
    fn kind(&self, side: Side, path: &RelPath) -> Option<Kind> {
        self.sides[side as usize].entries.get(path).map(|entry| entry.kind)
    }

    /// Where a side takes several spellings for one name, all of them take part in what is decided about one.
    async fn add_twins(&self, looks: &mut Looks) -> Result<(), RunError> {
        let mut named: BTreeMap<RelPath, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for path in looks.keys() {
            let dir = path.parent().unwrap_or_default();
            named.entry(dir).or_default().insert(fold_key(path.name()).into_owned());
        }
        for (dir, keys) in named {
            let mut names = self.live.names(&dir);
            for side in SIDES {
                match self.run.store(side).list(&dir).await {
                    Ok(entries) => names.extend(entries.into_iter().map(|(name, _)| name)),
                    Err(error) if is_absence(&error) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let twins = names.iter().filter(|name| keys.contains(&*fold_key(name)));
            for path in twins.filter_map(|name| dir.join(name).ok()).filter(|path| !is_ours(path)) {
                looks.entry(path).or_insert(Look::Entry);
            }
        }
        Ok(())
    }

    /// Looks at the paths on both sides, many at a time.
    async fn stat(&mut self, paths: impl Iterator<Item = &RelPath> + Clone) -> Result<(), RunError> {
        for side in SIDES {
            let store = self.run.store(side).clone();
            let in_flight = store.capabilities().concurrency.max(4);
            let known = &self.sides[side as usize].entries;
            let missing: Vec<RelPath> = paths.clone().filter(|path| !known.contains_key(*path)).cloned().collect();
            let mut told = stream::iter(missing)
                .map(|path| {
                    let store = store.clone();
                    async move { (store.stat(&path).await, path) }
                })
                .buffer_unordered(in_flight);
            while let Some((result, path)) = told.next().await {
                match result {
                    Ok(Some(entry)) => self.take_in(side, path, entry),
                    Ok(None) => {}
                    Err(error) => self.unreadable(side, path, error)?,
                }
            }
        }
        Ok(())
    }

    /// Notes what stands at a path, if it takes part.
    fn take_in(&mut self, side: Side, path: RelPath, mut entry: Entry) {
        let seen = &mut self.sides[side as usize];
        if let Some(filter) = &self.run.options.filter
            && filter.excludes_within(path.as_bytes(), entry.kind == Kind::Dir)
        {
            seen.holds_ignored.extend(path.parent());
            return;
        }
        if entry.kind == Kind::Unknown {
            let what = (ProblemKind::Special, "a fifo, socket or device");
            seen.problems.push(Problem::new(path.clone(), what.0, what.1));
        }
        // Not told here; who wants them kept has everything looked at.
        entry.meta.xattrs = 0;
        seen.entries.insert(path, entry);
    }

    /// One that cannot be looked at is unknown; a store that cannot be reached ends the look.
    fn unreadable(&mut self, side: Side, path: RelPath, error: Error) -> Result<(), RunError> {
        let seen = &mut self.sides[side as usize];
        match error.kind {
            _ if is_absence(&error) => {}
            ErrorKind::Cancelled => return Err(RunError::Interrupted),
            ErrorKind::Unreachable | ErrorKind::Auth | ErrorKind::Untrusted => return Err(error.into()),
            _ => {
                seen.problems.push(Problem::new(path.clone(), error.problem_kind(false), error.source.to_string()));
                match seen.entries.get(&path) {
                    Some(_) => drop(seen.incomplete.insert(path)),
                    None => drop(seen.entries.insert(path, Entry::unknown(Unknown::Unreadable))),
                }
            }
        }
        Ok(())
    }

    /// Where a directory on the way is not one on both sides and in the base, it is looked at itself, with all below.
    fn lifted(&self, looks: Looks) -> Looks {
        let mut lifted = Looks::new();
        for (path, look) in looks {
            let way: Vec<RelPath> = parents(&path).collect();
            let (path, look) = match way.into_iter().rev().find(|dir| !self.is_shared_dir(dir)) {
                Some(dir) => (dir, Look::Below),
                None => (path, look),
            };
            let known = lifted.entry(path).or_insert(look);
            *known = look.max(*known);
        }
        lifted
    }

    fn is_shared_dir(&self, dir: &RelPath) -> bool {
        let on = |side: Side| match self.kind(side, dir) {
            Some(kind) => kind == Kind::Dir,
            // A store without directories has one wherever something may be put.
            None => !self.run.store(side).capabilities().traits.dirs,
        };
        on(Side::Left) && on(Side::Right) && self.live.kind(dir) == Some(Kind::Dir)
    }

    /// A directory that is not one everywhere is looked at with all below; what lies below such a one needs no look of
    /// its own.
    fn deepened(&self, looks: Looks) -> Looks {
        let mut deepened: Looks = Looks::new();
        for (path, look) in looks {
            if deepened.last_key_value().is_some_and(|(last, l)| *l == Look::Below && path.is_within(last)) {
                continue;
            }
            let kinds = [self.kind(Side::Left, &path), self.kind(Side::Right, &path), self.live.kind(&path)];
            let no_dir = kinds.iter().all(|kind| *kind != Some(Kind::Dir));
            let shallow = no_dir || (look == Look::Entry && self.is_shared_dir(&path));
            let look = if shallow { Look::Entry } else { Look::Below };
            deepened.insert(path, look);
        }
        deepened
    }

    /// Lists all below a path on both sides.
    async fn descend(&mut self, top: &RelPath) -> Result<(), RunError> {
        for side in SIDES {
            let store = self.run.store(side).clone();
            let in_flight = store.capabilities().concurrency.max(4);
            let mut level: Vec<RelPath> =
                (self.kind(side, top) == Some(Kind::Dir)).then(|| top.clone()).into_iter().collect();
            while !level.is_empty() {
                let mut listed = stream::iter(std::mem::take(&mut level))
                    .map(|dir| {
                        let store = store.clone();
                        async move { (store.list(&dir).await, dir) }
                    })
                    .buffer_unordered(in_flight);
                while let Some((result, dir)) = listed.next().await {
                    match result {
                        Ok(entries) => level.extend(self.take_in_all(side, &dir, entries)),
                        Err(error) => {
                            self.sides[side as usize].incomplete.insert(dir.clone());
                            self.unreadable(side, dir, error)?;
                        }
                    }
                }
                if self.run.flow.is_cancelled() {
                    return Err(RunError::Interrupted);
                }
            }
        }
        Ok(())
    }

    /// Notes what a directory holds, and gives the directories in it.
    fn take_in_all(&mut self, side: Side, dir: &RelPath, entries: Vec<(Box<[u8]>, Entry)>) -> Vec<RelPath> {
        let mut inside = Vec::new();
        for (name, entry) in entries {
            let Ok(path) = dir.join(&name) else { continue };
            let is_dir = entry.kind == Kind::Dir;
            self.take_in(side, path.clone(), entry);
            if is_dir && self.kind(side, &path).is_some() {
                inside.push(path);
            }
        }
        inside
    }

    fn trees(self, looks: &Looks) -> Result<Trees, RunError> {
        let mut agreed = BTreeMap::new();
        let mut above = BTreeSet::new();
        for (path, look) in looks {
            self.live.collect(path, *look, &mut agreed);
            above.extend(parents(path));
            above.extend((*look == Look::Entry).then(|| path.clone()));
        }
        for dir in &above {
            self.live.collect(dir, Look::Entry, &mut agreed);
        }
        let [left, right] = self.sides.map(|seen| seen.tree(looks, &above));
        Ok(Trees { left: left?, right: right?, base: Base::from_sorted(agreed)?.into() })
    }
}

impl Seen {
    fn tree(mut self, looks: &Looks, above: &BTreeSet<RelPath>) -> Result<Tree, RunError> {
        // Looks that were lifted leave directories behind that are below a look of their own, or above none.
        let within = |path: &RelPath| {
            above.contains(path)
                || looks
                    .range(..=path)
                    .next_back()
                    .is_some_and(|(last, look)| path == last || (*look == Look::Below && path.is_within(last)))
        };
        self.entries.retain(|path, _| within(path));
        let mut tree = Tree::from_sorted(self.entries)?;
        tree.problems = self.problems;
        for dir in &self.incomplete {
            tree.find(dir).into_iter().for_each(|id| tree.set_incomplete(id));
        }
        // What is above holds more than is shown here: nothing follows from its looking empty.
        for dir in self.holds_ignored.iter().chain(above).chain([&RelPath::root()]) {
            let dir = tree.find(dir).filter(|id| tree.kind(*id) == Kind::Dir);
            dir.into_iter().for_each(|id| tree.set_holds_ignored(id));
        }
        Ok(tree)
    }
}

/// Whether the error says that nothing stands there.
fn is_absence(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}
