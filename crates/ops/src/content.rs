//! Hashing what has to be known to decide.

use std::sync::Arc;

use futures::{StreamExt, stream};
use sitta_store::{Error, ErrorKind, Flow, Result, Source, Store, Written};
use sitta_tree::{ContentHash, Fingerprint, NodeId, Problem, RelPath, Side, Tree, Unknown};

use crate::transfer::Run;

/// The BLAKE3 hash of a file's bytes, read as a stream.
///
/// # Errors
/// If they cannot be read, are of another version than the one that is meant ([`ErrorKind::Changed`]), or the flow is
/// cancelled.
pub async fn hash(
    store: &Arc<dyn Store>,
    path: &RelPath,
    version: Fingerprint,
    flow: &Flow,
) -> Result<ContentHash> {
    let cancelled = || Error::new(ErrorKind::Cancelled, &store.location().into(), path.clone(), "stopped");
    let source = Source::Stored { store: store.clone(), path: path.clone(), version };
    hash_source(&source, || if flow.is_cancelled() { Err(cancelled()) } else { Ok(()) }).await
}

/// The hash of all that a source gives; `go_on` may end it after each piece.
pub(crate) async fn hash_source(source: &Source, go_on: impl Fn() -> Result<()>) -> Result<ContentHash> {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = source.open(0).await?.bytes;
    while let Some(piece) = bytes.next().await {
        hasher.update(&piece?);
        go_on()?;
    }
    Ok(ContentHash(*hasher.finalize().as_bytes()))
}

/// Whether what was written, when it is read back, is what was sent.
pub(crate) async fn holds(
    store: &Arc<dyn Store>,
    path: &RelPath,
    written: &Written,
    sent: ContentHash,
    flow: &Flow,
) -> Result<bool> {
    match hash(store, path, written.entry.fingerprint(), flow).await {
        Ok(there) => Ok(there == sent),
        Err(error) if error.kind == ErrorKind::Changed => Ok(false),
        Err(error) => Err(error),
    }
}

/// Hashes both files of each pair and notes the hashes in the trees. A file that cannot be read becomes unknown, which
/// settles the pair too: nothing is done to what cannot be compared.
pub(crate) async fn fill_in(run: &Run<'_>, left: &mut Tree, right: &mut Tree, pairs: &[(NodeId, NodeId)]) {
    let wanted = pairs.iter().flat_map(|(l, r)| [(Side::Left, *l), (Side::Right, *r)]);
    let wanted: Vec<_> = wanted
        .filter_map(|(side, id)| {
            let tree = if side == Side::Left { &*left } else { &*right };
            tree.content(id).is_none().then(|| (side, id, tree.path(id), tree.fingerprint(id)))
        })
        .collect();
    let in_flight = run.stores.iter().map(|store| store.capabilities().concurrency).max().unwrap_or(1).max(2);
    let mut hashes = stream::iter(wanted)
        .map(|(side, id, path, version)| {
            let (store, flow) = (run.store(side).clone(), run.flow.clone());
            async move {
                // A task each, so that hashing uses all processors.
                let hashed = tokio::spawn(async move { (hash(&store, &path, version, &flow).await, path) });
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

#[cfg(test)]
mod tests {
    use sitta_store::memory::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn the_hash_is_that_of_the_version_that_was_seen() {
        let memory = MemoryStore::new("memory:");
        let (path, flow) = (RelPath::new("f").expect("a valid path"), Flow::default());
        memory.put(&path, "seen");
        let seen = memory.stat(&path).await.expect("no fault").expect("just put").fingerprint();
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let told = hash(&store, &path, seen, &flow).await.expect("it is still there");
        assert_eq!(told.0, *blake3::hash(b"seen").as_bytes());
        memory.put(&path, "else");
        let refused = hash(&store, &path, seen, &flow).await.expect_err("it is another one");
        assert_eq!(refused.kind, ErrorKind::Changed);
    }
}
