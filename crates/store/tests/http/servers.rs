//! What real servers list and send.

use std::time::{Duration, SystemTime};

use sitta_store::{Displaced, Flow, Location, Password, Precondition, Source, What, Write};
use sitta_testbed::apache::Apache;
use sitta_testbed::nginx::Nginx;
use sitta_testbed::python::PythonHttp;
use sitta_tree::{Kind, Meta, NodeId, Time};

use super::*;

/// Names that index pages have to escape.
const NAMES: [&str; 14] = [
    "plain.txt",
    "with space",
    "100%",
    "%41",
    "a#b",
    "a?b",
    "a&amp;b",
    "a&b<c>\"d'",
    "a:b",
    "a;b+c=d",
    "\u{e9}\u{1f426}",
    "back\\slash",
    "very-long-name-that-index-pages-like-to-cut-short-in-what-they-show-of-it-in-the-column.txt",
    "trailing ",
];

fn fill(root: &Path) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_001);
    for (at, name) in NAMES.iter().enumerate() {
        for dir in ["", "sub dir/"] {
            put(root, &format!("{dir}{name}"), &pattern(at * 777));
            let file = fs::File::options().write(true).open(root.join(format!("{dir}{name}"))).expect("opened");
            file.set_modified(time).expect("set");
        }
    }
    fs::create_dir_all(root.join("empty dir/deeper")).expect("made");
    put(root, "a.tar.gz", b"\x1f\x8bnot really");
}

/// Everything that stands in the folder is seen at `url`, exactly.
async fn sees_all(url: &str) {
    let store = open(url).await;
    let tree = scan(&store).await;
    assert!(tree.problems.is_empty(), "{url}: {:?}", tree.problems);
    let mut wanted: Vec<String> = ["a.tar.gz", "empty dir", "empty dir/deeper", "sub dir"].map(String::from).into();
    wanted.extend(NAMES.iter().map(|name| path(name).to_string()));
    wanted.extend(NAMES.iter().map(|name| path(&format!("sub dir/{name}")).to_string()));
    wanted.sort();
    assert_eq!(seen(&tree), wanted, "{url}");
    for (at, name) in NAMES.iter().enumerate() {
        let at_path = format!("sub dir/{name}");
        let entry = tree.entry(tree.find(&path(&at_path)).expect("it is there"));
        assert_eq!((entry.kind, entry.size), (Kind::File, at as u64 * 777), "{url} {name}");
        assert_eq!(entry.meta.mtime, Time::new(1_600_000_001, 0), "{url} {name}");
        assert_eq!(store.stat(&path(&at_path)).await.expect("a look").as_ref(), Some(&entry), "{url} {name}");
        let content = pattern(at * 777);
        assert!(get(&store, &at_path, 0..u64::MAX).await.expect("read") == content, "{url} {name}");
        let fetched = store.fetch(&path(&at_path), &entry.fingerprint(), 0).await.expect("fetched");
        assert_eq!(fetched.meta.expect("told").mtime, entry.meta.mtime);
    }
    assert_eq!(get(&store, "a.tar.gz", 0..u64::MAX).await.expect("read"), b"\x1f\x8bnot really");
    let mut listed = store.list(&path("sub dir")).await.expect("listed");
    listed.sort_by(|a, b| a.0.cmp(&b.0));
    let mut names: Vec<_> = NAMES.iter().map(|name| Box::from(name.as_bytes())).collect();
    names.sort();
    assert_eq!(listed.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), names);
    reads(&store, url).await;
}

