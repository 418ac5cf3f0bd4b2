//! The chunks of a file, for whoever has another version of it and wants to know what differs.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use sitta_store::sitta::wire::{CHUNKS, Nodes};
use sitta_tree::Kind;

use super::access::Target;
use super::expect::{etag, expected};
use super::problem::Trouble;
use super::query::Query;
use crate::App;

/// The parameters.
pub(super) const KNOWN: &[&str] = &["nodes"];

/// A client that hears nothing for longer may think that nobody is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many nodes can be asked for at a time.
const MOST: u64 = 4096;

/// Nodes of the tree over a file's chunks.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    target: Target,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let wanted = Query::parse(uri.query(), KNOWN)?.read("nodes", wanted)?;
    let store = &target.share.store;
    if store.behind().is_none() {
        let what = "the files of this share lie elsewhere: looking into them costs as much as sending them";
        return Err(Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, "unsupported", what));
    }
    let entry = store.stat(&target.path).await?;
    // A version may be demanded with the headers of RFC 9110, as for the file itself.
    if headers.contains_key(IF_MATCH) {
        expected(&headers, entry.as_ref())?;
    }
    let entry = entry.ok_or_else(|| Trouble::new(StatusCode::NOT_FOUND, "not_found", "nothing stands there"))?;
    if entry.kind != Kind::File {
        return Err(Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, "unsupported", "it is not a file"));
    }
    let tree = app.chunks.of(&target.share, &target.path, &entry.fingerprint(), PATIENCE).await?;
    let Some(tree) = tree else { return Ok((StatusCode::ACCEPTED, [(RETRY_AFTER, "1")]).into_response()) };
    let nodes = match wanted {
        None => Nodes::top(&tree),
        Some((level, ranges)) => Nodes::below(&tree, level, ranges.into_iter().flatten())
            .ok_or_else(|| Trouble::new(StatusCode::NOT_FOUND, "not_found", "the file has no such nodes"))?,
    };
    Ok(([(CONTENT_TYPE, CHUNKS.to_owned()), (ETAG, etag(&entry))], nodes.into_bytes()).into_response())
}

/// `2:0-15,18`
fn wanted(text: &str) -> Result<(usize, Vec<RangeInclusive<u32>>), &'static str> {
    let expected = "write for example 2:0-15,18, with 4096 nodes at most";
    let (level, ranges) = text.split_once(':').ok_or(expected)?;
    let level = level.parse::<u8>().map_err(|_| expected)?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| expected);
    let (mut wanted, mut count) = (Vec::new(), 0);
    for range in ranges.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (number(first)?, number(last)?);
        count += u64::from(last.checked_sub(first).ok_or(expected)?) + 1;
        if count > MOST {
            return Err(expected);
        }
        wanted.push(first..=last);
    }
    Ok((usize::from(level), wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_asked_for_in_ranges() {
        assert_eq!(wanted("2:0-15,18"), Ok((2, vec![0..=15, 18..=18])));
        assert_eq!(wanted("1:4294967295"), Ok((1, vec![u32::MAX..=u32::MAX])));
        for odd in ["", "2", "2:", ":1", "2:1-", "2:3-2", "2:-1", "256:0", "1:4294967296", "1:0-4096", "1:0-4095,0"]
        {
            assert!(wanted(odd).is_err(), "{odd}");
        }
    }
}
