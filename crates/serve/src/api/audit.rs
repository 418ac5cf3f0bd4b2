//! The audit: who did what, when, from where, and how it ended.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::access::Caller;
use super::problem::Trouble;
use super::query::Query;
use super::told::text;
use crate::audit::{self, Record};
use crate::{App, Scope};

/// The parameters.
pub(super) const KNOWN: &[&str] = &["limit"];

/// So many lines are told unless others are asked for, and so many at most.
const USUAL: usize = 100;
const MOST: usize = 10_000;

/// The last of it, the newest first. It tells of everybody, and so it is told only to those who may do everything.
pub(super) async fn get(State(app): State<Arc<App>>, caller: Caller, uri: Uri) -> Result<Json<Value>, Trouble> {
    if caller.scope != Scope::ALL {
        let what = "this is told to accounts that may write to all shares";
        return Err(Trouble::new(StatusCode::FORBIDDEN, "denied", what));
    }
    let query = Query::parse(uri.query(), KNOWN)?;
    let limit = query.read("limit", |text| match text.parse::<usize>() {
        Ok(limit @ 1..) => Ok(limit.min(MOST)),
        _ => Err("write how many lines, one at least"),
    })?;
    let (file, limit) = (app.accounts.file().to_owned(), limit.unwrap_or(USUAL));
    let read = move || audit::read(&file, u32::try_from(limit).unwrap_or(u32::MAX));
    let records = match tokio::task::spawn_blocking(read).await {
        Ok(Ok(records)) => records,
        _ => return Err(Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "other", "the audit cannot be read")),
    };
    Ok(Json(json!({ "records": records.iter().map(told).collect::<Vec<_>>() })))
}

fn told(record: &Record) -> Value {
    let Record { at, who, from, what, share, path, result } = record;
    let (path, bytes) = text(path);
    let mut told = json!({
        "at": at.to_string(), "who": who, "from": from, "what": what, "share": share, "path": path, "result": result,
    });
    if let Some(bytes) = bytes {
        told["path_bytes"] = bytes.into();
    }
    told
}
