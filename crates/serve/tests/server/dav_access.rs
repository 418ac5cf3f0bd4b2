//! WebDAV: who comes in, and what no client may do.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use reqwest::{Method, StatusCode};
use sitta_store::local::LocalStore;

use crate::support::Served;
use crate::support::dav::{ask, raw, status, text, url, users};

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_in_may_do_what_it_may() {
    let served = Served::start_with(users).await;
    fs::write(served.shared().join("f"), "content").unwrap();
    let client = served.client();
    let as_user = |method: &str, path: &str, user: &str, password: &str| {
        ask(&client, &served, method, path).header("depth", "0").basic_auth(user, Some(password))
    };
    for method in ["OPTIONS", "PROPFIND", "GET", "PUT", "DELETE", "LOCK"] {
        let answer = ask(&client, &served, method, "f").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method}");
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic realm="));
    }
    assert_eq!(status(as_user("PROPFIND", "f", "ann", "wrong")).await, 401);
    assert_eq!(status(as_user("PROPFIND", "f", "ann", "right")).await, 207);
    assert_eq!(status(as_user("PROPFIND", "f", "eve", "right")).await, 404, "not open to her");
    assert_eq!(status(as_user("PROPFIND", "f", "bob", "right")).await, 207);
    assert_eq!(text(as_user("GET", "f", "bob", "right")).await, (200, "content".into()));
    for method in ["PUT", "DELETE", "MKCOL", "MOVE", "PROPPATCH", "LOCK", "UNLOCK", "COPY"] {
        let there = as_user(method, "f", "bob", "right").header("destination", url(&served, "g"));
        assert_eq!(status(there).await, 403, "{method}");
    }
    assert_eq!(served.names(""), ["f"]);
    // What a client finds above the shares.
    let root = format!("https://localhost:{}/dav/", served.address.port());
    let list = |user: &str| {
        client
            .request(Method::from_bytes(b"PROPFIND").unwrap(), &root)
            .header("depth", "1")
            .basic_auth(user, Some("right"))
    };
    assert!(text(list("ann")).await.1.contains("<D:href>/dav/files/</D:href>"));
    assert!(!text(list("eve")).await.1.contains("/dav/files/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_accounts_this_machine_comes_in_but_no_web_page() {
    let served = Served::start().await;
    let client = served.client();
    let look = || ask(&client, &served, "PROPFIND", "").header("depth", "0");
    assert_eq!(status(look()).await, 207);
    assert_eq!(status(look().header("origin", "https://evil.example")).await, 401);
    assert_eq!(status(look().header("host", "evil.example:7474")).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_for_reading_only_stays_as_it_is() {
    let share = |dir: std::path::PathBuf| -> Option<(Arc<dyn sitta_store::Store>, bool)> {
        fs::write(dir.join("f"), "content").unwrap();
        Some((Arc::new(LocalStore::open(dir).unwrap()), false))
    };
    let served = Served::start_sharing(users, share).await;
    let client = served.client();
    for method in ["PUT", "DELETE", "MKCOL", "MOVE", "PROPPATCH", "LOCK", "COPY"] {
        let request = ask(&client, &served, method, "f").basic_auth("ann", Some("right"));
        assert_eq!(status(request.header("destination", url(&served, "g"))).await, 403, "{method}");
    }
    assert_eq!(served.names(""), ["f"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_the_share_is_reached() {
    let served = Served::start().await;
    fs::write(served.dir.path().join("secret"), "hidden bytes").unwrap();
    fs::create_dir(served.shared().join("d")).unwrap();
    fs::create_dir_all(served.shared().join(".sitta/trash")).unwrap();
    fs::write(served.shared().join(".sitta/trash/t"), "hidden bytes").unwrap();
    fs::write(served.shared().join("f"), "shown").unwrap();
    symlink("..", served.shared().join("up")).unwrap();
    symlink("../secret", served.shared().join("link")).unwrap();
    let client = served.client();
    let hostile = [
        "../secret",
        "%2e%2e/secret",
        "d/../../secret",
        "d%2f..%2f..%2fsecret",
        "..%2fsecret",
        "%2e%2e%2fsecret",
        "up/secret",
        "link/x",
        "d//..//..//secret",
        "%00",
        "d%00",
        "d/%2e%2e/%2e%2e/secret",
        "....//secret",
        "d/./x",
        "a//b",
        "%252e%252e/secret",
        ".sitta",
        ".sitta/trash/t",
        "%2esitta/trash/t",
        "../../../../etc/passwd",
    ];
    let before = everything(served.dir.path());
    for path in hostile {
        for method in
            ["GET", "HEAD", "PROPFIND", "PUT", "MKCOL", "DELETE", "COPY", "MOVE", "PROPPATCH", "LOCK", "UNLOCK"]
        {
            let body = match method {
                "PROPPATCH" => {
                    "<D:propertyupdate xmlns:D='DAV:'><D:set><D:prop><x/></D:prop></D:set></D:propertyupdate>"
                }
                "LOCK" => {
                    "<D:lockinfo xmlns:D='DAV:'><D:lockscope><D:exclusive/></D:lockscope>\
                    <D:locktype><D:write/></D:locktype></D:lockinfo>"
                }
                _ => "",
            };
            let head = format!(
                "{method} /dav/files/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ndepth: 1\r\n\
                 destination: https://localhost/dav/files/d/copy\r\nlock-token: <urn:x>\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let head = if method == "LOCK" { head.replace("depth: 1", "depth: 0") } else { head };
            let head = if method == "COPY" { head.replace("depth: 1", "depth: 0") } else { head };
            let said = raw(&served, &head).await;
            assert!(!said.contains("hidden bytes") && !said.contains("root:"), "{method} {path}: {said}");
            assert!(said.starts_with("HTTP/1.1 4"), "{method} {path}: {said}");
            assert_eq!(everything(served.dir.path()), before, "{method} {path}");
        }
        // As where something is to go.
        for method in ["COPY", "MOVE"] {
            for server in ["", "https://localhost"] {
                let head = format!(
                    "{method} /dav/files/f HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                     destination: {server}/dav/files/{path}\r\n\r\n"
                );
                let said = raw(&served, &head).await;
                assert!(said.starts_with("HTTP/1.1 4"), "{method} to {path}: {said}");
                assert_eq!(everything(served.dir.path()), before, "{method} to {path}");
            }
        }
    }
    // Links are things like others: nothing of what they point at is told or given.
    let (_, listed) = text(ask(&client, &served, "PROPFIND", "").header("depth", "1")).await;
    assert!(listed.contains("/dav/files/link</D:href>") && !listed.contains(".sitta"), "{listed}");
    assert_eq!(status(ask(&client, &served, "GET", "link")).await, 422);
    assert_eq!(status(ask(&client, &served, "PUT", "link").body("x")).await, 409);
    assert_eq!(fs::read(served.dir.path().join("secret")).unwrap(), b"hidden bytes");
}

/// All names below a folder, with sizes of files, sorted; without what the server writes for itself.
fn everything(dir: &Path) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let (name, meta) = (entry.file_name().to_string_lossy().into_owned(), entry.metadata().unwrap());
        if name.starts_with("server.db") {
            continue;
        }
        all.push((name.clone(), if meta.is_file() { meta.len() } else { 0 }));
        if meta.is_dir() {
            all.extend(
                everything(&entry.path()).into_iter().map(|(below, size)| (format!("{name}/{below}"), size)),
            );
        }
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_are_told_safely() {
    use std::os::unix::ffi::OsStrExt;
    let served = Served::start().await;
    let names: [&[u8]; 3] = [b"\xff\xfe", b"a\x01\x1b[2J\n", b"<&\"'>]]>"];
    for name in names {
        fs::write(served.shared().join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    let client = served.client();
    let (_, listed) = text(ask(&client, &served, "PROPFIND", "").header("depth", "1")).await;
    for (href, name) in
        [("%FF%FE", names[0]), ("a%01%1B%5B2J%0A", names[1]), ("%3C%26%22%27%3E%5D%5D%3E", names[2])]
    {
        assert!(listed.contains(&format!("<D:href>/dav/files/{href}</D:href>")), "{listed}");
        let answer = ask(&client, &served, "GET", href).send().await.unwrap();
        assert_eq!(answer.bytes().await.unwrap(), name);
    }
    assert!(!listed.contains('\u{1}') && !listed.contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_could_do_harm_are_refused() {
    let served = Served::start().await;
    fs::write(served.shared().join("f"), "content").unwrap();
    let client = served.client();
    let lol: String =
        (1..10).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
    let bomb = format!("<!DOCTYPE a [<!ENTITY l0 \"lol\">{lol}]><D:propfind xmlns:D='DAV:'>&l9;</D:propfind>");
    let deep = format!("<D:propfind xmlns:D='DAV:'>{}", "<a>".repeat(200_000));
    for method in ["PROPFIND", "PROPPATCH", "LOCK"] {
        for (body, told) in [(&*bomb, 400), ("<a", 400), ("text", 400), (&deep, 400), ("<a/>", 400)] {
            let answer = ask(&client, &served, method, "f").header("depth", "0").body(body.to_owned());
            assert_eq!(status(answer).await, told, "{method} {}", &body[..body.len().min(40)]);
        }
        // Told before anything of it is sent.
        let huge = format!(
            "{method} /dav/files/f HTTP/1.1
host: localhost
content-length: 3000000

<a>"
        );
        assert!(raw(&served, &huge).await.starts_with("HTTP/1.1 413"), "{method}");
    }
    let (told, said) = text(ask(&client, &served, "PROPFIND", "").header("depth", "infinity")).await;
    assert!(told == 403 && said.contains("<D:propfind-finite-depth>"), "{told} {said}");
    assert_eq!(status(ask(&client, &served, "PROPFIND", "").header("depth", "2")).await, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn destinations_are_in_a_share_of_this_server() {
    let served = Served::start().await;
    fs::write(served.shared().join("f"), "content").unwrap();
    let client = served.client();
    let port = served.address.port();
    for (to, told) in [
        ("https://elsewhere.example/dav/files/g".to_owned(), 502),
        (format!("https://localhost:{}/dav/files/g", port.wrapping_add(1)), 502),
        (format!("https://localhost:{port}/api/v1/shares/files/files/g"), 502),
        ("/g".into(), 502),
        ("g".into(), 400),
        ("https://".into(), 400),
        ("ftp://localhost/dav/files/g".into(), 400),
        (String::new(), 400),
        ("/dav/files/g?x".into(), 400),
        ("/dav/none/g".into(), 404),
        ("/dav/files/none/g".into(), 409),
        ("/dav/files/f".into(), 403),
        ("/dav/files".into(), 403),
        ("/dav/files/".into(), 403),
    ] {
        for method in ["COPY", "MOVE"] {
            assert_eq!(status(ask(&client, &served, method, "f").header("destination", &to)).await, told, "{to}");
        }
    }
    assert_eq!(status(ask(&client, &served, "COPY", "f")).await, 400, "none at all");
    assert_eq!(served.names(""), ["f"]);
    assert_eq!(status(ask(&client, &served, "MOVE", "f").header("destination", "/dav/files/g")).await, 201);
    assert_eq!(served.names(""), ["g"]);
}
