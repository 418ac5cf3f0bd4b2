//! The bytes of files: whole or in part, of one version or not at all.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE,
    LAST_MODIFIED, RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::{FutureExt, StreamExt, stream};
use sitta_store::{ByteStream, ErrorKind, Source};
use sitta_tree::{Entry, Kind, Time};

use super::access::Target;
use super::expect::etag;
use super::problem::Trouble;

/// So often a file that is replaced between our looking and our opening is looked at again.
const LOOKS: usize = 8;

/// A file, or the part of it that is asked for (RFC 9110, 14).
pub(crate) async fn get(method: Method, target: Target, headers: HeaderMap) -> Result<Response, Trouble> {
    let mut looks = LOOKS;
    loop {
        looks -= 1;
        match look(&method, &target, &headers).await {
            Err(trouble) if looks > 0 && trouble.is_change() && !headers.contains_key(IF_MATCH) => {}
            answer => return answer,
        }
    }
}

async fn look(method: &Method, target: &Target, headers: &HeaderMap) -> Result<Response, Trouble> {
    let Target { share, path, .. } = target;
    let entry = share.store.stat(path).await?;
    let entry = entry.ok_or_else(|| Trouble::new(StatusCode::NOT_FOUND, "not_found", "nothing stands there"))?;
    match entry.kind {
        Kind::File => {}
        Kind::Dir => return Err(Trouble::new(StatusCode::CONFLICT, "is_a_directory", "it is a directory")),
        _ => return Err(Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, "unsupported", "it is not a file")),
    }
    let etag = etag(&entry);
    if let Some(wanted) = text(headers, &IF_MATCH)
        && !names(wanted, &etag)
    {
        return Err(Trouble::new(StatusCode::PRECONDITION_FAILED, "changed", "it is another version by now"));
    }
    if text(headers, &IF_NONE_MATCH).is_some_and(|known| names(known, &etag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    let wanted = text(headers, &RANGE).filter(|_| text(headers, &IF_RANGE).is_none_or(|known| known == etag));
    let (from, to, partial) = match wanted.map(|range| parse(range, entry.size)) {
        None | Some(Asked::Whole) => (0, entry.size, false),
        Some(Asked::Part(from, to)) => (from, to, true),
        Some(Asked::Beyond) => {
            let beyond = format!("bytes */{}", entry.size);
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, beyond)]).into_response());
        }
    };
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => {
            let source =
                Source::Stored { store: share.store.clone(), path: path.clone(), version: entry.fingerprint() };
            at_once(part(source, from, to, entry.size).await?, to - from)
        }
    };
    let mut response = body.into_response();
    describe(response.headers_mut(), &entry, &etag, to - from);
    if partial {
        let range = format!("bytes {from}-{}/{}", to - 1, entry.size);
        response.headers_mut().insert(CONTENT_RANGE, HeaderValue::from_str(&range).expect("digits"));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

fn describe(headers: &mut HeaderMap, entry: &Entry, etag: &str, len: u64) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, len.into());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(ETAG, HeaderValue::from_str(etag).expect("hexadecimal"));
    if let Some(modified) = date(entry.meta.mtime).and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(LAST_MODIFIED, modified);
    }
}

/// A point in time as HTTP writes it (RFC 9110, 5.6.7); none where it cannot be written.
pub(crate) fn date(time: Time) -> Option<String> {
    let at = jiff::Timestamp::new(time.secs, 0).ok()?;
    Some(at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a list of tags names this one.
fn names(list: &str, etag: &str) -> bool {
    list.split(',').map(str::trim).any(|known| known == "*" || known == etag)
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// All of it, or what is not understood.
    Whole,
    /// From there to before there.
    Part(u64, u64),
    /// What the file does not have.
    Beyond,
}

/// One range of bytes; several at once are answered with the whole file, as the RFC allows.
fn parse(range: &str, size: u64) -> Asked {
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Asked::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if last.is_empty() && first < size => Asked::Part(first, size),
        (Ok(first), Ok(last)) if first > last => Asked::Whole,
        (Ok(first), Ok(last)) if first < size => Asked::Part(first, size.min(last.saturating_add(1))),
        (Ok(_), last_read) if last.is_empty() || last_read.is_ok() => Asked::Beyond,
        (Err(_), Ok(0)) if first.is_empty() => Asked::Beyond,
        (Err(_), Ok(_)) if first.is_empty() && size == 0 => Asked::Beyond,
        (Err(_), Ok(tail)) if first.is_empty() => Asked::Part(size.saturating_sub(tail), size),
        _ => Asked::Whole,
    }
}

/// The bytes, of that version; where they turn out not to be, the stream breaks off before its last piece has gone.
async fn part(source: Source, from: u64, to: u64, size: u64) -> Result<ByteStream, Trouble> {
    if from == to {
        source.check().await?;
        return Ok(stream::empty().boxed());
    }
    let bytes = source.open(from).await?.bytes;
    if to == size {
        return Ok(bytes);
    }
    let state = Some((bytes, source, to - from));
    let part = stream::unfold(state, |state| async move {
        let (mut bytes, source, left) = state?;
        match bytes.next().await {
            Some(Ok(mut piece)) if (piece.len() as u64) < left => {
                let left = left - piece.len() as u64;
                Some((Ok(std::mem::take(&mut piece)), Some((bytes, source, left))))
            }
            Some(Ok(piece)) => match source.check().await {
                Ok(()) => Some((Ok(piece.slice(..left as usize)), None)),
                Err(error) => Some((Err(error), None)),
            },
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                let error = source.check().await.err().unwrap_or_else(|| short(&source));
                Some((Err(error), None))
            }
        }
    });
    Ok(part.boxed())
}

/// A body of `len` bytes. If all of them are there already, it is one piece, after which HTTP need not look for another.
fn at_once(mut bytes: ByteStream, len: u64) -> Body {
    match bytes.next().now_or_never() {
        Some(Some(Ok(piece))) if piece.len() as u64 == len => Body::from(piece),
        Some(Some(first)) => Body::from_stream(stream::once(std::future::ready(first)).chain(bytes)),
        Some(None) | None => Body::from_stream(bytes),
    }
}

fn short(source: &Source) -> sitta_store::Error {
    let (location, path) = match source {
        Source::Stored { store, path, .. } => (store.location().to_owned(), Some(path.clone())),
        _ => (String::new(), None),
    };
    sitta_store::Error::new(
        ErrorKind::Changed,
        &location.as_str().into(),
        path,
        "gave fewer bytes than it should have",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood_or_left_alone() {
        assert_eq!(parse("bytes=0-0", 10), Asked::Part(0, 1));
        assert_eq!(parse("bytes=5-", 10), Asked::Part(5, 10));
        assert_eq!(parse("bytes=5-99", 10), Asked::Part(5, 10));
        assert_eq!(parse("bytes=-3", 10), Asked::Part(7, 10));
        assert_eq!(parse("bytes=-99", 10), Asked::Part(0, 10));
        for beyond in ["bytes=10-", "bytes=10-11", "bytes=-0"] {
            assert_eq!(parse(beyond, 10), Asked::Beyond, "{beyond}");
        }
        assert_eq!(parse("bytes=0-", 0), Asked::Beyond);
        for odd in ["bytes=5-4", "bytes=a-b", "items=0-1", "bytes=0-1,3-4", "bytes=-", "bytes=5-x", ""] {
            assert_eq!(parse(odd, 10), Asked::Whole, "{odd}");
        }
    }
}
