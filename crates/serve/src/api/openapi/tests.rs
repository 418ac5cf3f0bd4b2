use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use tower::ServiceExt;

use super::super::{router, routes};
use super::*;
use crate::audit::Audit;
use crate::{Accounts, App};

/// A server without anything to share.
fn server(dir: &std::path::Path) -> Router {
    let (_, stopped) = tokio::sync::watch::channel(false);
    let accounts = Accounts::open(&dir.join("server.db")).unwrap();
    let audit = Audit::start(accounts.file().to_owned()).unwrap();
    let properties = crate::Properties::open(accounts.file()).unwrap();
    router(std::sync::Arc::new(App::new(Default::default(), accounts, audit, properties, stopped)))
}

async fn answers(router: &Router, method: &str, path: &str) -> bool {
    let path = path.replace("{share}", "s").replace("{path}", "p");
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let status = router.clone().oneshot(request).await.unwrap().status();
    status != StatusCode::METHOD_NOT_ALLOWED
}

/// Whatever the server answers is described, and nothing else is.
#[tokio::test]
async fn all_that_is_answered_is_described() {
    let dir = tempfile::tempdir().unwrap();
    let router = server(dir.path());
    let described = paths();
    let known: BTreeSet<_> = routes().into_iter().map(|(path, _)| path.to_owned()).collect();
    assert_eq!(known, described.keys().cloned().collect::<BTreeSet<_>>());
    let mut operations = 0;
    for path in &known {
        assert_ne!(crate::metrics::route(path), "other", "{path} is counted");
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH", "MOVE", "COPY"] {
            let key = if method == "MOVE" { "x-move".to_owned() } else { method.to_lowercase() };
            let is_described = described[path].get(&key).is_some();
            assert_eq!(answers(&router, method, path).await, is_described, "{method} {path}");
            operations += usize::from(is_described);
        }
    }
    assert_eq!(operations, 25);
}

/// Every reference leads somewhere, and every parameter says what it means.
#[test]
fn the_description_hangs_together() {
    let document = document();
    let mut pending = vec![&document];
    let mut references = 0;
    while let Some(value) = pending.pop() {
        if let Some(to) = value.get("$ref").and_then(Value::as_str) {
            let pointer = to.strip_prefix('#').expect("in this document");
            assert!(document.pointer(pointer).is_some(), "{to}");
            references += 1;
        }
        if value.get("in").is_some() {
            assert_ne!(value["description"], "", "{value}");
        }
        match value {
            Value::Object(fields) => pending.extend(fields.values()),
            Value::Array(items) => pending.extend(items),
            _ => {}
        }
    }
    assert!(references > 20, "{references}");
    let names: Vec<_> = paths().values().flat_map(|item| item.as_object().unwrap().clone()).collect();
    let ids: Vec<_> = names.iter().filter_map(|(_, operation)| operation.get("operationId")).collect();
    assert_eq!(
        ids.iter().map(|id| id.as_str()).collect::<BTreeSet<_>>().len(),
        ids.len(),
        "each is called otherwise"
    );
}
