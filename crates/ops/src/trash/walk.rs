//! Looking at all that a directory holds, ours too: scans leave the trash out.

use futures::stream::{FuturesUnordered, StreamExt};
use sitta_store::{ErrorKind, Result};
use sitta_tree::{Entry, Kind, Problem, RelPath};

use super::Trash;

/// What lies below a directory, or the one thing that stands there.
#[derive(Debug, Default)]
pub(super) struct Below {
    /// Everything but directories, by path; the paths start at the directory.
    pub files: Vec<(RelPath, Entry)>,
    /// The directories, each before what it holds.
    pub dirs: Vec<RelPath>,
    /// What could not be looked at; the paths start at the store's root.
    pub problems: Vec<Problem>,
}

impl Trash {
    /// Everything below `top`. Links are seen, not followed. Nothing there is nothing below it.
    pub(super) async fn walk(&self, top: RelPath) -> Result<Below> {
        let mut below = Below::default();
        let mut waiting = vec![RelPath::root()];
        let mut listings = FuturesUnordered::new();
        loop {
            self.go_on()?;
            while listings.len() < self.in_flight()
                && let Some(dir) = waiting.pop()
            {
                let at = top.join_path(&dir);
                listings.push(async move { (dir, self.store.list(&at).await) });
            }
            let Some((dir, listed)) = listings.next().await else { break };
            let children = match listed {
                Ok(children) => children,
                // Gone meanwhile, or never there.
                Err(error) if error.kind == ErrorKind::NotFound => continue,
                Err(error) if dir.is_root() && error.kind == ErrorKind::NotADirectory => {
                    let stands = self.store.stat(&top).await?.filter(|entry| entry.kind != Kind::Dir);
                    below.files.extend(stands.map(|entry| (dir, entry)));
                    continue;
                }
                Err(error) if dir.is_root() || error.kind == ErrorKind::Cancelled => return Err(error),
                Err(error) => {
                    let (path, kind) = (top.join_path(&dir), error.problem_kind(false));
                    below.problems.push(Problem::new(path, kind, error.source.to_string()));
                    below.dirs.push(dir);
                    continue;
                }
            };
            for (name, entry) in children {
                let Ok(path) = dir.join(&name) else { continue };
                match entry.kind {
                    Kind::Dir => waiting.push(path),
                    _ => below.files.push((path, entry)),
                }
            }
            below.dirs.push(dir);
        }
        below.files.sort_by(|a, b| a.0.cmp(&b.0));
        below.dirs.sort();
        Ok(below)
    }
}
