//! Bringing versions back.

use std::collections::{HashMap, HashSet};

use futures::stream::{self, StreamExt};
use sitta_store::{Change, Displaced, Error, ErrorKind, Precondition, Result, Source, What, Write};
use sitta_tree::{Entry, Kind, Meta, Problem, ProblemKind, RelPath};

use super::walk::Below;
use super::{Trash, Trashed, problem, this_version};
use crate::run_id::RunId;

/// What came back.
#[derive(Debug, Default)]
pub struct Restored {
    /// The versions, and where each stands now.
    pub versions: Vec<(Trashed, RelPath)>,
    /// Where something else stands, which was left as it is.
    pub occupied: Vec<RelPath>,
    /// The run by whose id the trash keeps what had to make way; none if nothing had to.
    pub displaced: Option<String>,
    /// What could not be done.
    pub problems: Vec<Problem>,
}

/// One version on its way back.
struct Item {
    version: Trashed,
    /// Where it lies.
    from: RelPath,
    to: RelPath,
    /// What stands there now.
    now: Option<Entry>,
}

/// One call of [`Trash::restore`].
struct Restore<'t> {
    trash: &'t Trash,
    id: RunId,
    done: Restored,
    /// What comes back, with nothing in its way or by making it give way.
    items: Vec<Item>,
}

impl Trash {
    /// Brings versions back to the paths beside them, of a directory all that lies below it. What stands there now is
    /// left as it is; with `force` it goes to the trash, under a new run's id. Each path shows what it showed or the
    /// version that came back, as far as the store can exchange the two in one step; at no moment is either of them
    /// nowhere.
    ///
    /// Fails only if it cannot be looked at what lies in the trash, or when it is stopped before anything was done.
    pub async fn restore(&self, wanted: &[(Trashed, RelPath)], force: bool) -> Result<Restored> {
        let mut restore =
            Restore { trash: self, id: RunId::new(), done: Restored::default(), items: self.gather(wanted).await? };
        restore.items.retain(|item| {
            let special = item.version.entry.kind == Kind::Unknown;
            if special {
                let what = "neither a file nor a link";
                restore.done.problems.push(Problem::new(item.from.clone(), ProblemKind::Special, what));
            }
            !special
        });
        restore.look(force).await?;
        restore.make_way().await;
        restore.bring_back().await;
        let folders: HashSet<RelPath> = wanted.iter().map(|(version, _)| self.folder(&version.run)).collect();
        let mut restored = restore.done;
        if let Err(error) = self.store.sync().await {
            restored.problems.push(problem(&self.dir, &error));
        }
        for folder in folders {
            let left = restored.versions.iter().filter_map(|(version, _)| self.place(version).parent());
            let left: Vec<_> = left.filter(|dir| dir.is_within(&folder)).collect();
            self.prune(&folder, left).await;
        }
        restored.versions.sort_by(|a, b| a.1.cmp(&b.1));
        restored.occupied.sort();
        restored.occupied.dedup();
        Ok(restored)
    }

    /// All versions that are meant, each once.
    async fn gather(&self, wanted: &[(Trashed, RelPath)]) -> Result<Vec<Item>> {
        let (mut items, mut taken) = (Vec::new(), HashSet::new());
        for (version, to) in wanted {
            let versions = match version.entry.kind {
                Kind::Dir => {
                    let contents = self.contents(&version.run, &version.path).await?;
                    if let Some(unseen) = contents.problems.first() {
                        let place = Some(unseen.path.clone());
                        let location = self.store.location().into();
                        return Err(Error::new(ErrorKind::Denied, &location, place, unseen.message.clone()));
                    }
                    contents.versions
                }
                _ => vec![version.clone()],
            };
            for found in versions {
                let below: Vec<_> = found.path.parts().skip(version.path.depth()).collect();
                let below = RelPath::new(below.join(&b'/')).expect("part of a path");
                let (from, to) = (self.place(&found), to.join_path(&below));
                if taken.insert(from.clone()) {
                    items.push(Item { version: found, from, to, now: None });
                }
            }
        }
        Ok(items)
    }

    /// What stands at paths now.
    async fn stand(&self, paths: impl IntoIterator<Item = RelPath>) -> Result<HashMap<RelPath, Entry>> {
        let mut looks = stream::iter(paths)
            .map(|path| async move { self.store.stat(&path).await.map(|entry| (path, entry)) })
            .buffer_unordered(self.in_flight());
        let mut standing = HashMap::new();
        while let Some(look) = looks.next().await {
            self.go_on()?;
            let (path, entry) = look?;
            standing.extend(entry.map(|entry| (path, entry)));
        }
        Ok(standing)
    }
}

