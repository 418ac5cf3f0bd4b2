//! Writes whose bytes come from anywhere: those of this machine go to one blocking task as they are; small ones from
//! elsewhere are fetched ahead, several at once; large ones flow through a bounded channel.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{FuturesOrdered, StreamExt};
use sitta_tree::{Kind, Meta};
use tokio::sync::mpsc::{Sender, channel};

use super::LocalStore;
use super::batch::{self, Item};
use super::content::Fed;
use crate::{
    ByteStream, Error, ErrorKind, Fetched, Flow, Precondition, Result, Source, Store, What, Write, Written, Xattrs,
    chunk,
};

/// Up to this size a file from elsewhere is fetched whole.
const WHOLE: u64 = 1 << 20;
/// How many bytes that were fetched wait at most for the disk.
const HELD: u64 = 16 << 20;
/// How many pieces of a large file wait at most for the disk.
const PIECES: usize = 4;

fn is_far(write: &Write) -> bool {
    match &write.what {
        What::File(Source::Stored { store, .. }) => store.as_local().is_none(),
        What::File(source) => source.size().is_none(),
        What::Symlink(_) | What::Dir | What::Link(_) => false,
    }
}

/// How many files its store likes to give at once.
fn ahead_of(write: &Write) -> usize {
    match &write.what {
        What::File(Source::Stored { store, .. }) => store.capabilities().concurrency.max(1),
        _ => 1,
    }
}

pub(super) async fn write_all(store: &LocalStore, writes: Vec<Write>, flow: &Arc<Flow>) -> Vec<Result<Written>> {
    if !writes.iter().any(is_far) {
        let items = writes.into_iter().map(|write| Item { write, feed: None, xattrs: Xattrs::new() }).collect();
        return carry_out(store, items, flow).await;
    }
    let mut results: Vec<Option<Result<Written>>> = writes.iter().map(|_| None).collect();
    let most = writes.iter().map(ahead_of).max().unwrap_or(1);
    let mut todo = writes.into_iter().enumerate();
    let mut ahead = FuturesOrdered::new();
    let mut run: (Vec<usize>, Vec<Item>, u64) = (Vec::new(), Vec::new(), 0);
    loop {
        while ahead.len() < most
            && let Some((index, write)) = todo.next()
        {
            ahead.push_back(fetch(index, write, flow));
        }
        let Some((index, fetched)) = ahead.next().await else { break };
        let (write, held, xattrs) = match fetched {
            Ok(fetched) => fetched,
            Err(error) => {
                results[index] = Some(Err(error));
                continue;
            }
        };
        let large = is_far(&write);
        run.2 += held;
        if large || run.2 > HELD {
            finish(store, &mut run, flow, &mut results).await;
        }
        if large {
            results[index] = Some(pipe(store, write, xattrs, flow).await);
        } else {
            run.0.push(index);
            run.1.push(Item { write, feed: None, xattrs });
        }
    }
    finish(store, &mut run, flow, &mut results).await;
    results.into_iter().map(|result| result.expect("every write has its result")).collect()
}

/// Carries out the writes that are ready.
async fn finish(
    store: &LocalStore,
    run: &mut (Vec<usize>, Vec<Item>, u64),
    flow: &Arc<Flow>,
    results: &mut [Option<Result<Written>>],
) {
    let (indices, items, _) = std::mem::take(run);
    if items.is_empty() {
        return;
    }
    for (index, result) in indices.into_iter().zip(carry_out(store, items, flow).await) {
        results[index] = Some(result);
    }
}

/// Fetches a small file from elsewhere; others stay as they are. Also tells how many bytes are held, and the extended
/// attributes.
async fn fetch(index: usize, mut write: Write, flow: &Flow) -> (usize, Result<(Write, u64, Xattrs)>) {
    let What::File(source) = &write.what else { return (index, Ok((write, 0, Xattrs::new()))) };
    if !is_far(&write) || flow.is_cancelled() {
        return (index, Ok((write, 0, Xattrs::new())));
    }
    let xattrs = match attributes(&write).await {
        Ok(xattrs) => xattrs,
        Err(error) => return (index, Err(error)),
    };
    if source.size().is_none_or(|size| size > WHOLE) {
        return (index, Ok((write, 0, xattrs)));
    }
    match whole(source).await {
        Ok((bytes, meta)) => {
            let held = bytes.len() as u64;
            write.meta = meta.map_or(write.meta, |told| write.meta.or(&told));
            write.what = What::File(Source::Bytes(bytes));
            (index, Ok((write, held, xattrs)))
        }
        Err(error) => (index, Err(error)),
    }
}

