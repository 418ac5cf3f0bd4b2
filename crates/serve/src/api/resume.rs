//! Uploads that can be gone on with: as sitta clients send them, and in parts with `Content-Range`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sitta_store::sitta::wire::{Outcome, WireChange, WireWhat, kind_name};
use sitta_store::{Change, Flow, Source, Store, Write};

use super::access::Target;
use super::arriving::{Arriving, Pieces};
use super::changes::{outcome, understood};
use super::expect::header;
use super::once::{broken, once};
use super::problem::Trouble;
use crate::App;
use crate::uploads::{Done, Ended, Key};

impl Target {
    /// The caller's upload to this path.
    pub fn upload(&self) -> Key {
        let (who, share) = ((self.caller.name.clone(), self.caller.token), self.share.name.clone());
        Key { who, share, path: self.path.as_bytes().to_vec() }
    }
}

/// How far an upload has come.
#[derive(Serialize)]
struct Received {
    id: String,
    received: u64,
    size: u64,
}

/// How far the caller's upload to this path has come.
pub(super) async fn get(State(app): State<Arc<App>>, target: Target) -> Result<Response, Trouble> {
    match app.uploads.find(&target.upload()).await {
        Some((id, received, size)) => Ok(Json(Received { id, received, size }).into_response()),
        None => Err(nothing()),
    }
}

fn nothing() -> Trouble {
    Trouble::new(StatusCode::NOT_FOUND, "not_found", "there is no upload to go on with")
}

/// Writes one large file, from the byte on that the client names.
pub(super) async fn change(
    app: &Arc<App>,
    target: Target,
    change: WireChange,
    arriving: Arriving,
) -> Result<Outcome, Trouble> {
    let WireChange::Write { path, what: WireWhat::Resumable { size, id, from }, .. } = &change else {
        return Err(Trouble::odd("no upload that can be gone on with"));
    };
    let (size, from, id, path) = (*size, *from, id.clone(), path.path().map_err(Trouble::odd)?);
    let left = size.checked_sub(from).ok_or_else(|| Trouble::odd("it begins behind its end"))?;
    let target = Target { path, ..target };
    let (key, what) = (target.upload(), meant(change.clone()));
    let taking = if from > 0 {
        app.uploads.go_on(&key, &what, from).await
    } else {
        // It outlives the request, and may the next run of the client: its temporary is none of the client's.
        let change = with_temp(change, &app.temps.next());
        let store = target.share.store.clone();
        let app = app.clone();
        // Whatever cannot be understood is refused before anything is begun.
        understood(change.clone(), Some(Source::Bytes(Default::default()))).map_err(Trouble::odd)?;
        let uploads = app.uploads.clone();
        let start = move |bytes| {
            let change = understood(change, Some(once(bytes, Some(size))));
            tokio::spawn(async move {
                let change = change.map_err(|_| broken("the change is not understood"))?;
                let done = apply_one(&*store, change).await;
                let result = done.as_ref().map_or_else(|error| kind_name(error.kind), |_| "done");
                app.audit.note(target.caller.did("write", &target.share.name, &target.path, result)).await;
                done
            })
        };
        Some(uploads.begin(key, (id, what), size, start))
    };
    let Some(taking) = taking else { return Ok(outcome(&Err(broken("there is no upload to go on with")))) };
    // What has arrived is kept even if the client goes away.
    let ended = tokio::spawn(taking.take(Pieces::new(arriving, Some(left)).bytes())).await;
    Ok(outcome(&match ended.map_err(|_| Trouble::from(broken("the file could not be written")))? {
        Ended::Done(done) => done,
        Ended::Waiting(_, error) => Err(error.unwrap_or_else(|| broken("fewer bytes came than were announced"))),
    }))
}

async fn apply_one(store: &dyn Store, change: Change) -> Done {
    let results = store.apply(vec![change], &Arc::new(Flow::default())).await;
    results.into_iter().next().unwrap_or_else(|| Err(broken("the store does not say what it did")))
}

fn with_temp(mut change: WireChange, name: &str) -> WireChange {
    if let WireChange::Write { temp, .. } = &mut change {
        name.clone_into(temp);
    }
    change
}

/// What a change is to do, wherever it begins.
fn meant(change: WireChange) -> String {
    let mut change = with_temp(change, "");
    if let WireChange::Write { what: WireWhat::Resumable { from, .. }, .. } = &mut change {
        *from = 0;
    }
    serde_json::to_string(&change).expect("plain data")
}

/// Which part of a file a request brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// From the first byte on, of so many altogether.
    From(u64, u64),
    /// None: it asks how far the upload has come.
    Ask,
}

