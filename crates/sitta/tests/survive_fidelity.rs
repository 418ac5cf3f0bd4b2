//! What arrives is what was sent: metadata, links, holes, attributes; and the report counts it right.

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::fs::XattrFlags;
use support::*;

#[test]
fn a_bit_of_everything() {
    let world = World::new();
    assorted(&world.src);
    world.mirror_well(&[]);
    world.nothing_to_do(&[]);
}

#[test]
fn the_report_counts_right() {
    let world = World::new();
    many(&world.src, 100);
    link(&world.src, "link", "d0/f0");
    let bytes: u64 = (0..100).map(|i| format!("content of file {i}\n").len() as u64).sum();
    let run = world.mirror_well(&[]);
    run.expect_counts([101, 0, 0, 0]);
    let report = run.report();
    assert_eq!(report["bytes"], bytes);
    assert_eq!((&report["verb"], &report["outcome"]), (&"mirror".into(), &"success".into()));
    assert_eq!((&report["unchanged"], &report["conflicts"]), (&0.into(), &0.into()));
    assert!(report["seconds"].as_f64().is_some_and(|s| s > 0.0));

    put(&world.src, "d0/f0", "changed");
    put(&world.src, "d0/f1", "changed too");
    chmod(&world.src.join("d0/f2"), 0o600);
    set_mtime(&world.src.join("d0/f3"), 1_000_000_000, 1);
    put(&world.src, "new/file", "12345");
    fs::remove_file(world.src.join("d1/f10")).expect("remove");
    fs::remove_file(world.src.join("d1/f11")).expect("remove");
    fs::rename(world.src.join("d2/f20"), world.src.join("d2/f20-moved")).expect("rename");
    let run = world.mirror_well(&[]);
    run.expect_counts([1, 4, 2, 1]);
    assert_eq!(run.report()["unchanged"], 101 - 4 - 2 - 1);
    // Whether the file with a new time is sent again or only compared is up to the program.
    let (sent, wanted) = (run.report()["bytes"].as_u64().expect("a number"), 7 + 11 + 5);
    assert!(sent == wanted || sent == wanted + 18, "{sent} bytes");

    let run = world.mirror(&[]);
    run.expect_code(0);
    run.expect_counts([0, 0, 0, 0]);
    assert_eq!(run.report()["unchanged"], 100);
}

#[test]
fn a_dry_run_changes_nothing_at_all() {
    let world = World::new();
    many(&world.src, 20);
    put(&world.dst, "extra", "extra");
    let before = (snapshot_all(&world.dst), snapshot_all(&world.src));
    let run = world.mirror(&["--dry-run"]);
    run.expect_code(0);
    let counts = ["copied", "deleted"].map(|key| run.report()[key].as_u64());
    assert_eq!(counts, [Some(20), Some(1)], "it counts what it would do");
    assert_same_snapshots(&before.0, &snapshot_all(&world.dst));
    assert_same_snapshots(&before.1, &snapshot_all(&world.src));

    // The real run still finds everything to do, and a dry run after it nothing.
    world.mirror_well(&[]).expect_counts([20, 0, 1, 0]);
    let before = snapshot_all(&world.dst);
    put(&world.src, "d0/f0", "changed");
    let run = world.sitta(&["mirror".as_ref(), world.src.as_os_str(), world.dst.as_os_str(), "--dry-run".as_ref()]);
    run.expect_code(0);
    assert!((run.out() + &run.err()).contains("would"), "{run:?}");
    assert_same_snapshots(&before, &snapshot_all(&world.dst));
    world.mirror_well(&[]).expect_counts([0, 1, 0, 0]);
}

#[test]
fn a_dry_run_makes_no_destination() {
    let world = World::new();
    many(&world.src, 5);
    fs::remove_dir(&world.dst).expect("rmdir");
    world.mirror(&["--dry-run"]).expect_code(0);
    assert!(!world.dst.exists());
    world.mirror_well(&[]);
}

#[test]
fn the_trash_keeps_what_is_displaced() {
    let world = World::new();
    many(&world.src, 30);
    link(&world.src, "link", "one");
    world.mirror_well(&["--trash", ".sitta/trash"]);
    assert!(trashed(&world.dst).is_empty());
    put(&world.src, "d0/f0", "changed");
    fs::remove_file(world.src.join("d0/f1")).expect("remove");
    fs::remove_dir_all(world.src.join("d1")).expect("remove");
    fs::remove_file(world.src.join("link")).expect("remove");
    let run = world.mirror_well(&["--trash", ".sitta/trash"]);
    run.expect_counts([0, 1, 12, 0]);
    let mut old = trashed(&world.dst);
    old.sort();
    let mut wanted: Vec<_> =
        [0, 1].into_iter().chain(10..20).map(|i| format!("content of file {i}\n").into_bytes()).collect();
    wanted.sort();
    assert_eq!(old, wanted);
    assert!(run.out().contains(".sitta/trash"), "says where the old versions are");

    // The trash is ours: neither mirrored away nor taken for content.
    world.nothing_to_do(&[]);
    world.mirror_well(&[]);
    assert_eq!(trashed(&world.dst).len(), wanted.len());
    let back = World::new();
    let run = back.sitta(&["mirror".as_ref(), world.dst.as_os_str(), back.dst.as_os_str()]);
    run.expect_code(0);
    assert_same(&world.dst, &back.dst);
    assert!(!back.dst.join(".sitta").exists(), "the trash is not content");
}

