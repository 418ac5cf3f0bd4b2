//! What a search has to look at.

use std::collections::{BTreeMap, HashSet};

use sitta_store::local::Reader;
use sitta_store::look::{Choice, Item};
use sitta_store::watch::{Heard, Look};
use sitta_store::{Error, OWN_DIR, TEMP_PREFIX};
use sitta_tree::{Entry, Kind, Problem, ProblemKind, RelPath};

use super::catalogue::{UNREAD, access};
use super::lookup::Moment;
use super::{Fault, Index, below, trigram};

/// What the index is asked.
#[derive(Debug)]
pub(super) enum Asked {
    /// What may hold all of these buckets.
    Text(Vec<u32>),
    /// What has this in its name, folded.
    Name(Vec<u8>),
}

impl Asked {
    /// None if the index has nothing to say to it.
    pub fn new(choice: &Choice) -> Option<Self> {
        let buckets = choice.text().map(trigram::asked).unwrap_or_default();
        match choice.name() {
            _ if !buckets.is_empty() => Some(Self::Text(buckets)),
            Some(name) if !name.is_empty() => Some(Self::Name(name.to_vec())),
            _ => None,
        }
    }
}

/// What stands there now, chosen and sorted, and what could not be seen.
#[derive(Debug, Default)]
pub(super) struct Now {
    pub items: Vec<Item>,
    pub problems: Vec<Problem>,
}

/// Whether scans of the share leave this directory out.
pub(super) fn is_out_of_sight(base: &RelPath) -> bool {
    let mut parts = base.parts();
    let own = parts.next().is_some_and(|first| *first == *OWN_DIR.as_bytes());
    own || base.parts().any(|part| part.starts_with(TEMP_PREFIX.as_bytes()))
}

impl Index {
    /// What may be meant, given that what was `heard` is all that the catalogue does not know. None if all has to be looked
    /// at.
    pub(super) fn find(
        &self,
        base: &RelPath,
        choice: &Choice,
        asked: &Asked,
        heard: &Heard,
    ) -> Result<Option<Now>, Fault> {
        let Ok(reader) = self.local.reader() else { return Ok(None) };
        let mut look = Looking { index: self, base, reader, found: BTreeMap::new(), problems: Vec::new() };
        if !matches!(look.reader.stat(base), Ok(Some(entry)) if entry.kind == Kind::Dir) {
            return Ok(None);
        }
        // Before the catalogue: what goes from the one to the other meanwhile is seen twice rather than never.
        let moment = self.stock.look()?;
        for (path, how) in &heard.changed {
            if !look.hear(path, *how, &moment)? {
                return Ok(None);
            }
        }
        let paths = match asked {
            Asked::Text(buckets) => moment.paths(&moment.docs(buckets)?, base)?,
            Asked::Name(folded) => moment.named(folded, base)?,
        };
        paths.into_iter().for_each(|path| look.at(path));
        look.at_unsure(&moment, asked)?;
        drop(moment);
        if let Some(own) = self.own.as_ref().filter(|own| own.is_within(base)) {
            look.below(own);
        }
        let Looking { found, mut problems, .. } = look;
        let own = RelPath::root().join(OWN_DIR.as_bytes()).expect("a name");
        let items = found.into_iter().filter_map(|(path, entry)| {
            let path = within(base, &path)?;
            (!path.is_within(&own)).then(|| Item::new(path, entry))
        });
        let items = choice.narrow(items.collect());
        problems.retain(|problem| problem.kind != ProblemKind::Special);
        Ok(Some(Now { items, problems }))
    }

    /// Of items below `base` that were just gathered those that may hold what is looked for.
    pub(super) fn narrow(&self, base: &RelPath, items: Vec<Item>, asked: &Asked) -> Result<Vec<Item>, Fault> {
        let Asked::Text(buckets) = asked else { return Ok(items) };
        let moment = self.stock.look()?;
        let docs: HashSet<i64> = moment.docs(buckets)?.into_iter().collect();
        let mut kept = Vec::new();
        for item in items {
            if !moment.rules_out(&base.join_path(&item.path), &item.fingerprint(), &docs)? {
                kept.push(item);
            }
        }
        Ok(kept)
    }
}

/// A path in the share as one below `base`; none for `base` itself and for what lies elsewhere.
fn within(base: &RelPath, path: &RelPath) -> Option<RelPath> {
    path.below(base).filter(|path| !path.is_root())
}

/// Looks at what stands there now.
struct Looking<'l> {
    index: &'l Index,
    base: &'l RelPath,
    reader: Reader,
    /// By path in the share.
    found: BTreeMap<RelPath, Entry>,
    problems: Vec<Problem>,
}

impl Looking<'_> {
    /// Something happened at a path; false if that may have changed all there is to look at.
    fn hear(&mut self, path: &RelPath, how: Look, moment: &Moment<'_>) -> Result<bool, Fault> {
        if self.index.is_own(path) {
            return Ok(true);
        }
        let inside = path.is_within(self.base);
        if !inside && !self.base.is_within(path) {
            return Ok(true);
        }
        let stands = self.reader.stat(path).ok().flatten();
        let all_below = match &stands {
            Some(entry) if entry.kind == Kind::Dir => {
                // Others may look into it than before.
                let same = moment.known(path)?.is_some_and(|known| known.access == access(entry));
                how == Look::Below || !same && !path.is_root()
            }
            _ => false,
        };
        match (inside && path != self.base, all_below) {
            (false, all_below) => Ok(!all_below),
            (true, true) => {
                self.below(path);
                Ok(true)
            }
            (true, false) => {
                self.at(path.clone());
                Ok(true)
            }
        }
    }

    /// Looks at a path.
    fn at(&mut self, path: RelPath) {
        if self.found.contains_key(&path) {
            return;
        }
        match self.reader.stat(&path) {
            Ok(Some(entry)) => drop(self.found.insert(path, entry)),
            Ok(None) => {}
            Err(error) => self.problem(&path, &error),
        }
    }

    /// Looks at a directory and all below it.
    fn below(&mut self, dir: &RelPath) {
        self.at(dir.clone());
        if self.found.get(dir).is_none_or(|entry| entry.kind != Kind::Dir) {
            return;
        }
        match below::scan(&self.index.local, dir) {
            Ok(scanned) => {
                self.found.extend(scanned.entries().map(|(path, entry, _)| (path, entry)));
                let problems = scanned
                    .problems()
                    .filter_map(|problem| Some(Problem { path: within(self.base, &problem.path)?, ..problem }));
                self.problems.extend(problems);
            }
            Err(error) => self.problem(dir, &error),
        }
    }

    /// Looks at what may have changed unheard.
    fn at_unsure(&mut self, moment: &Moment<'_>, asked: &Asked) -> Result<(), Fault> {
        for (path, known) in moment.unsure(self.base)? {
            match known.kind {
                Kind::Dir => self.below(&path),
                Kind::File if matches!(asked, Asked::Text(_)) => {
                    let same = matches!(
                        self.reader.stat(&path), Ok(Some(entry)) if entry.fingerprint() == known.version
                    );
                    if !same || known.doc == Some(UNREAD) {
                        self.at(path);
                    }
                }
                Kind::File => {}
                _ => self.at(path),
            }
        }
        Ok(())
    }

    fn problem(&mut self, path: &RelPath, error: &Error) {
        if let Some(path) = within(self.base, path) {
            self.problems.push(Problem::new(path, error.problem_kind(false), error.source.to_string()));
        }
    }
}
