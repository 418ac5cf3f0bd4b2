//! Changing what a share holds: many changes in one request, in order, each all or nothing.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use sitta_store::sitta::batch::{BROKEN, LAST};
use sitta_store::sitta::wire::{Odd, Outcome, WireChange, WireEntry, WireWhat, displaced, kind_name};
use sitta_store::{ByteStream, Change, Flow, Source, TEMP_PREFIX, What, Write, Written};
use sitta_tree::Meta;

use super::access::Target;
use super::dirs::make_all;
use super::once::{broken, once};
use super::problem::Trouble;
use crate::App;

/// The longest list of changes, and the most bytes of small files with it.
const LIST: usize = 16 << 20;
const SMALL: usize = 64 << 20;

/// Makes the changes of a request: see `sitta::batch` of the client for what it holds.
pub(super) async fn apply(
    State(app): State<Arc<App>>,
    target: Target,
    body: Body,
) -> Result<Json<Vec<Outcome>>, Trouble> {
    let store = target.share.store.clone();
    let mut body = Arriving { body: body.into_data_stream().boxed(), rest: BytesMut::new() };
    let len = body.take(4).await?;
    let len = u32::from_be_bytes(len[..].try_into().expect("four bytes")) as usize;
    if len > LIST {
        return Err(Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the list of changes is too long"));
    }
    let list: Vec<WireChange> = serde_json::from_slice(&body.take(len).await?).map_err(Trouble::odd)?;
    let (last, mut total) = (list.len().saturating_sub(1), 0);
    let (mut changes, mut streams) = (Vec::with_capacity(list.len()), false);
    for (index, change) in list.into_iter().enumerate() {
        let file = match &change {
            WireChange::Write { what: WireWhat::File(size), .. } => Some(*size),
            _ => None,
        };
        let source = match file {
            None => None,
            Some(Some(size)) if size <= (SMALL - total) as u64 && (index < last || size <= SMALL as u64 / 64) => {
                total += size as usize;
                Some(Source::Bytes(body.take(size as usize).await?))
            }
            Some(size) if index == last => {
                streams = true;
                let none = Arriving { body: futures::stream::empty().boxed(), rest: BytesMut::new() };
                let arriving = std::mem::replace(&mut body, none);
                Some(once(Pieces { arriving, piece: 0, left: size }.bytes(), size))
            }
            Some(_) => {
                let what = "a large file comes alone, or as the last change";
                return Err(Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", what));
            }
        };
        changes.push(understood(change, source).map_err(Trouble::odd)?);
    }
    if !streams {
        body.end().await?;
    }
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
    let results = tokio::spawn(work).await.map_err(|_| Trouble::from(broken("the changes could not be made")))?;
    Ok(Json(results.iter().map(outcome).collect()))
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

fn outcome(result: &sitta_store::Result<Option<Written>>) -> Outcome {
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
fn understood(change: WireChange, source: Option<Source>) -> Result<Change, Odd> {
    Ok(match change {
        WireChange::Remove { path, expect, displaced: aside } => Change::Remove {
            path: path.path()?,
            expect: expect.precondition()?,
            displaced: displaced(aside.as_ref())?,
        },
        WireChange::Rename { from, to, expect } => {
            Change::Rename { from: from.path()?, to: to.path()?, expect: expect.precondition()? }
        }
        WireChange::SetMeta { path, meta, expect } => Change::SetMeta {
            path: path.path()?,
            meta: Meta::from(&meta),
            expect: expect.precondition()?,
            xattrs_of: None,
        },
        WireChange::Write { path, what, meta, expect, displaced: aside, temp } => {
            let ours = temp.starts_with(TEMP_PREFIX) && !temp.contains(['/', '\0']) && temp.len() <= 200;
            if !ours {
                return Err(Odd("the name of a temporary is none".into()));
            }
            Change::Write(Write {
                path: path.path()?,
                what: match (what, source) {
                    (WireWhat::File(_), Some(source)) => What::File(source),
                    (WireWhat::File(_), None) => return Err(Odd("a file without bytes".into())),
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

/// A request's body, taken piece by piece.
struct Arriving {
    body: futures::stream::BoxStream<'static, Result<Bytes, axum::Error>>,
    rest: BytesMut,
}

impl Arriving {
    async fn take(&mut self, len: usize) -> Result<Bytes, Trouble> {
        match self.fill(len).await {
            true => Ok(self.rest.split_to(len).freeze()),
            false => Err(Trouble::odd("less was sent than was announced")),
        }
    }

    /// Waits until so many bytes are here; whether they came.
    async fn fill(&mut self, len: usize) -> bool {
        while self.rest.len() < len {
            match self.body.next().await {
                Some(Ok(piece)) if self.rest.is_empty() => self.rest = piece.into(),
                Some(Ok(piece)) => self.rest.extend_from_slice(&piece),
                Some(Err(_)) | None => return false,
            }
        }
        true
    }

    /// What is here of the next so many bytes, one at least.
    async fn some(&mut self, len: usize) -> Option<Bytes> {
        match self.fill(1).await {
            true => Some(self.rest.split_to(len.min(self.rest.len())).freeze()),
            false => None,
        }
    }

    async fn end(&mut self) -> Result<(), Trouble> {
        match self.rest.is_empty() && self.body.next().await.is_none() {
            true => Ok(()),
            false => Err(Trouble::odd("more was sent than was announced")),
        }
    }
}

/// The pieces of a large file; see `sitta::batch`.
struct Pieces {
    arriving: Arriving,
    /// How much of the current piece is still to come.
    piece: usize,
    /// How much of the file is, where that was announced.
    left: Option<u64>,
}

impl Pieces {
    fn bytes(self) -> ByteStream {
        let next = |mut pieces: Self| async move {
            let piece = pieces.next().await.map_err(broken)?;
            Ok(piece.map(|piece| (piece, pieces)))
        };
        futures::stream::try_unfold(self, next).boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, &'static str> {
        let lost = "the client broke off";
        if self.piece == 0 {
            let word = self.arriving.take(4).await.map_err(|_| lost)?;
            match u32::from_be_bytes(word[..].try_into().expect("four bytes")) {
                LAST if self.left.is_some_and(|left| left > 0) => {
                    return Err("fewer bytes came than were announced");
                }
                LAST => return Ok(None),
                BROKEN => return Err("the client could not read the rest"),
                len => self.piece = len as usize,
            }
        }
        let some = self.arriving.some(self.piece).await.ok_or(lost)?;
        self.piece -= some.len();
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(some.len() as u64).ok_or("more bytes came than were announced")?;
        }
        Ok(Some(some))
    }
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
