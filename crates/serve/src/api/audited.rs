//! What is written down of a request: who asked for what, and how it ended.

use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use super::problem::Kind;
use crate::App;
use crate::audit::Record;

/// Filled in by whoever finds out who asks, and for what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Noted(Arc<Mutex<Option<Record>>>);

impl Noted {
    /// Notes it; what comes later says more.
    pub fn note(&self, record: Record) {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(record);
    }

    fn take(&self) -> Option<Record> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
    }
}

/// Answers, and writes down what was asked for. Each change of a list of changes is written down on its own.
pub(super) async fn audited(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let what = what(request.method(), request.uri().path());
    let noted = Noted::default();
    request.extensions_mut().insert(noted.clone());
    let response = next.run(request).await;
    if let Some(record) = noted.take() {
        let result = response.extensions().get::<Kind>().map_or("done", |kind| kind.0.as_str()).to_owned();
        let what = if record.what.is_empty() { what.map(str::to_owned) } else { Some(record.what.clone()) };
        // A list of changes that was refused as a whole was not gone through.
        let what = what.or_else(|| (result != "done").then(|| "change".to_owned()));
        if let Some(what) = what {
            app.audit.note(Record { what, result, ..record }).await;
        }
    }
    response
}

/// What a request is called; nothing for those that only look at one thing, of which there are many.
fn what(method: &Method, path: &str) -> Option<&'static str> {
    if path.starts_with("/dav/") {
        return match method.as_str() {
            "GET" => Some("get"),
            "PUT" => Some("write"),
            "DELETE" => Some("remove"),
            "MOVE" => Some("rename"),
            "COPY" => Some("copy"),
            "MKCOL" => Some("make_dir"),
            "PROPPATCH" => Some("set_meta"),
            "LOCK" => Some("lock"),
            _ => None,
        };
    }
    let route = path.strip_prefix("/api/v1/shares/")?.split('/').nth(1).unwrap_or_default();
    match (route, method.as_str()) {
        ("files", "GET") => Some("get"),
        ("files", "PUT") => Some("write"),
        ("files", "DELETE") => Some("remove"),
        ("files", "MOVE") | ("move", _) => Some("rename"),
        ("dirs" | "root", _) => Some("make_dir"),
        ("tree" | "entries", _) => Some("list"),
        ("hashes", _) => Some("hash"),
        _ => None,
    }
}