/// The extended attributes that a file from elsewhere shall get.
async fn attributes(write: &Write) -> Result<Xattrs> {
    match &write.what {
        What::File(source) if write.meta.xattrs != 0 => source.xattrs().await,
        _ => Ok(Xattrs::new()),
    }
}

/// All bytes of a source, and the metadata that came with them.
async fn whole(source: &Source) -> Result<(Bytes, Option<Meta>)> {
    let size = source.size().unwrap_or(0) as usize;
    let Fetched { bytes: mut stream, meta, .. } = source.open(0).await?;
    let mut bytes = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        if bytes.is_empty() && piece.len() == size {
            bytes = piece.into();
        } else {
            bytes.extend_from_slice(&piece);
        }
    }
    Ok((bytes.freeze(), meta))
}

/// Writes one large file as it arrives: from pieces of the version that stands there, where its store can tell them.
async fn pipe(store: &LocalStore, write: Write, xattrs: Xattrs, flow: &Arc<Flow>) -> Result<Written> {
    let What::File(source) = &write.what else { unreachable!("a file") };
    if let Some((bytes, size)) = pieced(store, &write, source, flow).await? {
        match receive(store, write.clone(), xattrs.clone(), bytes, flow).await {
            // One of the versions is not what it was when it was looked into. All bytes settle it.
            Err(error) if error.kind == ErrorKind::Corrupt => flow.take_back(size),
            done => return done,
        }
    }
    let Fetched { bytes, meta, .. } = source.open(0).await?;
    let write = Write { meta: meta.map_or(write.meta, |told| write.meta.or(&told)), ..write };
    receive(store, write, xattrs, bytes, flow).await
}

/// The bytes, put together from those that stand at the path and those that they lack, and how many they are; none: all
/// have to be fetched.
async fn pieced(
    store: &LocalStore,
    write: &Write,
    source: &Source,
    flow: &Flow,
) -> Result<Option<(ByteStream, u64)>> {
    let (Source::Stored { store: far, path, version }, Precondition::Version(_)) = (source, &write.expect) else {
        return Ok(None);
    };
    // What comes along with the bytes would be missed.
    if version.size <= chunk::WHOLE || !far.capabilities().lists_meta {
        return Ok(None);
    }
    let Some(now) = store.stat(&write.path).await?.filter(|now| now.kind == Kind::File) else { return Ok(None) };
    let here: Arc<dyn Store> = Arc::new(store.clone());
    let old = Source::Stored { store: here, path: write.path.clone(), version: now.fingerprint() };
    // Both sides look into their version, which takes its time.
    let recipe = tokio::select! {
        biased;
        () = flow.cancelled() => None,
        recipe = far.recipe(path, version, &old) => recipe?,
    };
    Ok(recipe.map(|recipe| {
        let size = recipe.sizes().0;
        (chunk::assembled(recipe, source.clone(), old), size)
    }))
}

async fn receive(
    store: &LocalStore,
    write: Write,
    xattrs: Xattrs,
    bytes: ByteStream,
    flow: &Arc<Flow>,
) -> Result<Written> {
    let (sender, receiver) = channel(PIECES);
    let items = vec![Item { write, feed: Some(receiver), xattrs }];
    let (mut results, ()) = tokio::join!(carry_out(store, items, flow), feed(bytes, sender));
    results.pop().expect("one result for one write")
}

async fn feed(mut stream: ByteStream, sender: Sender<Fed>) {
    while let Some(piece) = stream.next().await {
        let fed = match piece {
            Ok(bytes) => Fed::Bytes(bytes),
            Err(error) => Fed::Failed(error),
        };
        // Nobody listens any more: the write has ended.
        if sender.send(fed).await.is_err() {
            return;
        }
    }
    let _ = sender.send(Fed::Done).await;
}

async fn carry_out(store: &LocalStore, items: Vec<Item>, flow: &Arc<Flow>) -> Vec<Result<Written>> {
    let paths: Vec<_> = items.iter().map(|item| item.write.path.clone()).collect();
    let flow = flow.clone();
    match store.blocking(move |inner| Ok(batch::run(inner, items, &flow))).await {
        Ok(results) => results,
        Err(error) => paths.into_iter().map(|path| Err(Error { path: Some(path), ..error.clone() })).collect(),
    }
}
