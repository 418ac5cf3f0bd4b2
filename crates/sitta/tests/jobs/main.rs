//! Jobs, end to end: run, locked, killed, told of by real servers.

#[path = "../support/mod.rs"]
mod support;

mod daemon;
mod desktop;
mod night;
mod nightly;
mod runs;
mod told;
mod troubles;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::World;

/// Each of `examples/` is right, whoever's machine it is on.
#[test]
fn the_examples_are_right() {
    let world = World::new();
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let examples: Vec<_> = fs::read_dir(dir).expect("examples").map(|entry| entry.expect("one").path()).collect();
    assert_eq!(examples.len(), 5);
    for example in examples {
        let example = example.to_str().expect("UTF-8");
        world.sitta(&["--config", example, "config", "check"]).expect_code(0);
        world.sitta(&["--config", example, "jobs"]).expect_code(0);
    }
}

/// What is wrong with an archive's keys is told when the configuration is read.
#[test]
fn archive_jobs_that_cannot_be() {
    for (keys, says) in [
        ("to = 'DST/a.tgz'\nkeep = { last = 3 }", "tells no date"),
        ("to = 'DST/{date}.7z'", "{date}.7z"),
        ("to = 'DST/{date}/a.tgz'", "placeholder in a folder's name"),
        ("to = 'DST/{date}.tgz'\nkeep = {}", "keeps nothing"),
        ("to = 'DST/{date}.tgz'\nkeep = { last = 0 }", "keeps nothing"),
        ("to = 'DST/{date}.tgz'\nlevel = 40", "there is no level 40"),
        ("to = 'DST/{date}.tgz'\nchecksum = true", "'checksum' means nothing for archive"),
    ] {
        let run = world(&format!("[job.a]\nverb = 'archive'\nfrom = 'SRC'\n{keys}\n")).sitta(&["run", "a"]);
        run.expect_code(2);
        assert!(run.err().contains(says) && run.err().contains("config.toml:"), "{says:?} is not in {}", run.err());
    }
}

/// A world whose config has these lines; `SRC`, `DST` and `ROOT` in them are its folders.
fn world(config: &str) -> World {
    let world = World::new();
    configure(&world, config);
    world
}

fn configure(world: &World, config: &str) {
    let dir = world.path("config/sitta");
    fs::create_dir_all(&dir).expect("mkdir");
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let config = config
        .replace("SRC", &text(&world.src))
        .replace("DST", &text(&world.dst))
        .replace("ROOT", &text(&world.path("")));
    let file = dir.join("config.toml");
    fs::write(&file, config).expect("write");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("chmod");
}

/// The runs that `sitta history` tells of, the newest first.
fn history(world: &World) -> Vec<serde_json::Value> {
    let run = world.sitta(&["history", "--json"]);
    run.expect_code(0);
    let mut events = run.events();
    events.retain(|event| event["event"] == "run");
    events
}

/// Waits until something is so.
#[track_caller]
fn until(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < end, "in vain: {what}");
        sleep(Duration::from_millis(20));
    }
}
