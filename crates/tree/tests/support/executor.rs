//! Carries out plans by the rules of crash safety, with users at work in between, failures and crashes.

use sitta_tree::{
    Action, Agreed, ContentHash, Entry, Expect, Fingerprint, Kind, MetaFields, NodeId, Op, Outcome, Place, Plan,
    RelPath, Side, Tree,
};

use super::fs::{Fs, What, hash_of};
use super::random::Random;
use super::world::{Intent, Trees, World};

/// A rule that is broken on purpose, to see that the tests notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    None,
    /// Does not look at what stands at the path.
    NoExpect,
    /// Destroys without looking whether what was to be kept is kept.
    NoKeep,
    /// Is content if what was to be kept is anywhere on the side.
    WrongKeep,
    /// Records in the base what is yet to be done.
    EarlyBase,
    /// Records what the scan found out only after the actions.
    LateScan,
    /// Leaves the base's entry at the old path of a conflict copy.
    KeepsOldBase,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    Done,
    Crashed,
}

/// What happens around a run; percentages.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chaos {
    pub fail: u64,
    pub edit: u64,
    /// At this of all moments at which it could happen.
    pub crash_at: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Result {
    Pending,
    Failed,
    Done(Option<Fingerprint>),
}

pub struct Run<'r> {
    pub world: &'r mut World,
    pub random: &'r mut Random,
    pub names: &'r [&'r str],
    pub chaos: Chaos,
    pub mutation: Mutation,
    /// Moments at which a crash could have happened.
    pub moments: usize,
}

/// A crash: everything stops.
struct Crash;

