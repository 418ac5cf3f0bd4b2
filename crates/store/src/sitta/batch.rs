//! Many changes in one request: their list as JSON, its length in four bytes before it, and the bytes of the small files
//! behind it. A large file goes alone, its bytes in pieces as they come, each with its length in four bytes before it:
//! [`LAST`] says that these were all, [`BROKEN`] that there will be no more though they are not. So nothing that breaks
//! off looks whole, and the server's answer tells that nothing of it is left there.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use sitta_tree::{ContentHash, Meta, RelPath};

use super::client::Client;
use super::delta::{self, Sending};
use super::resume::resumable;
use super::wire::{self, Outcome, Text, WireChange, WireExpect, WireWhat, WireXattrs, tag};
use crate::body::Body;
use crate::web::Web;
use crate::{ByteStream, Change, Displaced, Error, ErrorKind, Fetched, Flow, Result, Source, What, Write, Written};

/// Files up to this size go together.
const SMALL: u64 = 256 << 10;

/// A request ends with the file that takes it past this.
const FULL: usize = 8 << 20;

/// How many small files are read at a time.
const READS: usize = 16;

/// What such a request holds.
pub const BATCH: &str = "application/vnd.sitta.changes";

/// Where the length of a piece is expected: the server's own bytes of the version that is replaced. Where they begin there
/// follows in eight bytes, and in eight more how many they are. Only of a file that is put together from pieces.
pub const COPY: u32 = u32::MAX - 1;

/// Where the length of a piece is expected: these were all bytes.
pub const LAST: u32 = 0;

/// Where the length of a piece is expected: the rest cannot be had.
pub const BROKEN: u32 = u32::MAX;

type Results = Vec<Option<Result<Option<Written>>>>;

/// A change, as far as it can be sent.
enum Ready {
    /// With the bytes of a small file.
    Whole(WireChange, Option<Bytes>),
    /// A large file, to be sent alone.
    Large(WireChange, Source),
    /// It cannot be sent.
    Not(Error),
}

/// Makes the changes, in order; the results in the order of the changes.
pub(super) async fn apply(client: &Client, changes: Vec<Change>, flow: &Arc<Flow>) -> Vec<Result<Option<Written>>> {
    let paths: Vec<RelPath> = changes.iter().map(|change| change.path().clone()).collect();
    let mut results: Results = paths.iter().map(|_| None).collect();
    let mut ready = stream::iter(changes.into_iter().enumerate())
        .map(|(index, change)| async move { (index, prepare(client, change).await) })
        .buffered(READS);
    let mut batch = Batch::default();
    while let Some((index, next)) = ready.next().await {
        if flow.is_cancelled() {
            results[index] = Some(Err(client.site.error(ErrorKind::Cancelled, &paths[index], "cancelled")));
            continue;
        }
        match next {
            Ready::Whole(change, bytes) => {
                batch.add(index, change, bytes);
                if batch.bytes.len() + batch.xattrs >= FULL {
                    std::mem::take(&mut batch).send(client, &paths, &mut results, flow).await;
                }
            }
            Ready::Large(change, source) => {
                std::mem::take(&mut batch).send(client, &paths, &mut results, flow).await;
                results[index] = Some(send_large(client, &paths[index], change, &source, flow).await);
            }
            Ready::Not(error) => results[index] = Some(Err(error)),
        }
    }
    drop(ready);
    batch.send(client, &paths, &mut results, flow).await;
    let missing = |path: &RelPath| Err(client.odd(path, "it does not say what it did"));
    results.into_iter().zip(&paths).map(|(result, path)| result.unwrap_or_else(|| missing(path))).collect()
}

#[derive(Default)]
struct Batch {
    changes: Vec<WireChange>,
    /// Which of all changes each is, and the hash of its bytes.
    sent: Vec<(usize, Option<ContentHash>)>,
    bytes: Vec<u8>,
    /// How much of the list are extended attributes.
    xattrs: usize,
}

impl Batch {
    fn add(&mut self, index: usize, change: WireChange, bytes: Option<Bytes>) {
        let content = bytes.as_ref().map(|bytes| ContentHash(*blake3::hash(bytes).as_bytes()));
        if let WireChange::Write { xattrs: Some(xattrs), .. } | WireChange::SetMeta { xattrs: Some(xattrs), .. } =
            &change
        {
            self.xattrs += xattrs.size();
        }
        self.changes.push(change);
        self.sent.push((index, content));
        self.bytes.extend_from_slice(&bytes.unwrap_or_default());
    }

