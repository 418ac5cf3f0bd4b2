//! Directories that were made and filled in one batch: what goes into one moves its time.

use std::collections::HashMap;

use futures::future::join_all;
use sitta_tree::{Meta, RelPath, Time};

use super::{Protocol, RemoteStore};
use crate::{Change, Precondition, Result, Store, What, Written};

/// A directory of a batch, by its place there.
pub(super) struct Filled {
    index: usize,
    path: RelPath,
    meta: Meta,
}

/// The new directories of a batch, with a time that was told, that later changes go into.
pub(super) fn filled(changes: &[Change]) -> Vec<Filled> {
    let mut new: HashMap<RelPath, Filled> = HashMap::new();
    let mut filled = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        let to = match change {
            Change::Rename { to, .. } => Some(to),
            _ => None,
        };
        for path in [Some(change.path()), to].into_iter().flatten() {
            filled.extend(path.parent().and_then(|dir| new.remove(&dir)));
        }
        if let Change::Write(write) = change
            && matches!(write.what, What::Dir)
            && write.meta.mtime != Time::default()
        {
            new.insert(write.path.clone(), Filled { index, path: write.path.clone(), meta: write.meta });
        }
    }
    filled
}

impl<P: Protocol> RemoteStore<P> {
    /// Gives them their times again, where the server has moved those.
    pub(super) async fn settle(&self, dirs: Vec<Filled>, results: &mut [Result<Option<Written>>]) {
        let made = dirs.into_iter().filter(|dir| results[dir.index].is_ok());
        let settled = made.map(|dir| async move { (dir.index, self.settle_one(&dir).await) });
        for (index, settled) in join_all(settled.collect::<Vec<_>>()).await {
            results[index] = settled.map(Some);
        }
    }

    async fn settle_one(&self, dir: &Filled) -> Result<Written> {
        let _lane = self.lanes.acquire().await.expect("lanes stay open");
        let written = self.written(&dir.path, None).await?;
        let precision = self.capabilities().traits.mtime_precision;
        if precision == 0 || dir.meta.mtime.same_within(written.entry.meta.mtime, precision) {
            return Ok(written);
        }
        let meta = Meta { mtime: dir.meta.mtime, ..written.entry.meta };
        self.set_meta(&dir.path, &meta, Precondition::None).await
    }
}
