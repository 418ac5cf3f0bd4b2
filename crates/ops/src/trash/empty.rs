//! Letting go of old versions.

use std::sync::Arc;

use futures::stream::{self, StreamExt};
use sitta_store::{Change, Displaced, Error, ErrorKind, Precondition, Result};
use sitta_tree::{Entry, Problem, RelPath, Time};

use super::walk::Below;
use super::{Trash, TrashKeep, TrashRun, ended, problem, this_version};
use crate::event::Event;
use crate::transfer::Run;
use crate::{Outcome, Report, run_id};

/// What became of the trash.
#[derive(Debug, Clone, Default)]
pub struct Emptied {
    /// The runs whose versions are gone, the last one first.
    pub runs: Vec<EmptiedRun>,
    /// Runs that were left alone because they may be at work right now.
    pub busy: u64,
    /// What could not be removed; the paths are those in the store.
    pub problems: Vec<Problem>,
}

/// What one run had in the trash.
#[derive(Debug, Clone)]
pub struct EmptiedRun {
    /// The run.
    pub run: Arc<TrashRun>,
    /// How many files and links are gone.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Emptied {
    /// How many files and links are gone.
    pub fn files(&self) -> u64 {
        self.runs.iter().map(|run| run.files).sum()
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.bytes).sum()
    }
}

impl Trash {
    /// Removes what runs have left that began before a moment; without one, what all have. `dry_run`: only counts.
    ///
    /// Fails only if the trash cannot be looked at, or when it is stopped.
    pub async fn empty(&self, before: Option<Time>, dry_run: bool) -> Result<Emptied> {
        let mut runs = self.runs().await?;
        runs.retain(|run| before.is_none_or(|before| run.began < before));
        let (runs, busy) = ended(runs);
        let mut emptied = Emptied { busy, ..Emptied::default() };
        for run in runs {
            let before = emptied.problems.len();
            let (files, bytes) = if dry_run {
                let found = self.walk(self.folder(&run)).await?;
                emptied.problems.extend(found.problems);
                sum(found.files.iter().map(|(_, entry)| entry))
            } else {
                match self.clear(&run, &mut emptied.problems).await {
                    Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
                    Err(error) => {
                        emptied.problems.push(problem(&self.folder(&run), &error));
                        continue;
                    }
                    Ok(gone) => gone,
                }
            };
            if files > 0 || emptied.problems.len() == before {
                emptied.runs.push(EmptiedRun { run, files, bytes });
            }
        }
        Ok(emptied)
    }

    /// Removes what is older than it is to be kept.
    pub async fn expire(&self, keep: TrashKeep, now: Time) -> Result<Emptied> {
        match keep {
            TrashKeep::Forever => Ok(Emptied::default()),
            TrashKeep::Within(age) => {
                let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
                self.empty(Some(Time::new(now.secs.saturating_sub(age), now.nanos)), false).await
            }
        }
    }

    /// Removes a run's folder with all it holds; tells how many files and bytes that were.
    async fn clear(&self, run: &TrashRun, problems: &mut Vec<Problem>) -> Result<(u64, u64)> {
        let folder = self.folder(run);
        let (mut files, mut bytes) = (0, 0);
        loop {
            let found = self.walk(folder.clone()).await?;
            let before = problems.len();
            let last = self.store.capabilities().traits.dirs || found.files.is_empty();
            let Below { files: here, dirs, problems: unseen } = found;
            problems.extend(unseen);
            let gone = self.discard(&folder, here, problems).await?;
            (files, bytes) = (files + gone.0, bytes + gone.1);
            if last {
                self.discard_dirs(&folder, dirs, problems.len() > before, problems).await?;
            }
            // Where directories are only implied, one may have been hidden by a file of its name.
            if last || problems.len() > before {
                return Ok((files, bytes));
            }
        }
    }