/// `bytes 0-99/1000`, `bytes */1000` (RFC 9110, 14.4; 14.5 for `PUT`).
pub(super) fn part(headers: &HeaderMap, length: Option<u64>) -> Result<Option<Part>, Trouble> {
    let Some(value) = headers.get(CONTENT_RANGE) else { return Ok(None) };
    let understood = value.to_str().ok().and_then(parse);
    let expected =
        "write for example bytes 0-1048575/8388608, with so many bytes; bytes */8388608 asks how far it is";
    let (range, total) = understood.ok_or_else(|| header(&CONTENT_RANGE, value, expected))?;
    match range {
        None if length.unwrap_or(0) == 0 => Ok(Some(Part::Ask)),
        Some((first, last)) if length.is_none_or(|length| length == last - first + 1) => {
            Ok(Some(Part::From(first, total)))
        }
        _ => Err(header(&CONTENT_RANGE, value, expected)),
    }
}

type Range = Option<(u64, u64)>;

fn parse(text: &str) -> Option<(Range, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let total = total.parse().ok()?;
    if range == "*" {
        return Some((None, total));
    }
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    (first <= last && last < total).then_some((Some((first, last)), total))
}

/// Takes a part of a file; done when the last one is here.
pub(super) async fn put(
    app: &App,
    target: &Target,
    (from, total): (u64, u64),
    write: Write,
    arriving: sitta_store::ByteStream,
) -> Result<Result<sitta_store::Written, Response>, Trouble> {
    let (key, store) = (target.upload(), target.share.store.clone());
    let what = format!("put {total} {:?} {:?}", write.expect, write.meta.mtime);
    let taking = if from > 0 {
        app.uploads.go_on(&key, &what, from).await
    } else {
        let start = move |bytes| {
            let write = Write { what: sitta_store::What::File(once(bytes, Some(total))), ..write };
            tokio::spawn(async move { store.write(write, &Arc::default()).await.map(Some) })
        };
        Some(app.uploads.begin(key, (String::new(), what), total, start))
    };
    let Some(taking) = taking else {
        let here = app.uploads.find(&target.upload()).await.map_or(0, |(_, received, _)| received);
        let title = "the upload is not there, is to do something else, or stands elsewhere: see Range";
        let refused = Trouble::new(StatusCode::CONFLICT, "elsewhere", title).into_response();
        return Ok(Err(with_range(refused, here)));
    };
    let ended = tokio::spawn(taking.take(arriving)).await;
    match ended.map_err(|_| Trouble::from(broken("the file could not be written")))? {
        Ended::Done(Ok(Some(written))) => Ok(Ok(written)),
        Ended::Done(Ok(None)) => Err(Trouble::from(broken("the store does not say what it wrote"))),
        Ended::Done(Err(error)) => Err(super::dirs::no_directory(error)),
        Ended::Waiting(received, None) => Ok(Err(waiting(received))),
        Ended::Waiting(_, Some(error)) => Err(error.into()),
    }
}

/// How far the upload has come.
pub(super) async fn ask(app: &App, target: &Target) -> Result<Response, Trouble> {
    let here = app.uploads.find(&target.upload()).await;
    here.map(|(_, received, _)| waiting(received)).ok_or_else(nothing)
}

/// There is more to come.
fn waiting(received: u64) -> Response {
    with_range(StatusCode::ACCEPTED.into_response(), received)
}

/// Says which bytes are here; nothing if none are.
fn with_range(mut response: Response, received: u64) -> Response {
    if let Some(last) = received.checked_sub(1) {
        let range = HeaderValue::from_str(&format!("bytes=0-{last}")).expect("digits");
        response.headers_mut().insert(RANGE, range);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_understood_or_refused() {
        let part = |text: &str, length| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, text.parse().unwrap());
            part(&headers, length)
        };
        assert_eq!(part("bytes 0-9/100", Some(10)).unwrap(), Some(Part::From(0, 100)));
        assert_eq!(part("bytes 90-99/100", None).unwrap(), Some(Part::From(90, 100)));
        assert_eq!(part("bytes */100", Some(0)).unwrap(), Some(Part::Ask));
        for (odd, length) in [
            ("bytes 0-9/100", 9),
            ("bytes 0-100/100", 101),
            ("bytes 9-0/100", 10),
            ("bytes 0-9/*", 10),
            ("bytes */100", 1),
            ("items 0-9/100", 10),
            ("bytes 0-18446744073709551615/18446744073709551615", 1),
            ("", 0),
        ] {
            assert!(part(odd, Some(length)).is_err(), "{odd}");
        }
        assert!(super::part(&HeaderMap::new(), Some(1)).unwrap().is_none());
    }
}
