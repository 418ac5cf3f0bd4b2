//! The guards: a missing or emptied source, too many deletes, one folder inside the other.

mod support;

use std::fs;

use support::*;

#[test]
fn a_missing_source_stops_the_run() {
    let world = World::new();
    many(&world.src, 60);
    world.mirror_well(&[]);
    fs::rename(&world.src, world.path("unmounted")).expect("rename");
    let before = snapshot_all(&world.dst);
    let run = world.mirror(&[]);
    run.expect_code(4);
    assert_same_snapshots(&before, &snapshot_all(&world.dst));
    fs::rename(world.path("unmounted"), &world.src).expect("rename");
    world.nothing_to_do(&[]);
}

#[test]
fn a_source_that_never_was_stops_the_run() {
    let world = World::new();
    fs::remove_dir(&world.src).expect("rmdir");
    many(&world.dst, 5);
    let before = snapshot_all(&world.dst);
    let run = world.mirror(&[]);
    run.expect_code(4);
    assert!(run.err().contains("src"), "names it: {}", run.err());
    assert_same_snapshots(&before, &snapshot_all(&world.dst));
}

#[test]
fn an_emptied_source_stops_the_run_until_it_is_meant() {
    let world = World::new();
    many(&world.src, 60);
    world.mirror_well(&[]);
    fs::rename(&world.src, world.path("unmounted")).expect("rename");
    fs::create_dir(&world.src).expect("mkdir");
    let before = snapshot_all(&world.dst);
    let run = world.mirror(&[]);
    run.expect_code(4);
    assert!(run.err().contains("--force-empty"), "names the way out: {}", run.err());
    assert_eq!(run.report()["outcome"], "held");
    assert_same_snapshots(&before, &snapshot_all(&world.dst));
    world.mirror(&[]).expect_code(4);

    let run = world.mirror(&["--force-empty"]);
    run.expect_code(0);
    run.expect_counts([0, 0, 60, 0]);
    assert!(snapshot(&world.dst).is_empty());
    world.nothing_to_do(&[]);
}

#[test]
fn a_few_files_are_protected_from_an_emptied_source_too() {
    let world = World::new();
    many(&world.src, 3);
    world.mirror_well(&[]);
    fs::remove_dir_all(world.src.join("d0")).expect("remove");
    world.mirror(&[]).expect_code(4);
    assert_eq!(snapshot(&world.dst).len(), 4);
    world.mirror(&["--force-empty"]).expect_code(0);
    assert!(snapshot(&world.dst).is_empty());
}

fn delete_some(world: &World, count: usize) {
    for i in 0..count {
        fs::remove_file(world.src.join(format!("d{}/f{i}", i / 10))).expect("remove");
    }
}

#[test]
fn too_many_deletes_are_held_and_the_rest_is_done() {
    let world = World::new();
    many(&world.src, 120);
    world.mirror_well(&[]);
    delete_some(&world, 60);
    put(&world.src, "new", "new");
    put(&world.src, "d11/f119", "changed");

    let run = world.mirror(&[]);
    run.expect_code(4);
    run.expect_counts([1, 1, 0, 0]);
    assert_eq!(run.report()["outcome"], "held");
    assert!(run.err().contains("--max-delete"), "names the way out: {}", run.err());
    let dst = snapshot(&world.dst);
    for (path, item) in snapshot(&world.src) {
        assert_eq!(dst.get(&path).map(|i| &i.what), Some(&item.what), "{path:?}");
    }
    assert!(world.dst.join("d0/f0").exists());
    world.mirror(&["--max-delete", "59"]).expect_code(4);
    world.mirror(&["--max-delete", "10%"]).expect_code(4);

    let run = world.mirror(&["--max-delete", "60"]);
    run.expect_code(0);
    run.expect_counts([0, 0, 60, 0]);
    assert_same(&world.src, &world.dst);
    world.nothing_to_do(&[]);
}

#[test]
fn the_delete_guard_knows_its_bounds() {
    let world = World::new();
    many(&world.src, 120);
    world.mirror_well(&[]);
    delete_some(&world, 50);
    world.mirror(&["--max-delete", "0"]).expect_code(4);
    let run = world.mirror(&[]);
    run.expect_code(0);
    run.expect_counts([0, 0, 50, 0]);
    assert_same(&world.src, &world.dst);
}

#[test]
fn renames_are_not_deletes() {
    let world = World::new();
    for i in 0..200 {
        put(&world.src, format!("old/f{i}"), Blob::new(i, 500).bytes());
    }
    world.mirror_well(&[]);
    fs::rename(world.src.join("old"), world.src.join("new")).expect("rename");
    let run = world.mirror(&[]);
    run.expect_code(0);
    run.expect_counts([0, 0, 0, 200]);
    assert_same(&world.src, &world.dst);
    world.nothing_to_do(&[]);
}

#[test]
fn copy_never_deletes() {
    let world = World::new();
    many(&world.src, 20);
    put(&world.dst, "only/here", "kept");
    let run = finish(start(&mut world.verb("copy", &[])));
    run.expect_code(0);
    run.expect_counts([20, 0, 0, 0]);
    fs::remove_dir_all(world.src.join("d0")).expect("remove");
    let run = finish(start(&mut world.verb("copy", &[])));
    run.expect_code(0);
    run.expect_counts([0, 0, 0, 0]);
    assert!(world.dst.join("only/here").exists() && world.dst.join("d0/f0").exists());
}

#[test]
fn one_inside_the_other_is_refused() {
    let world = World::new();
    many(&world.src, 5);
    fs::create_dir_all(world.src.join("inner/deeper")).expect("mkdir");
    fs::create_dir(world.path("beside")).expect("mkdir");
    std::os::unix::fs::symlink(&world.src, world.path("alias")).expect("symlink");
    let before = snapshot_all(&world.src);
    let src = world.src.to_str().expect("UTF-8");
    let pairs = [
        (src.to_owned(), format!("{src}/inner")),
        (src.to_owned(), format!("{src}/inner/deeper")),
        (src.to_owned(), format!("{src}/inner/not/yet/there")),
        (format!("{src}/inner"), src.to_owned()),
        (src.to_owned(), src.to_owned()),
        (src.to_owned(), format!("{src}/")),
        (src.to_owned(), format!("{src}/../beside/../src/inner/..")),
        (src.to_owned(), world.path("alias").to_str().expect("UTF-8").to_owned()),
        (world.path("alias/inner").to_str().expect("UTF-8").to_owned(), src.to_owned()),
        ("src".to_owned(), "./src/inner".to_owned()),
    ];
    for (from, to) in pairs {
        let run = world.sitta(&["mirror", &from, &to]);
        assert_eq!(run.code(), 2, "{from} → {to}: {run:?}");
        assert_same_snapshots(&before, &snapshot_all(&world.src));
    }
    assert_same_snapshots(&snapshot_all(&world.path("beside")), &Snapshot::new());
}

#[test]
fn names_that_only_begin_alike_are_not_nested() {
    let world = World::new();
    many(&world.src, 5);
    let beside = world.path("src-copy");
    let run = world.sitta(&["mirror".as_ref(), world.src.as_os_str(), beside.as_os_str()]);
    run.expect_code(0);
    assert_same(&world.src, &beside);
}
