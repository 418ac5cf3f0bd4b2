use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;
use sitta_testbed::free_port;

use super::support::*;
use super::told::{sql, sql_one};
use super::{configure, history, until, world};

const DAILY: &str = "[job.docs]\nverb = 'mirror'\nfrom = 'SRC'\nto = 'DST'\nschedule = '@yearly'\n";

fn daemon(world: &World, options: &[&str]) -> Child {
    let mut command = world.command();
    start(command.arg("daemon").args(options))
}

/// The job was last seen long ago: what it missed since is due.
fn was_off(world: &World) {
    world.sitta(&["daemon", "--once"]).expect_code(0);
    assert!(history(world).is_empty(), "a job that is new missed nothing");
    sql(world, "UPDATE job SET seen = seen - 1000000 * 86400");
}

#[test]
fn what_was_missed_runs_once_when_the_machine_is_on_again() {
    let world = world(DAILY);
    put(&world.src, "a.txt", "alpha");
    was_off(&world);
    for _ in 0..2 {
        let run = world.sitta(&["daemon", "--once"]);
        run.expect_code(0);
    }
    let runs = history(&world);
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!((&runs[0]["cause"], &runs[0]["outcome"]), (&"catch-up".into(), &"success".into()));
    assert_same(&world.src, &world.dst);
}

#[test]
fn no_more_jobs_run_at_once_than_may() {
    let slow = "verb = 'copy'\nfrom = 'SRC'\nlimit_rate = '1MiB'\nschedule = '@yearly'\n";
    let jobs: String = (0..3).map(|n| format!("[job.j{n}]\nto = 'ROOT/to{n}'\n{slow}")).collect();
    let world = world(&format!("{jobs}[daemon]\nparallel = 1\n"));
    put(&world.src, "large", "x".repeat(1 << 20));
    was_off(&world);
    world.sitta(&["daemon", "--once"]).expect_code(0);
    let mut runs: Vec<_> = history(&world)
        .iter()
        .map(|run| ["started", "ended"].map(|key| run[key].as_str().unwrap().to_owned()))
        .collect();
    runs.sort();
    assert_eq!(runs.len(), 3);
    for pair in runs.windows(2) {
        let ended: jiff::Timestamp = pair[0][1].parse().expect("a time");
        let began: jiff::Timestamp = pair[1][0].parse().expect("a time");
        assert!(ended <= began, "{runs:?}");
    }
}

#[test]
fn a_daemon_keeps_watched_syncs_running_takes_up_the_config_and_stops_cleanly() {
    let watch = "[job.live]\nverb = 'sync'\nfrom = 'SRC'\nto = 'DST'\nwatch = true\n";
    let world = world(watch);
    put(&world.src, "a.txt", "alpha");
    let port = free_port();
    let child = daemon(&world, &["--metrics", &format!("127.0.0.1:{port}")]);
    until("the first file arrives", || world.dst.join("a.txt").exists());
    put(&world.dst, "b.txt", "beta");
    until("a change arrives", || world.src.join("b.txt").exists());
    assert!(metrics(port).contains("sitta_job_running{job=\"live\"} 1\n"), "{}", metrics(port));
    let second = world.sitta(&["daemon"]);
    second.expect_code(1);
    assert!(second.err().contains(&format!("it is process {}", child.id())), "{second:?}");
    assert!(!world.sitta(&["jobs"]).err().contains("no daemon"));

    // A wrong config is refused, and the old one holds on.
    configure(&world, "[job.live]\nverb = 'snyc'\n");
    signal(child.id(), Signal::HUP);
    sleep(Duration::from_millis(300));
    put(&world.src, "c.txt", "gamma");
    until("it still works", || world.dst.join("c.txt").exists());
    // What begins now begins with the config that holds.
    assert!(
        history(&world).iter().all(|run| run["job"] == "live"),
        "rounds of a watched sync are told with its job"
    );
    let pid = sql_one(&world, "SELECT pid FROM run WHERE ended IS NULL");
    signal(pid, Signal::KILL);
    put(&world.src, "d.txt", "delta");
    until("it begins again", || world.dst.join("d.txt").exists());
    let more = "[job.copy]\nverb = 'copy'\nfrom = 'SRC'\nto = 'ROOT/copy'\nschedule = '* * * * *'\n";
    configure(&world, &format!("{watch}{more}"));
    signal(child.id(), Signal::HUP);
    until("it knows the new job", || metrics(port).contains("sitta_job_next_run_timestamp_seconds{job=\"copy\"}"));
    until("the watched sync runs again", || metrics(port).contains("sitta_job_running{job=\"live\"} 1\n"));

    signal(child.id(), Signal::TERM);
    let run = finish(child);
    run.expect_code(0);
    for part in ["unknown value 'snyc'", "was not taken up", "has taken up the changed config", "daemon ended"] {
        assert!(run.err().contains(part), "{part} in {run:?}");
    }
    assert!(history(&world).iter().all(|run| run["outcome"] != "running"), "nothing is left running");
}

#[test]
fn what_a_killed_daemon_left_is_noted_and_goes_on() {
    let world = world(&format!("{DAILY}limit_rate = '200KiB'\n"));
    put(&world.src, "large", "x".repeat(4 << 20));
    was_off(&world);
    let mut child = daemon(&world, &[]);
    until("it has begun", || fs::read_dir(&world.dst).is_ok_and(|mut dir| dir.next().is_some()));
    child.kill().expect("kill");
    child.wait().expect("wait");
    // The job ends with it, though nobody could tell it to.
    until("its job ends", || history(&world)[0]["outcome"] == "interrupted");
    sql(&world, "UPDATE run SET ended = NULL, outcome = NULL");
    configure(&world, DAILY);
    let run = world.sitta(&["daemon", "--once"]);
    run.expect_code(0);
    assert!(run.err().contains("docs was interrupted"), "{run:?}");
    assert_same(&world.src, &world.dst);
    let outcomes: Vec<_> = history(&world).iter().map(|run| run["outcome"].clone()).collect();
    assert_eq!(outcomes, ["success", "interrupted"]);
}

fn metrics(port: u16) -> String {
    let mut text = String::new();
    let asked = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")?;
        stream.read_to_string(&mut text)
    });
    assert!(asked.is_ok(), "{asked:?}");
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    text
}

#[test]
fn a_job_that_somebody_runs_by_hand_is_not_tried_again_and_again() {
    let world = world(&format!("{DAILY}limit_rate = '200KiB'\n"));
    put(&world.src, "large", "x".repeat(4 << 20));
    was_off(&world);
    let mut command = world.command();
    let mut by_hand = start(command.args(["run", "docs"]));
    until("it runs", || history(&world).iter().any(|run| run["outcome"] == "running"));
    sql(&world, "UPDATE run SET started = 0");
    let child = daemon(&world, &[]);
    sleep(Duration::from_secs(3));
    signal(child.id(), Signal::TERM);
    let run = finish(child);
    run.expect_code(0);
    let tries = run.err().matches("docs begins").count();
    assert_eq!(tries, 1, "{run:?}");
    by_hand.kill().expect("kill");
    by_hand.wait().expect("wait");
}
