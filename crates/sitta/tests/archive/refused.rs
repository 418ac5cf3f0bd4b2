//! What no archive is made of, and why.

use std::fs;

use crate::support::*;

fn archive(world: &World, src: &str, dst: &str, options: &[&str]) -> Run {
    let mut command = world.command();
    command.arg("archive").arg(src).arg(dst).args(options);
    finish(start(&mut command))
}

#[track_caller]
fn refused(run: &Run, code: i32, says: &[&str]) {
    run.expect_code(code);
    let told = run.err();
    for word in says {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
    assert!(told.contains("hint: "), "{told}");
}

#[test]
fn wrong_names_and_rules() {
    let world = World::new();
    put(&world.src, "f", "content");
    for (dst, options, says) in [
        ("dst/a.7z", &[][..], &["'a.7z'", ".tar.zst", ".zip"][..]),
        ("dst/{date}", &[], &["'{date}'", ".tgz"]),
        ("dst/{day}.tgz", &[], &["{day}", "{date}, {time}, {host} and {job}"]),
        ("dst/{date.tgz", &[], &["'{date.tgz'"]),
        ("dst/{date}/a.tgz", &[], &["placeholder", "folder"]),
        ("dst/a.tgz", &["--keep", "last=3"], &["--keep", "{date}"]),
        ("dst/{date}.tgz", &["--keep", "lsat=3"], &["lsat=3", "last, within"]),
        ("dst/{date}.tgz", &["--max-age", "soon"], &["soon", "24h"]),
        ("dst/{job}.tgz", &["--job", "a/b"], &["{job}.tgz", "--job"]),
    ] {
        refused(&archive(&world, "src", dst, options), 2, says);
    }
    assert_eq!(fs::read_dir(&world.dst).expect("a folder").count(), 0);
    let secret = archive(&world, "src", "smb://me:hush@localhost/share/{date}/a.tgz", &[]);
    refused(&secret, 2, &["localhost/share/{date}/a.tgz"]);
    assert!(!secret.err().contains("hush"), "{secret:?}");
}

#[test]
fn what_is_missing_empty_or_stale() {
    let world = World::new();
    refused(&archive(&world, "none", "dst/a.tgz", &[]), 4, &["none is not there"]);
    refused(&archive(&world, "src/none.sql", "dst/a.tgz", &[]), 4, &["none.sql is not there"]);
    refused(&archive(&world, "src", "dst/a.tgz", &[]), 4, &["src holds nothing to pack", "--force-empty"]);
    put(&world.src, "old", "content");
    set_mtime(&world.src.join("old"), 1_000_000_000, 0);
    refused(&archive(&world, "src", "dst/a.tgz", &["--exclude", "*"]), 4, &["nothing to pack"]);
    refused(
        &archive(&world, "src", "dst/a.tgz", &["--max-age", "24h"]),
        4,
        &["newest file", "at most 24 h", "--max-age"],
    );
    refused(&archive(&world, "src/old", "dst/a.tgz", &["--max-age", "24h"]), 4, &["--max-age"]);
    assert_eq!(fs::read_dir(&world.dst).expect("a folder").count(), 0, "nothing was made");
    put(&world.src, "new", "content");
    archive(&world, "src", "dst/a.tgz", &["--max-age", "24h"]).expect_code(0);
    archive(&world, "src", "dst/empty.zip", &["--exclude", "*", "--force-empty"]).expect_code(0);
    run_tool("7z", &["t", world.dst.join("empty.zip").to_str().expect("UTF-8")]);
}

/// A dump that failed leaves an empty file: no archive is made of it, and those of better days stay.
#[test]
fn one_file_that_is_empty() {
    let world = World::new();
    put(&world.src, "dump.sql", "");
    put(&world.src, "other", "content");
    archive(&world, "src", "data.zip", &[]).expect_code(0);
    put(&world.dst, "db-2026-01-01.tgz", "an old archive");
    for source in ["src/dump.sql", "data.zip!/dump.sql"] {
        let run = archive(&world, source, "dst/db-{date}.tgz", &["--keep", "last=1"]);
        refused(&run, 4, &["dump.sql holds nothing to pack", "--force-empty", "CHECK"]);
        assert_eq!(fs::read_dir(&world.dst).expect("a folder").count(), 1, "{source}: nothing came or went");
    }
    let report = archive(&world, "src/dump.sql", "dst/a.tgz", &["--json"]);
    report.expect_code(4);
    assert_eq!(report.report()["outcome"], "held");
    for source in ["src/dump.sql", "data.zip!/dump.sql"] {
        archive(&world, source, "dst/forced.tgz", &["--force-empty"]).expect_code(0);
    }
    fs::remove_file(world.src.join("other")).expect("removed");
    archive(&world, "src", "dst/folder.tgz", &[]).expect_code(0);
}

/// That a member is damaged is seen when it is packed: EXTRACT, which had gone well, fails after CHECK. The report has the
/// steps in their order all the same.
#[test]
fn steps_that_fail_late_stand_in_order() {
    let world = World::new();
    put(&world.src, "db.sql", Rng::seeded(3).bytes(300_000));
    archive(&world, "src", "data.zip", &[]).expect_code(0);
    let mut damaged = fs::read(world.path("data.zip")).expect("packed");
    damaged[150_000] ^= 0xff;
    fs::write(world.path("data.zip"), damaged).expect("written");
    let run = archive(&world, "data.zip!/db.sql", "dst/a.tgz", &["--json"]);
    run.expect_code(1);
    let report = run.report();
    let steps = report["steps"].as_array().expect("steps").clone();
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().expect("a name")).collect();
    assert_eq!(names, ["DOWNLOAD", "EXTRACT", "CHECK", "COMPRESS", "UPLOAD", "CLEAN"]);
    assert_eq!((&steps[1]["state"], &steps[2]["state"]), (&"failed".into(), &"done".into()), "{report}");
    assert_eq!((&steps[1]["reason"], steps[2]["age"].is_number()), (&steps[1]["text"], true), "{report}");
}

