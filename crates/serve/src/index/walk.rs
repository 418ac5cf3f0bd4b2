//! What stands in a share, and what was heard of it, becomes what the catalogue knows.

use std::collections::HashSet;

use sitta_store::Error;
use sitta_store::watch::{Heard, Look};
use sitta_tree::{Entry, Kind, RelPath, Unknown};

use super::catalogue::{Change, access};
use super::{Fault, Index, below};

/// The folder cannot be looked at.
pub(super) fn unseen(error: Error) -> Fault {
    Fault::Failed(error.to_string())
}

/// Makes the catalogue know what was heard; everything, if something was missed.
pub(super) fn take_in(index: &Index, change: &mut Change<'_>, heard: &Heard) -> Result<(), Fault> {
    if heard.missed.is_some() {
        walk(index, change, &RelPath::root())?;
    }
    let meant = |path: &&RelPath| !path.is_root() && !index.is_own(path);
    let paths: Vec<_> = heard.changed.keys().filter(meant).cloned().collect();
    let found = index.local.reader().map_err(unseen)?.stat_all(&paths);
    for (path, found) in paths.iter().zip(found) {
        let known = change.known(path)?;
        match found {
            Ok(Some(entry)) => {
                let is_dir = entry.kind == Kind::Dir;
                let was_dir = known.as_ref().is_some_and(|known| known.kind == Kind::Dir);
                let opened = known.is_none_or(|known| known.access != access(&entry) || known.unsure);
                if is_dir && (opened || heard.changed[path] == Look::Below) {
                    walk(index, change, path)?;
                    continue;
                }
                if was_dir && !is_dir {
                    change.remove_below(path, |_| false)?;
                }
                change.put(path, &entry, true, false)?;
            }
            Ok(None) => {
                change.remove_below(path, |_| false)?;
                known.into_iter().try_for_each(|known| change.remove(known.id))?;
            }
            // It is there, and cannot be seen.
            Err(_) => drop(change.put(path, &Entry::unknown(Unknown::Unreadable), true, false)?),
        }
    }
    Ok(())
}

/// Makes the catalogue know all that stands below `base`, and `base` itself.
fn walk(index: &Index, change: &mut Change<'_>, base: &RelPath) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    match below::scan(&index.local, base) {
        Ok(scanned) => {
            for (path, entry, is_whole) in scanned.entries() {
                if !path.is_root() && !index.is_own(&path) {
                    seen.insert(change.put(&path, &entry, false, !is_whole)?);
                }
            }
        }
        Err(error) if base.is_root() => return Err(unseen(error)),
        // It is there, perhaps, and nobody may look into it.
        Err(_) => {
            let found = index.local.reader().and_then(|mut reader| reader.stat(base)).map_err(unseen)?;
            if let Some(entry) = found {
                change.put(base, &entry, true, true)?;
            }
        }
    }
    change.remove_below(base, |id| seen.contains(&id))
}
