//! Jobs, end to end: run, locked, killed, told of by real servers.

#[path = "../support/mod.rs"]
mod support;

mod daemon;
mod desktop;
mod runs;
mod told;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::World;

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
