//! Changing what a share holds: many changes in one request, in order, each all or nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use sitta_store::sitta::wire::{Odd, Outcome, WireChange, WireEntry, WireWhat, displaced, kind_name, untag};
use sitta_store::{Change, Flow, Source, Store, TEMP_PREFIX, What, Write, Written, XattrsOf};
use sitta_tree::Meta;
use tokio::task::JoinHandle;

use super::access::Target;
use super::arriving::{Arriving, Pieced, Pieces};
use super::dirs::make_all;
use super::once::{Dressed, broken, once};
use super::problem::Trouble;
use super::resume;
use crate::App;

/// The longest list of changes, and the most bytes of small files with it.
const LIST: usize = 16 << 20;
const SMALL: usize = 64 << 20;

/// How often a client that waits is told that somebody is there.
const BLANKS: Duration = Duration::from_secs(5);

/// Makes the changes of a request: see `sitta::batch` of the client for what it holds.
pub(super) async fn apply(State(app): State<Arc<App>>, target: Target, body: Body) -> Result<Response, Trouble> {
    let store = target.share.store.clone();
    let mut body = Arriving::new(body);
    let len = body.take(4).await?;
    let len = u32::from_be_bytes(len[..].try_into().expect("four bytes")) as usize;
    if len > LIST {
        return Err(Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the list of changes is too long"));
    }
    let list: Vec<WireChange> = serde_json::from_slice(&body.take(len).await?).map_err(Trouble::odd)?;
    if let [change @ WireChange::Write { what: WireWhat::Resumable { .. }, .. }] = &list[..] {
        let outcome = resume::change(&app, target, change.clone(), body).await?;
        return Ok(Json([outcome]).into_response());
    }
    let (changes, assembles) = with_bytes(&store, list, &mut body).await?;
    // What was begun is finished even if the client goes away: it cannot tell otherwise what became of it.
    let flow = Arc::new(Flow::default());
    let work = async move {
        let done: Vec<_> = changes.iter().map(|change| (name(change), change.path().clone())).collect();
        let results = store.apply(changes, &flow).await;
        for ((what, path), result) in done.iter().zip(&results) {
            let result = result.as_ref().map_or_else(|error| kind_name(error.kind), |_| "done");
            app.audit.note(target.caller.did(what, &target.share.name, path, result)).await;
        }
        results
    };
    let work = tokio::spawn(async move { work.await.iter().map(outcome).collect::<Vec<_>>() });
    if assembles {
        return Ok(told_late(work));
    }
    let outcomes = work.await.map_err(|_| Trouble::from(broken("the changes could not be made")))?;
    Ok(Json(outcomes).into_response())
}

/// The changes with the bytes of their files, of which the last one's may be on their way yet; and whether it may take long to
/// make them, because files are copied or put together here.
async fn with_bytes(
    store: &Arc<dyn Store>,
    list: Vec<WireChange>,
    body: &mut Arriving,
) -> Result<(Vec<Change>, bool), Trouble> {
    let (last, mut total) = (list.len().saturating_sub(1), 0);
    let (mut changes, mut streams, mut assembles) = (Vec::with_capacity(list.len()), false, false);
    for (index, change) in list.into_iter().enumerate() {
        let WireChange::Write { what, path, .. } = &change else {
            changes.push(understood(change, None).map_err(Trouble::odd)?);
            continue;
        };
        let source = match what {
            WireWhat::Pieces { size, of, content } if index == last => {
                let pieced = Pieced::new(store, path, of, *size, content).map_err(Trouble::odd)?;
                (streams, assembles) = (true, true);
                Some(once(pieced.bytes(body.take_rest()), Some(*size)))
            }
            WireWhat::File(Some(size))
                if *size <= (SMALL - total) as u64 && (index < last || *size <= SMALL as u64 / 64) =>
            {
                total += *size as usize;
                Some(Source::Bytes(body.take(*size as usize).await?))
            }
            WireWhat::File(size) if index == last => {
                streams = true;
                Some(once(Pieces::new(body.take_rest(), *size).bytes(), *size))
            }
            WireWhat::File(_) | WireWhat::Pieces { .. } | WireWhat::Resumable { .. } => {
                let what = "a large file comes alone, or as the last change";
                return Err(Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", what));
            }
            WireWhat::Copy { from, of } => {
                let version = untag(of).ok_or_else(|| Trouble::odd(format!("'{of}' is no version")))?;
                assembles = true;
                Some(Source::Stored { store: store.clone(), path: from.path().map_err(Trouble::odd)?, version })
            }
            WireWhat::Symlink(_) | WireWhat::Dir | WireWhat::Link(_) => None,
        };
        changes.push(understood(change, source).map_err(Trouble::odd)?);
    }
    if !streams {
        body.end().await?;
    }
    Ok((changes, assembles))
}

/// The answer, with blanks before it for as long as there is none: putting a file together takes far longer than sending
/// what it takes, and a client that hears nothing thinks that nobody is there.
fn told_late(work: JoinHandle<Vec<Outcome>>) -> Response {
    let body = stream::unfold(Some(work), |work| async move {
        let mut work = work?;
        match tokio::time::timeout(BLANKS, &mut work).await {
            Err(_) => Some((Ok(Bytes::from_static(b" ")), Some(work))),
            Ok(Ok(outcomes)) => Some((Ok(serde_json::to_vec(&outcomes).expect("plain data").into()), None)),
            Ok(Err(error)) => Some((Err(error), None)),
        }
    });
    ([(CONTENT_TYPE, "application/json")], Body::from_stream(body)).into_response()
}

/// What a change is called in the audit.
fn name(change: &Change) -> &'static str {
    match change {
        Change::Write(Write { what: What::Dir, .. }) => "make_dir",
        Change::Write(_) => "write",
        Change::Remove { .. } => "remove",
        Change::Rename { .. } => "rename",
        Change::SetMeta { .. } => "set_meta",
    }
}

pub(super) fn outcome(result: &sitta_store::Result<Option<Written>>) -> Outcome {
    match result {
        Ok(None) => Outcome::Done(None),
        Ok(Some(written)) => {
            let content = written.content.map(|content| content.to_string());
            Outcome::Done(Some(WireEntry { content, ..(&written.entry).into() }))
        }
        Err(error) => Outcome::Failed(error.into()),
    }
}

/// The change that is meant, with its bytes.
pub(super) fn understood(change: WireChange, source: Option<Source>) -> Result<Change, Odd> {
    Ok(match change {
        WireChange::Remove { path, expect, displaced: aside } => Change::Remove {
            path: path.path()?,
            expect: expect.precondition()?,
            displaced: displaced(aside.as_ref())?,
        },
        WireChange::Rename { from, to, expect } => {
            Change::Rename { from: from.path()?, to: to.path()?, expect: expect.precondition()? }
        }
        WireChange::SetMeta { path, meta, expect, xattrs } => Change::SetMeta {
            path: path.path()?,
            meta: Meta::from(&meta),
            expect: expect.precondition()?,
            xattrs: xattrs.map(|xattrs| xattrs.pairs().map(XattrsOf::These)).transpose()?,
        },
        WireChange::Write { path, what, meta, expect, displaced: aside, temp, xattrs } => {
            let xattrs = xattrs.map(|xattrs| xattrs.pairs()).transpose()?;
            let source = match (source, xattrs) {
                // A copy here brings its own.
                (Some(source @ (Source::Bytes(_) | Source::Made(_))), Some(xattrs)) => {
                    Some(Source::Made(Arc::new(Dressed { source, xattrs })))
                }
                (source, _) => source,
            };
            let ours = temp.starts_with(TEMP_PREFIX) && !temp.contains(['/', '\0']) && temp.len() <= 200;
            if !ours {
                return Err(Odd("the name of a temporary is none".into()));
            }
            Change::Write(Write {
                path: path.path()?,
                what: match (what, source) {
                    (
                        WireWhat::File(_)
                        | WireWhat::Pieces { .. }
                        | WireWhat::Resumable { .. }
                        | WireWhat::Copy { .. },
                        source,
                    ) => What::File(source.ok_or_else(|| Odd("a file without bytes".into()))?),
                    (WireWhat::Symlink(target), _) => What::Symlink(target.bytes()?.into()),
                    (WireWhat::Dir, _) => What::Dir,
                    (WireWhat::Link(of), _) => What::Link(of.path()?),
                },
                meta: Meta::from(&meta),
                expect: expect.precondition()?,
                displaced: displaced(aside.as_ref())?,
                temp: temp.into(),
            })
        }
    })
}

/// Makes all changes so far safe from a power cut.
pub(super) async fn sync(target: Target) -> Result<StatusCode, Trouble> {
    target.share.store.sync().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes the directory, with those above it, if it is not there.
pub(super) async fn make_root(State(app): State<Arc<App>>, target: Target) -> Result<StatusCode, Trouble> {
    let store = &target.share.store;
    store.create_root().await?;
    make_all(store, &app.temps, &target.path).await?;
    Ok(StatusCode::NO_CONTENT)
}
