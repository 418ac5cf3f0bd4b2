//! Looking for entries below a directory: what is chosen, and how it is gathered.

mod search;

use std::sync::Arc;

use futures::{StreamExt, stream};
use memchr::memmem::Finder;
use sitta_tree::{
    Entry, Filter, Fingerprint, Kind, NodeId, PatternError, Problem, ProblemKind, RelPath, Time, Tree, Unknown,
    fold_key,
};

use crate::{Result, ScanOptions, Store, scan_below};

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// What matches, or with `!` in front does not; see [`Filter`].
    pub globs: Vec<String>,
    /// Files whose names end so.
    pub extensions: Vec<Vec<u8>>,
    /// Files of at least this size.
    pub min_size: Option<u64>,
    /// Files of at most this size.
    pub max_size: Option<u64>,
    /// Files modified then or later.
    pub since: Option<Time>,
    /// Files modified before.
    pub until: Option<Time>,
    /// Files in which these bytes stand.
    pub contains: Option<Vec<u8>>,
    /// What has this in its name, in whatever case; see [`fold_key`].
    pub name: Option<Vec<u8>>,
    /// Times decide the order.
    pub by_time: bool,
}

/// A pattern that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern '{pattern}' cannot be understood: {error}")]
pub struct WrongGlob {
    /// The pattern, without a `!`.
    pub pattern: String,
    /// What is wrong with it.
    pub error: PatternError,
}

/// What a listing is narrowed to.
#[derive(Debug, Clone)]
pub struct Choice {
    wanted: Wanted,
    filter: Arc<Filter>,
    timed: bool,
    contains: Option<Finder<'static>>,
    /// Folded.
    name: Option<Finder<'static>>,
}

impl Choice {
    /// What is asked for, understood.
    ///
    /// # Errors
    /// If a pattern cannot be.
    pub fn new(wanted: &Wanted) -> Result<Self, WrongGlob> {
        let mut filter = Filter::new();
        for glob in &wanted.globs {
            let (pattern, added) = match glob.strip_prefix('!') {
                Some(pattern) => (pattern, filter.exclude(pattern)),
                None => (&**glob, filter.include(glob)),
            };
            added.map_err(|error| WrongGlob { pattern: pattern.to_owned(), error })?;
        }
        wanted.extensions.iter().for_each(|extension| filter.extension(extension));
        filter.sizes(wanted.min_size, wanted.max_size);
        filter.modified(wanted.since, wanted.until);
        let timed = wanted.since.is_some() || wanted.until.is_some() || wanted.by_time;
        let contains = wanted.contains.as_deref().map(|text| Finder::new(text).into_owned());
        let name = wanted.name.as_deref().map(|name| Finder::new(&fold_key(name)).into_owned());
        Ok(Self { wanted: wanted.clone(), filter: Arc::new(filter), timed, contains, name })
    }

    /// Whether the entry is one to show, as far as its name and metadata tell.
    fn shows(&self, item: &Item) -> bool {
        if self.name.as_ref().is_some_and(|name| name.find(&fold_key(item.path.name())).is_none()) {
            return false;
        }
        let path = item.path.as_bytes();
        let only_files = self.filter.asks_files() || self.contains.is_some();
        match item.kind {
            Kind::Dir => !only_files && self.filter.selects(path, true),
            Kind::File => self.filter.selects(path, false) && self.filter.admits_file(path, item.size, item.mtime),
            Kind::Symlink | Kind::Unknown => !only_files && self.filter.selects(path, false),
        }
    }

    /// Whether files are read to decide: [`Place::containing`] does.
    pub fn reads(&self) -> bool {
        self.contains.is_some()
    }

    /// The bytes that files must hold.
    pub fn text(&self) -> Option<&[u8]> {
        self.contains.as_ref().map(Finder::needle)
    }

    /// What names must have in them, folded.
    pub fn name(&self) -> Option<&[u8]> {
        self.name.as_ref().map(Finder::needle)
    }

    /// Of entries from anywhere below a directory those that [`Place::gather`] would have come by and chosen by name and
    /// metadata, sorted by path.
    pub fn narrow(&self, mut items: Vec<Item>) -> Vec<Item> {
        items.retain(|item| {
            !self.filter.excludes_within(item.path.as_bytes(), item.kind == Kind::Dir) && self.shows(item)
        });
        items.sort_by(|a, b| a.path.cmp(&b.path));
        items
    }
}

/// An entry of a listing.
#[derive(Debug, Clone)]
pub struct Item {
    /// Where, below what was listed.
    pub path: RelPath,
    /// What kind of thing it is.
    pub kind: Kind,
    /// Its size in bytes; 0 for what is not a file.
    pub size: u64,
    /// When it was modified.
    pub mtime: Time,
    /// See [`Fingerprint::id`].
    pub id: u64,
    /// See [`Fingerprint::change`].
    pub change: u64,
    /// Where a symbolic link points.
    pub target: Box<[u8]>,
    /// Why it is unknown, if it is.
    pub unknown: Option<Unknown>,
}

impl Item {
    /// What stands at a path.
    pub fn new(path: RelPath, entry: Entry) -> Self {
        let Fingerprint { size, mtime, id, change } = entry.fingerprint();
        Self { path, kind: entry.kind, size, mtime, id, change, target: entry.target, unknown: entry.unknown }
    }

    /// What stands in a tree.
    pub fn of(tree: &Tree, id: NodeId) -> Self {
        Self::new(tree.path(id), tree.entry(id))
    }

