//! Two servers with a folder each, a job that keeps those in step, and clients that see one listing.

mod support;

use std::fs;
use std::path::Path;
use std::thread::scope;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::*;

fn put(dir: &Path, name: &str, text: &str) {
    let file = dir.join(name);
    fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    fs::write(file, text).expect("written");
}

#[track_caller]
fn becomes(file: &Path, text: Option<&str>) {
    let started = Instant::now();
    while fs::read_to_string(file).ok().as_deref() != text {
        assert!(started.elapsed() < Duration::from_secs(20), "{} is not {text:?}", file.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn clients_see_one_listing_of_two_servers() {
    let world = World::new();
    let (a, b) = (
        Server::sharing(&world, "127.0.0.1:0", &world.src, "a"),
        Server::sharing(&world, "127.0.0.1:0", &world.dst, "b"),
    );
    put(&world.src, "banana", "from a");
    put(&world.dst, "apple", "from b");
    put(&world.src, "cherry", "the same");
    put(&world.dst, "cherry", "the same");
    put(&world.src, "date", "old");
    std::thread::sleep(Duration::from_millis(2100));
    put(&world.dst, "date", "newer");
    let run = world.sitta(&["ls", &a.url(), &b.url(), "--json"]);
    run.expect_code(0);
    let entries: Vec<_> = run.events().into_iter().filter(|event| event["event"] == "entry").collect();
    let told: Vec<_> = entries
        .iter()
        .map(|e| {
            (
                e["path"].as_str().expect("a path"),
                e["where"].as_array().expect("a list").len(),
                e["differs"] == true,
            )
        })
        .collect();
    assert_eq!(told, [("apple", 1, false), ("banana", 1, false), ("cherry", 2, false), ("date", 2, true)]);
    assert_eq!(entries[3]["size"], 5, "the newer one is told of");
    let people = world.sitta(&["ls", &a.url(), &b.url()]);
    assert!(people.out().contains("5 B") && people.out().contains("is newer"), "{}", people.out());
    // One of them is gone: that is said.
    drop(b);
    let run = world.sitta(&["ls", &a.url(), "sitta://127.0.0.1:1/docs"]);
    run.expect_code(1);
}

#[test]
fn a_watched_job_keeps_two_servers_in_step_and_the_newer_version_wins() {
    let world = World::new();
    let mut a = Server::sharing(&world, "127.0.0.1:0", &world.src, "a");
    let b = Server::sharing(&world, "127.0.0.1:0", &world.dst, "b");
    put(&world.src, "from-a", "a");
    put(&world.dst, "from-b", "b");
    put(&world.src, "both", "old");
    std::thread::sleep(Duration::from_millis(1100));
    put(&world.dst, "both", "newer");
    let config = world.path("config.toml");
    let text = format!(
        "[store.first]\nurl = \"{}\"\n[store.second]\nurl = \"{}\"\n[job.step]\nverb = \"sync\"\nfrom = \"first:\"\nto = \"second:\"\n\
         watch = true\npolicy = \"newest\"\n",
        a.url(),
        b.url()
    );
    fs::write(&config, text).expect("written");
    let config = config.to_str().expect("UTF-8");
    let daemon = start(world.command().args(["daemon", "--config", config]));
    becomes(&world.dst.join("from-a"), Some("a"));
    becomes(&world.src.join("from-b"), Some("b"));
    becomes(&world.src.join("both"), Some("newer"));
    // Several clients at once, on either server.
    scope(|scope| {
        for n in 0..4 {
            let (world, url) = (&world, if n % 2 == 0 { a.url() } else { b.url() });
            scope.spawn(move || {
                let folder = world.path(&format!("client{n}"));
                put(&folder, &format!("by-{n}"), &format!("client {n}"));
                world.sitta(&["copy", folder.to_str().expect("UTF-8"), &url]).expect_code(0);
                world.sitta(&["ls", &url]).expect_code(0);
            });
        }
    });
    for n in 0..4 {
        for side in [&world.src, &world.dst] {
            becomes(&side.join(format!("by-{n}")), Some(&format!("client {n}")));
        }
    }
    fs::remove_file(world.dst.join("by-0")).expect("removed");
    becomes(&world.src.join("by-0"), None);
    // A server that is away for a while catches up.
    let address = a.address.clone();
    a.end(Signal::TERM);
    put(&world.dst, "meanwhile", "on b");
    put(&world.src, "meanwhile too", "on a");
    std::thread::sleep(Duration::from_millis(500));
    a = Server::sharing(&world, &address, &world.src, "a");
    becomes(&world.src.join("meanwhile"), Some("on b"));
    becomes(&world.dst.join("meanwhile too"), Some("on a"));
    signal(daemon.id(), Signal::INT);
    finish(daemon);
    drop(a);
    assert_same(&world.src, &world.dst);
    // Each update is told: in the log of the run.
    let log = fs::read_dir(world.state.join("sitta/logs/step")).expect("logs").flatten().next().expect("a log");
    let log = fs::read_to_string(log.path()).expect("read");
    for told in ["from-a", "from-b", "both", "by-3", "meanwhile too"] {
        assert!(log.contains(told), "{told}: {log}");
    }
}
