//! Hashing what has to be known to decide.

use std::sync::Arc;

use futures::{StreamExt, stream};
use sitta_store::{ErrorKind, Flow, Result, Store};
use sitta_tree::{ContentHash, NodeId, Problem, RelPath, Side, Tree, Unknown};

use crate::transfer::Run;

/// The BLAKE3 hash of a file's bytes, read as a stream.
pub async fn hash(store: &Arc<dyn Store>, path: &RelPath, flow: &Flow) -> Result<ContentHash> {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = store.read(path, 0..u64::MAX).await?;
    while let Some(chunk) = bytes.next().await {
        hasher.update(&chunk?);
        if flow.is_cancelled() {
            return Err(sitta_store::Error::new(
                ErrorKind::Cancelled,
                &store.location().into(),
                path.clone(),
                "stopped",
            ));
        }
    }
    Ok(ContentHash(*hasher.finalize().as_bytes()))
}

/// Hashes both files of each pair and notes the hashes in the trees. A file that cannot be read becomes unknown, which
/// settles the pair too: nothing is done to what cannot be compared.
pub(crate) async fn fill_in(run: &Run<'_>, left: &mut Tree, right: &mut Tree, pairs: &[(NodeId, NodeId)]) {
    let wanted = pairs.iter().flat_map(|(l, r)| [(Side::Left, *l), (Side::Right, *r)]);
    let wanted: Vec<_> = wanted
        .filter_map(|(side, id)| {
            let tree = if side == Side::Left { &*left } else { &*right };
            tree.content(id).is_none().then(|| (side, id, tree.path(id)))
        })
        .collect();
    let in_flight = run.stores.iter().map(|store| store.capabilities().concurrency).max().unwrap_or(1).max(2);
    let mut hashes = stream::iter(wanted)
        .map(|(side, id, path)| {
            let (store, flow) = (run.store(side).clone(), run.flow.clone());
            async move {
                // A task each, so that hashing uses all processors.
                let hashed = tokio::spawn(async move { (hash(&store, &path, &flow).await, path) });
                let (result, path) = hashed.await.expect("hashing does not panic");
                (side, id, path, result)
            }
        })
        .buffer_unordered(in_flight);
    while let Some((side, id, path, result)) = hashes.next().await {
        let tree = if side == Side::Left { &mut *left } else { &mut *right };
        match result {
            Ok(hash) => tree.set_content(id, hash),
            Err(error) => {
                if error.kind != ErrorKind::Cancelled {
                    tree.problems.push(Problem::new(path, error.problem_kind(false), error.source.to_string()));
                }
                tree.set_unknown(id, Unknown::Unreadable);
            }
        }
    }
}
