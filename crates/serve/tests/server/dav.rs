//! WebDAV: real clients, and what is kept.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use sitta_testbed::need;
use tokio::io::AsyncWriteExt;

use crate::support::Served;
use crate::support::dav::{ask, status, text, url, users};

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn litmus_finds_nothing_wrong() {
    let served = Served::start_with(users).await;
    let place = tempfile::tempdir().unwrap();
    let mut litmus = Command::new(need("litmus"));
    litmus.args(["-k", &url(&served, ""), "ann", "right"]).current_dir(place.path());
    litmus.env("TESTS", "basic copymove props locks http");
    let output = run(litmus).await;
    let said = String::from_utf8_lossy(&output.stdout).replace('\r', "\n");
    let summaries: Vec<_> = said.lines().filter(|line| line.contains("summary for")).collect();
    assert_eq!(summaries.len(), 5, "{said}");
    assert!(summaries.iter().all(|line| line.ends_with(" 0 failed. 100.0%")), "{said}");
    // Without TLS only; and what stands behind a `#` in a request line, the HTTP library drops before anybody sees it.
    let known = ["SKIPPED (skipping for SSL server)", "Request-URI including fragment"];
    for line in said.lines().filter(|line| !known.iter().any(|known| line.contains(known))) {
        assert!(!["FAIL", "WARNING", "SKIPPED"].iter().any(|word| line.contains(word)), "{said}");
    }
    assert!(output.status.success(), "{said}");
}