    async fn discard(
        &self,
        folder: &RelPath,
        files: Vec<(RelPath, Entry)>,
        problems: &mut Vec<Problem>,
    ) -> Result<(u64, u64)> {
        let removals = files.iter().map(|(path, entry)| Change::Remove {
            path: folder.join_path(path),
            // A disk needs no second look at what only this run ever put there; over a network, a removal that says what
            // it means may be repeated.
            expect: if self.store.behind().is_some() { Precondition::None } else { this_version(entry) },
            displaced: Displaced::Discard,
        });
        let results = self.carry_out(removals.collect()).await;
        let mut gone = Vec::with_capacity(files.len());
        for ((path, entry), result) in files.iter().zip(results) {
            match result {
                Ok(_) => gone.push(entry),
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
                Err(error) => problems.push(problem(&folder.join_path(path), &error)),
            }
        }
        Ok(sum(gone.into_iter()))
    }

    /// Removes emptied directories, the deepest first. `holding`: some of them are known to hold something still.
    async fn discard_dirs(
        &self,
        folder: &RelPath,
        dirs: Vec<RelPath>,
        holding: bool,
        problems: &mut Vec<Problem>,
    ) -> Result<()> {
        let places: Vec<RelPath> = dirs.iter().rev().map(|dir| folder.join_path(dir)).collect();
        let results = self.carry_out_in_order(places.iter().map(removal_of_dir).collect()).await;
        for (place, result) in places.iter().zip(results) {
            match result {
                Ok(_) => {}
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) if error.kind == ErrorKind::NotEmpty && holding => {}
                Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
                Err(error) => {
                    problems.push(problem(place, &error));
                    // Those above it hold it still.
                    break;
                }
            }
        }
        Ok(())
    }

    /// Removes the directories on the way to versions that are gone, as far as they are empty.
    pub(super) async fn prune(&self, folder: &RelPath, mut dirs: Vec<RelPath>) {
        if !self.store.capabilities().traits.dirs {
            return;
        }
        let mut above: Vec<RelPath> = dirs.clone();
        for dir in &dirs {
            let mut at = dir.parent();
            while let Some(dir) = at.filter(|dir| dir.is_within(folder)) {
                at = dir.parent();
                above.push(dir);
            }
        }
        dirs.append(&mut above);
        dirs.sort();
        dirs.dedup();
        // What is not empty stays.
        self.carry_out_in_order(dirs.iter().rev().map(removal_of_dir).collect()).await;
    }
}

/// An empty directory's: no store removes another one.
pub(super) fn removal_of_dir(path: &RelPath) -> Change {
    Change::Remove { path: path.clone(), expect: Precondition::None, displaced: Displaced::Discard }
}

fn sum<'e>(entries: impl Iterator<Item = &'e Entry>) -> (u64, u64) {
    entries.fold((0, 0), |(files, bytes), entry| (files + 1, bytes + entry.size))
}

/// At the end of a run that went well: lets go of what its trash has kept long enough. That this fails is no failure of
/// the run; it is told, and tried again by the next one.
pub(crate) async fn at_end(run: &Run<'_>, report: &Report) {
    let (Some(dir), TrashKeep::Within(_)) = (&run.options.trash, run.options.trash_keep) else { return };
    let Some(now) = run_id::read(run.id.as_str()).map(|told| told.began) else { return };
    if report.outcome != Outcome::Success || report.dry_run {
        return;
    }
    let expiries = run.options.changed_sides().iter().map(|side| async move {
        let trash = Trash::new(run.store(*side).clone(), dir.clone(), run.flow.clone());
        let emptied = match trash.expire(run.options.trash_keep, now).await {
            Ok(emptied) => emptied,
            Err(error) => failed(dir, &error),
        };
        if !emptied.runs.is_empty() || !emptied.problems.is_empty() {
            run.sink.event(Event::Expired { side: *side, emptied });
        }
    });
    stream::iter(expiries).buffer_unordered(2).collect::<()>().await;
}

fn failed(dir: &RelPath, error: &Error) -> Emptied {
    Emptied { problems: vec![problem(error.path.as_ref().unwrap_or(dir), error)], ..Emptied::default() }
}
