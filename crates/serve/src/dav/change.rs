//! Writing files, making directories, removing.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sitta_tree::Kind;

use super::guard::changeable;
use super::headers::{Depth, depth};
use super::locks::Touched;
use super::refused::Refused;
use super::{Ask, broken, collection, href, look, nothing, small, whole};
use crate::api::dirs;
use crate::api::expect::expected;
use crate::api::upload::{self, How};

impl Ask {
    /// The request's own path, which it changes.
    fn touched(&self, comes_or_goes: bool, deep: bool) -> Touched {
        Touched { share: self.share().to_owned(), path: self.target.path.clone(), comes_or_goes, deep }
    }
}

/// Writes a file.
pub(super) async fn put(ask: Ask, body: Body) -> Result<Response, Refused> {
    changeable(&ask.target.path)?;
    let (share, path) = (ask.target.share.clone(), ask.target.path.clone());
    let now = look(&share.store, &path).await?;
    if now.as_ref().is_some_and(|entry| entry.kind == Kind::Dir) {
        return Err(collection());
    }
    ask.may_change(&[ask.touched(now.is_none(), false)]).await?;
    if now.is_none() {
        ask.app.properties.forget(&share.name, &path).await?;
    }
    Ok(upload::write(&ask.app, ask.target, ask.version, &ask.headers, body, How::default()).await?)
}

/// Makes a directory.
pub(super) async fn make(ask: Ask, body: Body) -> Result<Response, Refused> {
    if !small(body).await?.is_empty() {
        let what = "a directory is made of no body";
        return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", what));
    }
    let (share, path) = (&ask.target.share, &ask.target.path);
    let store = &share.store;
    if path.is_root() || look(store, path).await?.is_some() {
        return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "exists", "something stands there already"));
    }
    changeable(path)?;
    ask.may_change(&[ask.touched(true, false)]).await?;
    ask.app.properties.forget(&share.name, path).await?;
    dirs::make(store, &ask.app.temps, path.clone()).await.map_err(dirs::no_directory)?;
    Ok(StatusCode::CREATED.into_response())
}

/// Removes something, and all below it.
pub(super) async fn delete(ask: Ask) -> Result<Response, Refused> {
    let (share, path) = (ask.target.share.clone(), ask.target.path.clone());
    changeable(&path)?;
    let entry = look(&share.store, &path).await?.ok_or_else(nothing)?;
    if entry.kind == Kind::Dir && depth(&ask.headers)? != Depth::Infinity {
        return Err(Refused::odd(
            "a directory is removed with all it holds: write Depth: infinity, or leave it out",
        ));
    }
    let expect = expected(&ask.headers, Some(&entry))?;
    ask.may_change(&[ask.touched(true, true)]).await?;
    // What was begun is finished, even if the client goes away.
    let work = async move {
        let failed = whole::remove(&share.store, &path, entry.kind, expect).await?;
        if failed.is_empty() {
            ask.app.locks.forget(&share.name, &path);
            ask.app.properties.forget(&share.name, &path).await?;
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        Ok(whole::partly(&failed, |path| href(&share.name, path, Kind::File)))
    };
    tokio::spawn(work).await.map_err(|_| broken())?
}
