//! The HTTP interface, version 1, below `/api/v1`.

mod access;
mod changes;
mod feed;
mod files;
mod look;
mod problem;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{get, post};

pub(crate) use self::access::Peer;
use self::problem::Trouble;
use crate::App;

/// Everything that the server answers.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/v1", get(look::about))
        .route("/api/v1/health", get(|| async { "ok\n" }))
        .route("/api/v1/shares", get(look::shares))
        .route("/api/v1/shares/{share}", get(look::share))
        .merge(both("stat", get(look::stat)))
        .merge(both("list", get(look::list)))
        .merge(both("tree", get(look::tree)))
        .merge(both("files", get(files::get)))
        .merge(both("feed", get(feed::listen)))
        .merge(both("sync", post(changes::sync)))
        .merge(both("root", post(changes::make_root)))
        .route("/api/v1/shares/{share}/changes", post(changes::apply))
        .fallback(|| async { Trouble::new(StatusCode::NOT_FOUND, "no_such_thing", "nothing is called so here") })
        .method_not_allowed_fallback(|| async {
            Trouble::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this cannot be done with that").into_response()
        })
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(hardened))
        .with_state(app)
}

/// A handler for a share's root and for all below it.
fn both(what: &str, handler: axum::routing::MethodRouter<Arc<App>>) -> Router<Arc<App>> {
    let root = format!("/api/v1/shares/{{share}}/{what}");
    Router::new()
        .route(&root, handler.clone())
        .route(&format!("{root}/"), handler.clone())
        .route(&format!("{root}/{{*path}}"), handler)
}

/// What a browser must not do with any answer.
async fn hardened(request: axum::extract::Request, next: middleware::Next) -> axum::response::Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert("x-content-type-options", "nosniff".parse().expect("a header"));
    headers.insert("content-security-policy", "default-src 'none'; sandbox".parse().expect("a header"));
    headers.entry("cache-control").or_insert("no-store".parse().expect("a header"));
    response
}
