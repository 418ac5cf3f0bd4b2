//! Folder to server to another folder: the same tree, then nothing to do, then edits.

use std::fs;
use std::path::Path;

use crate::place::{Place, fill};
use crate::support::*;

/// Up, down, and the same; then edits; each time a second run has nothing to do.
fn there_and_back(place: &Place) {
    let world = place.world();
    fill(&world, place);
    let files = snapshot(&world.src).values().filter(|item| !matches!(item.what, What::Dir)).count() as u64;
    let up = place.up(&world);
    up.expect_code(0);
    up.expect_counts([files, 0, 0, 0]);
    place.assert_clean();
    nothing_to_do(&place.up(&world), files);
    let down = place.down(&world);
    down.expect_code(0);
    down.expect_counts([files, 0, 0, 0]);
    place.assert_same(&world.src, &world.dst);
    nothing_to_do(&place.down(&world), files);

    put(&world.src, "text", "another text\n");
    put(&world.src, "new/and/deep", "new");
    fs::remove_file(world.src.join("big")).expect("there");
    fs::remove_dir_all(world.src.join("dir")).expect("there");
    put(&world.src, "dir", "now a file");
    fs::remove_file(world.src.join("empty")).expect("there");
    put(&world.src, "empty/no/more", "a directory now");
    fs::rename(world.src.join("large"), world.src.join("many/renamed")).expect("a rename");
    // Listings of objects tell versions of their content only: a mode alone is not seen from the other end.
    if place.keeps.modes && place.keeps.dirs {
        chmod(&world.src.join("secret"), 0o640);
    }
    place.up(&world).expect_code(0);
    place.assert_clean();
    nothing_to_do(&place.up(&world), 0);
    place.down(&world).expect_code(0);
    place.assert_same(&world.src, &world.dst);
    nothing_to_do(&place.down(&world), 0);
}

/// `unchanged`: how many files, if that is to be looked at.
#[track_caller]
fn nothing_to_do(run: &Run, unchanged: u64) {
    run.expect_code(0);
    run.expect_counts([0, 0, 0, 0]);
    if unchanged > 0 {
        assert_eq!(run.report()["unchanged"], unchanged);
    }
}

#[test]
fn s3_of_rclone() {
    there_and_back(&Place::s3());
}

#[test]
fn s3_of_moto() {
    there_and_back(&Place::moto());
}

#[test]
fn smb() {
    there_and_back(&Place::smb());
}

#[test]
fn sftp() {
    there_and_back(&Place::sftp());
}

/// What Samba has on its disk is what was sent, byte for byte.
#[test]
fn smb_on_the_servers_disk() {
    let place = Place::smb();
    let world = place.world();
    fill(&world, &place);
    // Windows has no such names: they stand on the disk as others, and come back as they were.
    fs::remove_file(world.src.join("names/question?hash#plus+")).expect("there");
    place.up(&world).expect_code(0);
    place.assert_same(&world.src, place.disk.as_ref().expect("a disk"));
}

/// rclone finds no difference, neither by hash nor by time, to what we sent; and we none to what it sent.
#[test]
fn rclone_and_we_read_each_other() {
    let place = Place::s3();
    let world = place.world();
    fill(&world, &place);
    place.up(&world).expect_code(0);
    let config = format!(
        "[t]\ntype = s3\nprovider = Rclone\nendpoint = http://127.0.0.1:{}\naccess_key_id = {}\nsecret_access_key = {}\n",
        place.port,
        sitta_testbed::s3::KEY_ID,
        sitta_testbed::s3::SECRET
    );
    fs::write(world.path("rclone.conf"), config).expect("written");
    let rclone = |args: &[&str]| {
        let mut command = std::process::Command::new(sitta_testbed::need("rclone"));
        command.arg("--config").arg(world.path("rclone.conf")).args(args);
        let output = command.output().expect("rclone runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let src = world.src.to_str().expect("UTF-8");
    rclone(&["check", "--download", src, "t:bucket/top"]);
    let said = rclone(&["sync", "--dry-run", "-v", src, "t:bucket/top"]);
    assert!(!said.contains("Skipped copy"), "rclone would send nothing: {said}");
    rclone(&["sync", src, "t:bucket/theirs"]);
    let run = place.run(&world, "mirror", &world.src, Path::new("there:../theirs"), &[]);
    assert_eq!(run.code(), 2, "a path inside a store stays inside");
    let config = fs::read_to_string(world.path("config/sitta/config.toml")).expect("the config");
    fs::write(world.path("config/sitta/config.toml"), config.replace("bucket/top", "bucket/theirs"))
        .expect("written");
    let run = place.run(&world, "mirror", &world.src, Path::new("there:"), &["--dry-run"]);
    run.expect_code(0);
    assert_eq!((&run.report()["copied"], &run.report()["deleted"]), (&0.into(), &0.into()), "{run:?}");
}

/// A run without changes asks S3 for its listing and nothing else.
#[test]
fn what_a_run_costs() {
    let place = Place::moto();
    let world = place.world();
    many(&world.src, 1500);
    let up = place.up(&world);
    up.expect_counts([1500, 0, 0, 0]);
    let requests = up.report()["requests"].as_u64().expect("a number");
    assert!((1501..1520).contains(&requests), "one request a file, not {requests}");
    let same = place.up(&world);
    same.expect_counts([0, 0, 0, 0]);
    assert_eq!(same.report()["requests"], 2, "two pages of at most a thousand names");
    put(&world.src, "d0/f0", "edited");
    let edited = place.up(&world);
    let requests = edited.report()["requests"].as_u64().expect("a number");
    assert!(requests <= 2 + 2, "an edit costs a look and a write, not {requests}");
}

/// What the place cannot hold is named, and the rest is done.
#[test]
fn links_that_cannot_be_kept_are_named() {
    for place in [Place::s3(), Place::smb()] {
        let world = place.world();
        put(&world.src, "file", "content");
        link(&world.src, "link", "file");
        let run = place.up(&world);
        run.expect_code(3);
        run.expect_counts([1, 0, 0, 0]);
        assert_eq!(run.problems(), ["link"], "{}", place.name);
    }
}
