//! The whole tree: pages and looks at files in flight together.

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use sitta_tree::{Entry, Kind, RelPath, Tree, Unknown};

use super::Http;
use super::index::Listed;
use crate::gather::Gather;
use crate::{ErrorKind, Result, ScanOptions};

/// Deeper than this it is a circle: a link on the server to a directory above.
const DEEPEST: usize = 128;

/// So many files that a server cannot tell of are problems of theirs; more are one of the server.
const MOST_UNREACHED: usize = 16;

enum Step {
    Page(RelPath, Result<Vec<Listed>>),
    Look(RelPath, Result<Option<Entry>>),
}

impl Http {
    pub(super) async fn walk(&self, options: &ScanOptions) -> Result<Tree> {
        let mut gather = Gather::new(options);
        let (mut dirs, mut files) = (vec![RelPath::root()], Vec::new());
        let mut unreached = 0;
        let mut steps: FuturesUnordered<BoxFuture<'_, Step>> = FuturesUnordered::new();
        loop {
            if options.flow.is_cancelled() {
                return Err(self.site.error(ErrorKind::Cancelled, &RelPath::root(), "cancelled"));
            }
            while steps.len() < self.in_flight {
                // Files first: what waits stays small.
                if let Some(path) = files.pop() {
                    steps
                        .push(async move { (self.look(&path).await, path) }.map(|(t, p)| Step::Look(p, t)).boxed());
                } else if let Some(dir) = dirs.pop() {
                    steps.push(async move { (self.page(&dir).await, dir) }.map(|(t, d)| Step::Page(d, t)).boxed());
                } else {
                    break;
                }
            }
            match steps.next().await {
                None => break,
                Some(Step::Page(dir, Ok(listed))) => {
                    for one in listed {
                        let Ok(path) = dir.join(&one.name) else {
                            gather.misnamed(&dir, &one.name);
                            continue;
                        };
                        if !one.dir {
                            // What a filter leaves out by its name needs no look.
                            let filter = options.filter.as_ref();
                            match filter.is_some_and(|filter| filter.excludes(path.as_bytes(), false)) {
                                true => _ = gather.child(path, Entry::new(Kind::File)),
                                false => files.push(path),
                            }
                        } else if gather.child(path.clone(), Entry::new(Kind::Dir)) {
                            self.descend(path, &mut dirs, &mut gather);
                        }
                    }
                }
                Some(Step::Page(dir, Err(error))) if dir.is_root() => return Err(error),
                Some(Step::Page(dir, Err(error))) => gather.incomplete(dir, &error),
                Some(Step::Look(path, Ok(Some(entry)))) => {
                    let is_dir = entry.kind == Kind::Dir;
                    if gather.child(path.clone(), entry) && is_dir {
                        self.descend(path, &mut dirs, &mut gather);
                    }
                }
                Some(Step::Look(path, Ok(None))) => {
                    let error = self.site.error(ErrorKind::NotFound, &path, "it is listed, and is not there");
                    gather.unreadable(path, Unknown::Unreadable, &error);
                }
                Some(Step::Look(path, Err(error))) => {
                    unreached += usize::from(error.kind == ErrorKind::Unreachable);
                    // A server that is gone, or knows us no more, says nothing of what it holds.
                    if unreached > MOST_UNREACHED || error.kind == ErrorKind::Auth {
                        return Err(error);
                    }
                    gather.unreadable(path, Unknown::Unreadable, &error);
                }
            }
        }
        gather.finish(Some(Entry::new(Kind::Dir)), &self.site.location)
    }

    fn descend(&self, dir: RelPath, dirs: &mut Vec<RelPath>, gather: &mut Gather<'_>) {
        if dir.depth() < DEEPEST {
            return dirs.push(dir);
        }
        let error = self.site.error(ErrorKind::Unsupported, &dir, "too deep: does a link there lead upwards?");
        gather.incomplete(dir, &error);
    }
}
