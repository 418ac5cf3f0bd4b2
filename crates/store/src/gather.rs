//! What a server lists becomes a tree: with our own things and what the filter leaves out sifted, and what cannot be a
//! path kept as a problem.

use std::collections::HashSet;

use futures::stream::{FuturesUnordered, StreamExt};
use sitta_tree::{Entry, Kind, Printable, Problem, ProblemKind, RelPath, Tree, Unknown};

use crate::wrap::Backoff;
use crate::{Error, ErrorKind, OWN_DIR, Result, ScanOptions, Store, TEMP_PREFIX};

/// Collects entries, in any order, into a tree. Directories that are only implied need not be added.
#[derive(Debug)]
pub(crate) struct Gather<'o> {
    options: &'o ScanOptions,
    entries: Vec<(RelPath, Entry)>,
    problems: Vec<Problem>,
    /// Directories that hold what the filter left out.
    ignored: HashSet<RelPath>,
    incomplete: HashSet<RelPath>,
    /// Temporaries that were told of.
    temps: HashSet<RelPath>,
}

impl<'o> Gather<'o> {
    pub fn new(options: &'o ScanOptions) -> Self {
        Self {
            options,
            entries: Vec::new(),
            problems: Vec::new(),
            ignored: HashSet::new(),
            incomplete: HashSet::new(),
            temps: HashSet::new(),
        }
    }

    /// Adds an entry of a directory that takes part itself. Whether it takes part: what is below a directory that does
    /// not need not be listed.
    pub fn child(&mut self, path: RelPath, entry: Entry) -> bool {
        self.options.flow.add_entries(1);
        if path.name().starts_with(TEMP_PREFIX.as_bytes()) {
            self.temp(path);
            return false;
        }
        if path.as_bytes() == OWN_DIR.as_bytes() {
            return false;
        }
        if self.leaves_out(&path, &entry) {
            self.ignored.extend(path.parent());
            return false;
        }
        self.entries.push((path, entry));
        true
    }

    /// Adds an entry that was listed with its whole path, as object stores list: what is left out may lie above it.
    pub fn deep(&mut self, path: RelPath, entry: Entry) {
        let mut above = RelPath::root();
        let parts: Vec<_> = path.parts().map(<[u8]>::to_vec).collect();
        for part in &parts[..parts.len().saturating_sub(1)] {
            let Ok(dir) = above.join(part) else { return };
            if part.starts_with(TEMP_PREFIX.as_bytes()) {
                return self.temp(dir);
            }
            if dir.as_bytes() == OWN_DIR.as_bytes() {
                return;
            }
            if self.options.filter.as_ref().is_some_and(|filter| filter.excludes(dir.as_bytes(), true)) {
                self.ignored.insert(above);
                return;
            }
            above = dir;
        }
        self.child(path, entry);
    }

    fn temp(&mut self, path: RelPath) {
        if let Some(temps) = &self.options.temps
            && self.temps.insert(path.clone())
        {
            temps.lock().unwrap_or_else(|e| e.into_inner()).push(path);
        }
    }

    fn leaves_out(&self, path: &RelPath, entry: &Entry) -> bool {
        let Some(filter) = &self.options.filter else { return false };
        filter.excludes(path.as_bytes(), entry.kind == Kind::Dir)
            || (entry.kind == Kind::File && !filter.admits_file(path.as_bytes(), entry.size, entry.meta.mtime))
    }

    /// A name that is no path here (`..`, a NUL, an empty part): it is told, never touched, and the directory that it
    /// was listed in may lack entries.
    pub fn misnamed(&mut self, dir: &RelPath, name: &[u8]) {
        let what = format!("the server lists a name that cannot be one: {}", Printable(name));
        self.problems.push(Problem::new(dir.clone(), ProblemKind::Unsupported, what));
        self.incomplete.insert(dir.clone());
    }

    /// A problem that somebody else found.
    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// A directory of which somebody else found that not all could be listed.
    pub fn is_incomplete(&mut self, dir: RelPath) {
        self.incomplete.insert(dir);
    }

    /// An entry that is there but cannot be told.
    pub fn unreadable(&mut self, path: RelPath, why: Unknown, error: &Error) {
        self.problems.push(Problem::new(path.clone(), error.problem_kind(false), error.source.to_string()));
        self.entries.push((path, Entry::unknown(why)));
    }

    /// A directory that could not be listed, or not to its end.
    pub fn incomplete(&mut self, dir: RelPath, error: &Error) {
        self.problems.push(Problem::new(dir.clone(), error.problem_kind(false), error.source.to_string()));
        self.incomplete.insert(dir);
    }

