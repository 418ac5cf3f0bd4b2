//! Writing, removing, moving for scripts: all or nothing, and only what was meant.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use sitta_serve::Scope;

use crate::support::Served;

fn mv(served: &Served, from: &str, to: &str) -> RequestBuilder {
    let method = Method::from_bytes(b"MOVE").unwrap();
    served.client().request(method, served.url(&format!("files/{from}"))).header("destination", to)
}

fn put(served: &Served, path: &str, bytes: &'static [u8]) -> RequestBuilder {
    served.client().put(served.url(&format!("files/{path}"))).body(bytes)
}

fn read(served: &Served, path: &str) -> String {
    String::from_utf8(fs::read(served.shared().join(path)).unwrap()).unwrap()
}

fn etag(answer: &Response) -> String {
    answer.headers()["etag"].to_str().unwrap().to_owned()
}

/// The status and, of a refusal, its kind.
async fn told(request: RequestBuilder) -> (u16, String) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    let problem = serde_json::from_str::<Value>(&text).unwrap_or_default();
    (status.as_u16(), problem["kind"].as_str().unwrap_or_default().to_owned())
}

fn refused(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

fn done(status: u16) -> (u16, String) {
    (status, String::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_written_and_written_anew() {
    let served = Served::start().await;
    let answer = put(&served, "f", b"first").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let first = etag(&answer);
    assert_eq!(read(&served, "f"), "first");
    let got = served.client().get(served.url("files/f")).send().await.unwrap();
    assert_eq!(etag(&got), first, "what was told is what stands there");
    fs::set_permissions(served.shared().join("f"), fs::Permissions::from_mode(0o600)).unwrap();
    let answer = put(&served, "f", b"second").header("x-oc-mtime", "1700000000.5").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(answer.headers()["x-oc-mtime"], "accepted");
    assert_ne!(etag(&answer), first);
    assert_eq!(read(&served, "f"), "second");
    let meta = fs::metadata(served.shared().join("f")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o7777, 0o600, "what is private stays so");
    let age = meta.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(age, Duration::from_millis(1_700_000_000_500));
    let dated = put(&served, "g", b"").header("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(told(dated).await, done(201));
    let meta = fs::metadata(served.shared().join("g")).unwrap();
    let age = meta.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!((age, meta.len()), (Duration::from_secs(784_111_777), 0));
    // Larger than what is taken in at once, with its length told and not.
    let large: Vec<u8> = (0..9_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let request = served.client().put(served.url("files/large")).body(large.clone());
    assert_eq!(told(request).await, done(201));
    assert!(fs::read(served.shared().join("large")).unwrap() == large);
    let pieces: Vec<_> = large.chunks(70_001).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    assert_eq!(told(served.client().put(served.url("files/streamed")).body(body)).await, done(201));
    assert!(fs::read(served.shared().join("streamed")).unwrap() == large);
    assert_eq!(served.names(""), ["f", "g", "large", "streamed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_told() {
    let served = Served::start().await;
    fs::create_dir(served.shared().join("d")).unwrap();
    fs::write(served.shared().join("f"), "kept").unwrap();
    symlink("f", served.shared().join("link")).unwrap();
    assert_eq!(told(put(&served, "d", b"x")).await, refused(409, "is_a_directory"));
    assert_eq!(told(put(&served, "", b"x")).await, refused(409, "is_a_directory"));
    assert_eq!(told(put(&served, "link", b"x")).await, refused(409, "unsupported"));
    assert_eq!(told(put(&served, "none/f", b"x")).await, refused(409, "no_directory"));
    assert_eq!(told(put(&served, "f/below", b"x")).await, refused(409, "no_directory"));
    assert_eq!(told(put(&served, "f/below?parents=true", b"x")).await, refused(409, "not_a_directory"));
    for (header, value) in [
        ("x-oc-mtime", "now"),
        ("last-modified", "now"),
        ("content-range", "bytes 0-1/5"),
        ("content-encoding", "gzip"),
        ("if-match", "no-quotes"),
    ] {
        let answer = put(&served, "f", b"x").header(header, value).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{header}");
        let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!((&problem["parameter"], &problem["value"]), (&header.into(), &value.into()));
    }
    assert_eq!(told(put(&served, "f?parent=true", b"x")).await, refused(400, "parameter"));
    assert_eq!(served.names(""), ["d", "f", "link"]);
    assert_eq!((read(&served, "f"), served.names("d").len()), ("kept".into(), 0));
    assert_eq!(told(put(&served, "a/b/f?parents=true", b"x")).await, done(201));
    assert_eq!(read(&served, "a/b/f"), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_written_only_as_was_meant() {
    let served = Served::start().await;
    let new = || put(&served, "f", b"new").header("if-none-match", "*");
    assert_eq!(told(put(&served, "f", b"x").header("if-match", "*")).await, refused(412, "changed"));
    assert_eq!(served.names(""), [""; 0]);
    let answer = new().send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let first = etag(&answer);
    assert_eq!(told(new()).await, refused(412, "changed"));
    let over = |tag: &str| put(&served, "f", b"over").header("if-match", tag);
    assert_eq!(told(over("\"other\"")).await, refused(412, "changed"));
    assert_eq!(told(over(&format!("W/{first}"))).await, refused(412, "changed"));
    assert_eq!(read(&served, "f"), "new");
    assert_eq!(told(over(&format!("\"other\", {first}"))).await, done(204));
    assert_eq!(read(&served, "f"), "over");
    assert_eq!(told(over(&first)).await, refused(412, "changed"), "it is another version by now");
    assert_eq!(told(over("*")).await, done(204));
}

/// Whoever comes second is told so, however close.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_makes_the_file() {
    let served = Served::start().await;
    for round in 0..10 {
        let path = format!("f{round}");
        let all = (0..8).map(|n: u8| {
            let request = served.client().put(served.url(&format!("files/{path}"))).body(vec![n; 30_000]);
            told(request.header("if-none-match", "*"))
        });
        let results = futures::future::join_all(all).await;
        let made: Vec<_> = (0..8).filter(|n| results[*n] == done(201)).collect();
        assert_eq!(made.len(), 1, "{results:?}");
        assert_eq!(results.iter().filter(|result| **result == refused(412, "changed")).count(), 7, "{results:?}");
        let bytes = fs::read(served.shared().join(&path)).unwrap();
        assert!(bytes == vec![made[0] as u8; 30_000]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_empty_directories_are_removed() {
    let served = Served::start().await;
    fs::create_dir_all(served.shared().join("d/e")).unwrap();
    fs::write(served.shared().join("f"), "x").unwrap();
    symlink("f", served.shared().join("link")).unwrap();
    let delete = |path: &str| served.client().delete(served.url(&format!("files/{path}")));
    assert_eq!(told(delete("f").header("if-match", "\"other\"")).await, refused(412, "changed"));
    assert_eq!(told(delete("d")).await, refused(409, "not_empty"));
    assert_eq!(told(delete("")).await, refused(409, "is_a_directory"));
    assert_eq!(told(delete("none")).await, refused(404, "not_found"));
    assert_eq!(told(delete("f?recursive=true")).await, refused(400, "parameter"));
    assert_eq!(served.names(""), ["d", "f", "link"]);
    assert_eq!(told(delete("link")).await, done(204), "not what it points to");
    let head = served.client().head(served.url("files/f")).send().await.unwrap();
    assert_eq!(told(delete("f").header("if-match", etag(&head))).await, done(204));
    assert_eq!(told(delete("d/e/")).await, done(204));
    assert_eq!(told(delete("d")).await, done(204));
    assert_eq!(served.names(""), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn things_are_moved_but_never_over_others() {
    let served = Served::start().await;
    fs::create_dir_all(served.shared().join("d/e")).unwrap();
    fs::write(served.shared().join("f"), "f").unwrap();
    fs::write(served.shared().join("g"), "g").unwrap();
    let post = |from: &str, to: &str| served.client().post(served.url(&format!("move/{from}?to={to}")));
    assert_eq!(told(mv(&served, "f", "g")).await, refused(409, "exists"));
    assert_eq!(told(post("f", "/g")).await, refused(409, "exists"));
    assert_eq!(told(post("f", "f")).await, refused(409, "inside"));
    assert_eq!(told(post("d", "d/e/d")).await, refused(409, "inside"));
    assert_eq!(told(post("none", "x")).await, refused(404, "not_found"));
    assert_eq!(told(post("f", "no/f")).await, refused(409, "no_directory"));
    assert_eq!(told(post("f", "x").header("if-match", "\"other\"")).await, refused(412, "changed"));
    for (from, to) in
        [("f", ""), ("f", "/"), ("f", "https://localhost/f"), ("f", "//f"), ("f", "a/../f"), ("f", "a%00")]
    {
        assert_eq!(told(mv(&served, from, to)).await, refused(400, "parameter"), "{to}");
        assert_eq!(told(post(from, to)).await, refused(400, "parameter"), "{to}");
    }
    let nowhere = Method::from_bytes(b"MOVE").unwrap();
    assert_eq!(told(served.client().request(nowhere, served.url("files/f"))).await, refused(400, "parameter"));
    assert_eq!(
        (served.names(""), read(&served, "f"), read(&served, "g")),
        (vec!["d".into(), "f".into(), "g".into()], "f".into(), "g".into())
    );
    let answer = mv(&served, "f", "/d/%66%20+%C3%A9").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(read(&served, "d/f +\u{e9}"), "f");
    let head = served.client().head(served.url("files/d/f%20+%C3%A9")).send().await.unwrap();
    assert_eq!(etag(&head), etag(&answer));
    assert_eq!(told(post("d", "x/y/d&parents=true").header("if-match", "*")).await, done(201));
    assert_eq!(read(&served, "x/y/d/f +\u{e9}"), "f");
    assert_eq!(told(mv(&served, "x/y/d/f%20+%C3%A9", "%FF")).await, done(201), "no name of UTF-8");
    assert_eq!(served.names(""), ["g", "x", "\u{fffd}"]);
    let patch = served.client().patch(served.url("files/g")).send().await.unwrap();
    assert_eq!(
        (patch.status().as_u16(), &patch.headers()["allow"]),
        (405, &"GET, HEAD, PUT, DELETE, MOVE".parse().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_are_made() {
    let served = Served::start().await;
    let make = |path: &str| served.client().post(served.url(&format!("dirs/{path}")));
    assert_eq!(told(make("d")).await, done(201));
    assert_eq!(told(make("d")).await, refused(409, "exists"));
    assert_eq!(told(make("d?parents=true")).await, done(204));
    assert_eq!(told(make("a/b/c")).await, refused(409, "no_directory"));
    assert_eq!(told(make("a/b/c?parents=true")).await, done(201));
    fs::write(served.shared().join("f"), "x").unwrap();
    assert_eq!(told(make("f?parents=true")).await, refused(409, "not_a_directory"));
    assert_eq!(told(make("d//x")).await, refused(400, "odd"));
    assert_eq!(
        (served.names(""), served.names("a/b")),
        (["a", "d", "f"].map(String::from).to_vec(), vec!["c".into()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_read_only_changes_nothing() {
    let served = Served::start_with(|accounts| {
        accounts.set_user("bob", "right", &Scope { shares: None, write: false }).unwrap();
        accounts.set_user("eve", "right", &Scope { shares: Some(vec!["other".into()]), write: true }).unwrap();
    })
    .await;
    changes_nothing(&served, "bob", 403, "read_only").await;
    changes_nothing(&served, "eve", 404, "no_share").await;
    let client = served.client();
    for what in ["entries", "hashes/f", "files/f"] {
        let with = |user: &str| client.get(served.url(what)).basic_auth(user, Some("right"));
        assert_eq!(told(with("bob")).await.0, 200, "{what}");
        assert_eq!(told(with("eve")).await, refused(404, "no_share"), "{what}");
        assert_eq!(told(client.get(served.url(what))).await, refused(401, "login"), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_for_reading_only_is_not_changed() {
    let served = Served::start_sharing(
        |accounts| accounts.set_user("ann", "right", &Scope::ALL).unwrap(),
        |dir| Some((std::sync::Arc::new(sitta_store::local::LocalStore::open(dir).unwrap()), false)),
    )
    .await;
    changes_nothing(&served, "ann", 403, "read_only").await;
}

async fn changes_nothing(served: &Served, user: &str, status: u16, kind: &str) {
    fs::write(served.shared().join("f"), "kept").unwrap();
    let client = served.client();
    for request in [
        put(served, "f", b"x"),
        put(served, "new", b"x"),
        client.delete(served.url("files/f")),
        mv(served, "f", "new"),
        client.post(served.url("move/f?to=new")),
        client.post(served.url("dirs/new")),
    ] {
        let request = request.basic_auth(user, Some("right"));
        assert_eq!(told(request).await, refused(status, kind), "{user}");
    }
    assert_eq!((served.names(""), read(served, "f")), (vec!["f".into()], "kept".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_change_nothing() {
    let served = Served::start().await;
    for request in [put(&served, "f", b"x"), served.client().post(served.url("dirs/d"))] {
        assert_eq!(told(request.header("origin", "https://evil.example")).await, refused(401, "login"));
    }
    assert_eq!(served.names(""), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_the_share_or_of_the_server_is_changed() {
    let served = Served::start().await;
    fs::write(served.dir.path().join("secret"), "hidden").unwrap();
    fs::create_dir(served.shared().join("d")).unwrap();
    fs::write(served.shared().join("f"), "kept").unwrap();
    symlink("..", served.shared().join("up")).unwrap();
    symlink("../secret", served.shared().join("link")).unwrap();
    let outside = |dir: &std::path::Path| {
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = (outside(served.dir.path()), outside(&served.shared()));
    let client = served.client();
    for path in [
        "../secret",
        "../new",
        "%2e%2e/secret",
        "%2e%2e%2fnew",
        "d/../../new",
        "d%2f..%2f..%2fnew",
        "up/secret",
        "up/new",
        "up/n/new",
        "link/new",
        "d//new",
        "%00",
        ".sitta/new",
        ".sitta/trash/1/new",
        ".sitta-tmp-x",
        "d/.sitta-tmp-x/new",
    ] {
        let url = |what: &str| {
            let mut url = reqwest::Url::parse(&served.url("")).unwrap();
            // As it is: the client must not tidy it up.
            url.set_path(&format!("/api/v1/shares/files/{what}/{path}"));
            url
        };
        let mut to = url("move");
        to.set_path("/api/v1/shares/files/move/f");
        to.set_query(Some(&format!("to={path}&parents=true")));
        let parents = |mut url: reqwest::Url| {
            url.set_query(Some("parents=true"));
            url
        };
        for request in [
            client.put(url("files")).body("x"),
            client.put(parents(url("files"))).body("x"),
            client.delete(url("files")),
            client.post(url("dirs")),
            client.post(parents(url("dirs"))),
            client.post(to.clone()),
            mv(&served, "f", path),
        ] {
            let (status, kind) = told(request.try_clone().unwrap()).await;
            assert!((400..500).contains(&status), "{request:?}: {status} {kind}");
        }
        assert_eq!((outside(served.dir.path()), outside(&served.shared())), before, "{path}");
    }
    for to in ["/../new", "d/./new", "..", ".", "d/..", "%2e%2e/new"] {
        assert_eq!(told(mv(&served, "f", to)).await, refused(400, "parameter"), "{to}");
    }
    assert_eq!((outside(served.dir.path()), outside(&served.shared())), before);
    assert_eq!(fs::read(served.dir.path().join("secret")).unwrap(), b"hidden");
    assert_eq!((read(&served, "f"), served.names("d")), ("kept".into(), vec![]));
}
