//! Writing a file: all of it arrives, or nothing of it is ever seen.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use http_body_util::BodyExt;
use jiff::fmt::rfc2822::DateTimeParser;
use sitta_store::{ByteStream, Displaced, Source, What, Write, Written};
use sitta_tree::{Kind, Meta, Time};
use tokio::sync::watch;

use super::access::Target;
use super::dirs::{allowed, make_above, no_directory, unmake};
use super::expect::{etag, expected, header};
use super::once::{broken, once};
use super::problem::Trouble;
use super::query::Query;
use super::resume::{self, Part};
use crate::App;

/// The parameters.
pub(super) const KNOWN: &[&str] = &["parents"];

/// A file of at most this size is taken in before it is written, so that a store may try again.
const SMALL: u64 = 1 << 20;

/// As WebDAV clients send a file's time: seconds since 1970.
const X_OC_MTIME: HeaderName = HeaderName::from_static("x-oc-mtime");

/// Writes a file.
pub(super) async fn put(
    State(app): State<Arc<App>>,
    target: Target,
    version: Version,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Trouble> {
    let parents = Query::parse(uri.query(), KNOWN)?.flag("parents")?;
    allowed(&target.path)?;
    let part = match resume::part(&headers, length(&headers)?)? {
        Some(Part::Ask) => return resume::ask(&app, &target).await,
        Some(Part::From(..)) if parents => {
            return Err(Trouble::parameter("parents", b"true", "make the directories before the first part"));
        }
        Some(Part::From(from, total)) => Some((from, total)),
        None => None,
    };
    write(&app, target, version, &headers, body, How { parents, part }).await
}

/// How a file is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    /// The directories above it are made if they are missing.
    pub parents: bool,
    /// What comes is a part: where it begins, and how many bytes all parts are.
    pub part: Option<(u64, u64)>,
}

/// Writes what a request's body holds.
pub(crate) async fn write(
    app: &Arc<App>,
    target: Target,
    version: Version,
    headers: &HeaderMap,
    body: Body,
    how: How,
) -> Result<Response, Trouble> {
    for name in [CONTENT_ENCODING, CONTENT_RANGE] {
        let understood = name == CONTENT_RANGE && how.part.is_some();
        if let Some(value) = headers.get(&name).filter(|_| !understood) {
            return Err(header(&name, value, "send the whole file as it is, without this header"));
        }
    }
    let (modified, size) = (modified(headers)?, length(headers)?);
    let store = target.share.store.clone();
    let now = store.stat(&target.path).await?;
    match now.as_ref().map(|entry| entry.kind) {
        None | Some(Kind::File) => {}
        Some(Kind::Dir) => return Err(Trouble::new(StatusCode::CONFLICT, "is_a_directory", "it is a directory")),
        Some(_) => {
            return Err(Trouble::new(StatusCode::CONFLICT, "unsupported", "what stands there is not a file"));
        }
    }
    let expect = expected(headers, now.as_ref())?;
    let tells_end = version == Version::HTTP_2;
    let bytes = Arriving { body, left: size, tells_end, stopped: app.stopped.clone() }.bytes();
    // Permissions stay when a file is written anew: what was private shall not become public.
    let mode = now.as_ref().map_or(0, |entry| entry.meta.mode);
    let mut write = Write {
        path: target.path.clone(),
        what: What::File(Source::Bytes(Bytes::new())),
        meta: Meta { mtime: modified.unwrap_or_default(), mode, ..Meta::default() },
        expect,
        displaced: Displaced::Discard,
        temp: app.temps.next(),
    };
    if let Some(part) = how.part {
        return match resume::put(app, &target, part, write, bytes).await? {
            Ok(written) => Ok(answer(headers, now.is_some(), &written)),
            Err(response) => Ok(response),
        };
    }
    write.what = What::File(match size {
        Some(size) if size <= SMALL => {
            let pieces: BytesMut = bytes.try_collect().await?;
            Source::Bytes(pieces.freeze())
        }
        _ => once(bytes, size),
    });
    // What was begun is finished or undone, even if the client goes away.
    let app = app.clone();
    let written = tokio::spawn(async move {
        let made = if how.parents { make_above(&store, &app.temps, &write.path).await? } else { Vec::new() };
        match store.write(write, &Arc::default()).await {
            Ok(written) => Ok(written),
            Err(error) => {
                unmake(&store, &made).await;
                Err(no_directory(error))
            }
        }
    });
    let written = written.await.map_err(|_| Trouble::from(broken("the file could not be written")))??;
    Ok(answer(headers, now.is_some(), &written))
}

