//! Requests that nobody in their right mind makes: whatever comes, the server does not fail, nothing outside the share is
//! read or written, and what it says of it is well formed.

mod samples;

use std::borrow::Cow;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::BodyExt;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use sitta_store::local::LocalStore;
use tower::ServiceExt;

use self::samples::{BODIES, CHANGES, HEADERS, METHODS, NAMES, SAID, UNKNOWN, VALUES};
use super::{Peer, chunks, edit, entries, hashes, look, routes};
use crate::{Accounts, App, Share, audit, dav};

const SECRET: &str = "nobody shall see this";

/// So many requests are made.
const CASES: u32 = 3_000;

/// Each is answered within this, or goes on for ever and is let go of.
const SOON: Duration = Duration::from_secs(20);

/// One of the known, or something else.
fn text(known: impl Into<Cow<'static, [&'static str]>>) -> impl Strategy<Value = Vec<u8>> {
    let known = known.into();
    prop_oneof![
        8 => select(known.clone()).prop_map(|text| text.as_bytes().to_vec()),
        2 => vec(any::<u8>(), 0..24),
        1 => (select(known.clone()), select(known)).prop_map(|(a, b)| [a.as_bytes(), b.as_bytes()].concat()),
    ]
}

/// As it can stand in a URL: bytes that cannot are written as `%xx`, percent signs stay.
fn escaped(text: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#?".contains(byte);
    text.iter().map(|byte| if plain(byte) { (*byte as char).to_string() } else { format!("%{byte:02x}") }).collect()
}

fn uri() -> impl Strategy<Value = String> {
    let known: Vec<_> = routes().into_iter().map(|(route, _)| route.to_owned()).collect();
    let route = prop_oneof![4 => select(known), 2 => Just("/dav/{share}/{path}".to_owned()), 1 => Just("/{path}".to_owned())];
    let share = prop_oneof![9 => Just(b"files".to_vec()), 1 => text(NAMES)];
    let keys = [entries::KNOWN, hashes::KNOWN, chunks::KNOWN, edit::MOVE_TO, look::TREE, UNKNOWN].concat();
    let query = prop_oneof![Just(Vec::new()), vec((text(keys), text(VALUES)), 1..4)];
    (route, share, text(NAMES), query).prop_map(|(route, share, path, query)| {
        let query: Vec<_> =
            query.iter().map(|(key, value)| format!("{}={}", escaped(key), escaped(value))).collect();
        let path = route.replace("{share}", &escaped(&share)).replace("{path}", &escaped(&path));
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    })
}

/// Some text, or a list of changes with its length before it, which may be wrong.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let changes = (text(CHANGES), prop_oneof![8 => Just(0_i64), 1 => any::<i64>()], vec(any::<u8>(), 0..8));
    prop_oneof![
        text(BODIES),
        vec(any::<u8>(), 0..200),
        changes.prop_map(|(list, off, rest)| {
            let length = (list.len() as u32).wrapping_add(off as u32);
            [&length.to_be_bytes(), &list[..], &rest[..]].concat()
        }),
    ]
}

type Asked = (&'static str, String, Vec<(&'static str, Vec<u8>)>, Vec<u8>);

fn requests() -> impl Strategy<Value = Asked> {
    let method = prop_oneof![select(&METHODS[..5]), select(METHODS)];
    let headers = prop_oneof![Just(Vec::new()), vec((select(HEADERS), text(SAID)), 1..4)];
    (method, uri(), headers, body())
}

/// A folder that is shared, with something secret beside it.
fn served(dir: &Path) -> Router {
    let shared = dir.join("shared");
    fs::create_dir_all(shared.join("d")).unwrap();
    fs::write(dir.join("secret"), SECRET).unwrap();
    fs::write(shared.join("f"), "content").unwrap();
    fs::write(shared.join("d/g"), vec![7; 100_000]).unwrap();
    let _ = symlink("..", shared.join("up"));
    let _ = symlink("../secret", shared.join("link"));
    let (_, stopped) = tokio::sync::watch::channel(false);
    let accounts = Accounts::open(&dir.join("server.db")).unwrap();
    let audit = audit::Audit::start(accounts.file().to_owned()).unwrap();
    let properties = dav::Properties::open(accounts.file()).unwrap();
    let share = Share::new("files", Arc::new(LocalStore::open(shared).unwrap()), true);
    let shares = [("files".to_owned(), Arc::new(share))].into();
    super::router(Arc::new(App::new(shares, accounts, audit, properties, stopped)))
}

