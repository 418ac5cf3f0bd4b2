//! WebDAV (RFC 4918, classes 1 and 2) at `/dav/SHARE/PATH`: the shares as drives of file managers and other clients.
//!
//! It stands on the same ground as the interface for scripts: the same logins, scopes, stores and audit; files come and go
//! by the same code. What is its own: properties that clients note, and locks.

mod change;
mod condition;
mod guard;
mod headers;
mod live;
mod lock;
mod locks;
mod patch;
mod properties;
mod propfind;
mod refused;
mod transfer;
mod whole;
mod xml;
#[cfg(test)]
mod xml_tests;

use std::fmt::Write;
use std::sync::Arc;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{ALLOW, HOST, SERVER};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use sitta_store::http::encoded;
use sitta_store::{ErrorKind, Store};
use sitta_tree::{Entry, Kind, RelPath};

pub(crate) use self::locks::Locks;
pub(crate) use self::properties::Properties;
use self::refused::Refused;
use crate::App;
use crate::api::access::{Caller, Target, named};
use crate::api::dirs::is_own;
use crate::api::{audited::Noted, files};

/// The longest XML that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// What can be asked of an entry.
const METHODS: &str = "OPTIONS, GET, HEAD, PUT, DELETE, MKCOL, COPY, MOVE, PROPFIND, PROPPATCH, LOCK, UNLOCK";

/// A request for something in a share.
struct Ask {
    app: Arc<App>,
    target: Target,
    headers: HeaderMap,
    version: Version,
    /// The server as the client names it.
    host: Option<Authority>,
    noted: Option<Noted>,
}

impl Ask {
    fn share(&self) -> &str {
        &self.target.share.name
    }
}

/// Answers a request below `/dav`.
pub(crate) async fn answer(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut response =
        respond(app, parts, body).await.unwrap_or_else(|refused| with_allow(refused.into_response()));
    let server = HeaderValue::from_static(concat!("sitta/", env!("CARGO_PKG_VERSION")));
    response.headers_mut().insert(SERVER, server);
    response
}

async fn respond(app: Arc<App>, mut parts: Parts, body: Body) -> Result<Response, Refused> {
    let method = parts.method.clone();
    if named(parts.uri.path()).0.is_empty() {
        let caller = Caller::from_request_parts(&mut parts, &app).await?;
        return match method.as_str() {
            "OPTIONS" => Ok(options()),
            "PROPFIND" => propfind::shares(&app, &caller, &parts.headers, body).await,
            _ => Err(not_allowed()),
        };
    }
    let target = Target::from_request_parts(&mut parts, &app).await?;
    if is_own(&target.path) {
        return Err(nothing());
    }
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).and_then(|host| host.parse().ok());
    let host = host.or_else(|| parts.uri.authority().cloned());
    let noted = parts.extensions.get::<Noted>().cloned();
    let ask = Ask { app, target, headers: parts.headers, version: parts.version, host, noted };
    match method.as_str() {
        "OPTIONS" => Ok(options()),
        "GET" | "HEAD" => get(method, ask).await,
        "PUT" => change::put(ask, body).await,
        "DELETE" => change::delete(ask).await,
        "MKCOL" => change::make(ask, body).await,
        "COPY" => transfer::transfer(ask, true).await,
        "MOVE" => transfer::transfer(ask, false).await,
        "PROPFIND" => propfind::find(ask, body).await,
        "PROPPATCH" => patch::patch(ask, body).await,
        "LOCK" => lock::lock(ask, body).await,
        "UNLOCK" => lock::unlock(&ask),
        _ => Err(not_allowed()),
    }
}

fn options() -> Response {
    let headers = [("dav", "1, 2"), ("allow", METHODS), ("ms-author-via", "DAV")];
    (StatusCode::OK, headers).into_response()
}

async fn get(method: Method, ask: Ask) -> Result<Response, Refused> {
    match files::get(method, ask.target, ask.headers).await {
        Err(trouble) if trouble.kind() == "is_a_directory" => Err(collection()),
        answer => Ok(answer?),
    }
}

/// The whole body, if it is not too long.
async fn small(body: Body) -> Result<bytes::Bytes, Refused> {
    let too_large =
        || Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the XML is too long, or broke off");
    if body.size_hint().lower() > LONGEST as u64 {
        return Err(too_large());
    }
    to_bytes(body, LONGEST).await.map_err(|_| too_large())
}

/// What stands at a path. A name that the store cannot hold is one of nothing.
async fn look(store: &Arc<dyn Store>, path: &RelPath) -> sitta_store::Result<Option<Entry>> {
    match store.stat(path).await {
        Err(error) if error.kind == ErrorKind::Unsupported => Ok(None),
        told => told,
    }
}

/// The path of the URL of something: percent-encoded, with a slash behind a directory's.
fn href(share: &str, path: &RelPath, kind: Kind) -> String {
    let mut href = format!("/dav/{}", encoded(share.as_bytes()));
    for part in path.parts() {
        let _ = write!(href, "/{}", encoded(part));
    }
    if kind == Kind::Dir {
        href.push('/');
    }
    href
}

/// Work that came to no end.
fn broken() -> Refused {
    Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "other", "it could not be done")
}

fn nothing() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "not_found", "nothing stands there")
}

fn collection() -> Refused {
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, "is_a_directory", "it is a directory")
}

fn not_allowed() -> Refused {
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this cannot be done with that")
}

/// A refusal of a method says which there are (RFC 9110, 15.5.6).
fn with_allow(mut response: Response) -> Response {
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
    }
    response
}