fn answer(headers: &HeaderMap, was_there: bool, written: &Written) -> Response {
    let status = if was_there { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
    let mut response = done(status, written);
    if headers.contains_key(X_OC_MTIME) {
        response.headers_mut().insert(X_OC_MTIME, HeaderValue::from_static("accepted"));
    }
    response
}

/// What says which version stands there now.
pub(super) fn done(status: StatusCode, written: &Written) -> Response {
    (status, [(ETAG, etag(&written.entry))]).into_response()
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, Trouble> {
    let Some(value) = headers.get(CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| header(&CONTENT_LENGTH, value, "write a number"))
}

/// When the file was modified, as far as the client says.
fn modified(headers: &HeaderMap) -> Result<Option<Time>, Trouble> {
    if let Some(value) = headers.get(X_OC_MTIME) {
        let time = value.to_str().ok().and_then(seconds);
        return time.map(Some).ok_or_else(|| header(&X_OC_MTIME, value, "write seconds since 1970"));
    }
    let Some(value) = headers.get(LAST_MODIFIED) else { return Ok(None) };
    let time = value.to_str().ok().and_then(dated);
    time.map(Some).ok_or_else(|| header(&LAST_MODIFIED, value, "write for example Sun, 06 Nov 1994 08:49:37 GMT"))
}

/// A point in time as HTTP writes it (RFC 9110, 5.6.7).
pub(crate) fn dated(text: &str) -> Option<Time> {
    // Some clients get the day of the week wrong.
    DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok().map(|at| Time::new(at.as_second(), 0))
}

/// `1700000000`, `1700000000.25`
pub(crate) fn seconds(text: &str) -> Option<Time> {
    let (secs, rest) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    if !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let secs: i64 = secs.parse().ok()?;
    let nanos = format!("{:0<9.9}", rest).parse().ok()?;
    // A fraction counts away from zero here, but times are rounded down.
    if secs < 0 && nanos > 0 {
        None
    } else {
        jiff::Timestamp::from_second(secs).ok().map(|_| Time::new(secs, nanos))
    }
}

/// A body that is whole or fails.
struct Arriving {
    body: Body,
    /// How much is still to come, where that was announced.
    left: Option<u64>,
    /// The body knows whether it ended or was cut off.
    tells_end: bool,
    stopped: watch::Receiver<bool>,
}

impl Arriving {
    fn bytes(self) -> ByteStream {
        let next = |mut arriving: Self| async move {
            let piece = arriving.next().await.map_err(broken)?;
            Ok(piece.map(|piece| (piece, arriving)))
        };
        stream::try_unfold(self, next).boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, &'static str> {
        let lost = "the client broke off";
        loop {
            let Some(frame) = self.body.frame().await else { break };
            let Ok(piece) = frame.map_err(|_| lost)?.into_data() else { continue };
            if let Some(left) = &mut self.left {
                *left = left.checked_sub(piece.len() as u64).ok_or("more bytes came than were announced")?;
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        match self.left {
            Some(0) => Ok(None),
            Some(_) => Err("fewer bytes came than were announced"),
            // Without an announced length, a body of HTTP/2 that the client cancelled looks as if it had ended, and so
            // does one whose connection is given up because the server stops.
            None if self.tells_end && !self.body.is_end_stream() => Err(lost),
            None if *self.stopped.borrow() => Err("the server stops"),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_understood() {
        assert_eq!(seconds("1700000000"), Some(Time::new(1_700_000_000, 0)));
        assert_eq!(seconds("1700000000.25"), Some(Time::new(1_700_000_000, 250_000_000)));
        assert_eq!(seconds("1.0000000019"), Some(Time::new(1, 1)));
        assert_eq!(seconds("-5"), Some(Time::new(-5, 0)));
        for odd in ["", "x", "1.x", "1,5", "99999999999999", "1e9", "-1.5"] {
            assert_eq!(seconds(odd), None, "{odd}");
        }
        let date = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LAST_MODIFIED, text.parse().unwrap());
            modified(&headers).ok().flatten()
        };
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Time::new(784_111_777, 0)));
        assert_eq!(date("yesterday"), None);
    }
}