/// The answer: its status, whether it says that it is a problem, and its bytes. None if HTTP itself would not let it pass.
async fn ask(router: &Router, (method, uri, headers, body): &Asked) -> Option<(StatusCode, bool, Vec<u8>)> {
    let uri: Uri = uri.parse().ok()?;
    let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).ok()?).uri(uri);
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a name");
        request = request.header(name, HeaderValue::from_bytes(value).ok()?);
    }
    let mut request = request.body(Body::from(body.clone())).ok()?;
    // A body is as long as its head says, or the connection has broken off and nobody hears the answer.
    let len = body.len().to_string();
    if request.headers().get_all(CONTENT_LENGTH).iter().any(|told| told.as_bytes() != len.as_bytes()) {
        return None;
    }
    request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    request.extensions_mut().insert(Peer("127.0.0.1:1".parse().expect("an address")));
    let feed = request.uri().path().contains("/feed");
    let answer =
        tokio::time::timeout(SOON, router.clone().oneshot(request)).await.expect("it is answered").unwrap();
    let problem = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
    let status = answer.status();
    // What goes on for ever is not read.
    let bytes = match feed && status.is_success() {
        true => Vec::new(),
        false => {
            let bytes = tokio::time::timeout(SOON, answer.into_body().collect()).await.expect("it ends");
            bytes.map(|bytes| bytes.to_bytes().to_vec()).unwrap_or_default()
        }
    };
    Some((status, problem, bytes))
}

fn holds(dir: &Path, asked: &Asked, status: StatusCode, problem: bool, bytes: &[u8]) -> Result<(), TestCaseError> {
    // RFC 4918, 9.8.5 and 9.9.4: what is to go to another server is refused so.
    let elsewhere = matches!(asked.0, "COPY" | "MOVE") && asked.1.starts_with("/dav/");
    let told_so = status == StatusCode::INSUFFICIENT_STORAGE || (elsewhere && status == StatusCode::BAD_GATEWAY);
    prop_assert!(!status.is_server_error() || told_so, "{status} for {asked:?}");
    prop_assert!(!bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "told: {asked:?}");
    let secret = fs::read_to_string(dir.join("secret")).ok();
    prop_assert_eq!(secret.as_deref(), Some(SECRET), "{:?}", asked);
    let mut beside: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    beside.retain(|name| !name.to_string_lossy().starts_with("server.db"));
    beside.sort();
    prop_assert_eq!(beside, ["secret", "shared"], "{:?}", asked);
    if problem && asked.0 != "HEAD" {
        let told: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
        prop_assert_eq!(told["status"].as_u64(), Some(status.as_u16().into()), "{:?}", asked);
        prop_assert!(told["title"].as_str().is_some_and(|title| !title.is_empty()), "{told}");
    }
    Ok(())
}

#[test]
fn whatever_is_asked_the_server_stands_and_nothing_else_is_touched() {
    let persistence = Some(Box::new(FileFailurePersistence::Off) as Box<_>);
    let config =
        Config { cases: CASES, failure_persistence: persistence, max_shrink_iters: 200, ..Config::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut reached, mut refused) = (0, 0);
    let dir = tempfile::tempdir().unwrap();
    let router = runtime.block_on(async { served(dir.path()) });
    let counts = std::cell::RefCell::new((&mut reached, &mut refused));
    let done = TestRunner::new(config).run(&requests(), |asked| {
        // What an earlier request removed is there again.
        drop(fs::create_dir_all(dir.path().join("shared/d")));
        drop(fs::write(dir.path().join("shared/f"), "content"));
        let Some((status, problem, bytes)) = runtime.block_on(ask(&router, &asked)) else { return Ok(()) };
        let mut counts = counts.borrow_mut();
        *(if status.is_success() { &mut *counts.0 } else { &mut *counts.1 }) += 1;
        holds(dir.path(), &asked, status, problem, &bytes)
    });
    done.unwrap_or_else(|failure| panic!("{failure}"));
    // Some of it makes sense, and most does not.
    assert!(reached * 20 > CASES && refused * 3 > CASES, "{reached} succeeded, {refused} were refused");
}