    /// Its version.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint { size: self.size, mtime: self.mtime, id: self.id, change: self.change }
    }

    /// The stable name of its kind, as in JSON.
    pub fn kind_name(&self) -> &'static str {
        match (self.kind, self.unknown) {
            (Kind::File, _) => "file",
            (Kind::Dir, _) => "dir",
            (Kind::Symlink, _) => "symlink",
            (Kind::Unknown, Some(Unknown::Special)) => "special",
            (Kind::Unknown, _) => "unknown",
        }
    }
}

/// What a store has found on its own.
#[derive(Debug, Default)]
pub struct Found {
    /// What is wanted, in no particular order.
    pub items: Vec<Item>,
    /// What could not be looked at.
    pub problems: Vec<Problem>,
}

/// A directory of a store that is looked into.
#[derive(Debug, Clone)]
pub struct Place {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The directory; patterns and paths of items start from it.
    pub base: RelPath,
}

impl Place {
    /// What it holds, or all below it, as far as names and metadata are to decide, sorted by path. `times`: they are
    /// told, whatever decides. What could not be seen becomes a problem.
    ///
    /// # Errors
    /// If the directory itself cannot be listed.
    pub async fn gather(
        &self,
        choice: &Choice,
        recursive: bool,
        times: bool,
        problems: &mut Vec<Problem>,
    ) -> Result<Vec<Item>> {
        let items = if recursive {
            // Where listings tell no times, those are asked for before anything is left out by them.
            let early = !choice.timed || self.store.capabilities().lists_meta;
            let options = ScanOptions { filter: early.then(|| choice.filter.clone()), ..ScanOptions::default() };
            let mut tree = scan_below(&*self.store, &self.base, &options).await?;
            problems.append(&mut tree.problems);
            tree.ids().skip(1).map(|id| Item::of(&tree, id)).collect()
        } else {
            let entries = self.store.list(&self.base).await?;
            let path = |name: &[u8]| RelPath::new(name).expect("a store gives valid names");
            entries.into_iter().map(|(name, entry)| Item::new(path(&name), entry)).collect()
        };
        // A special file that is only listed is no problem.
        problems.retain(|problem| problem.kind != ProblemKind::Special);
        Ok(self.choose(items, choice, times, problems).await)
    }

    /// Those of the items that are chosen by name and metadata, sorted by path.
    pub async fn choose(
        &self,
        mut items: Vec<Item>,
        choice: &Choice,
        times: bool,
        problems: &mut Vec<Problem>,
    ) -> Vec<Item> {
        if !self.store.capabilities().lists_meta && (times || choice.timed) {
            items = self.with_times(items, problems).await;
        }
        items.retain(|item| choice.shows(item));
        items.sort_by(|a, b| a.path.cmp(&b.path));
        items
    }

    /// Asks for the times that the listing did not tell, a request a file; see [`crate::Capabilities::lists_meta`].
    pub async fn with_times(&self, items: Vec<Item>, problems: &mut Vec<Problem>) -> Vec<Item> {
        let mut asked = stream::iter(items)
            .map(|item| async move {
                let untold = item.kind == Kind::File && item.mtime == Time::default();
                let told = if untold { self.store.stat(&self.at(&item)).await } else { Ok(None) };
                (item, told)
            })
            .buffered(self.store.capabilities().concurrency.max(1));
        let mut timed = Vec::new();
        while let Some((item, told)) = asked.next().await {
            timed.push(match told {
                Ok(Some(entry)) => Item { mtime: entry.meta.mtime, ..item },
                Ok(None) => item,
                Err(error) => {
                    let path = item.path.clone();
                    problems.push(Problem::new(path, error.problem_kind(false), error.source.to_string()));
                    item
                }
            });
        }
        timed
    }

    /// What [`Place::gather`] gives, or of that the files that hold the text that is asked for. Where the store itself can
    /// find them, it does.
    ///
    /// # Errors
    /// As [`Place::gather`].
    pub async fn find(
        &self,
        choice: &Choice,
        recursive: bool,
        times: bool,
        problems: &mut Vec<Problem>,
    ) -> Result<Vec<Item>> {
        if choice.reads()
            && let Some(found) = self.store.find(&self.base, &choice.wanted, recursive).await?
        {
            problems.extend(found.problems);
            return Ok(choice.narrow(found.items));
        }
        let items = self.gather(choice, recursive, times, problems).await?;
        Ok(self.containing(items, choice, usize::MAX, problems).await)
    }

    /// The first `most` of the items in which the text stands that is asked for, in their order; what cannot be read becomes
    /// a problem.
    pub async fn containing(
        &self,
        items: Vec<Item>,
        choice: &Choice,
        most: usize,
        problems: &mut Vec<Problem>,
    ) -> Vec<Item> {
        let Some(finder) = &choice.contains else { return items };
        let mut searched = match self.store.as_local() {
            Some(local) => stream::iter(search::of_local(local, &self.base, items, finder, most).await).boxed(),
            None => self
                .stream(items, finder)
                .filter_map(async |(item, held)| {
                    held.map(|held| held.then_some(())).transpose().map(|held| (item, held))
                })
                .boxed(),
        };
        let mut kept = Vec::new();
        while kept.len() < most
            && let Some((item, result)) = searched.next().await
        {
            match result {
                Ok(()) => kept.push(item),
                Err(error) => {
                    problems.push(Problem::new(item.path, error.problem_kind(false), error.source.to_string()));
                }
            }
        }
        kept
    }

    fn at(&self, item: &Item) -> RelPath {
        self.base.join_path(&item.path)
    }
}
