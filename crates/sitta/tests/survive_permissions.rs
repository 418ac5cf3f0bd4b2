//! Files and directories that may not be read, or not be written.

mod support;

use std::fs;

use support::*;

#[test]
fn unreadable_files_are_named_and_the_rest_goes_on() {
    let world = World::unprivileged();
    many(&world.src, 30);
    world.give_away();
    world.mirror_well(&[]);

    // New versions that cannot be read, a new unreadable file, and readable changes beside them.
    put(&world.src, "d0/f1", "a new version, closed");
    put(&world.src, "closed", "a new file, closed");
    put(&world.src, "d1/f12", "a new version, open");
    chmod(&world.src.join("d0/f1"), 0);
    chmod(&world.src.join("closed"), 0);
    world.give_away();
    let run = world.mirror(&[]);
    run.expect_code(3);
    assert_eq!(run.problems(), ["closed", "d0/f1"]);
    let report = run.report();
    assert_eq!((&report["outcome"], &report["updated"]), (&"partial".into(), &1.into()));
    assert!(report["problems"].as_array().expect("problems").iter().all(|p| p["kind"] == "unreadable"));
    assert_eq!(fs::read(world.dst.join("d0/f1")).expect("the old version stays"), b"content of file 1\n");
    assert_eq!(fs::read(world.dst.join("d1/f12")).expect("read"), b"a new version, open");
    assert!(!world.dst.join("closed").exists());
    assert_no_temporaries(&world.dst);

    chmod(&world.src.join("d0/f1"), 0o644);
    chmod(&world.src.join("closed"), 0o600);
    world.mirror_well(&[]);
    world.nothing_to_do(&[]);
}

#[test]
fn what_an_unreadable_directory_holds_is_not_deleted() {
    let world = World::unprivileged();
    many(&world.src, 30);
    put(&world.src, "d0/sub/deep", "deep");
    world.give_away();
    world.mirror_well(&[]);
    for mode in [0, 0o311] {
        chmod(&world.src.join("d0"), mode);
        fs::remove_file(world.src.join(format!("d1/f1{}", mode % 7))).expect("remove");
        let run = world.mirror(&[]);
        run.expect_code(3);
        assert_eq!(run.problems(), ["d0"]);
        run.expect_counts([0, 0, 1, 0]);
        chmod(&world.dst.join("d0"), 0o755);
        assert!(world.dst.join("d0/f0").exists() && world.dst.join("d0/sub/deep").exists());
    }
    // Listed, but not looked into: names are known, nothing else.
    chmod(&world.src.join("d0"), 0o444);
    world.mirror(&[]).expect_code(3);
    chmod(&world.dst.join("d0"), 0o755);
    assert!(world.dst.join("d0/f0").exists() && world.dst.join("d0/sub/deep").exists());

    chmod(&world.src.join("d0"), 0o755);
    world.mirror_well(&[]);
}

#[test]
fn an_unreadable_source_root_is_no_empty_one() {
    let world = World::unprivileged();
    many(&world.src, 5);
    world.give_away();
    world.mirror_well(&[]);
    chmod(&world.src, 0);
    let run = world.mirror(&["--force-empty"]);
    assert!(matches!(run.code(), 1 | 3), "{run:?}");
    chmod(&world.src, 0o755);
    assert_eq!(snapshot(&world.dst).len(), 6);
    world.nothing_to_do(&[]);
}

#[test]
fn an_unreadable_directory_at_the_destination() {
    let world = World::unprivileged();
    many(&world.src, 30);
    world.give_away();
    world.mirror_well(&[]);
    put(&world.src, "d0/f0", "changed");
    put(&world.src, "d1/f10", "changed");
    world.give_away();
    chmod(&world.dst.join("d0"), 0);
    let run = world.mirror(&[]);
    // It may open its own directory for this, or say that it could not.
    assert!(matches!(run.code(), 0 | 3), "{run:?}");
    assert_eq!(fs::read(world.dst.join("d1/f10")).expect("read"), b"changed");
    chmod(&world.dst.join("d0"), 0o755);
    world.mirror_well(&[]);
}

#[test]
fn directories_without_write_permission_are_mirrored() {
    let world = World::unprivileged();
    many(&world.src, 20);
    chmod(&world.src.join("d0"), 0o555);
    chmod(&world.src.join("d1/f10"), 0o444);
    world.give_away();
    world.mirror_well(&[]);
    world.nothing_to_do(&[]);

    chmod(&world.src.join("d0"), 0o755);
    put(&world.src, "d0/new", "new");
    put(&world.src, "d0/f0", "changed");
    fs::remove_file(world.src.join("d0/f1")).expect("remove");
    chmod(&world.src.join("d0"), 0o555);
    world.give_away();
    world.mirror_well(&[]);
    world.nothing_to_do(&[]);
}

#[test]
fn modes_and_owners_follow() {
    let world = World::new();
    many(&world.src, 10);
    world.mirror_well(&[]);
    chmod(&world.src.join("d0/f0"), 0o4755);
    chmod(&world.src.join("d0/f1"), 0);
    chmod(&world.src.join("d0"), 0o1777);
    if is_root() {
        run_tool("chown", &["1234:5678", world.src.join("d0/f2").to_str().expect("UTF-8")]);
        run_tool("chown", &["1234:5678", world.src.join("d0").to_str().expect("UTF-8")]);
    } else {
        // Without rights a file of mode 0 cannot be compared.
        chmod(&world.src.join("d0/f1"), 0o400);
    }
    let run = world.mirror_well(&[]);
    assert_eq!(run.report()["bytes"], 0, "no content is sent for a new mode");
    world.nothing_to_do(&[]);
}
