//! A full disk, a read-only destination, a full disk below the state.

mod support;

use std::fs;

use support::*;

#[test]
fn a_full_disk_costs_no_old_file() {
    let world = World::new();
    let Some(mount) = Mount::tmpfs(&world.dst, "3m") else {
        return skipped("a_full_disk_costs_no_old_file", "may not mount a tmpfs");
    };
    for i in 0..20 {
        put(&world.src, format!("old/{i}"), Blob::new(i, 50_000).bytes());
    }
    world.mirror_well(&[]);
    let before = snapshot(&world.dst);

    // New versions that do not fit, a large one first and many small ones.
    put(&world.src, "large", Blob::new(1000, 4_000_000).bytes());
    for i in 0..20 {
        put(&world.src, format!("old/{i}"), Blob::new(100 + i, 150_000).bytes());
        put(&world.src, format!("small/{i}"), Blob::new(200 + i, 100_000).bytes());
    }
    let run = world.mirror(&[]);
    assert!(matches!(run.code(), 1 | 3), "{run:?}");
    assert_no_temporaries(&world.dst);
    let report = run.report();
    let problems = report["problems"].as_array().expect("problems");
    assert!(!problems.is_empty() && problems.iter().all(|p| p["kind"] == "full"), "{problems:?}");

    // Every file is whole: its old version or its new one.
    let wanted = snapshot(&world.src);
    let now = snapshot(&world.dst);
    for (path, item) in &before {
        let item_now = now.get(path).unwrap_or_else(|| panic!("{path:?} is gone"));
        let same = |other: &Item| item_now.what == other.what;
        assert!(same(item) || wanted.get(path).is_some_and(same), "{path:?} is neither old nor new");
    }
    for (path, item) in &now {
        assert!(before.contains_key(path) || wanted[path].what == item.what, "{path:?} is no whole new file");
    }

    mount.remount("size=64m");
    world.mirror_well(&[]);
    world.nothing_to_do(&[]);
}

#[test]
fn a_file_that_never_fits_hinders_no_other() {
    let world = World::new();
    let Some(_mount) = Mount::tmpfs(&world.dst, "2m") else {
        return skipped("a_file_that_never_fits_hinders_no_other", "may not mount a tmpfs");
    };
    put(&world.src, "a-giant", vec![1; 10_000_000]);
    for i in 0..10 {
        put(&world.src, format!("small/{i}"), format!("small {i}"));
    }
    let run = world.mirror(&[]);
    run.expect_code(3);
    assert_eq!(run.problems(), ["a-giant"]);
    assert_eq!(run.report()["copied"], 10);
    assert_no_temporaries(&world.dst);
    assert_same(&world.src.join("small"), &world.dst.join("small"));
}

#[test]
fn a_destination_without_write_permission() {
    let world = World::unprivileged();
    many(&world.src, 20);
    many(&world.dst, 10);
    fs::write(world.dst.join("d0/f0"), "another version").expect("write");
    put(&world.dst, "extra", "only here");
    world.give_away();
    run_tool("chmod", &["-R", "a-w", world.dst.to_str().expect("UTF-8")]);
    let before = snapshot_all(&world.dst);
    let run = world.mirror(&[]);
    assert!(matches!(run.code(), 1 | 3), "{run:?}");
    // Directories that belong to the user may be opened for a moment; what they hold is not touched without telling.
    let after = snapshot_all(&world.dst);
    for path in run.problems() {
        let path = path.into_bytes();
        assert_eq!(before.get(&path), after.get(&path), "a problem at {path:?} and still changed");
    }
}

#[test]
fn a_read_only_file_system() {
    let world = World::new();
    let Some(mount) = Mount::tmpfs(&world.dst, "4m") else {
        return skipped("a_read_only_file_system", "may not mount a tmpfs");
    };
    many(&world.src, 20);
    world.mirror_well(&[]);
    fs::write(world.src.join("d0/f0"), "new").expect("write");
    fs::remove_file(world.src.join("d0/f1")).expect("remove");
    put(&world.src, "new", "new");
    mount.remount("ro");
    let before = snapshot_all(&world.dst);
    let run = world.mirror(&[]);
    assert!(matches!(run.code(), 1 | 3), "{run:?}");
    let told = (run.out() + &run.err()).to_lowercase();
    assert!(told.contains("read-only"), "says why: {told}");
    assert_same_snapshots(&before, &snapshot_all(&world.dst));
    mount.remount("rw");
    world.mirror_well(&[]);
}

#[test]
fn a_full_disk_below_the_state() {
    let world = World::new();
    let Some(mount) = Mount::tmpfs(&world.state, "256k") else {
        return skipped("a_full_disk_below_the_state", "may not mount a tmpfs");
    };
    many(&world.src, 3000);
    let run = world.mirror(&[]);
    assert!(matches!(run.code(), 0 | 1 | 3), "{run:?}");
    assert!(!run.err().contains("panicked"), "{}", run.err());
    let source = snapshot(&world.src);
    for (path, item) in snapshot(&world.dst) {
        assert_eq!(source.get(&path).map(|s| &s.what), Some(&item.what), "{path:?} is not whole");
    }
    mount.remount("size=64m");
    world.mirror_well(&[]);
}