async fn reads(store: &Arc<dyn Store>, url: &str) {
    let (at, content) = (NAMES[9], pattern(9 * 777));
    for (from, to) in [(0, 4), (4, 7), (7, u64::MAX), (3, 3), (6992, 7000), (6993, 7000), (9000, 9001)] {
        let end = content.len().min(usize::try_from(to).unwrap_or(usize::MAX));
        let wanted = content.get(from as usize..end).unwrap_or_default();
        assert!(get(store, at, from..to).await.expect("read") == wanted, "{url} {from}..{to}");
    }
    assert_eq!(get(store, NAMES[0], 0..10).await.expect("an empty file"), b"", "{url}");
    assert_eq!(kind(get(store, "none", 0..1).await), ErrorKind::NotFound, "{url}");
    assert_eq!(kind(get(store, "sub dir", 0..1).await), ErrorKind::IsADirectory, "{url}");
    assert_eq!(store.stat(&path("none")).await.expect("a look"), None, "{url}");
    assert_eq!(store.stat(&path("plain.txt/below")).await.expect("a look"), None, "{url}");
    assert_eq!(store.stat(&path("sub dir")).await.expect("a look").expect("there").kind, Kind::Dir, "{url}");
    assert_eq!(store.stat(&path("")).await.expect("a look").expect("there").kind, Kind::Dir, "{url}");
    assert_eq!(kind(store.list(&path("none")).await), ErrorKind::NotFound, "{url}");
    assert_eq!(kind(store.list(&path("with space")).await), ErrorKind::NotADirectory, "{url}");
    let stale = sitta_tree::Fingerprint { size: 1, ..Default::default() };
    assert_eq!(kind(store.fetch(&path(at), &stale, 0).await), ErrorKind::Changed, "{url}");
    let missing = open(&format!("{url}/missing")).await;
    assert_eq!(kind(missing.scan(&ScanOptions::default()).await), ErrorKind::NotFound, "{url}");
    assert_eq!(missing.stat(&path("")).await.expect("a look"), None, "{url}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx() {
    let server = Nginx::start();
    fill(&server.root());
    sees_all(&format!("http://{}", server.files())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_in_each_of_its_ways() {
    let server = Apache::start();
    fill(&server.root());
    for style in ["plain", "fancy", "table"] {
        sees_all(&format!("http://{}", server.files(style))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python() {
    let server = PythonHttp::start();
    fill(&server.root());
    sees_all(&format!("http://{}", server.files())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_file_needs_no_listing() {
    let server = Nginx::start();
    put(&server.root(), "d/data.zip", b"0123456789");
    put(&server.root(), "d/odd %41 name", b"odd");
    for (url, name, content) in [
        (format!("http://{}/d/data.zip?X-Signature=a%2Fb", server.get_only()), "data.zip", &b"0123456789"[..]),
        (format!("http://{}/d/odd%20%2541%20name", server.get_only()), "odd %41 name", b"odd"),
    ] {
        let (dir, file) = Location::parse(&url).expect("a URL").split_file().expect("a file");
        assert_eq!(file, path(name));
        let Location::Remote(dir) = dir else { panic!("remote") };
        let store = http::open(&dir, &Access::default()).await.expect("opened");
        let entry = store.stat(&file).await.expect("a look, by GET").expect("it is there");
        assert_eq!((entry.kind, entry.size), (Kind::File, content.len() as u64));
        let fetched = store.fetch(&file, &entry.fingerprint(), 1).await.expect("fetched");
        assert!(fetched.pinned, "a strong ETag was compared");
        let bytes: Vec<_> = fetched.bytes.try_collect().await.expect("all");
        assert_eq!(bytes.concat(), &content[1..]);
        assert!(!store.location().contains("Signature"), "{}", store.location());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_certificates() {
    let server = Nginx::start();
    put(&server.root(), "f", b"x");
    let locked = format!("http://{}", server.locked());
    let no_one = open(&locked).await;
    let error = no_one.scan(&ScanOptions::default()).await.expect_err("locked");
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.to_string().contains("no user is given"), "{error}");
    let with = |user: &str, password: &str| Access {
        user: Some(user.into()),
        password: Some(Password::new(password)),
        ..Access::default()
    };
    let wrong = open_with(&locked, &with(Nginx::USER.0, "wrong-secret")).await;
    let error = wrong.stat(&path("f")).await.expect_err("locked");
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(!format!("{error} {error:?} {wrong:?}").contains("wrong-secret"));
    let right = open_with(&locked, &with(Nginx::USER.0, Nginx::USER.1)).await;
    assert_eq!(seen(&scan(&right).await), ["f"]);
    let named = open(&locked.replace("://", "://me:the%20password@")).await;
    assert_eq!(seen(&scan(&named).await), ["f"]);

    let tls = format!("https://{}", server.tls());
    let stranger = open(&tls).await;
    assert_eq!(kind(stranger.scan(&ScanOptions::default()).await), ErrorKind::Untrusted);
    let mut access = Access::default();
    access.web.ca = fs::read(&server.certificate().certificate).expect("a certificate");
    let trusted = open_with(&tls, &access).await;
    assert_eq!(seen(&scan(&trusted).await), ["f"]);
    let sent = open_with(&format!("http://{}", server.elsewhere()), &access).await;
    assert_eq!(seen(&scan(&sent).await), ["f"], "from plain to TLS, by a redirect");
    assert_eq!(get(&sent, "f", 0..9).await.expect("read"), b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_is_a_problem_and_no_absence() {
    let server = Nginx::start();
    put(&server.root(), "a", b"x");
    put(&server.root(), "denied-file", b"x");
    put(&server.root(), "denied-dir/f", b"x");
    put(&server.root(), "page/index.html", b"<title>Welcome</title><a href=\"f\">f</a>");
    put(&server.root(), "page/f", b"x");
    let store = open(&format!("http://{}", server.files())).await;
    let tree = scan(&store).await;
    assert_eq!(seen(&tree), ["a", "denied-dir", "denied-file", "page"]);
    assert_eq!(tree.kind(tree.find(&path("denied-file")).expect("there")), Kind::Unknown);
    for dir in ["denied-dir", "page"] {
        assert!(!tree.is_complete(tree.find(&path(dir)).expect("there")), "{dir}");
    }
    assert!(tree.is_complete(NodeId::ROOT));
    assert_eq!(tree.problems.len(), 3, "{:?}", tree.problems);
    assert_eq!(kind(store.stat(&path("denied-file")).await), ErrorKind::Denied);
    let page = store.list(&path("page")).await.expect_err("another page");
    assert!(page.to_string().contains("not a directory listing"), "{page}");
    assert_eq!(get(&store, "page/f", 0..9).await.expect("read"), b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_ever_changed() {
    let server = Nginx::start();
    put(&server.root(), "f", b"x");
    let store = open(&format!("http://{}", server.dav())).await;
    assert!(!store.capabilities().writable);
    let write = Write {
        path: path("g"),
        what: What::File(Source::Bytes("x".into())),
        meta: Meta::default(),
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: ".sitta-tmp-1".into(),
    };
    assert_eq!(kind(store.write(write, &Arc::<Flow>::default()).await), ErrorKind::ReadOnly);
    assert_eq!(kind(store.remove(&path("f"), Precondition::None, Displaced::Discard).await), ErrorKind::ReadOnly);
    assert_eq!(kind(store.rename(&path("f"), &path("g"), Precondition::None).await), ErrorKind::ReadOnly);
    assert_eq!(kind(store.set_meta(&path("f"), &Meta::default(), Precondition::None).await), ErrorKind::ReadOnly);
    assert_eq!(kind(store.create_root().await), ErrorKind::ReadOnly);
    assert!(server.root().join("f").exists() && !server.root().join("g").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_files() {
    let server = Nginx::start();
    for n in 0..10_000 {
        put(&server.root(), &format!("file number {n}"), b"x");
    }
    let store = open(&format!("http://{}", server.files())).await;
    let tree = scan(&store).await;
    assert_eq!((tree.len(), tree.problems.len()), (10_001, 0));
    assert_eq!(store.requests(), 10_001, "the page, and a look at each");
}
