//! Listings for scripts: what is chosen, in which order, page by page.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::Served;

const DAY: u64 = 86_400;

/// 2026-01-01T00:00:00Z
const NEW_YEAR: u64 = 1_767_225_600;

fn write(served: &Served, path: &str, bytes: impl AsRef<[u8]>, modified: u64) {
    let path = served.shared().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(modified);
    File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
}

/// A folder with something for each filter.
async fn filled() -> Served {
    let served = Served::start().await;
    write(&served, "a.txt", "five!", NEW_YEAR);
    write(&served, "b.JPG", vec![b'x'; 2048], NEW_YEAR + DAY);
    write(&served, "sub/c.txt", "the needle is here", NEW_YEAR + 2 * DAY);
    // It begins in one piece of what is read and ends in the next, wherever pieces end.
    let mut large = vec![b' '; 3 << 20];
    large[(1 << 20) - 3..][..6].copy_from_slice(b"needle");
    write(&served, "sub/deep/d.bin", large, NEW_YEAR + 3 * DAY);
    write(&served, "sub/e.txt", "The Needle is another one \u{e9} \0\x01", NEW_YEAR + 3 * DAY);
    symlink("a.txt", served.shared().join("link")).unwrap();
    served
}

async fn ask(served: &Served, what: &str) -> Value {
    let answer = served.client().get(served.url(what)).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{what}: {status} {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{what}: {error}: {text}"))
}

fn paths(listing: &Value) -> Vec<String> {
    let path = |entry: &Value| entry["path"].as_str().unwrap().to_owned();
    listing["entries"].as_array().unwrap().iter().map(path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_chooses() {
    let served = filled().await;
    let all = ["a.txt", "b.JPG", "link", "sub", "sub/c.txt", "sub/deep", "sub/deep/d.bin", "sub/e.txt"];
    let window = "since=2026-01-02T00:00:00Z&until=2026-01-03T12:00:00%2B12:00";
    for (query, expected) in [
        ("", &["a.txt", "b.JPG", "link", "sub"][..]),
        ("recursive=false", &["a.txt", "b.JPG", "link", "sub"]),
        ("recursive=true", &all),
        ("recursive=true&ext=jpg", &["b.JPG"]),
        ("recursive=true&ext=jpg,.txt", &["a.txt", "b.JPG", "sub/c.txt", "sub/e.txt"]),
        ("recursive=true&ext=jpg&ext=bin", &["b.JPG", "sub/deep/d.bin"]),
        ("recursive=true&glob=*.txt", &["a.txt", "sub/c.txt", "sub/e.txt"]),
        ("recursive=true&glob=*.txt&glob=!c.*", &["a.txt", "sub/e.txt"]),
        ("recursive=true&glob=!sub/", &["a.txt", "b.JPG", "link"]),
        // Until 2026-01-03T00:00:00Z: what was modified at that moment is not of it.
        (&*format!("recursive=true&{window}"), &["b.JPG"]),
        (&*format!("recursive=true&{}", window.replace("%2B", "+")), &["b.JPG"]),
        ("recursive=true&since=2026-01-03", &["sub/c.txt", "sub/deep/d.bin", "sub/e.txt"]),
        ("recursive=true&until=2026-01-02", &["a.txt"]),
        ("recursive=true&min_size=2KiB", &["b.JPG", "sub/deep/d.bin"]),
        ("recursive=true&min_size=2049", &["sub/deep/d.bin"]),
        ("recursive=true&max_size=18", &["a.txt", "sub/c.txt"]),
        ("recursive=true&min_size=6&max_size=2k", &["b.JPG", "sub/c.txt", "sub/e.txt"]),
        ("recursive=true&contains=needle", &["sub/c.txt", "sub/deep/d.bin"]),
        ("recursive=true&contains=needle&ext=txt", &["sub/c.txt"]),
        ("recursive=true&contains=needle+is", &["sub/c.txt"]),
        ("recursive=true&contains=%C3%A9%20%00%01", &["sub/e.txt"]),
        ("contains=needle", &[]),
    ] {
        let listing = ask(&served, &format!("entries?{query}")).await;
        assert_eq!(paths(&listing), expected, "{query}");
        assert_eq!((&listing["next"], &listing["problems"]), (&Value::Null, &json!([])), "{query}");
    }
    // So long ago.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    write(&served, "recent", "", now - DAY);
    for (query, there) in [("since=2d", true), ("since=23h", false), ("until=23h", true), ("until=2d", false)] {
        let found = paths(&ask(&served, &format!("entries?glob=rec*&{query}")).await);
        assert_eq!(found == ["recent"], there, "{query}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_and_paths_of_a_directory() {
    let served = filled().await;
    let listing = ask(&served, "entries/sub/?recursive=true&glob=deep/*").await;
    assert_eq!(listing["path"], "sub");
    assert_eq!(paths(&listing), ["sub/deep/d.bin"], "patterns start there, paths at the share");
    assert_eq!(paths(&ask(&served, "entries/sub").await), ["sub/c.txt", "sub/deep", "sub/e.txt"]);
    for (path, status, kind) in [("entries/none", 404, "not_found"), ("entries/a.txt", 409, "not_a_directory")] {
        let answer = served.client().get(served.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(problem["kind"], kind, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_tells_what_it_is() {
    let served = filled().await;
    let listing = ask(&served, "entries/?recursive=true").await;
    let entry =
        |path: &str| listing["entries"].as_array().unwrap().iter().find(|entry| entry["path"] == path).unwrap();
    let file = entry("sub/c.txt");
    let version = file["version"].as_str().unwrap();
    let expected = json!({
        "path": "sub/c.txt", "name": "c.txt", "kind": "file", "size": 18, "modified": "2026-01-03T00:00:00Z",
        "version": version,
    });
    assert_eq!(*file, expected);
    let head = served.client().head(served.url("files/sub/c.txt")).send().await.unwrap();
    assert_eq!(head.headers()["etag"], format!("\"{version}\"").as_str());
    assert_eq!((&entry("link")["kind"], &entry("link")["target"]), (&json!("symlink"), &json!("a.txt")));
    assert_eq!((&entry("sub")["kind"], entry("sub").get("size")), (&json!("dir"), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_order_holds_whatever_the_size_of_a_page() {
    let served = filled().await;
    // As many as the pieces in which a listing is sent, and more.
    for n in 0..300 {
        write(&served, &format!("many/{n:03}"), vec![b'x'; n % 7], NEW_YEAR + (n as u64 % 5) * DAY);
    }
    let key = |entry: &Value, order: &str| match order.trim_start_matches('-') {
        "size" => entry["size"].as_u64().unwrap_or(0),
        "time" => {
            let at: jiff::Timestamp = entry["modified"].as_str().unwrap().parse().unwrap();
            at.as_nanosecond() as u64
        }
        _ => 0,
    };
    for order in ["name", "-name", "size", "-size", "time", "-time"] {
        let whole = ask(&served, &format!("entries?recursive=true&sort={order}&glob=!sub/")).await;
        let entries = whole["entries"].as_array().unwrap();
        assert_eq!((entries.len(), &whole["next"]), (304, &Value::Null), "{order}");
        for pair in entries.windows(2) {
            let [a, b] = [&pair[0], &pair[1]];
            let (first, second) = if order.starts_with('-') { (b, a) } else { (a, b) };
            assert!(key(first, order) <= key(second, order), "{order}: {a} {b}");
            let by_path = a["path"].as_str() < b["path"].as_str();
            match order {
                "-name" => assert!(!by_path, "{order}: {a} {b}"),
                _ if key(a, order) == key(b, order) => assert!(by_path, "{order}: {a} {b}"),
                _ => {}
            }
        }
        for limit in [40, 303, 304, 305] {
            let (mut paged, mut after, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let query = format!("entries?recursive=true&sort={order}&glob=!sub/&limit={limit}{after}");
                let page = ask(&served, &query).await;
                pages += 1;
                assert!(page["entries"].as_array().unwrap().len() <= limit);
                paged.extend(page["entries"].as_array().unwrap().clone());
                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
            assert_eq!(&paged, entries, "{order} by {limit}");
            assert_eq!(pages, 304_usize.div_ceil(limit), "{order} by {limit}: no page is empty");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_search_and_of_a_folder_that_changes() {
    let served = filled().await;
    for n in 0..20 {
        write(&served, &format!("many/{n:02}"), if n % 2 == 0 { "odd one out" } else { "even" }, NEW_YEAR);
    }
    let first = ask(&served, "entries/many?contains=odd&limit=9").await;
    assert_eq!(paths(&first).last().unwrap(), "many/16");
    let next = first["next"].as_str().unwrap();
    // What was last on a page may be gone when the next one is asked for.
    fs::remove_file(served.shared().join("many/16")).unwrap();
    write(&served, "many/17b", "odd", NEW_YEAR);
    let second = ask(&served, &format!("entries/many?contains=odd&limit=9&after={next}")).await;
    assert_eq!(paths(&second), ["many/17b", "many/18"]);
    assert_eq!(second["next"], Value::Null);
    let exact = ask(&served, "entries/many?contains=odd&limit=10").await;
    assert_eq!((paths(&exact).len(), &exact["next"]), (10, &Value::Null), "nothing is left to be found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_named() {
    let served = filled().await;
    let by_name = ask(&served, "entries?limit=1").await["next"].as_str().unwrap().to_owned();
    let other_order = format!("sort=size&after={by_name}");
    for (query, parameter, value, expected) in [
        ("sice=2d", "sice", "2d", "since"),
        ("Since=2d", "Since", "2d", "since"),
        ("since=yesterday", "since", "yesterday", "2026-01-31T12:30:00Z"),
        ("until=2026-13-01", "until", "2026-13-01", "2026-01-31"),
        ("until=", "until", "", "2d"),
        ("since=%ff", "since", "\\xff", "UTF-8"),
        ("since=1d&since=2d", "since", "2d", "once"),
        ("min_size=big", "min_size", "big", "10MiB"),
        ("max_size=-1", "max_size", "-1", "4096"),
        ("glob=%5Ba", "glob", "[a", "closed"),
        ("glob=!a//b", "glob", "a//b", "one '/'"),
        ("sort=date", "sort", "date", "name, size or time"),
        ("sort=%2Dsize&sort=name", "sort", "name", "once"),
        ("limit=0", "limit", "0", "one at least"),
        ("limit=x", "limit", "x", "how many"),
        ("recursive=yes", "recursive", "yes", "true or false"),
        ("recursive", "recursive", "", "true or false"),
        ("after=x", "after", "x", "'next'"),
        (&*other_order, "after", &*by_name, "same 'sort'"),
    ] {
        let answer = served.client().get(served.url(&format!("entries?{query}"))).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{query}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let told = [&problem["parameter"], &problem["value"], &problem["kind"], &problem["status"]];
        assert_eq!(told, [&json!(parameter), &json!(value), &json!("parameter"), &json!(400)], "{query}");
        assert!(problem["expected"].as_str().unwrap().contains(expected), "{query}: {problem}");
        assert!(problem["title"].as_str().unwrap().contains(parameter), "{query}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_not_utf_8_are_told_and_reached() {
    let served = Served::start().await;
    let dir = served.shared().join(OsStr::from_bytes(b"d\xff"));
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join(OsStr::from_bytes(b"f\xfe\n.txt")), "content").unwrap();
    symlink(OsStr::from_bytes(b"\xfd"), dir.join("link")).unwrap();
    let listing = ask(&served, "entries/d%FF?recursive=true").await;
    assert_eq!((&listing["path"], &listing["path_bytes"]), (&json!("d\\xff"), &json!("64ff")));
    let entry = &listing["entries"][0];
    assert_eq!(entry["name"], "f\\xfe\\n.txt");
    assert_eq!(
        (&entry["name_bytes"], &entry["path_bytes"]),
        (&json!("66fe0a2e747874"), &json!("64ff2f66fe0a2e747874"))
    );
    assert_eq!(listing["entries"][1]["target_bytes"], "fd");
    let url = served.url("files/d%FF/f%FE%0A.txt");
    assert_eq!(served.client().get(url).send().await.unwrap().text().await.unwrap(), "content");
    // Page by page, too.
    let first = ask(&served, "entries/d%FF?limit=1").await;
    let rest = ask(&served, &format!("entries/d%FF?limit=1&after={}", first["next"].as_str().unwrap())).await;
    assert_eq!((&first["entries"][0], &rest["entries"][0]["name"]), (entry, &json!("link")));
}
