//! Removing, renaming, making directories.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::ALLOW;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use sitta_store::Displaced;
use sitta_store::http::decoded;
use sitta_tree::{Kind, RelPath};

use super::access::Target;
use super::dirs::{allowed, make, make_above, make_all, no_directory, unmake};
use super::expect::{expected, header};
use super::problem::Trouble;
use super::query::Query;
use super::upload::done;
use crate::App;

/// The parameters of each.
pub(super) const REMOVE: &[&str] = &[];
pub(super) const MOVE: &[&str] = &["parents"];
pub(super) const MOVE_TO: &[&str] = &["to", "parents"];
pub(super) const MAKE: &[&str] = &["parents"];

const DESTINATION: HeaderName = HeaderName::from_static("destination");

/// Removes a file, a link or an empty directory.
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    target: Target,
    uri: Uri,
    headers: HeaderMap,
) -> Result<StatusCode, Trouble> {
    Query::parse(uri.query(), REMOVE)?;
    allowed(&target.path)?;
    let store = &target.share.store;
    let now = store.stat(&target.path).await?;
    let expect = expected(&headers, now.as_ref())?;
    if now.is_none() {
        return Err(nothing());
    }
    store.remove(&target.path, expect, Displaced::Discard).await?;
    app.properties.forget(&target.share.name, &target.path).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Methods that have no place of their own: `MOVE`, with the new path in `Destination`.
pub(super) async fn other(
    State(app): State<Arc<App>>,
    method: Method,
    target: Result<Target, Trouble>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    if method.as_str() != "MOVE" {
        let refused = Trouble::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this cannot be done with that");
        return Ok(([(ALLOW, "GET, HEAD, PUT, DELETE, MOVE")], refused).into_response());
    }
    let parents = Query::parse(uri.query(), MOVE)?.flag("parents")?;
    let target = target?;
    let expected = "write the new path in the share, percent-encoded";
    let Some(value) = headers.get(&DESTINATION) else {
        return Err(Trouble::parameter(DESTINATION.as_str(), b"", expected));
    };
    let to = value.to_str().ok().and_then(|text| path(&decoded(text)));
    let to = to.ok_or_else(|| header(&DESTINATION, value, expected))?;
    rename(&app, &target, to, parents, &headers).await
}

/// The same as `MOVE`, for clients that know the usual methods only.
pub(super) async fn move_to(
    State(app): State<Arc<App>>,
    target: Target,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let query = Query::parse(uri.query(), MOVE_TO)?;
    let (to, parents) = (query.one("to")?.unwrap_or_default(), query.flag("parents")?);
    let to =
        path(to).ok_or_else(|| Trouble::parameter("to", to, "write the new path in the share, percent-encoded"))?;
    rename(&app, &target, to, parents, &headers).await
}

/// A path in the share, with or without a slash in front.
fn path(bytes: &[u8]) -> Option<RelPath> {
    RelPath::new(bytes.strip_prefix(b"/").unwrap_or(bytes)).ok().filter(|path| !path.is_root())
}

async fn rename(
    app: &App,
    target: &Target,
    to: RelPath,
    parents: bool,
    headers: &HeaderMap,
) -> Result<Response, Trouble> {
    let (store, from) = (&target.share.store, &target.path);
    allowed(from)?;
    allowed(&to)?;
    let now = store.stat(from).await?;
    let expect = expected(headers, now.as_ref())?;
    if now.is_none() {
        return Err(nothing());
    }
    if to.is_within(from) && (to == *from || now.is_some_and(|entry| entry.kind == Kind::Dir)) {
        return Err(Trouble::new(StatusCode::CONFLICT, "inside", "it cannot be moved to or below itself"));
    }
    // Where names are folded, it may be the entry itself under another spelling: the store knows.
    if !store.capabilities().traits.folds_names && store.stat(&to).await?.is_some() {
        return Err(exists());
    }
    let made = if parents { make_above(store, &app.temps, &to).await? } else { Vec::new() };
    match store.rename(from, &to, expect).await {
        Ok(moved) => {
            let share = &target.share.name;
            app.properties.follow((share, from), (share, &to), false).await?;
            Ok(done(StatusCode::CREATED, &moved))
        }
        Err(error) => {
            unmake(store, &made).await;
            Err(no_directory(error))
        }
    }
}

/// Makes a directory; with `parents` also those above it, and one that is there is as good.
pub(super) async fn make_dir(State(app): State<Arc<App>>, target: Target, uri: Uri) -> Result<Response, Trouble> {
    let parents = Query::parse(uri.query(), MAKE)?.flag("parents")?;
    allowed(&target.path)?;
    let store = &target.share.store;
    if parents {
        let made = make_all(store, &app.temps, &target.path).await?;
        let status = if made.is_empty() { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
        return Ok(status.into_response());
    }
    if store.stat(&target.path).await?.is_some() {
        return Err(exists());
    }
    let made = make(store, &app.temps, target.path).await.map_err(no_directory)?;
    Ok(done(StatusCode::CREATED, &made))
}

fn nothing() -> Trouble {
    Trouble::new(StatusCode::NOT_FOUND, "not_found", "nothing stands there")
}

fn exists() -> Trouble {
    Trouble::new(StatusCode::CONFLICT, "exists", "something stands there already")
}
