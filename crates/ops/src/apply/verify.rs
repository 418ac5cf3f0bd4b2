//! Reading back what was written, for stores that do not check it themselves.

use std::sync::Arc;

use futures::{StreamExt, stream};
use sitta_store::{Change, Displaced, Error, ErrorKind, Flow, Precondition, Result, Source, Store, What, Written};
use sitta_tree::RelPath;

use crate::content;

/// [`Store::apply`], and each file is read back and compared with what was sent. One that differs is removed again, so
/// that it does not pass for a good copy next time.
pub(super) async fn apply(
    store: &Arc<dyn Store>,
    changes: Vec<Change>,
    flow: &Arc<Flow>,
) -> Vec<Result<Option<Written>>> {
    let sources: Vec<_> = changes.iter().map(written_from).collect();
    let results = store.apply(changes, flow).await;
    let in_flight = store.capabilities().concurrency.max(1);
    let checks = results.into_iter().zip(sources).map(|(result, source)| async move {
        match (result, source) {
            (Ok(Some(written)), Some((path, source))) => {
                check(store, &path, &source, &written, flow).await.map(|()| Some(written))
            }
            (result, _) => result,
        }
    });
    stream::iter(checks).buffered(in_flight).collect().await
}

fn written_from(change: &Change) -> Option<(RelPath, Source)> {
    match change {
        Change::Write(write) => match &write.what {
            What::File(source) => Some((write.path.clone(), source.clone())),
            What::Symlink(_) | What::Dir | What::Link(_) => None,
        },
        _ => None,
    }
}

async fn check(
    store: &Arc<dyn Store>,
    path: &RelPath,
    source: &Source,
    written: &Written,
    flow: &Flow,
) -> Result<()> {
    let sent = match written.content {
        Some(content) => content,
        None => content::hash_source(source, || Ok(())).await?,
    };
    if content::holds(store, path, written, sent, flow).await? {
        return Ok(());
    }
    let version = Precondition::Version(written.entry.fingerprint());
    let what = match store.remove(path, version, Displaced::Discard).await {
        Ok(()) => "read back, it was not what was sent; it was removed and will be sent again",
        Err(_) => "read back, it was not what was sent; it could not be removed",
    };
    Err(Error::new(ErrorKind::Corrupt, &store.location().into(), path.clone(), what))
}
