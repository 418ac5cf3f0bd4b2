//! `sitta serve`, and the program's verbs against it.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sitta_testbed::certificate::Certificate;
use support::*;

fn some_files(world: &World) {
    for n in 0..300 {
        put(&world.src, &format!("d{}/f{n}", n % 7), format!("content {n}").as_bytes());
    }
    put(&world.src, "large", &vec![7; 3_000_000]);
    put(&world.src, "empty", b"");
}

fn put(dir: &std::path::Path, name: &str, bytes: &[u8]) {
    let file = dir.join(name);
    fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    fs::write(file, bytes).expect("written");
}

#[test]
fn a_mirror_to_a_server_is_exact_and_the_next_one_has_nothing_to_do() {
    let world = World::new();
    let mut server = Server::start(&world, "127.0.0.1:0");
    some_files(&world);
    let source = world.src.to_str().expect("UTF-8");
    let mirror = |options: &[&str]| {
        let run = world.sitta(&[&["mirror", source, &server.url(), "--json"], options].concat());
        run.expect_code(0);
        run
    };
    mirror(&[]).expect_counts([302, 0, 0, 0]);
    assert_same(&world.src, &world.dst);
    assert_no_temporaries(&world.dst);
    mirror(&[]).expect_counts([0, 0, 0, 0]);
    fs::rename(world.src.join("d1"), world.src.join("e1")).expect("renamed");
    put(&world.src, "d2/f2", b"another content");
    fs::remove_file(world.src.join("d3/f3")).expect("removed");
    let report = mirror(&[]).report();
    assert_eq!((report["updated"].as_u64(), report["deleted"].as_u64()), (Some(1), Some(1)), "{report}");
    assert_same(&world.src, &world.dst);
    // And back.
    let back = world.path("back");
    world.sitta(&["copy", &server.url(), back.to_str().expect("UTF-8")]).expect_code(0);
    assert_same(&world.src, &back);
    let known = fs::read_to_string(world.state.join("sitta/known_servers")).expect("it is known now");
    assert_eq!(known.trim(), format!("{} {}", server.address, server.fingerprint));
    assert_eq!(server.end(Signal::TERM), Some(0));
}

/// Up and down, through all that stands between a run and the server; a limit is on what travels, not on what is looked at.
#[test]
fn of_a_large_file_only_what_differs_travels() {
    let world = World::new();
    let server = Server::start(&world, "127.0.0.1:0");
    let port = server.address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let line = sitta_testbed::proxy::Proxy::to(port);
    let (url, back) = (format!("sitta://127.0.0.1:{}/docs", line.port()), world.path("back"));
    let mut bytes: Vec<u8> =
        (0..12_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 ^ (n >> 20) as u8).collect();
    let travelled = |run: &[&str]| {
        let before = line.sent() + line.received();
        world.sitta(run).expect_code(0);
        line.sent() + line.received() - before
    };
    let (source, back_text) = (world.src.to_str().expect("UTF-8"), back.to_str().expect("UTF-8"));
    for (round, limit) in [(0, "1GiB"), (1, "256KiB")] {
        if round == 1 {
            bytes.insert(5_000_000, 7);
        }
        put(&world.src, "large", &bytes);
        let up = travelled(&["mirror", source, &url, "--limit-rate", limit]);
        let down = travelled(&["mirror", &url, back_text, "--limit-rate", limit]);
        let whole = bytes.len() as u64;
        for cost in [up, down] {
            assert!(if round == 0 { cost > whole } else { cost < 600_000 }, "round {round}: {cost}");
        }
        assert_same(&world.src, &world.dst);
        assert_same(&world.src, &back);
    }
}

