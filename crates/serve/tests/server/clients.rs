//! Real clients: curl over HTTP/1.1 and 2, aioquic over HTTP/3.

use std::fs;
use std::process::{Command, Output};

use sitta_testbed::need;
use sitta_testbed::relay::{Line, Relay};

use crate::support::Served;

fn certificate(served: &Served) -> String {
    served.tls("certificate.pem").display().to_string()
}

fn url(served: &Served, path: &str) -> String {
    format!("https://localhost:{}/api/v1/shares/files{path}", served.address.port())
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("it ends")
}

async fn curl(served: &Served, arguments: &[&str]) -> Output {
    let mut command = Command::new(need("curl"));
    command.args(["--silent", "--show-error", "--noproxy", "*", "--cacert", &certificate(served)]).args(arguments);
    run(command).await
}

async fn h3(served: &Served, method: &str, path: &str, range: Option<&str>) -> String {
    let mut command = Command::new(need("python3"));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/h3_client.py"));
    command.args([method, &url(served, path), &certificate(served)]).args(range);
    let output = run(command).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let digest = <sha2::Sha256 as sha2::Digest>::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_gets_files_and_parts_by_both_versions() {
    let served = Served::start().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(served.shared().join("a b"), &bytes).unwrap();
    let file = url(&served, "/files/a%20b");
    for (version, told) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let all = curl(&served, &[version, "--fail", &file]).await;
        assert_eq!(all.stdout, bytes, "{}", String::from_utf8_lossy(&all.stderr));
        let part = curl(&served, &[version, "--fail", "--range", "1000-1999", &file]).await;
        assert_eq!(part.stdout, bytes[1000..2000]);
        let head = curl(&served, &[version, "--head", "--write-out", "%{http_version} %{http_code}", &file]).await;
        let head = String::from_utf8(head.stdout).unwrap().to_ascii_lowercase();
        assert!(head.contains("content-length: 3000000") && head.contains("accept-ranges: bytes"), "{head}");
        assert!(head.contains(&format!("alt-svc: h3=\":{}\"", served.address.port())), "{head}");
        assert!(head.ends_with(&format!("{told} 200")), "{head}");
    }
    let missing =
        curl(&served, &["--write-out", "%{http_code} %{content_type}", &url(&served, "/files/none")]).await;
    let missing = String::from_utf8(missing.stdout).unwrap();
    assert!(
        missing.ends_with("404 application/problem+json") && missing.contains("nothing stands there"),
        "{missing}"
    );
}

/// The hash by which Chromium is told to trust a key.
fn key_hash(served: &Served) -> String {
    let script = format!(
        "openssl x509 -in '{}' -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64",
        certificate(served)
    );
    let output = Command::new("sh").args(["-c", &script]).output().expect("it runs");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_lists_a_folder_by_http_3() {
    let served = Served::start().await;
    fs::write(served.shared().join("read by a browser"), "").unwrap();
    // Nobody listens by TCP there: it comes by QUIC or not at all.
    let relay = Relay::to(served.address.port(), 0, Line::default()).expect("a relay");
    let origin = format!("127.0.0.1:{}", relay.port());
    let mut command = Command::new(need("chromium-headless-shell"));
    command.args([
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
        "--dump-dom",
    ]);
    command.args(["--enable-quic", &format!("--origin-to-force-quic-on={origin}")]);
    command.arg(format!("--ignore-certificate-errors-spki-list={}", key_hash(&served)));
    command.arg(format!("--user-data-dir={}", served.dir.path().join("browser").display()));
    command.arg("--no-proxy-server").arg(format!("https://{origin}/api/v1/shares/files/entries/"));
    let output = run(command).await;
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(page.contains("read by a browser"), "{page}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn aioquic_gets_files_and_parts() {
    let served = Served::start().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 241) as u8).collect();
    fs::write(served.shared().join("f"), &bytes).unwrap();
    assert_eq!(h3(&served, "GET", "/files/f", None).await, format!("200 3000000 {}", sha256(&bytes)));
    let part = h3(&served, "GET", "/files/f", Some("bytes=10-19")).await;
    assert_eq!(part, format!("206 10 {}", sha256(&bytes[10..20])));
    assert!(h3(&served, "GET", "/files/none", None).await.starts_with("404 "));
    assert!(h3(&served, "POST", "/sync", None).await.starts_with("204 0 "));
}
