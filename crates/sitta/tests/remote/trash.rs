//! The trash of servers: listed, brought back and emptied like that of a disk.

use std::fs;
use std::path::Path;

use crate::place::Place;
use crate::support::*;

fn trash(place: &Place, world: &World, verb: &str, options: &[&str]) -> Run {
    let mut command = place.command(world);
    command.args(["trash", verb, "there:", "--json"]).args(options);
    finish(start(&mut command))
}

fn old_versions(place: &Place) {
    let world = place.world();
    let files = 60;
    for i in 0..files {
        put(&world.src, format!("d{}/e/f{i} +%", i % 4), format!("then {i}"));
    }
    put(&world.src, "stays", "as it is");
    let up = |options: &[&str]| place.run(&world, "mirror", &world.src, Path::new("there:"), options);
    up(&["--trash"]).expect_code(0);
    let then = world.path("then");
    assert_eq!(place.run(&world, "mirror", Path::new("there:"), &then, &[]).code(), 0);
    for i in 0..files {
        put(&world.src, format!("d{}/e/f{i} +%", i % 4), format!("number {i} now"));
    }
    fs::remove_dir_all(world.src.join("d3")).expect("remove");
    up(&["--trash", "--max-delete", "100%"]).expect_code(0);

    let listed = trash(place, &world, "list", &[]);
    listed.expect_code(0);
    assert_eq!(listed.report()["versions"], files, "{}", place.name);
    let told = |event: &serde_json::Value| event["event"] == "version" && event["modified"].is_string();
    assert_eq!(listed.events().iter().filter(|event| told(event)).count(), files, "{}", place.name);
    let run = listed.events()[0]["run"].as_str().expect("a run").to_owned();

    // One that has nothing in its way, one that has, and a folder.
    let free = trash(place, &world, "restore", &["d3/e/f3 +%"]);
    free.expect_code(0);
    let taken = trash(place, &world, "restore", &["d0/e/f0 +%"]);
    taken.expect_code(3);
    assert_eq!(taken.report()["restored"], 0);
    let back = trash(place, &world, "restore", &[".", "--force", "--run", &run]);
    back.expect_code(0);
    assert_eq!(back.report()["restored"], files - 1, "{}", place.name);
    assert!(back.report()["trash"].is_string(), "{}", place.name);
    place.run(&world, "mirror", Path::new("there:"), &world.dst, &[]).expect_code(0);
    place.assert_same(&then, &world.dst);
    place.assert_clean();

    // What had to make way is in the trash, and goes in a few requests.
    let there = trash(place, &world, "empty", &["--dry-run"]);
    assert_eq!((&there.report()["files"], &there.report()["runs"]), (&45.into(), &1.into()), "{}", place.name);
    let gone = trash(place, &world, "empty", &["--yes"]);
    gone.expect_code(0);
    assert_eq!(gone.report()["files"], 45, "{}", place.name);
    if !place.keeps.dirs {
        let requests = gone.report()["requests"].as_u64().expect("a number");
        assert!(requests < 30, "{} requests for 45 objects", requests);
    }
    assert_eq!(trash(place, &world, "list", &[]).report()["versions"], 0, "{}", place.name);
    if let Some(disk) = &place.disk {
        assert_eq!(trashed(disk), Vec::<Vec<u8>>::new());
    }
    // Nothing else was touched.
    place.run(&world, "mirror", Path::new("there:"), &world.dst, &[]).expect_code(0);
    place.assert_same(&then, &world.dst);
}

#[test]
fn s3_of_rclone() {
    old_versions(&Place::s3());
}

#[test]
fn s3_of_moto() {
    old_versions(&Place::moto());
}

#[test]
fn smb() {
    old_versions(&Place::smb());
}

#[test]
fn sftp() {
    old_versions(&Place::sftp());
}
