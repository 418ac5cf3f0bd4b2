//! Two folders of this machine, kept in step both ways through a place in between.

use std::fs;

use crate::place::{Place, fill};
use crate::support::*;

fn through(place: &Place) {
    let world = place.world();
    fill(&world, place);
    let sync = |options: &[&str]| {
        let mut command = place.command(&world);
        command.args(["sync", "there:"]).arg(&world.src).arg(&world.dst).arg("--json").args(options);
        finish(start(&mut command))
    };
    sync(&[]).expect_code(0);
    place.assert_same(&world.src, &world.dst);
    let still = sync(&[]);
    still.expect_code(0);
    still.expect_counts([0, 0, 0, 0]);

    put(&world.src, "text", "edited on one side\n");
    put(&world.dst, "new/and/deep", "new on the other");
    fs::remove_file(world.dst.join("big")).expect("there");
    fs::remove_dir_all(world.src.join("dir")).expect("there");
    fs::rename(world.src.join("large"), world.src.join("many/renamed")).expect("a rename");
    sync(&[]).expect_code(0);
    place.assert_same(&world.src, &world.dst);
    assert!(!world.src.join("big").exists() && world.dst.join("many/renamed").exists());
    place.assert_clean();
    sync(&[]).expect_counts([0, 0, 0, 0]);

    put(&world.src, "text", "one edit\n");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    put(&world.dst, "text", "and another one\n");
    let conflict = sync(&[]);
    conflict.expect_code(0);
    assert_eq!(conflict.report()["conflicts"], 1);
    place.assert_same(&world.src, &world.dst);
    let texts: Vec<String> = fs::read_dir(&world.src)
        .expect("a folder")
        .filter_map(|entry| fs::read_to_string(entry.expect("an entry").path()).ok())
        .collect();
    assert!(texts.contains(&"one edit\n".to_owned()) && texts.contains(&"and another one\n".to_owned()));
    sync(&[]).expect_counts([0, 0, 0, 0]);
}

#[test]
fn s3() {
    through(&Place::s3());
}

#[test]
fn moto() {
    through(&Place::moto());
}

#[test]
fn smb() {
    through(&Place::smb());
}

#[test]
fn sftp() {
    through(&Place::sftp());
}
