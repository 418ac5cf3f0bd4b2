//! Something of another kind where something was: files, directories, links, and what is none of them.

mod support;

use std::fs;
use std::path::Path;

use support::*;

const KINDS: [&str; 8] =
    ["nothing", "file", "other-file", "full-dir", "empty-dir", "link-to-file", "link-to-dir", "dangling"];

fn make(root: &Path, path: &str, kind: &str) {
    match kind {
        "nothing" => {}
        "file" => put(root, path, format!("file at {path}")),
        "other-file" => put(root, path, "another file"),
        "full-dir" => {
            put(root, format!("{path}/inner"), "inner");
            put(root, format!("{path}/sub/deep"), "deep");
            link(root, &format!("{path}/up"), "..");
        }
        "empty-dir" => fs::create_dir_all(root.join(path)).expect("mkdir"),
        "link-to-file" => link(root, path, "target-file"),
        "link-to-dir" => link(root, path, "target-dir"),
        "dangling" => link(root, path, "nowhere"),
        other => panic!("{other}"),
    }
}

fn every_change(root: &Path, pick: impl Fn(&'static str, &'static str) -> &'static str) {
    put(root, "target-file", "target");
    put(root, "target-dir/file", "in the target");
    for from in KINDS {
        for to in KINDS {
            make(root, &format!("{from}-to-{to}"), pick(from, to));
        }
    }
}

fn change_kinds(options: &[&str]) {
    let world = World::new();
    every_change(&world.src, |from, _| from);
    world.mirror_well(options);
    fs::remove_dir_all(&world.src).expect("remove");
    fs::create_dir(&world.src).expect("mkdir");
    every_change(&world.src, |_, to| to);
    world.mirror_well(options);
    world.nothing_to_do(options);
}

#[test]
fn every_kind_becomes_every_other() {
    change_kinds(&["--max-delete", "100%"]);
}

#[test]
fn every_kind_becomes_every_other_with_the_trash_on() {
    change_kinds(&["--max-delete", "100%", "--trash", ".sitta/trash"]);
}

#[test]
fn every_kind_gives_way_on_a_first_run() {
    let world = World::new();
    every_change(&world.dst, |from, _| from);
    every_change(&world.src, |_, to| to);
    world.mirror_well(&["--max-delete", "100%"]);
    world.nothing_to_do(&[]);
}

#[test]
fn a_link_in_the_destination_is_not_followed() {
    let world = World::new();
    let outside = world.path("outside");
    put(&outside, "file", "outside");
    put(&outside, "only", "outside only");
    std::os::unix::fs::symlink(&outside, world.dst.join("dir")).expect("symlink");
    std::os::unix::fs::symlink(outside.join("file"), world.dst.join("file")).expect("symlink");
    put(&world.src, "dir/file", "inside");
    put(&world.src, "file", "inside");
    let before = snapshot(&outside);
    world.mirror_well(&[]);
    assert_same_snapshots(&before, &snapshot(&outside));
}

#[test]
fn a_root_that_is_a_link_is_followed() {
    let world = World::new();
    many(&world.src, 5);
    std::os::unix::fs::symlink(&world.src, world.path("s")).expect("symlink");
    std::os::unix::fs::symlink(&world.dst, world.path("d")).expect("symlink");
    world.sitta(&["mirror", "s", "d"]).expect_code(0);
    assert_same(&world.src, &world.dst);
}

#[test]
fn special_files_are_reported_and_not_opened() {
    let world = World::new();
    many(&world.src, 5);
    let fifo = world.src.join("fifo");
    run_tool("mkfifo", &[fifo.to_str().expect("UTF-8")]);
    let _socket = std::os::unix::net::UnixListener::bind(world.src.join("socket")).expect("bind");
    let run = world.mirror(&[]);
    run.expect_code(3);
    assert_eq!(run.problems(), ["fifo", "socket"]);
    assert_eq!(run.report()["copied"], 5);

    // Nor do they count as absent: what stands at the destination under their name stays.
    put(&world.dst, "fifo", "stays");
    put(&world.dst, "gone", "goes");
    world.mirror(&[]).expect_code(3);
    assert!(world.dst.join("fifo").exists() && !world.dst.join("gone").exists());
}
