//! `sitta serve` survives its clients: crowds, full disks, those that are refused, and clocks that are wrong.

mod support;

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sitta_testbed::need;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const CERTIFICATE: &str = "server-state/sitta/server/certificate.pem";

fn connector(world: &World) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(world.path(CERTIFICATE)).expect("a certificate")).expect("added");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn connect(tls: &TlsConnector, port: u16) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
    tls.connect("localhost".try_into().expect("a name"), stream).await.expect("agreed")
}

async fn ask(tls: &TlsConnector, port: u16, head: String, body: &[u8]) -> Vec<u8> {
    let mut stream = connect(tls, port).await;
    stream
        .write_all(format!("{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n").as_bytes())
        .await
        .unwrap();
    stream.write_all(format!("content-length: {}\r\n\r\n", body.len()).as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

/// The most memory that a process ever held, in KiB.
fn most_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_crowd_that_idles_hinders_nobody() {
    const IDLE: usize = 1000;
    const BUSY: usize = 200;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("more descriptors");
    let world = World::new();
    let server = Server::start(&world, "127.0.0.1:0");
    let large = Blob::new(1, 1_000_000).bytes();
    put(&world.dst, "large", &large);
    let (tls, port) = (connector(&world), server.port());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let begun = Instant::now();
    runtime.block_on(async {
        let mut idle = Vec::with_capacity(IDLE);
        for _ in 0..IDLE {
            idle.push(connect(&tls, port).await);
        }
        let busy = (0..BUSY).map(|n| {
            let (tls, large) = (tls.clone(), large.clone());
            tokio::spawn(async move {
                let got = ask(&tls, port, "GET /api/v1/shares/docs/files/large".into(), b"").await;
                assert!(got.starts_with(b"HTTP/1.1 200") && got.ends_with(&large), "{n}");
                let put = format!("PUT /api/v1/shares/docs/files/new{n}");
                let told = ask(&tls, port, put, &vec![n as u8; 200_000 + n]).await;
                assert!(told.starts_with(b"HTTP/1.1 201"), "{n}: {}", String::from_utf8_lossy(&told));
            })
        });
        for one in busy.collect::<Vec<_>>() {
            one.await.expect("answered");
        }
        drop(idle);
    });
    let (took, memory) = (begun.elapsed(), most_memory(server.child.id()));
    eprintln!("{IDLE} idle and {BUSY} busy connections: {took:?}, {memory} KiB");
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(memory < 300 << 10, "{memory} KiB");
    for n in 0..BUSY {
        assert_eq!(fs::read(world.dst.join(format!("new{n}"))).unwrap(), vec![n as u8; 200_000 + n]);
    }
}

/// The status that curl is told, and the answer.
fn curl(world: &World, arguments: &[&str]) -> (String, String) {
    let mut command = Command::new(need("curl"));
    command.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "60"]).args(["-w", "\n%{http_code}"]);
    command.arg("--cacert").arg(world.path(CERTIFICATE)).args(arguments).current_dir(world.path(""));
    let output = command.output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let (answer, status) = told.rsplit_once('\n').expect("a status");
    // By HTTP/2, curl may complain of an answer that came before it had sent all; it has it.
    let refused = status.starts_with('4') || status == "507";
    assert!(output.status.success() || refused, "{told} {}", String::from_utf8_lossy(&output.stderr));
    (status.to_owned(), answer.to_owned())
}

