//! Where directories are only implied, a file and what lies "below" it can stand side by side. Nobody could tell such
//! two apart later, so nothing is written before what had its name in another kind is gone.

use sitta_store::{Change, ErrorKind, Store};
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
        let still = |what: String| Err(problem(ProblemKind::Changed, format!("not written: {what}")));
        let looked = match in_the_way == item.path {
            // A file at the path itself is what the write's own precondition is about.
            true => match holds_anything(&**store, &in_the_way).await {
                Ok(true) => return still("something still stands below this name".to_owned()),
                looked => looked.map(drop),
            },
            false => match store.stat(&in_the_way).await {
                Ok(Some(entry)) if entry.kind != Kind::Dir => {
                    return still(format!("{in_the_way} is still a file"));
                }
                seen => seen.map(drop),
            },
        };
        match looked {
            Err(error) if !matches!(error.kind, ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(problem(error.problem_kind(true), format!("not written: {}", error.source)))
            }
            _ => Ok(()),
        }
    }
}

/// Whether anything but directories stands below a directory: where they are only implied, they are in nobody's way.
async fn holds_anything(store: &dyn Store, dir: &RelPath) -> sitta_store::Result<bool> {
    let mut dirs = vec![dir.clone()];
    while let Some(dir) = dirs.pop() {
        for (name, entry) in store.list(&dir).await? {
            match dir.join(&name) {
                Ok(below) if entry.kind == Kind::Dir => dirs.push(below),
                _ => return Ok(true),
            }
        }
    }
    Ok(false)
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