#[test]
fn a_server_that_dies_half_way_costs_time_only() {
    let world = World::new();
    let mut server = Server::start(&world, "127.0.0.1:0");
    for n in 0..60 {
        put(&world.src, &format!("f{n}"), &vec![n as u8; 2_000_000]);
    }
    let source = world.src.to_str().expect("UTF-8").to_owned();
    let mut command = world.command();
    command.args(["mirror", &source, &server.url(), "--json"]);
    let child = start(&mut command);
    while fs::read_dir(&world.dst).expect("listed").count() < 5 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (address, url) = (server.address.clone(), server.url());
    server.end(Signal::KILL);
    let run = finish(child);
    assert!(matches!(run.code(), 1 | 3), "{run:?}");
    let server = Server::start(&world, &address);
    assert_eq!(server.url(), url);
    world.sitta(&["mirror", &source, &url]).expect_code(0);
    assert_same(&world.src, &world.dst);
    assert_no_temporaries(&world.dst);
}

#[test]
fn accounts_keep_others_out_and_nothing_tells_a_password() {
    let world = World::new();
    put(&world.dst, "f", b"content");
    put(&world.src, "g", b"content");
    fs::write(world.path("password"), "hunter2-secret\n").expect("written");
    let mut add = world.command();
    add.args(["user", "add", "ann", "--password-file", "password", "--read-only"]);
    add.env("XDG_STATE_HOME", world.path("server-state"));
    let added = finish(start(&mut add));
    added.expect_code(0);
    let server = Server::start(&world, "127.0.0.1:0");
    let with = |user: &str| format!("sitta://{user}{}/docs", server.address);
    let runs = [
        (world.sitta(&["ls", &with("")]), 1),
        (world.sitta(&["ls", &with("ann:wrong-secret@")]), 1),
        (world.sitta(&["ls", &with("ann:hunter2-secret@")]), 0),
        (world.sitta(&["copy", world.src.to_str().expect("UTF-8"), &with("ann:hunter2-secret@")]), 1),
    ];
    assert!(runs[0].0.err().contains("the server asks who you are"), "{:?}", runs[0].0);
    assert!(runs[1].0.err().contains("does not accept this user and password"), "{:?}", runs[1].0);
    assert_eq!(runs[2].0.out().trim(), "f");
    for (run, code) in &runs {
        run.expect_code(*code);
        assert!(!format!("{}{}", run.out(), run.err()).contains("-secret"), "{run:?}");
    }
}

#[test]
fn an_own_certificate_is_trusted_by_its_authority_and_its_end_is_told_of() {
    let world = World::new();
    put(&world.dst, "f", b"content");
    let tls = world.path("tls");
    fs::create_dir(&tls).expect("made");
    let made = Certificate::make_for(&tls, 3);
    let mut command = world.command();
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--share", "docs=dst"]);
    command.arg("--tls-certificate").arg(&made.certificate).arg("--tls-key").arg(&made.key);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.as_mut().expect("piped")).lines();
    let mut next = || -> serde_json::Value {
        serde_json::from_str(&lines.next().expect("a line").expect("UTF-8")).expect("JSON")
    };
    let address = next()["addresses"][0].as_str().expect("an address").to_owned();
    let told = std::iter::repeat_with(&mut next).find(|told| told["event"] == "certificate").expect("told");
    assert_eq!(told["state"], "ends", "{told}");
    let config =
        format!("[store.mine]\nurl = \"sitta://{address}/docs\"\nca = \"{}\"\n", made.certificate.display());
    put(&world.path("config/sitta"), "config.toml", config.as_bytes());
    let listed = world.sitta(&["ls", "mine:"]);
    listed.expect_code(0);
    assert_eq!(listed.out().trim(), "f");
    assert!(!world.state.join("sitta/known_servers").exists(), "nothing has to be remembered");
    signal(child.id(), Signal::TERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    // A key that is another one's.
    let other = Certificate::make(&world.path("config"));
    let mut command = world.command();
    command.args(["serve", "--listen", "127.0.0.1:0", "--share", "docs=dst"]);
    command.arg("--tls-certificate").arg(&made.certificate).arg("--tls-key").arg(&other.key);
    let refused = finish(start(&mut command));
    refused.expect_code(2);
    assert!(refused.err().contains("certificate.pem cannot be used"), "{refused:?}");
}

