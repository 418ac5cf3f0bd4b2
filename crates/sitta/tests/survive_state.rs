//! The clock set back; the state damaged, cut off or gone.

mod support;

use std::fs;
use std::path::PathBuf;

use support::*;

/// All files of the state.
fn state_files(world: &World) -> Vec<PathBuf> {
    let files = snapshot_all(&world.state).into_iter().filter(|(_, item)| matches!(item.what, What::File(_)));
    files.map(|(path, _)| world.state.join(String::from_utf8(path).expect("UTF-8"))).collect()
}

/// A pair in step whose source was edited since: a change, a new file, a delete, a rename.
fn edited() -> World {
    let world = World::new();
    many(&world.src, 100);
    assorted(&world.src);
    world.mirror_well(&[]);
    put(&world.src, "d0/f0", "changed");
    put(&world.src, "new", "new");
    fs::remove_file(world.src.join("d1/f10")).expect("remove");
    fs::rename(world.src.join("d2"), world.src.join("d2-renamed")).expect("rename");
    world
}

#[track_caller]
fn survives(damage: impl Fn(&World)) {
    let world = edited();
    damage(&world);
    world.mirror_well(&[]);
    world.nothing_to_do(&[]);

    // `copy` shows deletes that only a base could justify: there are none with it either way.
    let world = World::new();
    many(&world.src, 100);
    finish(start(&mut world.verb("copy", &[]))).expect_code(0);
    put(&world.dst, "own", "of the destination");
    fs::remove_file(world.src.join("d1/f10")).expect("remove");
    damage(&world);
    let run = finish(start(&mut world.verb("copy", &[])));
    run.expect_code(0);
    run.expect_counts([0, 0, 0, 0]);
    assert!(world.dst.join("own").exists() && world.dst.join("d1/f10").exists());
}

#[test]
fn the_state_is_gone() {
    survives(|world| {
        fs::remove_dir_all(&world.state).expect("remove");
    });
}

#[test]
fn each_file_of_the_state_is_gone() {
    let count = state_files(&edited()).len();
    assert!(count > 0, "there is a state");
    for i in 0..count {
        survives(|world| {
            if let Some(file) = state_files(world).get(i) {
                fs::remove_file(file).expect("remove");
            }
        });
    }
}

#[test]
fn the_state_is_cut_off() {
    for keep in [0, 1, 100, 4096, 5000] {
        survives(|world| {
            for file in state_files(world) {
                let file = fs::File::options().write(true).open(file).expect("open");
                let size = file.metadata().expect("stat").len();
                file.set_len(size.min(keep)).expect("truncate");
            }
        });
    }
}

#[test]
fn the_state_is_garbage() {
    survives(|world| {
        for file in state_files(world) {
            fs::write(file, "this is no database at all\n".repeat(1000)).expect("write");
        }
    });
}

#[test]
fn the_state_is_damaged_inside() {
    let mut rng = Rng::new();
    for _ in 0..12 {
        let seed = rng.next();
        survives(|world| {
            let mut rng = Rng::seeded(seed);
            for file in state_files(world) {
                let mut bytes = fs::read(&file).expect("read");
                // Past the header, which would give the damage away at once.
                for _ in 0..40 {
                    if bytes.len() > 200 {
                        let at = 100 + rng.below(bytes.len() - 100);
                        bytes[at] = rng.next() as u8;
                    }
                }
                fs::write(file, bytes).expect("write");
            }
        });
    }
}

#[test]
fn the_state_of_another_pair_is_no_use() {
    // The same paths, but other folders than last time.
    let world = edited();
    fs::rename(&world.dst, world.path("other")).expect("rename");
    fs::create_dir(&world.dst).expect("mkdir");
    put(&world.dst, "own", "of the new destination");
    let run = world.mirror(&["--force-empty"]);
    assert!(matches!(run.code(), 0 | 4), "{run:?}");
    if run.code() == 0 {
        assert_same(&world.src, &world.dst);
    }
}

#[test]
fn a_state_that_cannot_be_written() {
    let world = World::unprivileged();
    many(&world.src, 10);
    world.give_away();
    chmod(&world.state, 0o555);
    let run = world.mirror(&[]);
    assert!(run.code() == 1 && !run.err().contains("panicked"), "{run:?}");
    assert!(run.err().contains("state"), "says what: {}", run.err());
    chmod(&world.state, 0o755);
    world.mirror_well(&[]);
}

#[test]
fn files_from_the_future() {
    let world = World::new();
    many(&world.src, 20);
    for i in 0..20 {
        set_mtime(&world.src.join(format!("d{}/f{i}", i / 10)), 4_000_000_000 + i, 5);
    }
    world.mirror_well(&[]);
    world.nothing_to_do(&[]);
    // The clock is set back: edits are older than what they replace.
    put(&world.src, "d0/f0", "content of FILE 0\n");
    put(&world.src, "d0/f1", "another size");
    set_mtime(&world.src.join("d0/f2"), -5, 999_999_999);
    world.mirror_well(&[]).expect_counts([0, 3, 0, 0]);
    world.nothing_to_do(&[]);
}

#[test]
fn an_edit_right_after_a_run_is_seen() {
    let world = World::new();
    for round in 0..60 {
        put(&world.src, "file", format!("{round:04}"));
        world.mirror_well(&[]);
    }
}

/// Sizes and times settle what is the same; who hides an edit from both is found by content.
#[test]
fn hidden_edits_are_found_by_content() {
    let world = World::new();
    for name in ["source", "destination", "neither"] {
        put(&world.src, name, "one");
        set_mtime(&world.src.join(name), 1_000_000_000, 7);
    }
    world.mirror_well(&[]);
    for path in [world.src.join("source"), world.dst.join("destination")] {
        fs::write(&path, "two").expect("write");
        set_mtime(&path, 1_000_000_000, 7);
    }
    world.mirror_well(&["--checksum"]).expect_counts([0, 2, 0, 0]);
    world.nothing_to_do(&["--checksum"]);
}
