//! Two runs on one pair, and Ctrl-C.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::Child;

use rustix::process::Signal;
use support::*;

/// Starts a mirror and reads its events until one of `names`; gives the run and what it has not told yet.
fn start_until(world: &World, names: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = start(&mut world.verb("mirror", &[]));
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    let told = loop {
        line.clear();
        if out.read_line(&mut line).expect("read") == 0 {
            break false;
        }
        let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        if names.iter().any(|name| event["event"] == *name) {
            break true;
        }
    };
    if !told {
        panic!("the run ended before it told of {names:?}: {:?}", finish(child));
    }
    (child, out)
}

fn large_source() -> World {
    let world = World::new();
    for i in 0..40 {
        put(&world.src, format!("large/{i}"), Blob::new(i, 4_000_000).bytes());
    }
    for i in 40..1000 {
        put(&world.src, format!("small/{i}"), Blob::new(i, 2_000).bytes());
    }
    world
}

fn rest(mut out: BufReader<std::process::ChildStdout>) -> String {
    let mut text = String::new();
    out.read_to_string(&mut text).expect("read");
    text
}

#[test]
fn a_second_run_on_the_same_pair_is_told() {
    let world = large_source();
    let (first, out) = start_until(&world, &["scanned", "planned"]);
    signal(first.id(), Signal::STOP);
    let second = world.mirror(&[]);
    let other_pair = world.sitta(&["mirror".as_ref(), world.src.as_os_str(), world.path("third").as_os_str()]);
    signal(first.id(), Signal::CONT);
    let reader = std::thread::spawn(move || rest(out));
    let first = finish(first);
    reader.join().expect("reader");

    second.expect_code(1);
    assert!(second.err().contains("another"), "says so: {}", second.err());
    other_pair.expect_code(0);
    first.expect_code(0);
    assert_same(&world.src, &world.dst);
    assert_same(&world.src, &world.path("third"));
    world.nothing_to_do(&[]);
}

#[test]
fn a_killed_run_holds_no_lock() {
    let world = large_source();
    let (child, out) = start_until(&world, &["scanned", "planned"]);
    signal(child.id(), Signal::KILL);
    drop(out);
    finish(child);
    world.mirror_well(&[]);
}

fn interrupted_by(kind: Signal) {
    let world = large_source();
    let (child, out) = start_until(&world, &["planned"]);
    std::thread::sleep(std::time::Duration::from_millis(15));
    signal(child.id(), kind);
    let reader = std::thread::spawn(move || rest(out));
    let run = finish(child);
    let told = reader.join().expect("reader");
    run.expect_code(130);
    assert_no_temporaries(&world.dst);
    for (path, item) in snapshot(&world.dst) {
        let What::File(bytes) = item.what else { continue };
        assert!(Blob::recognise(&bytes).is_some(), "{path:?} is not whole");
    }
    let report: serde_json::Value = serde_json::from_str(told.lines().last().expect("a report")).expect("JSON");
    assert_eq!((&report["event"], &report["outcome"]), (&"report".into(), &"interrupted".into()));
    let there = snapshot(&world.dst).values().filter(|item| matches!(item.what, What::File(_))).count();
    assert_eq!(report["copied"], there, "the report counts what was done");

    let run = world.mirror_well(&[]);
    assert_eq!(run.report()["copied"], 1000 - there, "the next run does the rest");
    world.nothing_to_do(&[]);
}

#[test]
fn ctrl_c_ends_cleanly() {
    interrupted_by(Signal::INT);
}

#[test]
fn a_shutdown_ends_cleanly() {
    interrupted_by(Signal::TERM);
}

#[test]
fn ctrl_c_at_any_moment() {
    let world = large_source();
    let mut rng = Rng::new();
    loop {
        let child = start(&mut world.verb("mirror", &[]));
        std::thread::sleep(std::time::Duration::from_micros(1_000 + rng.below(120_000) as u64));
        signal(child.id(), Signal::INT);
        let run = finish(child);
        // Before it can listen the signal simply ends it.
        let by_signal = run.status.code().is_none();
        assert!(by_signal || matches!(run.code(), 0 | 130), "{run:?}");
        assert_no_temporaries(&world.dst);
        if run.code() == 0 {
            break;
        }
    }
    world.mirror_well(&[]);
}

#[test]
fn a_closed_pipe_is_no_disaster() {
    let world = large_source();
    let mut child = start(&mut world.verb("mirror", &[]));
    drop(child.stdout.take());
    drop(child.stderr.take());
    let run = finish(child);
    assert!(run.status.code().is_some_and(|code| code != 101 && code != 134), "{run:?}");
    world.mirror_well(&[]);
}