#[test]
fn hard_links_stay_together() {
    let world = World::new();
    put(&world.src, "a/one", "shared content");
    fs::create_dir(world.src.join("b")).expect("mkdir");
    fs::hard_link(world.src.join("a/one"), world.src.join("b/two")).expect("link");
    fs::hard_link(world.src.join("a/one"), world.src.join("three")).expect("link");
    put(&world.src, "alone", "shared content");
    world.mirror_well(&["--hard-links"]);
    let inode = |path: &str| fs::metadata(world.dst.join(path)).expect("stat").ino();
    assert!(inode("a/one") == inode("b/two") && inode("a/one") == inode("three"));
    assert!(inode("a/one") != inode("alone"));
    world.nothing_to_do(&["--hard-links"]);

    put(&world.src, "a/one", "changed through one name");
    world.mirror_well(&["--hard-links"]);
    assert!(inode("a/one") == inode("b/two") && inode("a/one") == inode("three"));
    world.nothing_to_do(&["--hard-links"]);
}

#[test]
fn without_the_option_names_are_files_of_their_own() {
    let world = World::new();
    put(&world.src, "one", "shared content");
    fs::hard_link(world.src.join("one"), world.src.join("two")).expect("link");
    world.mirror_well(&[]);
    let inode = |path: &str| fs::metadata(world.dst.join(path)).expect("stat").ino();
    assert_ne!(inode("one"), inode("two"));
    // A destination whose names share a file gets them apart before one changes under the other's name.
    world.nothing_to_do(&[]);
}

#[test]
fn holes_stay_holes() {
    let world = World::new();
    let file = fs::File::create(world.src.join("holes")).expect("create");
    file.set_len(64 << 20).expect("truncate");
    std::os::unix::fs::FileExt::write_all_at(&file, b"in the middle", 32 << 20).expect("write");
    fs::File::create(world.src.join("all-hole")).expect("create").set_len(10 << 20).expect("truncate");
    let kept = fs::metadata(world.src.join("holes")).expect("stat").blocks() < 1000;
    world.mirror_well(&[]);
    if !kept {
        return skipped("holes_stay_holes", "the file system keeps no holes");
    }
    for name in ["holes", "all-hole"] {
        let blocks = fs::metadata(world.dst.join(name)).expect("stat").blocks();
        assert!(blocks < 1000, "{name}: {blocks} blocks at the destination");
    }
}

#[test]
fn extended_attributes() {
    let world = World::new();
    many(&world.src, 10);
    let set = |path: &str, value: &[u8]| {
        rustix::fs::setxattr(world.src.join(path), "user.sitta.test", value, XattrFlags::empty())
    };
    if set("d0/f0", b"value\0with nul").is_err() || set("d0", b"on a directory").is_err() {
        return skipped("extended_attributes", "the file system keeps none");
    }
    let get = |path: &str| {
        let mut value = vec![0; 100];
        let len = rustix::fs::getxattr(world.dst.join(path), "user.sitta.test", &mut value).ok()?;
        value.truncate(len);
        Some(value)
    };
    world.mirror_well(&["--xattrs"]);
    assert_eq!(get("d0/f0").as_deref(), Some(&b"value\0with nul"[..]));
    assert_eq!(get("d0").as_deref(), Some(&b"on a directory"[..]));
    assert_eq!(get("d0/f1"), None);
    world.nothing_to_do(&["--xattrs"]);

    set("d0/f0", b"new value").expect("setxattr");
    set("d0/f1", b"new").expect("setxattr");
    rustix::fs::removexattr(world.src.join("d0"), "user.sitta.test").expect("removexattr");
    world.mirror_well(&["--xattrs"]);
    assert_eq!(get("d0/f0").as_deref(), Some(&b"new value"[..]));
    assert_eq!(get("d0/f1").as_deref(), Some(&b"new"[..]));
    assert_eq!(get("d0"), None);
    world.nothing_to_do(&["--xattrs"]);
}

#[test]
fn large_files_arrive_whole() {
    let world = World::new();
    let mut rng = Rng::new();
    for size in [0, 1, 4095, 4096, 4097, 65_535, 65_536, 1 << 20, (1 << 20) + 1, (8 << 20) - 1, 33 << 20] {
        put(&world.src, format!("size-{size}"), rng.bytes(size));
    }
    world.mirror_well(&[]);
    world.nothing_to_do(&["--checksum"]);
}
