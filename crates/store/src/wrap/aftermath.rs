//! When a reply was lost, the second try meets what the first one has done.

use futures::stream::StreamExt;
use sitta_tree::ContentHash;

use crate::{ByteStream, Change, Displaced, Error, ErrorKind, Result, Store, What, Write, Written};

/// A repeated change was refused with `error`. If what stands there is just what it was to bring about, it has been
/// done: by its first try, or by somebody who did the same.
pub(super) async fn settle<S: Store + ?Sized>(store: &S, change: &Change, error: Error) -> Result<Option<Written>> {
    if !matches!(error.kind, ErrorKind::Changed | ErrorKind::NotFound) {
        return Err(error);
    }
    let done = match change {
        Change::Write(write) => written(store, write).await.map(Some),
        Change::Remove { path, displaced, .. } => match store.stat(path).await {
            Ok(None) if is_kept(store, displaced).await => Some(None),
            _ => None,
        },
        Change::Rename { from, to, expect } => match (store.stat(from).await, store.stat(to).await) {
            (Ok(None), Ok(Some(entry))) if expect.admits_moved(&entry) => {
                Some(Some(Written { entry, content: None }))
            }
            _ => None,
        },
        Change::SetMeta { .. } => None,
    };
    done.ok_or(error)
}

/// What was displaced stands where it was to go.
async fn is_kept<S: Store + ?Sized>(store: &S, displaced: &Displaced) -> bool {
    match displaced {
        Displaced::Discard => true,
        Displaced::MoveTo(trash) => matches!(store.stat(trash).await, Ok(Some(_))),
    }
}

async fn written<S: Store + ?Sized>(store: &S, write: &Write) -> Option<Written> {
    let entry = store.stat(&write.path).await.ok()??;
    let content = match &write.what {
        What::File(source)
            if entry.kind == sitta_tree::Kind::File && source.size().is_none_or(|size| size == entry.size) =>
        {
            let sent = hash(source.open(0).await.ok()?.bytes).await?;
            let there = hash(store.read(&write.path, 0..u64::MAX).await.ok()?).await?;
            (sent == there).then_some(Some(sent))?
        }
        What::Symlink(target) if entry.kind == sitta_tree::Kind::Symlink && entry.target == *target => None,
        What::Dir if entry.kind == sitta_tree::Kind::Dir => None,
        _ => return None,
    };
    Some(Written { entry, content })
}

async fn hash(mut bytes: ByteStream) -> Option<ContentHash> {
    let mut hasher = blake3::Hasher::new();
    while let Some(piece) = bytes.next().await {
        hasher.update(&piece.ok()?);
    }
    Some(ContentHash(*hasher.finalize().as_bytes()))
}