    async fn send(self, client: &Client, paths: &[RelPath], results: &mut Results, flow: &Flow) {
        if self.changes.is_empty() {
            return;
        }
        let size = self.bytes.len() as u64;
        let mut body = frame(&self.changes);
        body.extend_from_slice(&self.bytes);
        drop(self.bytes);
        match post(client, body.into(), None).await {
            Ok(outcomes) => {
                flow.add_bytes(size);
                for ((index, content), outcome) in self.sent.into_iter().zip(outcomes) {
                    results[index] = Some(understand(client, &paths[index], outcome, content));
                }
            }
            Err(error) => {
                for (index, _) in self.sent {
                    let path = Some(paths[index].clone());
                    results[index] = Some(Err(Error { path, ..error.clone() }));
                }
            }
        }
    }
}

async fn send_large(
    client: &Client,
    path: &RelPath,
    change: WireChange,
    source: &Source,
    flow: &Arc<Flow>,
) -> Result<Option<Written>> {
    let cancelled = client.site.error(ErrorKind::Cancelled, path, "cancelled");
    if let Some((pieced, recipe)) = delta::recipe_up(client, path, &change, source, flow).await? {
        let sending = Sending::default();
        let body = sending.body(&recipe, source, flow, cancelled.clone());
        let answer = send_alone(client, path, &pieced, body).await;
        match sending.failed().map_or(answer, Err).and_then(|o| understand(client, path, o, Some(recipe.content))) {
            // One of the versions is not what it was when it was looked into. All bytes settle it.
            Err(error) if error.kind == ErrorKind::Corrupt => flow.take_back(sending.counted()),
            done => return done,
        }
    }
    let (change, there) = resumable(client, path, change, source).await?;
    let Fetched { bytes, meta, .. } = source.open(0).await?;
    let watched = Body::default();
    let bytes = watched.watch(bytes, there, flow, cancelled);
    let answer = send_alone(client, path, &with_meta(change, meta.as_ref()), pieces(bytes)).await;
    // What broke off our bytes says more than that they broke off.
    let outcome = watched.failed().map_or(answer, Err)?;
    understand(client, path, outcome, watched.content())
}

/// Sends one change with what follows it.
async fn send_alone(client: &Client, path: &RelPath, change: &WireChange, rest: ByteStream) -> Result<Outcome> {
    let head = Bytes::from(frame(std::slice::from_ref(change)));
    let (body, taken) = Web::body(stream::once(async { Ok(head) }).chain(rest).boxed());
    let outcomes = post(client, body, Some(&taken)).await;
    let outcomes = outcomes.map_err(|error| Error { path: Some(path.clone()), ..error })?;
    outcomes.into_iter().next().ok_or_else(|| client.odd(path, "it does not say what it did"))
}

/// The bytes in pieces.
fn pieces(bytes: ByteStream) -> ByteStream {
    let pieces = stream::unfold(Some((bytes, None)), |state| async move {
        let (mut bytes, piece): (ByteStream, Option<Bytes>) = state?;
        if piece.is_some() {
            return Some((piece.unwrap_or_default(), Some((bytes, None))));
        }
        let word = |word: u32| Bytes::copy_from_slice(&word.to_be_bytes());
        loop {
            match bytes.next().await {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    let len = u32::try_from(piece.len()).expect("pieces are bounded");
                    return Some((word(len), Some((bytes, Some(piece)))));
                }
                Some(Err(_)) => return Some((word(BROKEN), None)),
                None => return Some((word(LAST), None)),
            }
        }
    });
    pieces.map(Ok).boxed()
}

/// The list of changes, with its length before it.
fn frame(changes: &[WireChange]) -> Vec<u8> {
    let mut body = vec![0; 4];
    serde_json::to_writer(&mut body, changes).expect("plain data");
    let len = u32::try_from(body.len() - 4).expect("a batch is bounded");
    body[..4].copy_from_slice(&len.to_be_bytes());
    body
}

async fn post(client: &Client, body: reqwest::Body, taken: Option<&crate::web::Taken>) -> Result<Vec<Outcome>> {
    let root = RelPath::root();
    let url = client.site.url(&RelPath::new("changes").expect("a word of ours"), false);
    let request = client.site.request(&Method::POST, url).header(CONTENT_TYPE, BATCH).body(body);
    let answer = match taken {
        Some(taken) => client.site.web.send_taken(request, &root, taken).await?,
        None => client.site.web.send(request, &root).await?,
    };
    client.read(answer, &root).await
}

