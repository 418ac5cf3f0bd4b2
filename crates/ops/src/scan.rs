//! Looking at both sides at once.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use sitta_store::{ErrorKind, ScanOptions};
use sitta_tree::{Kind, RelPath, Side, Tree};

use crate::RunError;
use crate::event::Event;
use crate::transfer::Run;

/// What both sides hold.
pub(crate) struct Scanned {
    pub left: Tree,
    pub right: Tree,
    /// Whether each root is there at all.
    pub present: [bool; 2],
    /// How many files and links each holds.
    pub files: [u64; 2],
    /// Temporaries that were met, of whichever run.
    pub temps: [Vec<RelPath>; 2],
}

struct OneSide {
    tree: Tree,
    present: bool,
    files: u64,
    temps: Vec<RelPath>,
}

/// Scans both sides at the same time. A root that is not there is an empty tree here; what that means is decided by
/// the guards.
pub(crate) async fn scan_both(run: &Run<'_>) -> Result<Scanned, RunError> {
    let (left, right) = tokio::join!(scan(run, Side::Left), scan(run, Side::Right));
    let (left, right) = (left?, right?);
    Ok(Scanned {
        left: left.tree,
        right: right.tree,
        present: [left.present, right.present],
        files: [left.files, right.files],
        temps: [left.temps, right.temps],
    })
}

async fn scan(run: &Run<'_>, side: Side) -> Result<OneSide, RunError> {
    let started = Instant::now();
    let temps = Arc::new(Mutex::new(Vec::new()));
    let options = ScanOptions {
        filter: run.options.filter.clone(),
        xattrs: run.options.xattrs,
        flow: run.flow.clone(),
        temps: Some(temps.clone()),
    };
    let store = run.store(side).clone();
    // In a task of its own, so that both sides are scanned on two processors whatever the store does inside.
    let result = tokio::spawn(async move { store.scan(&options).await }).await.expect("a scan does not panic");
    let (tree, present) = match result {
        Ok(tree) => (tree, true),
        Err(error) if error.kind == ErrorKind::NotFound => (Tree::new(), false),
        Err(error) if error.kind == ErrorKind::Cancelled => return Err(RunError::Interrupted),
        Err(error) => return Err(error.into()),
    };
    let (mut files, mut bytes) = (0, 0);
    for id in tree.ids() {
        if matches!(tree.kind(id), Kind::File | Kind::Symlink) {
            files += 1;
            bytes += tree.size(id);
        }
    }
    let location = run.store(side).location().to_owned();
    run.sink.event(Event::Scanned { side, location, files, bytes, took: started.elapsed() });
    let temps = std::mem::take(&mut *temps.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    Ok(OneSide { tree, present, files, temps })
}
