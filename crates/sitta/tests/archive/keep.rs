//! Which archives go, and which never do.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::*;

/// The names in the destination, sorted.
fn names(world: &World) -> Vec<String> {
    let names = fs::read_dir(&world.dst).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn archive(world: &World, name: &str, options: &[&str]) -> Run {
    let to = format!("{}/{name}", world.dst.display());
    let mut command = world.command();
    command.arg("archive").arg(&world.src).arg(to).arg("--json").args(options);
    finish(start(&mut command))
}

const OTHERS: [&str; 7] = [
    "db-2020-01-01.tgz.bak",
    "db-2020-01-01.tar.zst",
    "db-2020-13-01.tgz",
    "db-2999-01-01.tgz",
    "other-2020-01-01.tgz",
    "xdb-2020-01-01.tgz",
    "notes",
];

#[test]
fn only_what_the_template_made_is_removed() {
    let world = World::new();
    put(&world.src, "f", "content");
    for name in OTHERS {
        put(&world.dst, name, name);
    }
    put(&world.dst, "db-2020-01-04.tgz/inside", "a folder");
    symlink("notes", world.dst.join("db-2020-01-05.tgz")).expect("a link");
    put(&world.dst, "below/db-2020-01-01.tgz", "in another folder");
    for name in ["db-2020-01-01.tgz", "db-2020-01-02.tgz", "db-2020-01-03.tgz"] {
        put(&world.dst, name, "old");
    }
    let mut kept = names(&world);

    let dry = archive(&world, "{job}-{date}.tgz", &["--job", "db", "--keep", "last=3", "--dry-run"]);
    dry.expect_code(0);
    assert_eq!(names(&world), kept, "a dry run changes nothing");
    let would: Vec<_> = dry.events().into_iter().filter(|event| event["event"] == "would").collect();
    let deletes = would.iter().filter(|event| event["what"] == "delete").map(|event| &event["path"]);
    // The one of the future is the newest, the new one comes after it.
    assert_eq!(deletes.collect::<Vec<_>>(), ["db-2020-01-01.tgz", "db-2020-01-02.tgz"]);

    let run = archive(&world, "{job}-{date}.tgz", &["--job", "db", "--keep", "last=3"]);
    run.expect_code(0);
    assert_eq!(run.report()["deleted"], 2);
    kept.retain(|name| name != "db-2020-01-01.tgz" && name != "db-2020-01-02.tgz");
    kept.push(run.report()["archive"]["name"].as_str().expect("a name").to_owned());
    kept.sort();
    assert_eq!(names(&world), kept);
    assert!(world.dst.join("below/db-2020-01-01.tgz").exists());
}

#[test]
fn nothing_goes_when_the_new_archive_lacks_something() {
    let world = World::new();
    put(&world.src, "f", "content");
    run_tool("mkfifo", &[world.src.join("pipe").to_str().expect("UTF-8")]);
    put(&world.dst, "2020-01-01.tgz", "old");
    let run = archive(&world, "{date}.tgz", &["--keep", "within=1d"]);
    run.expect_code(3);
    assert_eq!(run.problems(), ["pipe"]);
    let clean = run.report()["steps"].as_array().expect("steps").last().cloned().expect("a step");
    assert_eq!((&clean["step"], &clean["state"]), (&"CLEAN".into(), &"skipped".into()));
    assert!(world.dst.join("2020-01-01.tgz").exists());
    let run = archive(&world, "{date}.tgz", &["--keep", "within=1d", "--exclude", "pipe"]);
    run.expect_code(0);
    assert!(!world.dst.join("2020-01-01.tgz").exists());
}

#[test]
fn nothing_goes_when_no_archive_was_made() {
    let world = World::new();
    put(&world.src, "f", Rng::seeded(1).bytes(8 << 20));
    let Some(_mount) = Mount::tmpfs(&world.dst, "3m") else {
        return skipped("nothing_goes_when_no_archive_was_made", "may not mount a tmpfs");
    };
    put(&world.dst, "2020-01-01.tgz", "old");
    for _ in 0..2 {
        let run = archive(&world, "{date}.tgz", &["--keep", "last=1"]);
        run.expect_code(1);
        let report = run.report();
        let step = |name: &str| {
            let steps = report["steps"].as_array().expect("steps").iter();
            steps.filter(|step| step["step"] == name).map(|step| step["state"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(step("UPLOAD"), ["failed"]);
        assert_eq!(step("CLEAN"), ["skipped"]);
        assert_eq!(names(&world), ["2020-01-01.tgz"]);
    }
}

#[test]
fn one_of_the_same_name_is_replaced_or_left() {
    let world = World::new();
    put(&world.src, "f", "old");
    archive(&world, "a.zip", &[]).expect_code(0);
    let old = fs::read(world.dst.join("a.zip")).expect("made");
    put(&world.src, "f", "new");
    let left = archive(&world, "a.zip", &["--no-overwrite"]);
    left.expect_code(4);
    assert_eq!(left.events().iter().filter(|event| event["kind"] == "exists").count(), 1);
    assert!(fs::read(world.dst.join("a.zip")).expect("there") == old);
    archive(&world, "a.zip", &[]).expect_code(0);
    assert!(fs::read(world.dst.join("a.zip")).expect("there") != old);
    put(&world.dst, "d.zip/inside", "a folder");
    archive(&world, "d.zip", &[]).expect_code(1);
    assert!(world.dst.join("d.zip/inside").exists());
}

/// Killed in the middle: nothing half stands under the name, and what is left over goes with the next run.
#[test]
fn killed_while_packing() {
    let world = World::new();
    put(&world.src, "f", Rng::seeded(1).bytes(60 << 20));
    put(&world.dst, "a.zip", "an older one");
    let (mut killed, mut wait) = (0, 5);
    while killed < 12 {
        let mut command = world.command();
        command.arg("archive").arg(&world.src).arg(world.dst.join("a.zip"));
        let mut child = start(&mut command);
        std::thread::sleep(std::time::Duration::from_millis(wait));
        let ended = child.try_wait().expect("known").is_some();
        signal(child.id(), rustix::process::Signal::KILL);
        finish(child);
        if ended {
            break;
        }
        killed += 1;
        wait += 25;
        let there = fs::read(world.dst.join("a.zip")).expect("it never goes away");
        assert!(there == b"an older one" || there.ends_with(b"\0\0"), "whole, the old one or the new one");
    }
    assert!(killed > 3, "killed {killed} times");
    archive(&world, "a.zip", &[]).expect_code(0);
    assert_eq!(names(&world), ["a.zip"]);
}

/// Ctrl-C in the middle: nothing came, nothing went, nothing is left.
#[test]
fn interrupted_while_packing() {
    let world = World::new();
    put(&world.src, "f", Rng::seeded(1).bytes(80 << 20));
    put(&world.dst, "2020-01-01.zip", "old");
    let mut command = world.command();
    command.arg("archive").arg(&world.src).arg(world.dst.join("{date}.zip")).args(["--keep", "last=1", "--json"]);
    let child = start(&mut command);
    while fs::read_dir(&world.dst).expect("a folder").count() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    signal(child.id(), rustix::process::Signal::INT);
    let run = finish(child);
    run.expect_code(130);
    assert_eq!(run.report()["outcome"], "interrupted");
    assert_eq!(names(&world), ["2020-01-01.zip"]);
}
