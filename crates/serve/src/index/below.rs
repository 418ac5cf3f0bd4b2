//! All that stands below a directory, as one scan of the whole share would tell it.

use sitta_store::local::LocalStore;
use sitta_store::{Error, OWN_DIR, ScanOptions};
use sitta_tree::{Entry, NodeId, Problem, RelPath, Tree};

/// What was found, in one tree or two.
#[derive(Debug)]
pub(super) struct Scanned {
    parts: Vec<(RelPath, Tree)>,
}

/// Looks at a directory and all below it.
pub(super) fn scan(local: &LocalStore, base: &RelPath) -> Result<Scanned, Error> {
    let scan = |base: &RelPath| local.scan_here(base, &ScanOptions::default());
    let mut parts = vec![(base.clone(), scan(base)?)];
    // A scan leaves out what is ours at its own root; elsewhere that name means nothing.
    if !base.is_root()
        && let Ok(named_so) = base.join(OWN_DIR.as_bytes())
        && let Ok(tree) = scan(&named_so)
    {
        parts.push((named_so, tree));
    }
    Ok(Scanned { parts })
}

impl Scanned {
    /// Each entry with its path in the share, that of the directory itself first; and whether all in it could be seen.
    pub fn entries(&self) -> impl Iterator<Item = (RelPath, Entry, bool)> {
        let of = |(base, tree): &(RelPath, Tree), id: NodeId| {
            (base.join_path(&tree.path(id)), tree.entry(id), tree.is_complete(id))
        };
        self.parts.iter().flat_map(move |part| part.1.ids().map(move |id| of(part, id)))
    }

    /// What could not be seen, with paths in the share.
    pub fn problems(self) -> impl Iterator<Item = Problem> {
        self.parts.into_iter().flat_map(|(base, tree)| {
            let of = move |problem: Problem| Problem { path: base.join_path(&problem.path), ..problem };
            tree.problems.into_iter().map(of)
        })
    }
}