impl<'r> Run<'r> {
    pub fn new(world: &'r mut World, random: &'r mut Random, names: &'r [&'r str]) -> Self {
        Self { world, random, names, chaos: Chaos::default(), mutation: Mutation::None, moments: 0 }
    }

    /// One run from recovery to report. Returns the plan too.
    pub fn go(&mut self, blind: &[Vec<RelPath>; 2]) -> (Halt, Plan) {
        self.world.recover();
        let mut trees = self.world.scan(blind);
        let plan = self.world.plan(&mut trees);
        if self.mutation != Mutation::LateScan {
            self.commit_scan(&trees, &plan);
        }
        let world = &*self.world;
        world.say(|| format!("left {}\nright {}", world.sides[0].show(), world.sides[1].show()));
        world.say(|| format!("base {:?}", world.base.keys().collect::<Vec<_>>()));
        world.say(|| format!("run: blind {blind:?}, conflicts {:?}, problems {:?}", plan.conflicts, plan.problems));
        let mut results = vec![Result::Pending; plan.actions.len()];
        for index in 0..plan.actions.len() {
            match self.act(&trees, &plan, index, &results) {
                Ok(result) => {
                    results[index] = result;
                    let action = &plan.actions[index];
                    let path = self.path(&trees, &plan, action.at);
                    self.world.say(|| format!("  {path} {action:?}: {result:?}"));
                }
                Err(Crash) => return (Halt::Crashed, plan),
            }
        }
        if self.mutation == Mutation::LateScan {
            let wrote = std::mem::take(&mut self.world.base);
            self.commit_scan(&trees, &plan);
            self.world.base.extend(wrote);
        }
        (Halt::Done, plan)
    }

    fn moment(&mut self) -> std::result::Result<(), Crash> {
        self.moments += 1;
        if self.chaos.crash_at == Some(self.moments) { Err(Crash) } else { Ok(()) }
    }

    /// What the scan found out is recorded before anything is done.
    fn commit_scan(&mut self, trees: &Trees, plan: &Plan) {
        for gone in &plan.gone {
            self.world.base.remove(&trees.base.tree().path(*gone));
        }
        for (l, r) in &plan.agreed {
            let content = trees.left.content(*l).filter(|hash| Some(*hash) == trees.right.content(*r));
            let agreed =
                agreed(&trees.left.entry(*l), content, trees.left.fingerprint(*l), trees.right.fingerprint(*r));
            self.world.base.insert(trees.left.path(*l), agreed);
        }
        for conflict in &plan.conflicts {
            if let (Outcome::Left, Some(l), Some(r)) = (&conflict.outcome, conflict.left, conflict.right) {
                let entry = trees.left.entry(l);
                let mut left = agreed(&entry, None, trees.left.fingerprint(l), trees.right.fingerprint(r));
                left.conflicted = true;
                self.world.base.insert(conflict.path.clone(), left);
            }
        }
    }

    fn path(&self, trees: &Trees, plan: &Plan, place: Place) -> RelPath {
        plan.path(&self.world.inputs(trees), place)
    }

    fn act(
        &mut self,
        trees: &Trees,
        plan: &Plan,
        index: usize,
        results: &[Result],
    ) -> std::result::Result<Result, Crash> {
        while self.random.percent(self.chaos.edit) {
            self.world.user_edit(self.random, self.names);
        }
        let action = plan.actions[index];
        let path = self.path(trees, plan, action.at);
        let checked = self.mutation == Mutation::NoExpect || self.expectation_holds(trees, &action, &path, results);
        if self.random.percent(self.chaos.fail) || !checked || !self.keep_holds(trees, plan, &action, &path) {
            return Ok(Result::Failed);
        }
        let Some(source) = self.source(trees, plan, &action) else { return Ok(Result::Failed) };
        let mut paths = vec![path.clone()];
        if let Op::Move { from, .. } = action.op {
            paths.push(tree(trees, action.side).path(from));
        }
        let before = self.world.intents.len();
        for path in &paths {
            let before = self.world.fs(action.side).fingerprint(path);
            self.world.intents.push(Intent { side: action.side, path: path.clone(), before });
        }
        self.moment()?;
        if self.mutation == Mutation::EarlyBase {
            self.record(trees, &action, &path, &source, Fingerprint::default());
            self.moment()?;
        }
        if !self.commit(trees, &action, &path, &source)? {
            self.world.intents.truncate(before);
            return Ok(Result::Failed);
        }
        self.moment()?;
        let now = self.world.fs(action.side).fingerprint(&path);
        self.record(trees, &action, &path, &source, now.unwrap_or_default());
        self.world.intents.truncate(before);
        self.moment()?;
        Ok(Result::Done(now))
    }

    fn expectation_holds(&self, trees: &Trees, action: &Action, path: &RelPath, results: &[Result]) -> bool {
        let fs = self.world.fs(action.side);
        let stands = |then: Option<Fingerprint>| fs.is_dir(path) || fs.fingerprint(path) == then;
        match action.expect {
            Expect::Absent => fs.get(path).is_none(),
            Expect::After(earlier) => match results[earlier as usize] {
                Result::Done(then) => fs.get(path).is_some() && stands(then),
                Result::Failed | Result::Pending => false,
            },
            Expect::Seen(id) => is_as_seen(fs, tree(trees, action.side), id, path),
        }
    }

    fn keep_holds(&self, trees: &Trees, plan: &Plan, action: &Action, path: &RelPath) -> bool {
        let Some((side, place)) = action.keep else { return true };
        let destroyed = self.world.fs(action.side).content(path);
        match self.mutation {
            Mutation::NoKeep => true,
            Mutation::WrongKeep => destroyed.is_some_and(|content| self.world.fs(side).holds_content(content)),
            _ => destroyed.is_some() && self.world.fs(side).content(&self.path(trees, plan, place)) == destroyed,
        }
    }

    /// What the action takes from the other side, if that is still as it was seen.
    fn source(&self, trees: &Trees, plan: &Plan, action: &Action) -> Option<Source> {
        let other = action.side.other();
        let (fs, seen) = (self.world.fs(other), tree(trees, other));
        let known = |id: NodeId, path: &RelPath| Source {
            entry: seen.entry(id),
            what: fs.get(path).map_or(What::Dir, |node| node.what.clone()),
            print: seen.fingerprint(id),
        };
        match action.op {
            Op::Write { from: id } | Op::SetMeta { like: id } => {
                let path = seen.path(id);
                is_as_seen(fs, seen, id, &path).then(|| known(id, &path))
            }
            Op::WriteAt { place, .. } => {
                let node = fs.get(&self.path(trees, plan, place))?;
                let entry = fs.entry(node);
                (node.what != What::Dir).then(|| Source {
                    print: entry.fingerprint(),
                    entry,
                    what: node.what.clone(),
                })
            }
            Op::MakeDir { like } | Op::Move { like: Some(like), .. } => Some(known(like, &seen.path(like))),
            Op::MergeMeta { left, right, of_right } => {
                let (l, r) = (trees.left.meta(left), trees.right.meta(right));
                let mut entry = Entry::new(Kind::File);
                let takes = |field| of_right.has(field);
                entry.meta.mtime = if takes(MetaFields::MTIME) { r.mtime } else { l.mtime };
                entry.meta.mode = if takes(MetaFields::MODE) { r.mode } else { l.mode };
                Some(Source { entry, what: What::Dir, print: Fingerprint::default() })
            }
            Op::Move { like: None, .. } | Op::Remove | Op::Link { .. } => {
                Some(Source { entry: Entry::new(Kind::File), what: What::Dir, print: Fingerprint::default() })
            }
        }
    }

    /// The visible change; false if the store refused it.
    fn commit(
        &mut self,
        trees: &Trees,
        action: &Action,
        path: &RelPath,
        source: &Source,
    ) -> std::result::Result<bool, Crash> {
        let mtime = source.entry.meta.mtime.secs;
        let mode = source.entry.meta.mode;
        if matches!(action.op, Op::Write { .. } | Op::WriteAt { .. } | Op::Remove)
            && let Some(displaced) = self.world.fs(action.side).content(path)
        {
            self.world.trash.insert(displaced);
        }
        let fs = self.world.fs_mut(action.side);
        Ok(match action.op {
            Op::MakeDir { .. } | Op::Write { .. } | Op::WriteAt { .. } => {
                fs.put(path, source.what.clone(), Some(mtime), mode)
            }
            Op::SetMeta { .. } | Op::MergeMeta { .. } => {
                let there = fs.get(path).is_some();
                fs.change(path, |node, _| (node.mtime, node.mode) = (mtime, mode));
                there
            }
            Op::Move { from, .. } => return self.rename(trees, action, from, path),
            Op::Remove => fs.remove(path),
            Op::Link { .. } => unreachable!("this world has no hard links"),
        })
    }

    /// A rename; where the store has none, a copy, then the removal of the original, which is destroyed only if the copy
    /// is seen to stand at its path.
    fn rename(
        &mut self,
        trees: &Trees,
        action: &Action,
        from: NodeId,
        to: &RelPath,
    ) -> std::result::Result<bool, Crash> {
        let seen = tree(trees, action.side);
        let old = seen.path(from);
        let fs = self.world.fs_mut(action.side);
        let blind = self.mutation == Mutation::NoExpect;
        if !blind && !is_as_seen(fs, seen, from, &old) {
            return Ok(false);
        }
        let Some(node) = fs.get(&old).cloned() else { return Ok(false) };
        if fs.renames || node.what == What::Dir || fs.traits.folds_names {
            return Ok(fs.rename(&old, to));
        }
        let copied = !self.random.percent(self.chaos.fail)
            && self.world.fs_mut(action.side).put(to, node.what.clone(), Some(node.mtime), node.mode);
        let print = self.world.fs(action.side).fingerprint(to);
        self.moment()?;
        while self.random.percent(self.chaos.edit) {
            self.world.user_edit(self.random, self.names);
        }
        let fs = self.world.fs_mut(action.side);
        let kept = match (self.mutation, &node.what) {
            (Mutation::NoKeep, _) => true,
            (Mutation::WrongKeep, What::File(content)) => fs.holds_content(*content),
            _ => copied && fs.fingerprint(to) == print,
        };
        Ok(kept && (blind || is_as_seen(fs, seen, from, &old)) && fs.remove(&old))
    }

    /// What both sides agree on now that the action is done.
    fn record(&mut self, trees: &Trees, action: &Action, path: &RelPath, source: &Source, now: Fingerprint) {
        let other = tree(trees, action.side.other());
        let both = |entry: &Entry, content| match action.side {
            Side::Left => agreed(entry, content, now, source.print),
            Side::Right => agreed(entry, content, source.print, now),
        };
        match action.op {
            Op::MakeDir { .. } => drop(self.world.base.insert(path.clone(), both(&source.entry, None))),
            Op::Write { .. } | Op::WriteAt { .. } => {
                // The bytes went through our hands.
                let content = match source.what {
                    What::File(content) => Some(hash_of(content)),
                    _ => None,
                };
                self.world.base.insert(path.clone(), both(&source.entry, content));
            }
            Op::SetMeta { like } => {
                let old = self.world.base.get(path).and_then(|old| old.content);
                let content = other.content(like).or(old);
                self.world.base.insert(path.clone(), both(&source.entry, content));
            }
            Op::Move { from, like } => {
                let old = match (self.mutation, like) {
                    (Mutation::KeepsOldBase, None) => None,
                    _ => self.world.base.remove(&tree(trees, action.side).path(from)),
                };
                if like.is_some() {
                    self.world.base.insert(path.clone(), both(&source.entry, old.and_then(|old| old.content)));
                }
            }
            Op::Remove => drop(self.world.base.remove(path)),
            Op::MergeMeta { .. } | Op::Link { .. } => {}
        }
    }
}

/// What an action takes from the other side.
struct Source {
    entry: Entry,
    what: What,
    print: Fingerprint,
}

fn tree(trees: &Trees, side: Side) -> &Tree {
    match side {
        Side::Left => &trees.left,
        Side::Right => &trees.right,
    }
}

/// Whether `path` still holds the version that a scan saw as `id`; of a directory, whether it still is one.
fn is_as_seen(fs: &Fs, seen: &Tree, id: NodeId, path: &RelPath) -> bool {
    match seen.kind(id) {
        Kind::Dir => fs.is_dir(path),
        _ => !fs.is_dir(path) && fs.fingerprint(path) == Some(seen.fingerprint(id)),
    }
}

fn agreed(entry: &Entry, content: Option<ContentHash>, left: Fingerprint, right: Fingerprint) -> Agreed {
    let (kind, meta, target) = (entry.kind, entry.meta, entry.target.clone());
    Agreed { kind, meta, content, target, left, right, conflicted: false }
}
