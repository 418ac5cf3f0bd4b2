//! Where directories are only implied, a file and what lies "below" it can stand side by side. Nobody could tell such
//! two apart later, so nothing is written before what had its name in another kind is gone.

use sitta_store::Change;
use sitta_tree::{Kind, Problem, ProblemKind, RelPath, Tree};

use super::Executor;
use super::change::Prepared;
use crate::preview::tree;

impl Executor<'_> {
    /// Checks that what was seen in the way of a new thing has gone. Elsewhere the store itself refuses.
    pub(super) async fn has_way(&self, item: &Prepared) -> Result<(), Problem> {
        let store = self.run.store(item.side);
        let adds = matches!(item.change, Some(Change::Write(_) | Change::Rename { .. }));
        if store.capabilities().traits.dirs || !adds {
            return Ok(());
        }
        let Some(in_the_way) = seen_in_the_way(tree(self.inputs, item.side), &item.path) else { return Ok(()) };
        let problem = |kind, message: String| Problem::new(item.path.clone(), kind, message);
        match store.stat(&in_the_way).await {
            Ok(None) => Ok(()),
            // A file at the path itself is what the write's own precondition is about.
            Ok(Some(entry)) if in_the_way == item.path && entry.kind != Kind::Dir => Ok(()),
            Ok(Some(_)) => {
                let what = match in_the_way == item.path {
                    true => "not written: something still stands below this name".to_owned(),
                    false => format!("not written: {in_the_way} is still a file"),
                };
                Err(problem(ProblemKind::Changed, what))
            }
            Err(error) => Err(problem(error.problem_kind(true), format!("not written: {}", error.source))),
        }
    }
}

/// What the scan saw in another kind: a directory at the path, or a file above it.
fn seen_in_the_way(seen: &Tree, path: &RelPath) -> Option<RelPath> {
    if seen.find(path).is_some_and(|id| seen.kind(id) == Kind::Dir) {
        return Some(path.clone());
    }
    let mut above = path.parent();
    while let Some(dir) = above.filter(|dir| !dir.is_root()) {
        if let Some(id) = seen.find(&dir) {
            return (seen.kind(id) != Kind::Dir).then_some(dir);
        }
        above = dir.parent();
    }
    None
}