    /// The tree. Of a path that was listed twice (a file and a directory of one name, say) the first counts, and the
    /// other is a problem.
    pub fn finish(mut self, root: Option<Entry>, location: &str) -> Result<Tree> {
        self.entries.extend(root.map(|entry| (RelPath::root(), entry)));
        self.entries.sort_by(|a, b| a.0.cmp(&b.0));
        let mut kept: Vec<(RelPath, Entry)> = Vec::with_capacity(self.entries.len());
        for (path, entry) in self.entries {
            match kept.last() {
                Some((last, _)) if *last == path => self.problems.push(twice(path)),
                Some((last, above)) if above.kind != Kind::Dir && path.is_within(last) => {
                    self.problems.push(twice(path));
                }
                _ => kept.push((path, entry)),
            }
        }
        let failed = |e| Error::new(ErrorKind::Unsupported, &location.into(), RelPath::root(), e);
        let mut tree = Tree::from_sorted(kept).map_err(failed)?;
        tree.problems = self.problems;
        for dir in self.ignored {
            if let Some(id) = tree.find(&dir) {
                tree.set_holds_ignored(id);
            }
        }
        for dir in self.incomplete {
            if let Some(id) = nearest_dir(&tree, dir) {
                tree.set_incomplete(id);
            }
        }
        Ok(tree)
    }
}

fn twice(path: RelPath) -> Problem {
    Problem::new(path, ProblemKind::NameClash, "the server lists two things of this name; only one is seen")
}

fn nearest_dir(tree: &Tree, mut dir: RelPath) -> Option<sitta_tree::NodeId> {
    loop {
        if let Some(id) = tree.find(&dir) {
            return Some(id);
        }
        dir = dir.parent()?;
    }
}

/// Lists directory by directory, up to `in_flight` at a time: how a store that can only do that is scanned. A listing
/// that fails for the moment is tried again on its own, so that one broken connection does not cost the whole scan; the
/// root's is left to the caller. `list` gives what [`Store::list`] gives, but everything: temporaries and our own directory too.
pub(crate) async fn walk<S, F>(
    store: &S,
    options: &ScanOptions,
    in_flight: usize,
    list: impl Fn(RelPath) -> F,
) -> Result<Tree>
where
    S: Store + ?Sized,
    F: Future<Output = Result<Vec<(Box<[u8]>, Entry)>>>,
{
    walk_from(store, &RelPath::root(), options, in_flight, list).await
}

/// The tree below `base` alone, as [`Store::scan`] gives the whole; no link on the way there or below is followed.
///
/// # Errors
/// As [`Store::scan`]; also if no directory stands there.
pub async fn scan_below(store: &dyn Store, base: &RelPath, options: &ScanOptions) -> Result<Tree> {
    if base.is_root() {
        return store.scan(options).await;
    }
    if let Some(local) = store.behind() {
        return local.scan_below(base, options).await;
    }
    let in_flight = store.capabilities().concurrency;
    walk_from(store, base, options, in_flight, |dir| {
        let dir = base.join_path(&dir);
        async move { store.list(&dir).await }
    })
    .await
}

async fn walk_from<S, F>(
    store: &S,
    base: &RelPath,
    options: &ScanOptions,
    in_flight: usize,
    list: impl Fn(RelPath) -> F,
) -> Result<Tree>
where
    S: Store + ?Sized,
    F: Future<Output = Result<Vec<(Box<[u8]>, Entry)>>>,
{
    let cancelled = || Error::new(ErrorKind::Cancelled, &store.location().into(), RelPath::root(), "cancelled");
    let mut gather = Gather::new(options);
    let mut waiting = vec![RelPath::root()];
    let mut listings = FuturesUnordered::new();
    loop {
        if options.flow.is_cancelled() {
            return Err(cancelled());
        }
        while listings.len() < in_flight.max(1)
            && let Some(dir) = waiting.pop()
        {
            let list = &list;
            listings.push(async move {
                let tries = if dir.is_root() { 1 } else { Backoff::default().tries };
                let backoff = Backoff { tries, ..Backoff::default() };
                let listed = backoff.again(|| list(dir.clone())).await;
                (dir, listed)
            });
        }
        let Some((dir, listed)) = listings.next().await else { break };
        let children = match listed {
            Ok(children) => children,
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
            Err(error) if dir.is_root() => return Err(error),
            Err(error) => {
                gather.incomplete(dir, &error);
                continue;
            }
        };
        for (name, entry) in children {
            let Ok(path) = dir.join(&name) else {
                gather.misnamed(&dir, &name);
                continue;
            };
            let special = entry.kind == Kind::Unknown;
            let descend = entry.kind == Kind::Dir;
            if gather.child(path.clone(), entry) {
                if descend {
                    waiting.push(path);
                } else if special {
                    let what = "neither a file, a directory nor a link";
                    gather.problems.push(Problem::new(path, ProblemKind::Special, what));
                }
            }
        }
    }
    gather.finish(store.stat(base).await?, store.location())
}