#[test]
fn a_full_disk_of_the_server_costs_no_old_file() {
    let world = World::new();
    let Some(_mount) = Mount::tmpfs(&world.dst, "3m") else {
        return skipped("a_full_disk_of_the_server_costs_no_old_file", "may not mount a tmpfs");
    };
    let server = Server::start(&world, "127.0.0.1:0");
    put(&world.dst, "old", b"old bytes");
    put(&world.path(""), "large", vec![1; 8_000_000]);
    put(&world.path(""), "small", b"small");
    let base = format!("https://{}", server.address);
    for (n, place) in ["/api/v1/shares/docs/files/", "/dav/docs/"].into_iter().enumerate() {
        for version in ["--http1.1", "--http2"] {
            for name in ["old", "new"] {
                let url = format!("{base}{place}{name}");
                let (status, answer) = curl(&world, &[version, "--upload-file", "large", &url]);
                assert_eq!(status, "507", "{version} {url}: {answer}");
                assert_eq!(fs::read(world.dst.join("old")).unwrap(), b"old bytes");
                assert_eq!(fs::read_dir(&world.dst).unwrap().count(), n + 1, "nothing is left of it");
            }
        }
        let (status, answer) = curl(&world, &["--upload-file", "small", &format!("{base}{place}small{n}")]);
        assert_eq!(status, "201", "{answer}");
    }
    put(&world.src, "a-giant", vec![1; 8_000_000]);
    put(&world.src, "old", vec![2; 8_000_000]);
    put(&world.src, "small2", b"small");
    let run = world.sitta(&["copy", world.src.to_str().expect("UTF-8"), &server.url(), "--json"]);
    run.expect_code(3);
    assert_eq!(run.problems(), ["a-giant", "old"]);
    let report = run.report();
    assert!(report["problems"].as_array().unwrap().iter().all(|p| p["kind"] == "full"), "{report}");
    assert_eq!(fs::read(world.dst.join("old")).unwrap(), b"old bytes");
    let mut names: Vec<_> = fs::read_dir(&world.dst).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["old", "small0", "small1", "small2"]);
}

#[test]
fn a_large_file_with_a_wrong_login_is_told_so() {
    let world = World::new();
    put(&world.src, "large", vec![1; 60_000_000]);
    put(&world.path(""), "password", b"hunter2\n");
    let mut add = world.command();
    add.args(["user", "add", "ann", "--password-file", "password", "--read-only"]);
    add.env("XDG_STATE_HOME", world.path("server-state"));
    finish(start(&mut add)).expect_code(0);
    let server = Server::start(&world, "127.0.0.1:0");
    for (login, words) in [("ann:wrong@", "does not accept this user and password"), ("ann:hunter2@", "read")] {
        let place = format!("sitta://{login}{}/docs", server.address);
        let run = world.sitta(&["copy", world.src.to_str().expect("UTF-8"), &place]);
        run.expect_code(1);
        assert!(run.err().contains(words), "{run:?}");
    }
    let large = world.src.join("large");
    let url = format!("https://{}/api/v1/shares/docs/files/large", server.address);
    for (login, expected) in [("ann:wrong", "401"), ("ann:hunter2", "403")] {
        for version in ["--http1.1", "--http2"] {
            let file = large.to_str().expect("UTF-8");
            let (status, answer) = curl(&world, &[version, "-u", login, "-H", "Expect:", "-T", file, &url]);
            assert_eq!(status, expected, "{version} {login}: {answer}");
        }
    }
    assert_eq!(fs::read_dir(&world.dst).unwrap().count(), 0);
}

#[test]
fn a_clock_that_is_years_off_keeps_nobody_out() {
    let world = World::new();
    put(&world.dst, "f", b"content");
    let server = Server::start(&world, "127.0.0.1:0");
    let of = |when: &str, arguments: &[&str]| {
        let mut command = Command::new(need("faketime"));
        command.arg(when).arg(world.binary()).args(arguments);
        world.furnish(&mut command);
        finish(start(&mut command))
    };
    // It is met at a time when its certificate was not yet, or is no more; then it is known.
    for (n, when) in ["1971-01-01 00:00:00", "2001-01-01 00:00:00", "2105-01-01 00:00:00"].into_iter().enumerate() {
        let known = world.state.join("sitta/known_servers");
        let _ = fs::remove_file(&known);
        for _ in 0..2 {
            let run = of(when, &["ls", &server.url()]);
            run.expect_code(0);
            assert_eq!(run.out().trim(), "f");
        }
        let to = format!("copy{n}");
        of(when, &["copy", &server.url(), &to]).expect_code(0);
        assert_same(&world.dst, &world.path(&to));
        fs::write(&known, format!("{} sha256:00", server.address)).unwrap();
        let other = of(when, &["ls", &server.url()]);
        other.expect_code(1);
        assert!(other.err().contains("another certificate than before"), "{other:?}");
    }
}
