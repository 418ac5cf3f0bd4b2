//! Who comes in, and what they may do there.

use std::fs;
use std::os::unix::fs::symlink;

use std::sync::Arc;

use reqwest::StatusCode;
use sitta_serve::{Accounts, Scope};
use sitta_store::{Access, Displaced, ErrorKind, Password, Precondition};
use sitta_tree::RelPath;

use crate::support::Served;

fn url(served: &Served, path: &str) -> String {
    format!("https://{}/api/v1{path}", served.address)
}

async fn status(request: reqwest::RequestBuilder) -> StatusCode {
    request.send().await.unwrap().status()
}

fn users(accounts: &Accounts) {
    accounts.set_user("ann", "right", &Scope::ALL).unwrap();
    accounts.set_user("bob", "right", &Scope { shares: None, write: false }).unwrap();
    accounts.set_user("eve", "right", &Scope { shares: Some(vec!["other".into()]), write: true }).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_accounts_this_machine_comes_in_but_no_web_page() {
    let served = Served::start().await;
    let client = served.client();
    assert_eq!(status(client.get(url(&served, "/shares"))).await, StatusCode::OK);
    // A page of some site, whose name was made to lead here.
    let rebound = client.get(url(&served, "/shares")).header("host", "evil.example:7474");
    assert_eq!(status(rebound).await, StatusCode::UNAUTHORIZED);
    let script = client.get(url(&served, "/shares")).header("origin", "https://evil.example");
    assert_eq!(status(script).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_accounts_a_login_is_needed_and_opens_what_it_shall() {
    let served = Served::start_with(users).await;
    fs::write(served.shared().join("f"), "content").unwrap();
    let client = served.client();
    let file = url(&served, "/shares/files/files/f");
    assert_eq!(status(client.get(&file)).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(client.get(&file).basic_auth("ann", Some("wrong"))).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(client.get(&file).basic_auth("ann", Some("right"))).await, StatusCode::OK);
    assert_eq!(status(client.get(&file).basic_auth("bob", Some("right"))).await, StatusCode::OK);
    let sync = url(&served, "/shares/files/sync");
    assert_eq!(status(client.post(&sync).basic_auth("ann", Some("right"))).await, StatusCode::NO_CONTENT);
    assert_eq!(status(client.post(&sync).basic_auth("bob", Some("right"))).await, StatusCode::FORBIDDEN);
    // A share that an account does not open is not there for it.
    assert_eq!(status(client.get(&file).basic_auth("eve", Some("right"))).await, StatusCode::NOT_FOUND);
    let shares = client.get(url(&served, "/shares")).basic_auth("eve", Some("right")).send().await.unwrap();
    assert_eq!(shares.text().await.unwrap(), r#"{"shares":[]}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_has_to_wait() {
    let served = Served::start_with(users).await;
    let client = served.client();
    let guess = || status(client.get(url(&served, "/shares")).basic_auth("ann", Some("guess")));
    for _ in 0..5 {
        assert_eq!(guess().await, StatusCode::UNAUTHORIZED);
    }
    let answer = client.get(url(&served, "/shares")).basic_auth("ann", Some("right")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS, "even with the right one");
    assert!(answer.headers().contains_key("retry-after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_open_until_they_end_or_are_taken_back() {
    let mut tokens = Vec::new();
    let served = Served::start_with(|accounts| {
        tokens.push(accounts.make_token("good", &Scope::ALL, None).unwrap());
        tokens.push(accounts.make_token("ended", &Scope::ALL, Some(1)).unwrap());
    })
    .await;
    let client = served.client();
    let with = |token: &str| status(client.get(url(&served, "/shares")).bearer_auth(token));
    assert_eq!(with(&tokens[0]).await, StatusCode::OK);
    assert_eq!(with(&tokens[1]).await, StatusCode::UNAUTHORIZED);
    // By another process, while the server runs.
    let accounts = Accounts::open(&served.dir.path().join("server.db")).unwrap();
    assert!(accounts.revoke_token("good").unwrap());
    assert_eq!(with(&tokens[0]).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_account_counts_from_the_next_request_on() {
    let served = Served::start().await;
    let client = served.client();
    let shares = || status(client.get(url(&served, "/shares")));
    // By another process, while requests come in; what those did is written into the same file.
    let accounts = Accounts::open(&served.dir.path().join("server.db")).unwrap();
    for _ in 0..20 {
        assert_eq!(shares().await, StatusCode::OK);
        assert_eq!(shares().await, StatusCode::OK);
        let list = client.get(url(&served, "/shares/files/tree"));
        assert_eq!(status(list).await, StatusCode::OK);
        accounts.make_token("ci", &Scope::ALL, None).unwrap();
        assert_eq!(shares().await, StatusCode::UNAUTHORIZED);
        assert_eq!(shares().await, StatusCode::UNAUTHORIZED);
        assert!(accounts.revoke_token("ci").unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_the_share_is_reached() {
    let served = Served::start().await;
    fs::write(served.dir.path().join("secret"), "hidden bytes").unwrap();
    fs::create_dir(served.shared().join("d")).unwrap();
    symlink("..", served.shared().join("up")).unwrap();
    symlink("../secret", served.shared().join("link")).unwrap();
    let client = served.client();
    for path in [
        "../secret",
        "%2e%2e/secret",
        "d/../../secret",
        "d%2f..%2f..%2fsecret",
        "..%2fsecret",
        "%2e%2e%2fsecret",
        "up/secret",
        "link",
        "/../secret",
        "d//..//..//secret",
        "%00",
        "d/%2e%2e/%2e%2e/secret",
        "....//secret",
        "..%5csecret",
        "%252e%252e/secret",
    ] {
        for what in ["files", "stat", "list", "tree", "entries", "hashes"] {
            let mut target = reqwest::Url::parse(&url(&served, "/shares/files/")).unwrap();
            // As it is: the client must not tidy it up.
            target.set_path(&format!("{}{what}/{path}", target.path()));
            let answer = client.get(target).send().await.unwrap();
            let (status, text) = (answer.status(), answer.text().await.unwrap());
            assert!(!text.contains("hidden bytes") && !text.contains("known_servers"), "{what} {path}: {text}");
            assert!(!status.is_server_error(), "{what} {path}: {status} {text}");
        }
    }
    // Raw, as no client would send it.
    let raw = raw(&served, "GET /api/v1/shares/files/files/../../../../secret HTTP/1.1").await;
    assert!(raw.starts_with("HTTP/1.1 4"), "{raw}");
}

/// What the server says to a request line of any kind.
async fn raw(served: &Served, line: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let tls = served.connect().await;
    let (mut read, mut write) = tokio::io::split(tls);
    write.write_all(format!("{line}\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = read.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_than_at_first_is_refused() {
    let served = Served::start().await;
    let access = served.access();
    served.open_with("", &access).await.expect("known from now on");
    let known = served.dir.path().join("known_servers");
    let line = fs::read_to_string(&known).unwrap();
    assert_eq!(line.trim(), format!("{} {}", served.address, served.fingerprint));
    fs::write(&known, line.replace("sha256:", "sha256:00")).unwrap();
    let error = served.open_with("", &access).await.expect_err("somebody else");
    assert_eq!(error.kind, ErrorKind::Untrusted);
    assert!(error.to_string().contains("another certificate than before"), "{error}");
    assert!(error.to_string().contains(&served.fingerprint), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_share_that_is_none_are_told() {
    let served = Served::start_with(users).await;
    let with = |user: &str, password: &str| Access {
        user: Some(user.into()),
        password: Some(Password::new(password)),
        ..served.access()
    };
    let error = served.open_with("", &with("ann", "wrong")).await.expect_err("wrong");
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    let error = served.open_with("", &with("eve", "right")).await.expect_err("not for her");
    assert!(error.to_string().contains("no share of this name is open to you"), "{error}");
    let store = served.open_with("", &with("bob", "right")).await.expect("for reading");
    assert!(!store.capabilities().writable);
    let refused = store.remove(&RelPath::new("f").unwrap(), Precondition::None, Displaced::Discard).await;
    assert_eq!(refused.expect_err("read only").kind, ErrorKind::ReadOnly);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_is_told_to_whoever_may_do_everything() {
    let served = Served::start_with(users).await;
    let client = served.client();
    status(client.post(url(&served, "/shares/files/sync")).basic_auth("bob", Some("right"))).await;
    assert_eq!(served.audited(1).await.len(), 1);
    let ask = |who: &str, limit: u32| {
        client.get(url(&served, &format!("/audit?limit={limit}"))).basic_auth(who, Some("right")).send()
    };
    let told = ask("ann", 5).await.unwrap().text().await.unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let [record] = &told["records"].as_array().unwrap()[..] else { panic!("{told}") };
    for (key, value) in
        [("who", "bob"), ("from", "127.0.0.1"), ("what", "change"), ("share", "files"), ("result", "read_only")]
    {
        assert_eq!(record[key], value, "{told}");
    }
    assert_eq!(ask("ann", 0).await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(ask("bob", 5).await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(ask("eve", 5).await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(status(client.get(url(&served, "/audit"))).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_what_is_written_down() {
    let mut served = Served::start_with(users).await;
    let client = served.client();
    let sync = url(&served, "/shares/files/sync");
    status(client.post(&sync).basic_auth("bob", Some("right"))).await;
    status(client.get(url(&served, "/shares")).basic_auth("ann", Some("hunter2"))).await;
    let access = Access { user: Some("ann".into()), password: Some(Password::new("right")), ..served.access() };
    let store = served.open_with("", &access).await.unwrap();
    let write = sitta_store::Write {
        path: RelPath::new("f").unwrap(),
        what: sitta_store::What::File(sitta_store::Source::Bytes("x".into())),
        meta: sitta_tree::Meta::default(),
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: ".sitta-tmp-audit".into(),
    };
    store.write(write.clone(), &Arc::default()).await.unwrap();
    store.write(write, &Arc::default()).await.expect_err("it is there");
    drop(store.read(&RelPath::new("f").unwrap(), 0..1).await.unwrap());
    store.read(&RelPath::new("none").unwrap(), 0..1).await.err().expect("it is not there");
    served.stop().await;
    let expected = [
        "bob change files/ read_only",
        " login / login",
        "ann write files/f done",
        "ann write files/f changed",
        "ann get files/f done",
        "ann get files/none not_found",
    ];
    assert_eq!(served.audited(expected.len()).await, expected);
    let all = fs::read(served.dir.path().join("server.db")).unwrap();
    assert!(!all.windows(7).any(|part| part == b"hunter2"), "no password in it");
}