#[test]
fn shares_stand_in_the_config_and_its_comments_stay() {
    let world = World::new();
    put(&world.dst, "f", b"content");
    let config = world.path("config/sitta/config.toml");
    put(&world.path("config/sitta"), "config.toml", b"# mine\n[daemon]   # as usual\nparallel = 1\n");
    world.sitta(&["serve"]).expect_code(2);
    world.sitta(&["share", "add", "docs", "dst", "--read-only"]).expect_code(0);
    world.sitta(&["share", "add", "docs", "src"]).expect_code(2);
    world.sitta(&["share", "add", "more", "nothing-like-that:x"]).expect_code(2);
    let text = fs::read_to_string(&config).expect("read");
    let added = format!("\n[share.docs]\nlocation = \"{}\"\nread_only = true\n", world.dst.display());
    assert_eq!(text, format!("# mine\n[daemon]   # as usual\nparallel = 1\n{added}"));
    let mut command = world.command();
    command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
    let told: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let url = format!("sitta://{}/docs", told["addresses"][0].as_str().expect("an address"));
    assert_eq!(world.sitta(&["ls", &url]).out().trim(), "f");
    put(&world.src, "g", b"x");
    let refused = world.sitta(&["copy", world.src.to_str().expect("UTF-8"), &url]);
    refused.expect_code(1);
    assert!(refused.err().contains("open for reading only"), "{refused:?}");
    signal(child.id(), Signal::TERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    world.sitta(&["share", "remove", "docs"]).expect_code(0);
    world.sitta(&["share", "remove", "docs"]).expect_code(2);
    assert_eq!(fs::read_to_string(&config).expect("read"), "# mine\n[daemon]   # as usual\nparallel = 1\n");
}

#[test]
fn a_watched_sync_with_a_server_reacts_at_once_in_both_directions() {
    let world = World::new();
    let server = Server::start(&world, "127.0.0.1:0");
    let mut command = world.command();
    command.args(["sync", world.src.to_str().expect("UTF-8"), &server.url(), "--watch"]);
    let child = start(&mut command);
    let appears = |file: &std::path::Path, within: Duration| {
        let end = Instant::now() + within;
        while !file.exists() {
            assert!(Instant::now() < end, "{} did not come", file.display());
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    // Once something has come over, both sides are watched.
    put(&world.src, "first", b"x");
    appears(&world.dst.join("first"), Duration::from_secs(30));
    std::thread::sleep(Duration::from_millis(500));
    for n in 0..5 {
        put(&world.src, &format!("here{n}"), b"x");
        appears(&world.dst.join(format!("here{n}")), Duration::from_secs(5));
        put(&world.dst, &format!("there{n}"), b"x");
        appears(&world.src.join(format!("there{n}")), Duration::from_secs(5));
    }
    signal(child.id(), Signal::INT);
    finish(child);
    assert_same(&world.src, &world.dst);
}

#[test]
fn a_file_comes_by_udp_too() {
    let world = World::new();
    let server = Server::start(&world, "127.0.0.1:0");
    put(&world.dst, "large", &(0..20_000_000_u32).map(|n| (n % 253) as u8).collect::<Vec<_>>());
    put(&world.dst, "d/small", b"content");
    let file = format!("{}/large", server.url());
    let run = world.sitta(&["get", &file, "by-udp", "--transport", "udp", "--json"]);
    run.expect_code(0);
    assert_eq!(fs::read(world.path("by-udp")).expect("read"), fs::read(world.dst.join("large")).expect("read"));
    world.sitta(&["get", &server.url(), "folder", "--transport", "udp"]).expect_code(0);
    assert_same(&world.dst, &world.path("folder"));
    let missing = world.sitta(&["get", &format!("{}/none", server.url()), "--transport", "udp"]);
    missing.expect_code(1);
    // Where no UDP gets through, that is said.
    let mut known = Server::start(&world, "127.0.0.1:0");
    let url = format!("{}/large", known.url());
    known.end(Signal::KILL);
    let gone = world.sitta(&["get", &url, "--transport", "udp"]);
    gone.expect_code(1);
    let elsewhere =
        world.sitta(&["get", world.dst.join("large").to_str().expect("UTF-8"), "x", "--transport", "udp"]);
    elsewhere.expect_code(2);
}