fn understand(
    client: &Client,
    path: &RelPath,
    outcome: Outcome,
    sent: Option<ContentHash>,
) -> Result<Option<Written>> {
    let told = match outcome {
        Outcome::Failed(refusal) => return Err(client.refused(&refusal, path)),
        Outcome::Done(None) => return Ok(None),
        Outcome::Done(Some(told)) => told,
    };
    let entry = told.entry().map_err(|error| client.odd(path, error))?;
    let content = told.content.as_deref().and_then(wire::content);
    if let (Some(sent), Some(content)) = (sent, content)
        && sent != content
    {
        let what = "what arrived is not what was sent";
        return Err(client.site.error(ErrorKind::Corrupt, path, what));
    }
    Ok(Some(Written { entry: sitta_tree::Entry { content: None, ..entry }, content: content.or(sent) }))
}

/// The change as it is told, and the bytes of a small file.
async fn prepare(client: &Client, change: Change) -> Ready {
    let text = |path: &RelPath| Text::from(&client.within(path));
    let aside = |displaced: &Displaced| match displaced {
        Displaced::Discard => None,
        Displaced::MoveTo(path) => Some(text(path)),
    };
    let write = match &change {
        Change::Write(write) => write,
        Change::Remove { path, expect, displaced } => {
            let displaced = aside(displaced);
            return Ready::Whole(WireChange::Remove { path: text(path), expect: expect.into(), displaced }, None);
        }
        Change::Rename { from, to, expect } => {
            let (from, to) = (text(from), text(to));
            return Ready::Whole(WireChange::Rename { from, to, expect: expect.into() }, None);
        }
        Change::SetMeta { path, meta, expect, xattrs } => {
            let xattrs = match xattrs {
                Some(xattrs) if client.xattrs => xattrs.get().await.map(Some),
                _ => Ok(None),
            };
            let xattrs = match xattrs {
                Ok(xattrs) => xattrs.as_ref().map(WireXattrs::from),
                Err(error) => return Ready::Not(error),
            };
            let (path, meta) = (text(path), meta.into());
            return Ready::Whole(WireChange::SetMeta { path, meta, expect: expect.into(), xattrs }, None);
        }
    };
    let Write { path, what, meta, expect, displaced, temp } = write;
    let xattrs = match what {
        What::File(source) if client.xattrs && meta.xattrs != 0 => match source.xattrs().await {
            Ok(xattrs) => Some(WireXattrs::from(&xattrs)),
            Err(error) => return Ready::Not(error),
        },
        _ => None,
    };
    let told = |what, meta: &Meta| WireChange::Write {
        path: text(path),
        what,
        meta: meta.into(),
        expect: WireExpect::from(expect),
        displaced: aside(displaced),
        temp: temp.to_string(),
        xattrs: xattrs.clone(),
    };
    let source = match what {
        What::File(source) => source,
        What::Symlink(target) => return Ready::Whole(told(WireWhat::Symlink(Text::new(target)), meta), None),
        What::Dir => return Ready::Whole(told(WireWhat::Dir, meta), None),
        What::Link(of) => return Ready::Whole(told(WireWhat::Link(text(of)), meta), None),
    };
    if let Some(what) = copied(client, source) {
        return Ready::Whole(told(what, meta), None);
    }
    match source.size() {
        Some(size) if size <= SMALL => match small(source).await {
            Ok((bytes, came)) => {
                let meta = came.map_or(*meta, |came| meta.or(&came));
                Ready::Whole(told(WireWhat::File(Some(bytes.len() as u64)), &meta), Some(bytes))
            }
            Err(error) => Ready::Not(error),
        },
        size => Ready::Large(told(WireWhat::File(size), meta), source.clone()),
    }
}

/// A file that the server has already: it copies it by itself.
fn copied(client: &Client, source: &Source) -> Option<WireWhat> {
    let Source::Stored { store, path, version } = source else { return None };
    let (there, here) = (store.on_server()?, client.on_server()?);
    let from = Text::from(&there.base.join_path(path));
    (there.share == here.share).then(|| WireWhat::Copy { from, of: tag(version) })
}

async fn small(source: &Source) -> Result<(Bytes, Option<Meta>)> {
    let Fetched { bytes, meta, .. } = source.open(0).await?;
    let pieces: Vec<Bytes> = bytes.try_collect().await?;
    let bytes = match <[Bytes; 1]>::try_from(pieces) {
        Ok([only]) => only,
        Err(pieces) => pieces.concat().into(),
    };
    Ok((bytes, meta))
}

/// The change, with what came along with the bytes where nothing was told before.
fn with_meta(mut change: WireChange, came: Option<&Meta>) -> WireChange {
    if let (WireChange::Write { meta, .. }, Some(came)) = (&mut change, came) {
        *meta = (&Meta::from(&*meta).or(came)).into();
    }
    change
}