/// The directories above a path, the root apart.
fn above(path: &RelPath) -> impl Iterator<Item = RelPath> {
    let up = |path: &RelPath| path.parent().filter(|dir| !dir.is_root());
    std::iter::successors(up(path), move |dir| up(dir))
}

impl Restore<'_> {
    /// Looks at what stands where versions are to come back to, and sorts out what has to stay where it is.
    async fn look(&mut self, force: bool) -> Result<()> {
        let dirs: HashSet<RelPath> = self.items.iter().flat_map(|item| above(&item.to)).collect();
        let dirs = self.trash.stand(dirs).await?;
        let reachable = |path: &RelPath| above(path).all(|dir| dirs.get(&dir).is_some_and(|d| d.kind == Kind::Dir));
        let there = self.items.iter().filter(|item| reachable(&item.to)).map(|item| item.to.clone());
        let mut there = self.trash.stand(there.collect::<HashSet<_>>()).await?;
        let in_the_way =
            |path: &RelPath| above(path).find(|dir| dirs.get(dir).is_some_and(|d| d.kind != Kind::Dir));
        let mut ways: HashMap<RelPath, bool> = HashMap::new();
        let mut items = Vec::with_capacity(self.items.len());
        for item in std::mem::take(&mut self.items) {
            if let Some(dir) = in_the_way(&item.to) {
                let free = match ways.get(&dir) {
                    Some(free) => *free,
                    None if !force => false,
                    None => self.displace(&dir, &dirs[&dir]).await,
                };
                ways.insert(dir.clone(), free);
                match free {
                    true => items.push(item),
                    false if !force => self.done.occupied.push(dir),
                    false => {}
                }
                continue;
            }
            let now = there.remove(&item.to);
            let same = now.as_ref().is_some_and(|now| is_same_file(now, &item.version.entry));
            match now {
                Some(_) if !force && !same => self.done.occupied.push(item.to),
                now => items.push(Item { now, ..item }),
            }
        }
        self.items = items;
        Ok(())
    }

    /// Makes the directories that are missing. What cannot be done for want of one is sorted out.
    async fn make_way(&mut self) {
        if !self.trash.store.capabilities().traits.dirs {
            return;
        }
        let wanted: HashSet<RelPath> = self.items.iter().flat_map(|item| above(&item.to)).collect();
        let Ok(standing) = self.trash.stand(wanted.iter().cloned()).await else { return };
        let mut missing: Vec<RelPath> = wanted.into_iter().filter(|dir| !standing.contains_key(dir)).collect();
        missing.sort();
        let made: Vec<Change> = missing.iter().map(|dir| Change::Write(self.write(dir, What::Dir))).collect();
        let mut failed: Vec<&RelPath> = Vec::new();
        for (dir, result) in missing.iter().zip(self.trash.carry_out_in_order(made).await) {
            // Where somebody else made one, what goes into it will tell.
            if let Err(error) = result
                && error.kind != ErrorKind::Changed
                && !failed.iter().any(|above| dir.is_within(above))
            {
                self.done.problems.push(problem(dir, &error));
                failed.push(dir);
            }
        }
        self.items.retain(|item| !failed.iter().any(|dir| item.to.is_within(dir)));
    }

    /// A write of a new thing.
    fn write(&self, path: &RelPath, what: What) -> Write {
        Write {
            path: path.clone(),
            what,
            meta: Meta::default(),
            expect: Precondition::Absent,
            displaced: Displaced::Discard,
            temp: self.id.temp_name(),
        }
    }

    async fn bring_back(&mut self) {
        let (free, taken): (Vec<Item>, Vec<Item>) =
            std::mem::take(&mut self.items).into_iter().partition(|item| item.now.is_none());
        let renames = free.iter().map(rename).collect();
        for (item, result) in free.into_iter().zip(self.trash.carry_out(renames).await) {
            match result {
                Ok(_) => self.done.versions.push((item.version, item.to)),
                Err(error) if error.kind == ErrorKind::Changed => self.done.occupied.push(item.to),
                Err(error) => self.done.problems.push(problem(&item.to, &error)),
            }
        }
        for item in taken {
            if self.trash.flow.is_cancelled() {
                break;
            }
            match self.exchange(&item).await {
                Ok(true) => self.done.versions.push((item.version, item.to)),
                Ok(false) => {}
                Err(error) => self.done.problems.push(problem(&item.to, &error)),
            }
        }
    }

    /// Lets a version come back to where something stands; false: what stands there did not give way, which is told.
    async fn exchange(&mut self, item: &Item) -> Result<bool> {
        let (store, version) = (&self.trash.store, &item.version.entry);
        let Some(now) = &item.now else { return Ok(false) };
        if is_same_file(now, version) {
            // An earlier restore was stopped half way: two names, one file.
            self.discard(item).await?;
            return Ok(true);
        }
        if let Some((what, meta)) = self.in_one_step(item, now) {
            let displaced = Displaced::MoveTo(self.kept_at(&item.to));
            let write = Write { meta, expect: this_version(now), displaced, ..self.write(&item.to, what) };
            match store.write(write, &self.trash.flow).await {
                Ok(_) => {
                    self.done.displaced = Some(self.id.as_str().to_owned());
                    self.discard(item).await?;
                    return Ok(true);
                }
                // A file of somebody else cannot be given another name everywhere; it can be renamed.
                Err(error) if matches!(error.kind, ErrorKind::Denied | ErrorKind::Unsupported) => {}
                Err(error) => return Err(error),
            }
        }
        if !self.displace(&item.to, now).await {
            return Ok(false);
        }
        if let Err(error) = store.rename(&item.from, &item.to, this_version(version)).await {
            if now.kind != Kind::Dir {
                // Where it stood, unless somebody else came first.
                let _ = store.rename(&self.kept_at(&item.to), &item.to, Precondition::None).await;
            }
            return Err(error);
        }
        Ok(true)
    }

    /// What to write so that the version stands where another stood, in one step; none: the store has no such step.
    fn in_one_step(&self, item: &Item, now: &Entry) -> Option<(What, Meta)> {
        let (can, version) = (self.trash.store.capabilities(), &item.version.entry);
        match version.kind {
            _ if now.kind == Kind::Dir => None,
            Kind::Symlink => Some((What::Symlink(version.target.clone()), version.meta)),
            Kind::File if can.hard_links => Some((What::Link(item.from.clone()), version.meta)),
            // Object stores replace in one step and rename in two.
            Kind::File if !can.traits.dirs => {
                let (store, path, version) = (self.trash.store.clone(), item.from.clone(), version.fingerprint());
                Some((What::File(Source::Stored { store, path, version }), item.version.entry.meta))
            }
            _ => None,
        }
    }

    /// Removes the version's place in the trash, now that it stands where it belongs.
    async fn discard(&self, item: &Item) -> Result<()> {
        match self.trash.store.remove(&item.from, Precondition::None, Displaced::Discard).await {
            Err(error) if error.kind != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Where the trash keeps what had to make way at a path.
    fn kept_at(&self, path: &RelPath) -> RelPath {
        let folder = self.trash.dir.join(self.id.as_str().as_bytes()).expect("a run id is a name");
        folder.join_path(path)
    }

    /// Moves what stands at a path to the trash, a directory with all it holds. Whether it is out of the way; else it is
    /// told why not.
    async fn displace(&mut self, path: &RelPath, now: &Entry) -> bool {
        let below = match now.kind {
            Kind::Dir => self.trash.walk(path.clone()).await,
            _ => Ok(Below { files: vec![(RelPath::root(), now.clone())], ..Below::default() }),
        };
        let below = match below {
            Ok(below) if below.problems.is_empty() => below,
            Ok(below) => {
                self.done.problems.extend(below.problems);
                return false;
            }
            Err(error) => {
                self.done.problems.push(problem(path, &error));
                return false;
            }
        };
        let files = below.files.iter().map(|(inside, entry)| {
            let path = path.join_path(inside);
            let displaced = Displaced::MoveTo(self.kept_at(&path));
            Change::Remove { path, expect: this_version(entry), displaced }
        });
        let moved = self.trash.carry_out(files.collect()).await;
        let mut problems = Vec::new();
        for ((inside, _), result) in below.files.iter().zip(moved) {
            match result {
                Ok(_) => self.done.displaced = Some(self.id.as_str().to_owned()),
                Err(error) => problems.push(problem(&path.join_path(inside), &error)),
            }
        }
        if problems.is_empty() && self.trash.store.capabilities().traits.dirs {
            let dirs: Vec<RelPath> = below.dirs.iter().rev().map(|inside| path.join_path(inside)).collect();
            let removals = dirs.iter().map(super::empty::removal_of_dir).collect();
            let removed = self.trash.carry_out_in_order(removals).await;
            let failed = dirs.iter().zip(removed).find_map(|(dir, result)| Some(problem(dir, &result.err()?)));
            problems.extend(failed);
        }
        let gone = problems.is_empty();
        self.done.problems.extend(problems);
        gone
    }
}

fn rename(item: &Item) -> Change {
    Change::Rename { from: item.from.clone(), to: item.to.clone(), expect: this_version(&item.version.entry) }
}

/// Whether both are names of one file.
fn is_same_file(a: &Entry, b: &Entry) -> bool {
    a.linked && b.linked && a.kind == Kind::File && a.fingerprint().same_file(&b.fingerprint())
}
