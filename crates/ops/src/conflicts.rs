//! What both sides of a pair had changed: listing it, and settling it.
//!
//! A conflict is either a copy beside the file, `name.conflict-<hash8>`, which both sides hold, or was left to the user:
//! then each side holds a version of its own under the same name.

use std::collections::BTreeMap;
use std::sync::Arc;

use sitta_store::watch::Look;
use sitta_store::{Displaced, Flow, Precondition, ScanOptions, Source, Store, What, Write};
use sitta_tree::plan::conflict_copy_of;
use sitta_tree::{Entry, Kind, OnConflict, Policy, RelPath, Side, Tree};

use crate::event::Sink;
use crate::run_id::RunId;
use crate::session::Session;
use crate::state::KnownConflict;
use crate::transfer::Run;
use crate::turn::Turn;
use crate::{Options, Report, RunError, State};

/// A conflict that nobody has settled yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsettled {
    /// The path that both sides had changed.
    pub path: RelPath,
    /// Where the version stands that gave up its name; none if the conflict was left to the user.
    pub copy: Option<RelPath>,
    /// Whose version the copy is, where that is known.
    pub side: Option<Side>,
    /// What stands at the path on each side, and at the copy's.
    pub versions: [Option<Entry>; 2],
    /// What the copy is.
    pub copied: Option<Entry>,
}

/// Which version stays under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// That of this side.
    Side(Side),
    /// Both, each under a name of its own.
    Both,
}

/// The conflicts of a pair, by path.
pub async fn conflicts(
    left: Arc<dyn Store>,
    right: Arc<dyn Store>,
    options: &Options,
    state: &State,
    flow: &Arc<Flow>,
) -> Result<Vec<Unsettled>, RunError> {
    let turn = Turn::of(options.policy, left.location(), right.location());
    let run = Run::new(turn.stores(left, right), options, state, &(), flow);
    let pair = state.known_pair(&run.key())?;
    let scan = ScanOptions { flow: flow.clone(), ..ScanOptions::default() };
    let (left, right) = tokio::join!(run.stores[0].scan(&scan), run.stores[1].scan(&scan));
    let trees = [left?, right?];
    let known = pair.as_ref().map(|pair| state.known_conflicts(pair)).transpose()?.unwrap_or_default();
    let mut found = copies(&trees, &known);
    if let Some(pair) = &pair {
        let base = state.load_base(pair)?;
        let left_over = base.tree().ids().filter(|id| base.is_conflicted(*id)).map(|id| base.tree().path(id));
        for path in left_over {
            let versions = trees.each_ref().map(|tree| entry(tree, &path));
            if versions.iter().all(Option::is_some) {
                found.push(Unsettled { path, copy: None, side: None, versions, copied: None });
            }
        }
    }
    found.sort_by(|a, b| (&a.path, &a.copy).cmp(&(&b.path, &b.copy)));
    for conflict in &mut found {
        conflict.side = conflict.side.map(|side| turn.side(side));
        if turn.side(Side::Left) == Side::Right {
            conflict.versions.reverse();
        }
    }
    Ok(found)
}

fn entry(tree: &Tree, path: &RelPath) -> Option<Entry> {
    tree.find(path).map(|id| tree.entry(id))
}

/// The conflict copies that stand on either side.
fn copies(trees: &[Tree; 2], known: &[KnownConflict]) -> Vec<Unsettled> {
    let mut found: BTreeMap<RelPath, Unsettled> = BTreeMap::new();
    for tree in trees {
        for id in tree.ids().filter(|id| matches!(tree.kind(*id), Kind::File | Kind::Symlink)) {
            let Some(name) = conflict_copy_of(tree.name(id)) else { continue };
            let copy = tree.path(id);
            let known = known.iter().find(|known| known.copy == copy);
            let beside = || copy.parent().unwrap_or_default().join(name).ok();
            let Some(path) = known.map(|known| known.path.clone()).or_else(beside) else { continue };
            let versions = trees.each_ref().map(|tree| entry(tree, &path));
            let (side, copied) = (known.map(|known| known.side), Some(tree.entry(id)));
            found.entry(copy.clone()).or_insert(Unsettled { path, copy: Some(copy), side, versions, copied });
        }
    }
    found.into_values().collect()
}

