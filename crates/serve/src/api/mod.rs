//! The HTTP interface, version 1, below `/api/v1`; WebDAV stands beside it.

#[cfg(test)]
mod abuse;
pub(crate) mod access;
mod arriving;
mod audit;
pub(crate) mod audited;
mod changes;
mod chunks;
pub(crate) mod dirs;
mod edit;
mod entries;
pub(crate) mod expect;
mod feed;
pub(crate) mod files;
mod hashes;
mod look;
mod once;
mod openapi;
mod page;
pub(crate) mod problem;
mod query;
mod resume;
mod told;
pub(crate) mod upload;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, any, get, post};

pub(crate) use self::access::Peer;
use self::problem::Trouble;
use crate::{App, dav, metrics};

/// Where a path in a share may follow, or nothing.
const PATH: &str = "/{path}";

/// What is answered where. All of it stands in the description of the interface.
fn routes() -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    let files = get(files::get).put(upload::put).delete(edit::remove).fallback(edit::other);
    vec![
        ("/api/v1", get(look::about)),
        ("/api/v1/audit", get(audit::get)),
        ("/api/v1/health", get(|| async { "ok\n" })),
        ("/api/v1/metrics", get(look::metrics)),
        ("/api/v1/openapi.json", get(openapi::get)),
        ("/api/v1/shares", get(look::shares)),
        ("/api/v1/shares/{share}", get(look::share)),
        ("/api/v1/shares/{share}/changes", post(changes::apply)),
        ("/api/v1/shares/{share}/chunks/{path}", get(chunks::get)),
        ("/api/v1/shares/{share}/dirs/{path}", post(edit::make_dir)),
        ("/api/v1/shares/{share}/entries/{path}", get(entries::list)),
        ("/api/v1/shares/{share}/feed/{path}", get(feed::listen)),
        ("/api/v1/shares/{share}/files/{path}", files),
        ("/api/v1/shares/{share}/hashes/{path}", get(hashes::get)),
        ("/api/v1/shares/{share}/list/{path}", get(look::list)),
        ("/api/v1/shares/{share}/move/{path}", post(edit::move_to)),
        ("/api/v1/shares/{share}/root/{path}", post(changes::make_root)),
        ("/api/v1/shares/{share}/stat/{path}", get(look::stat)),
        ("/api/v1/shares/{share}/sync/{path}", post(changes::sync)),
        ("/api/v1/shares/{share}/tree/{path}", get(look::tree)),
        ("/api/v1/shares/{share}/uploads/{path}", get(resume::get)),
        ("/api/v1/shares/{share}/xattrs/{path}", get(look::xattrs)),
    ]
}

/// Everything that the server answers.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for (route, handler) in routes() {
        router = match route.strip_suffix(PATH) {
            None => router.route(route, handler),
            Some(root) => router
                .route(root, handler.clone())
                .route(&format!("{root}/"), handler.clone())
                .route(&format!("{root}/{{*path}}"), handler),
        };
    }
    for route in ["/dav", "/dav/", "/dav/{*path}"] {
        router = router.route(route, any(dav::answer));
    }
    router
        .fallback(|| async { Trouble::new(StatusCode::NOT_FOUND, "no_such_thing", "nothing is called so here") })
        .method_not_allowed_fallback(|| async {
            Trouble::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this cannot be done with that").into_response()
        })
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(app.clone(), audited::audited))
        .layer(middleware::from_fn(hardened))
        .layer(middleware::from_fn_with_state(app.clone(), metrics::measured))
        .with_state(app)
}

/// What a browser must not do with any answer.
async fn hardened(request: axum::extract::Request, next: middleware::Next) -> axum::response::Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