#[test]
fn not_into_itself() {
    let world = World::new();
    put(&world.src, "f", "content");
    let run = archive(&world, "src", "src/a.tgz", &[]);
    refused(&run, 2, &["which is what is packed", "outside of the source"]);
    archive(&world, "src", "a.tgz", &[]).expect_code(0);
    assert!(world.path("a.tgz").exists(), "beside it, in a folder that holds both");
}

#[test]
fn what_cannot_be_read_is_named() {
    let world = World::unprivileged();
    put(&world.src, "readable", "content");
    put(&world.src, "closed", "content");
    put(&world.src, "closed large", vec![1; 3 << 20]);
    world.give_away();
    for name in ["closed", "closed large"] {
        chmod(&world.src.join(name), 0);
    }
    for name in ["a.zip", "a.tar.zst"] {
        let run = archive(&world, "src", &format!("dst/{name}"), &["--json"]);
        run.expect_code(3);
        assert_eq!(run.problems(), ["closed", "closed large"]);
        let run = world.sitta(&["ls", &format!("dst/{name}!/")]);
        assert_eq!(run.out(), "readable\n", "{run:?}");
    }
}

#[test]
fn damaged_archives_are_not_unpacked() {
    let world = World::new();
    put(&world.src, "f", Rng::seeded(1).bytes(3 << 20));
    for name in ["a.zip", "a.tgz", "a.tar.zst"] {
        archive(&world, "src", &format!("dst/{name}"), &[]).expect_code(0);
        let at = world.dst.join(name);
        let mut bytes = fs::read(&at).expect("made");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        fs::write(&at, bytes).expect("damaged");
        let run = world.sitta(&["unpack", &format!("dst/{name}"), "out"]);
        assert!(matches!(run.code(), 1 | 3), "{run:?}");
        assert!(!world.path("out/f").exists(), "{name}");
    }
    put(&world.dst, "no-archive", "just text");
    let run = world.sitta(&["unpack", "dst/no-archive", "out"]);
    assert!(run.err().contains("neither a zip nor a tar"), "{run:?}");
}

#[test]
fn bombs_are_refused() {
    let world = World::new();
    let big = fs::File::create(world.src.join("zeros")).expect("made");
    big.set_len(3 << 30).expect("a file of holes");
    let mut tar = std::process::Command::new("tar");
    tar.args(["--zstd", "-cf"]).arg(world.path("bomb.tar.zst")).arg("-C").arg(&world.src).arg("zeros");
    assert!(tar.status().expect("tar runs").success());
    let run = world.sitta(&["unpack", "bomb.tar.zst", "out"]);
    assert!(matches!(run.code(), 1..=3), "{run:?}");
    assert!(run.err().contains("bomb"), "{run:?}");
    assert!(!world.path("out/zeros").exists());
}