async fn rclone(served: &Served, arguments: &[&str]) -> String {
    let mut rclone = Command::new(need("rclone"));
    let remote = |path: &str| match path.strip_prefix("dav:") {
        Some(path) => {
            format!(":webdav,url='{}',vendor=owncloud,user=ann,pass='{}':{path}", url(served, ""), obscured())
        }
        None => path.to_owned(),
    };
    rclone.args(["--config", "/dev/null", "--no-check-certificate", "--retries", "1"]);
    rclone.args(arguments.iter().map(|argument| remote(argument)));
    let output = run(rclone).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The password as rclone wants it; each time it asks for it, another one, which would be another server to it.
fn obscured() -> &'static str {
    static PASSWORD: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    PASSWORD.get_or_init(|| {
        let output = Command::new(need("rclone")).args(["obscure", "right"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    })
}

fn modified(path: &Path) -> i64 {
    fs::metadata(path).unwrap().mtime()
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone_copies_there_and_back() {
    let served = Served::start_with(users).await;
    let place = tempfile::tempdir().unwrap();
    let (up, down) = (place.path().join("up"), place.path().join("down"));
    fs::create_dir_all(up.join("d/e \u{e4}&<")).unwrap();
    let large: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 253) as u8).collect();
    let all =
        [("f", &b"content"[..]), ("empty", b""), ("d/large", &large), ("d/e \u{e4}&</100% #?;+ \u{1f600}", b"odd")];
    for (n, (name, bytes)) in all.into_iter().enumerate() {
        fs::write(up.join(name), bytes).unwrap();
        let at = std::time::UNIX_EPOCH + Duration::from_secs(1_500_000_000 + n as u64);
        fs::File::options().write(true).open(up.join(name)).unwrap().set_modified(at).unwrap();
    }
    let (up, down) = (up.to_str().unwrap(), down.to_str().unwrap());
    rclone(&served, &["copy", up, "dav:tree"]).await;
    rclone(&served, &["check", "--download", up, "dav:tree"]).await;
    for (name, _) in all {
        let there = served.shared().join("tree").join(name);
        assert_eq!(modified(&there), modified(&Path::new(up).join(name)), "{name}");
    }
    // Sizes and times are the same, so that nothing is copied again.
    let again = rclone(&served, &["copy", "--dry-run", "--use-json-log", "--stats", "0", up, "dav:tree"]).await;
    assert!(!again.contains("Skipped"), "{again}");
    rclone(&served, &["copy", "dav:tree", down]).await;
    rclone(&served, &["check", "--download", up, down]).await;
    assert_eq!(modified(&Path::new(down).join("f")), 1_500_000_000);
    rclone(&served, &["moveto", "dav:tree/d", "dav:moved/d"]).await;
    assert_eq!(
        (served.names("tree"), served.names("moved/d")),
        (strings(&["empty", "f"]), strings(&["e \u{e4}&<", "large"]))
    );
    rclone(&served, &["copyto", "dav:moved/d/large", "dav:copied"]).await;
    assert_eq!(fs::read(served.shared().join("copied")).unwrap(), large);
    rclone(&served, &["deletefile", "dav:copied"]).await;
    rclone(&served, &["purge", "dav:moved"]).await;
    assert_eq!(served.names(""), ["tree"]);
}

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sitta_comes_by_webdav_too() {
    use sitta_store::{Access, Location, conformance, webdav};
    let served = Served::start().await;
    let mut access = Access::default();
    access.web.ca = fs::read(served.tls("certificate.pem")).unwrap();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let make = || {
        let at = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let text = format!("webdavs://localhost:{}/dav/files/check/{at}", served.address.port());
        let access = access.clone();
        async move {
            let Ok(Location::Remote(remote)) = Location::parse(&text) else { panic!("{text}") };
            let store = webdav::open(&remote, &access).await.expect("opened");
            store.create_root().await.expect("made");
            store
        }
    };
    let mut verdict = conformance::run(make).await;
    // Temporaries are in no listing of the server, so that no client can tell of them.
    let known = "trees::temporaries_are_left_out";
    verdict.failed.retain(|(name, _)| *name != known);
    verdict.expect_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_what_was_there() {
    let served = Served::start().await;
    fs::write(served.shared().join("f"), "old").unwrap();
    for path in ["f", "new"] {
        for head in ["content-length: 4000000", "transfer-encoding: chunked"] {
            let mut tls = served.connect().await;
            let head = format!("PUT /dav/files/{path} HTTP/1.1\r\nhost: localhost\r\n{head}\r\n\r\n");
            tls.write_all(head.as_bytes()).await.unwrap();
            let piece = 2 << 20;
            if head.contains("chunked") {
                tls.write_all(format!("{piece:x}\r\n").as_bytes()).await.unwrap();
            }
            tls.write_all(&vec![b'x'; piece]).await.unwrap();
            tls.flush().await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(tls);
            tokio::time::sleep(Duration::from_millis(400)).await;
            assert_eq!(served.names(""), ["f"], "{path} {head}");
            assert_eq!(fs::read(served.shared().join("f")).unwrap(), b"old", "{path} {head}");
        }
    }
}

const PATCH: &str = "<D:propertyupdate xmlns:D='DAV:' xmlns:x='urn:x'><D:set><D:prop><x:note>said</x:note></D:prop></D:set>\
    </D:propertyupdate>";
const FIND: &str = "<D:propfind xmlns:D='DAV:' xmlns:x='urn:x'><D:prop><x:note/></D:prop></D:propfind>";

#[tokio::test(flavor = "multi_thread")]
async fn properties_follow_and_outlive_the_server() {
    let mut served = Served::start().await;
    fs::create_dir(served.shared().join("d")).unwrap();
    fs::write(served.shared().join("d/f"), "content").unwrap();
    let client = served.client();
    let find = async |served: &Served, path: &str| {
        let (status, said) = text(ask(&client, served, "PROPFIND", path).header("depth", "0").body(FIND)).await;
        (status == 207).then(|| said.contains(">said</x:note>"))
    };
    assert_eq!(find(&served, "d/f").await, Some(false));
    assert_eq!(status(ask(&client, &served, "PROPPATCH", "d/f").body(PATCH)).await, 207);
    assert_eq!(find(&served, "d/f").await, Some(true));
    served.stop().await;
    // Somebody else may have taken the port meanwhile.
    served.address.set_port(0);
    served.start_again().await;
    assert_eq!(find(&served, "d/f").await, Some(true), "after a restart");
    let to = |served: &Served, method: &str, from: &str, to: &str| {
        ask(&client, served, method, from).header("destination", url(served, to))
    };
    assert_eq!(status(to(&served, "COPY", "d", "copy")).await, 201);
    assert_eq!((find(&served, "d/f").await, find(&served, "copy/f").await), (Some(true), Some(true)));
    assert_eq!(status(to(&served, "MOVE", "d/f", "g")).await, 201);
    assert_eq!((find(&served, "d/f").await, find(&served, "g").await), (None, Some(true)));
    assert_eq!(status(ask(&client, &served, "PUT", "g").body("other")).await, 204);
    assert_eq!(find(&served, "g").await, Some(true), "another content, the same file");
    assert_eq!(status(ask(&client, &served, "DELETE", "g")).await, 204);
    assert_eq!(status(ask(&client, &served, "PUT", "g").body("new")).await, 201);
    assert_eq!(find(&served, "g").await, Some(false));
    // By the interface for scripts, too.
    let script = client.post(served.url("move/copy/f?to=copy/g"));
    assert_eq!(status(script).await, 201);
    assert_eq!((find(&served, "copy/f").await, find(&served, "copy/g").await), (None, Some(true)));
    assert_eq!(status(client.post(served.url("move/copy/g?to=copy/f"))).await, 201);
    // One removed behind the server's back: another one of its name has nothing of it.
    fs::remove_file(served.shared().join("copy/f")).unwrap();
    assert_eq!(status(ask(&client, &served, "PUT", "copy/f").body("new")).await, 201);
    assert_eq!(find(&served, "copy/f").await, Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_kept_and_set() {
    let served = Served::start().await;
    let client = served.client();
    let put = ask(&client, &served, "PUT", "f").header("x-oc-mtime", "1500000000").body("x").send().await.unwrap();
    assert_eq!((put.status().as_u16(), put.headers()["x-oc-mtime"].to_str().unwrap()), (201, "accepted"));
    let file = served.shared().join("f");
    assert_eq!(modified(&file), 1_500_000_000);
    let patch_at = |path: &str, inside: &str| {
        let body = format!(
            "<D:propertyupdate xmlns:D='DAV:' xmlns:Z='urn:schemas-microsoft-com:'><D:set><D:prop>{inside}</D:prop></D:set>\
             </D:propertyupdate>"
        );
        text(ask(&client, &served, "PROPPATCH", path).body(body))
    };
    let patch = |inside: &str| patch_at("f", inside);
    assert!(patch("<D:lastmodified>1400000000</D:lastmodified>").await.1.contains("200 OK"));
    assert_eq!(modified(&file), 1_400_000_000);
    let date = "<Z:Win32LastModifiedTime>Sun, 06 Nov 1994 08:49:37 GMT</Z:Win32LastModifiedTime>";
    assert!(patch(date).await.1.contains("200 OK"));
    assert_eq!(modified(&file), 784_111_777);
    // All or nothing.
    let both = patch("<D:getetag>x</D:getetag><D:lastmodified>1</D:lastmodified><Z:p/>").await.1;
    assert!(
        both.contains("403 Forbidden") && both.contains("424 Failed Dependency") && !both.contains("200"),
        "{both}"
    );
    assert!(patch("<D:lastmodified>soon</D:lastmodified>").await.1.contains("409 Conflict"));
    assert_eq!(modified(&file), 784_111_777);
    fs::create_dir(served.shared().join("d")).unwrap();
    assert!(patch_at("d", date).await.1.contains("200 OK"));
    assert_eq!(modified(&served.shared().join("d")), 784_111_777, "a directory's too");
    let look = "<D:propfind xmlns:D='DAV:'><D:prop><D:lastmodified/><D:getlastmodified/></D:prop></D:propfind>";
    let (_, said) = text(ask(&client, &served, "PROPFIND", "f").header("depth", "0").body(look)).await;
    assert!(said.contains(">784111777<") && said.contains(">Sun, 06 Nov 1994 08:49:37 GMT<"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_hold_off_everybody_else() {
    let served = Served::start_with(users).await;
    let client = served.client();
    let by =
        |user: &str, method: &str, path: &str| ask(&client, &served, method, path).basic_auth(user, Some("right"));
    let lock = "<D:lockinfo xmlns:D='DAV:'><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype>\
                <D:owner>Ann &amp; co</D:owner></D:lockinfo>";
    let answer = by("ann", "LOCK", "f").header("timeout", "Second-60").body(lock).send().await.unwrap();
    assert_eq!(answer.status(), 201, "an empty file is made");
    let token = answer.headers()["lock-token"].to_str().unwrap().to_owned();
    let said = answer.text().await.unwrap();
    assert!(said.contains("<D:owner>Ann &amp; co</D:owner>") && said.contains("<D:timeout>Second-"), "{said}");
    let submitted = format!("({token})");
    assert_eq!(status(by("ann", "PUT", "f").body("x")).await, 423);
    assert_eq!(status(by("dan", "PUT", "f").header("if", &submitted).body("x")).await, 423, "not his");
    assert_eq!(status(by("ann", "PUT", "f").header("if", &submitted).body("x")).await, 204);
    assert_eq!(status(by("ann", "PUT", "f").header("if", "(<urn:x>)").body("x")).await, 412);
    assert_eq!(status(by("ann", "PUT", "f").header("if", "(").body("x")).await, 400);
    for (method, path) in [("DELETE", "f"), ("MOVE", "f"), ("PROPPATCH", "f"), ("LOCK", "f"), ("LOCK", "")] {
        let request = by("dan", method, path).header("destination", url(&served, "g"));
        assert_eq!(
            status(request.body(if method == "LOCK" { lock } else { PATCH })).await,
            423,
            "{method} {path:?}"
        );
    }
    assert_eq!(
        status(by("dan", "COPY", "f").header("destination", url(&served, "g"))).await,
        201,
        "it is only read"
    );
    assert_eq!(status(by("dan", "MOVE", "g").header("destination", url(&served, "f"))).await, 423);
    assert_eq!(status(by("dan", "UNLOCK", "f").header("lock-token", &token)).await, 403);
    assert_eq!(status(by("ann", "UNLOCK", "g").header("lock-token", &token)).await, 409);
    assert_eq!(status(by("ann", "LOCK", "f").header("if", &submitted)).await, 200, "it goes on");
    assert_eq!(status(by("ann", "UNLOCK", "f").header("lock-token", &token)).await, 204);
    assert_eq!(status(by("dan", "PUT", "f").body("x")).await, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_3_speaks_it_too() {
    let served = Served::start().await;
    fs::write(served.shared().join("f"), "content").unwrap();
    let certificate = served.tls("certificate.pem");
    for (method, path, told) in
        [("PROPFIND", "f", "207 "), ("MKCOL", "d", "201 "), ("GET", "f", "200 7 "), ("DELETE", "f", "204 0 ")]
    {
        let mut python = Command::new(need("python3"));
        python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/h3_client.py"));
        python.args([method, &url(&served, path)]).arg(&certificate);
        let output = run(python).await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.starts_with(told), "{method}: {said} {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(served.names(""), ["d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_replaced_is_there_until_then() {
    let served = Served::start().await;
    let at = |name: &str| served.shared().join(name);
    fs::create_dir_all(at("d/e")).unwrap();
    fs::write(at("d/e/f"), "of d").unwrap();
    fs::write(at("f"), "of f").unwrap();
    fs::write(at("g"), "of g").unwrap();
    let client = served.client();
    let to = |method: &str, from: &str, to: &str| {
        ask(&client, &served, method, from).header("destination", url(&served, to))
    };
    assert_eq!(status(to("MOVE", "f", "g").header("overwrite", "F")).await, 412);
    assert_eq!(status(to("MOVE", "f", "g")).await, 204);
    assert_eq!((served.names(""), fs::read(at("g")).unwrap()), (strings(&["d", "g"]), b"of f".to_vec()));
    assert_eq!(status(to("COPY", "g", "d")).await, 204, "a file in place of a directory");
    assert_eq!((served.names(""), fs::read(at("d")).unwrap()), (strings(&["d", "g"]), b"of f".to_vec()));
    fs::create_dir(at("n")).unwrap();
    assert_eq!(status(to("MOVE", "n", "g")).await, 204, "a directory in place of a file");
    assert!(at("g").is_dir() && served.names("") == ["d", "g"]);
    // What cannot be copied leaves what was there.
    fs::write(at("g/f"), "inside").unwrap();
    assert_eq!(status(to("MOVE", "g", "g/below")).await, 403);
    assert_eq!(status(to("COPY", "g/f", "g")).await, 403, "what holds it would go");
    assert_eq!((served.names(""), served.names("g")), (strings(&["d", "g"]), strings(&["f"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_to_another_share_is_copied_there() {
    let mut served = Served::start().await;
    served.stop().await;
    for (name, writable) in [("other", true), ("fixed", false)] {
        let folder = served.dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        served.also.push((name, folder, writable));
    }
    served.address.set_port(0);
    served.start_again().await;
    let (shared, other) = (served.shared(), served.dir.path().join("other"));
    fs::create_dir_all(shared.join("d/e")).unwrap();
    fs::write(shared.join("d/e/f"), "of d").unwrap();
    fs::write(shared.join("f"), "of f").unwrap();
    let client = served.client();
    let to = |method: &str, from: &str, to: &str| {
        ask(&client, &served, method, from).header("destination", format!("/dav/{to}"))
    };
    assert_eq!(status(ask(&client, &served, "PROPPATCH", "d/e/f").body(PATCH)).await, 207);
    assert_eq!(status(to("COPY", "f", "other/f")).await, 201);
    assert_eq!(status(to("MOVE", "d", "other/d")).await, 201);
    assert_eq!(status(to("MOVE", "f", "other/f")).await, 204);
    assert_eq!((served.names(""), fs::read(other.join("d/e/f")).unwrap()), (Vec::new(), b"of d".to_vec()));
    assert_eq!(fs::read(other.join("f")).unwrap(), b"of f");
    let moved = url(&served, "").replace("/dav/files/", "/dav/other/d/e/f");
    let find = client.request("PROPFIND".parse().unwrap(), moved).header("depth", "0").body(FIND);
    assert!(text(find).await.1.contains(">said</x:note>"), "its properties came too");
    // All of one share goes; none into one for reading only.
    fs::write(shared.join("g"), "of g").unwrap();
    assert_eq!(status(to("COPY", "", "other/all")).await, 201);
    assert_eq!(fs::read(other.join("all/g")).unwrap(), b"of g");
    assert_eq!(status(to("COPY", "g", "fixed/g")).await, 403);
    assert_eq!(status(to("MOVE", "g", "fixed/g")).await, 403);
    assert_eq!(served.names(""), ["g"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_what_is_written_down() {
    let mut served = Served::start_with(users).await;
    let client = served.client();
    let ann = |method: &str, path: &str| ask(&client, &served, method, path).basic_auth("ann", Some("right"));
    status(ann("PUT", "f").body("x")).await;
    status(ann("GET", "f")).await;
    status(ann("PROPFIND", "").header("depth", "1")).await;
    status(ann("PROPFIND", "").header("depth", "0")).await;
    status(ann("MKCOL", "d")).await;
    status(ann("COPY", "f").header("destination", url(&served, "d/g"))).await;
    status(ann("MOVE", "f").header("destination", url(&served, "d/h"))).await;
    status(ann("PROPPATCH", "d/g").body(PATCH)).await;
    status(ann("DELETE", "d")).await;
    status(ann("DELETE", "d")).await;
    status(ask(&client, &served, "DELETE", "d").basic_auth("bob", Some("right"))).await;
    status(ask(&client, &served, "PUT", "d").basic_auth("bob", Some("hunter2"))).await;
    served.stop().await;
    let expected = [
        "ann write files/f done",
        "ann get files/f done",
        "ann list files/ done",
        "ann make_dir files/d done",
        "ann write files/d/g done",
        "ann copy files/f done",
        "ann write files/d/h done",
        "ann rename files/f done",
        "ann set_meta files/d/g done",
        "ann remove files/d done",
        "ann remove files/d not_found",
        "bob remove files/d read_only",
        " login / login",
    ];
    assert_eq!(served.audited(expected.len()).await, expected);
}
