//! What a directory holds, narrowed and sorted: one call for a script or a page.

use std::cmp::Ordering;
use std::convert::Infallible;

use axum::body::Body;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sitta_store::look::{Choice, Item, Place, Wanted};
use sitta_store::written::{parse_size, parse_when};
use sitta_tree::{Problem, RelPath, Time};

use super::access::Target;
use super::page::{By, Mark, Order, sort};
use super::problem::Trouble;
use super::query::Query;
use super::told::{ToldEntry, ToldProblem, text};

/// The parameters.
pub(super) const KNOWN: &[&str] = &[
    "recursive",
    "ext",
    "glob",
    "since",
    "until",
    "min_size",
    "max_size",
    "contains",
    "name",
    "sort",
    "limit",
    "after",
];

/// So many entries are made into text at a time.
const PIECE: usize = 256;

/// What is asked for.
struct Asked {
    recursive: bool,
    choice: Choice,
    order: Order,
    limit: Option<usize>,
    after: Option<Mark>,
}

impl Asked {
    fn read(query: Option<&str>, now: Timestamp) -> Result<Self, Trouble> {
        let query = Query::parse(query, KNOWN)?;
        let order = query.read("sort", str::parse::<Order>)?.unwrap_or(Order::NAME);
        let mut globs = Vec::new();
        for glob in query.all("glob") {
            let text = std::str::from_utf8(glob);
            let text =
                text.map_err(|_| Trouble::parameter("glob", glob, "write '?' for each byte that is not UTF-8"))?;
            globs.push(text.to_owned());
        }
        let extensions = query.all("ext").flat_map(|list| list.split(|b| *b == b','));
        let wanted = Wanted {
            extensions: extensions.filter(|ext| !ext.is_empty()).map(<[u8]>::to_vec).collect(),
            min_size: query.read("min_size", parse_size)?,
            max_size: query.read("max_size", parse_size)?,
            since: query.read("since", |text| when(text, now))?,
            until: query.read("until", |text| when(text, now))?,
            contains: query.one("contains")?.map(<[u8]>::to_vec),
            name: query.one("name")?.map(<[u8]>::to_vec),
            by_time: order.by == By::Time,
            globs,
        };
        let choice = Choice::new(&wanted)
            .map_err(|wrong| Trouble::parameter("glob", wrong.pattern.as_bytes(), &wrong.error.to_string()))?;
        let limit = query.read("limit", |text| match text.parse::<usize>() {
            Ok(limit @ 1..) => Ok(limit),
            _ => Err("write how many entries, one at least"),
        })?;
        let other = "give what the page before says in 'next', with the same 'sort'";
        let after = query.read("after", |token| Mark::read(token, order).ok_or(other))?;
        Ok(Self { recursive: query.flag("recursive")?, choice, order, limit, after })
    }
}

/// A point in time; one without a zone is in UTC.
fn when(text: &str, now: Timestamp) -> Result<Time, String> {
    // A `+` that was not written as `%2B` arrives as a blank.
    let text = match text.split_once('T') {
        Some((date, time)) => format!("{date}T{}", time.replace(' ', "+")),
        None => text.to_owned(),
    };
    parse_when(&text, now, &TimeZone::UTC)
}

/// Lists a directory, or all below it.
pub(super) async fn list(target: Target, uri: Uri) -> Result<Response, Trouble> {
    let asked = Asked::read(uri.query(), Timestamp::now())?;
    let place = Place { store: target.share.store.clone(), base: target.path };
    let mut problems = Vec::new();
    let indexed = match &target.share.index {
        Some(index) if asked.recursive => index.gather(&place, &asked.choice, &mut problems).await,
        _ => None,
    };
    let items = match indexed {
        Some(items) => items,
        None => place.gather(&asked.choice, asked.recursive, false, &mut problems).await?,
    };
    let mut items = sort(items, asked.order);
    if let Some(after) = &asked.after {
        let behind = items.partition_point(|(mark, _)| asked.order.compare(mark, after) != Ordering::Greater);
        items.drain(..behind);
    }
    let mut items: Vec<Item> = items.into_iter().map(|(_, item)| item).collect();
    if asked.choice.reads() {
        // As many as are told, and one more.
        let most = asked.limit.map_or(usize::MAX, |limit| limit.saturating_add(1));
        items = place.containing(items, &asked.choice, most, &mut problems).await;
    }
    let limit = asked.limit.unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| Mark::from(last).token(asked.order));
    if !place.store.capabilities().lists_meta {
        items = place.with_times(items, &mut problems).await;
    }
    Ok(told(place.base, items, next.as_deref(), &problems))
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data")
}

/// One object, made while it is sent: a listing may be long.
fn told(base: RelPath, items: Vec<Item>, next: Option<&str>, problems: &[Problem]) -> Response {
    let (path, bytes) = text(base.as_bytes());
    let mut head = format!("{{\"path\":{}", json(&path));
    if let Some(bytes) = bytes {
        head.push_str(&format!(",\"path_bytes\":{}", json(&bytes)));
    }
    head.push_str(",\"entries\":[");
    let problems: Vec<_> = problems.iter().map(|problem| ToldProblem::new(&base, problem)).collect();
    let tail = format!("],\"next\":{},\"problems\":{}}}\n", json(&next), json(&problems));
    let mut first = true;
    let entries = stream::iter(items).chunks(PIECE).map(move |items| {
        let mut piece = String::new();
        for item in &items {
            if !std::mem::take(&mut first) {
                piece.push(',');
            }
            piece.push_str(&json(&ToldEntry::new(&base, item)));
        }
        Bytes::from(piece)
    });
    let start = stream::once(async { Bytes::from(head) });
    let end = stream::once(async { Bytes::from(tail) });
    let body = start.chain(entries).chain(end).map(Ok::<_, Infallible>);
    ([(CONTENT_TYPE, "application/json")], Body::from_stream(body)).into_response()
}