/// Settles one conflict as [`conflicts`] told it. What gives way goes to the trash of its side.
pub async fn settle(
    [left, right]: [Arc<dyn Store>; 2],
    conflict: &Unsettled,
    keep: Keep,
    options: &Options,
    state: &State,
    sink: &dyn Sink,
    flow: &Arc<Flow>,
) -> Result<Report, RunError> {
    let policy = match keep {
        Keep::Side(Side::Left) => OnConflict::Left,
        Keep::Side(Side::Right) => OnConflict::Right,
        Keep::Both => OnConflict::KeepBoth,
    };
    let options = Options { policy: Policy::Sync(policy), ..options.clone() };
    let turn = Turn::of(options.policy, left.location(), right.location());
    let (options, sink) = (turn.options(&options), turn.sink(sink));
    let stores = turn.stores(left, right);
    let mut session = Session::open(stores.clone(), &options, state, &sink, flow).map_err(|e| turn.error(e))?;
    let mut looks = BTreeMap::from([(conflict.path.clone(), Look::Entry)]);
    if let Some(copy) = &conflict.copy {
        let keep = match keep {
            Keep::Side(side) => Keep::Side(turn.side(side)),
            Keep::Both => Keep::Both,
        };
        let side = conflict.side.map(|side| turn.side(side));
        let at = Place { store: &*stores[0], other: &stores[1], options: &options, flow };
        let renamed = at.settle_copy(&conflict.path, copy, keep == Keep::Both, keep_copy(keep, side)).await?;
        looks.insert(copy.clone(), Look::Entry);
        looks.extend(renamed.map(|path| (path, Look::Entry)));
        session.forget_conflict(copy)?;
    }
    let report = match session.some(&looks).await.map_err(|error| turn.error(error))? {
        Some(report) => report,
        None => session.whole().await.map_err(|error| turn.error(error))?,
    };
    Ok(turn.report(report))
}

/// Whether the copy is the version that is to stay.
fn keep_copy(keep: Keep, side: Option<Side>) -> bool {
    matches!((keep, side), (Keep::Side(keep), Some(side)) if keep == side)
}

/// Where a conflict copy is settled: on one side, from where the other side takes it over.
struct Place<'a> {
    store: &'a dyn Store,
    other: &'a Arc<dyn Store>,
    options: &'a Options,
    flow: &'a Arc<Flow>,
}

impl Place<'_> {
    /// Gives the copy its name back, its own name, or drops it. Each step is whole, and what it displaces is kept.
    async fn settle_copy(
        &self,
        path: &RelPath,
        copy: &RelPath,
        keep_both: bool,
        keep_copy: bool,
    ) -> Result<Option<RelPath>, RunError> {
        let Some(copied) = self.store.stat(copy).await? else { return Ok(None) };
        let version = Precondition::Version(copied.fingerprint());
        if keep_both {
            let free = self.free_name(path).await?;
            self.store.rename(copy, &free, version).await?;
            return Ok(Some(free));
        }
        let run = RunId::new();
        let trash = |path: &RelPath| match &self.options.trash {
            Some(dir) => dir.join(run.as_str().as_bytes()).map(|dir| Displaced::MoveTo(dir.join_path(path))),
            None => Ok(Displaced::Discard),
        };
        if keep_copy {
            match self.store.stat(path).await? {
                None => drop(self.store.rename(copy, path, version).await?),
                Some(now) => {
                    self.replace(path, &now, copy, &copied, trash(path).expect("a run's id is a name"), &run)
                        .await?;
                    self.store.remove(copy, version, Displaced::Discard).await?;
                }
            }
        } else {
            self.store.remove(copy, version, trash(copy).expect("a run's id is a name")).await?;
        }
        self.store.sync().await?;
        Ok(None)
    }

    /// Puts the copy's bytes in the place of what stands at the path.
    async fn replace(
        &self,
        path: &RelPath,
        now: &Entry,
        copy: &RelPath,
        copied: &Entry,
        displaced: Displaced,
        run: &RunId,
    ) -> Result<(), RunError> {
        // Both sides hold the copy: the other one's is the source, so that a rate limit or a remote store needs no trick.
        let source = self.other.stat(copy).await?.filter(|there| there.kind == copied.kind);
        let Some(source) = source else {
            return Err(RunError::Unsettled {
                path: path.clone(),
                why: "the other side does not hold the copy yet",
            });
        };
        let what = match copied.kind {
            Kind::Symlink => What::Symlink(copied.target.clone()),
            _ => What::File(Source::Stored {
                store: self.other.clone(),
                path: copy.clone(),
                version: source.fingerprint(),
            }),
        };
        let write = Write {
            path: path.clone(),
            what,
            meta: copied.meta,
            expect: Precondition::Version(now.fingerprint()),
            displaced,
            temp: run.temp_name(),
        };
        self.store.write(write, self.flow).await?;
        Ok(())
    }

    /// `report (2).odt` for `report.odt`, or the next number that is free on both sides.
    async fn free_name(&self, path: &RelPath) -> Result<RelPath, RunError> {
        let (dir, name) = (path.parent().unwrap_or_default(), path.name());
        let dot = name.iter().rposition(|b| *b == b'.').filter(|dot| *dot > 0).unwrap_or(name.len());
        for number in 2_u32.. {
            let numbered = [&name[..dot], format!(" ({number})").as_bytes(), &name[dot..]].concat();
            let free = dir.join(&numbered).expect("made of a valid name");
            if self.store.stat(&free).await?.is_none() && self.other.stat(&free).await?.is_none() {
                return Ok(free);
            }
        }
        unreachable!("some number is free")
    }
}
