//! What else goes wrong at night, and a night that the daemon has to see to.

use std::cell::RefCell;
use std::fs;

use rustix::process::Signal;
use sitta_testbed::samba;

use super::night::{Night, WRONG, Wish, assert_hides, skips};
use super::support::*;
use super::told::sql;
use super::until;

#[test]
fn the_share_does_not_let_anybody_in() {
    if skips("the_share_does_not_let_anybody_in") {
        return;
    }
    let mut night = Night::begin();
    night.password = WRONG;
    night.fails("UPLOAD", "wrong user or password", 1);
}

#[test]
fn the_share_is_full() {
    if skips("the_share_is_full") {
        return;
    }
    let mut night = Night::begin();
    let folder = night.share.folder().join("db");
    let Some(_mount) = Mount::tmpfs(&folder, "200k") else {
        return skipped("the_share_is_full", "may not mount a tmpfs");
    };
    run_tool("chown", &[samba::USER, folder.to_str().expect("UTF-8")]);
    put(&folder, "nightly-2026-01-01.tgz", "an old archive");
    night.fails("UPLOAD", "no space left", 1);
    let left = fs::read_dir(&folder).expect("a folder").count();
    assert_eq!(left, 1, "what did not fit takes up no room");
}

#[test]
fn the_share_is_gone_in_mid_upload() {
    if skips("the_share_is_gone_in_mid_upload") {
        return;
    }
    let mut night = Night::with(Wish { ways: true, ..Wish::default() });
    put(&night.world.src, "large", Rng::seeded(5).bytes(24 << 20));
    night.job_fails("folder", "UPLOAD", "refused", 1, |night| {
        until("a part of it has arrived", || night.ways[1].sent() > 6 << 20);
        night.ways[1].refuse();
    });
}

#[test]
fn the_web_server_is_gone_before_and_in_mid_file() {
    if skips("the_web_server_is_gone_before_and_in_mid_file") {
        return;
    }
    let mut night = Night::with(Wish { ways: true, ..Wish::default() });
    put(&night.world.src, "dump/db.sql", Rng::seeded(6).bytes(8 << 20));
    night.serve();
    night.ways[0].limit(Some(2 << 20));
    let before = night.ways[0].received();
    night.job_fails("nightly", "DOWNLOAD", "refused", 1, |night| {
        until("a part of it was fetched", || night.ways[0].received() > before + (4 << 20));
        night.ways[0].refuse();
    });
    night.fails("DOWNLOAD", "refused", 1);
    night.ways[0].pass();
    night.ways[0].limit(None);
    let (run, ..) = night.run("nightly", |_| ());
    run.expect_code(0);
}

#[test]
fn the_zip_is_not_what_it_was() {
    if skips("the_zip_is_not_what_it_was") {
        return;
    }
    let mut night = Night::begin();
    put(&night.world.src, "dump/db.sql", "");
    night.serve();
    night.fails("CHECK", "nothing to pack", 4);
    fs::remove_file(night.world.src.join("dump/db.sql")).expect("removed");
    night.serve();
    night.fails("EXTRACT", "db.sql", 4);
    put(&night.world.src, "large", "");
    night.job_fails("folder", "CHECK", "nothing to pack", 4, |_| ());
}

/// The daemon sees to a night: what was missed runs at once, and all of it is told as if somebody had said so.
#[test]
fn the_daemon_begins_it_when_it_is_due() {
    if skips("the_daemon_begins_it_when_it_is_due") {
        return;
    }
    let mut night = Night::with(Wish { job: "schedule = '@yearly'\n", ..Wish::default() });
    due(&night);
    let before = night.archives().len();
    let (run, mail, told) = night.run_by(&["daemon", "--once"], |_| ());
    run.expect_code(0);
    assert_eq!((&told["cause"], &told["outcome"]), (&"catch-up".into(), &"success".into()), "{told}");
    assert!(mail.contains("nightly succeeded on "), "{mail}");
    assert_eq!(night.archives().len(), before - 1, "one came, two went");
    sql(&night.world, "UPDATE run SET started = 0");
    fs::remove_file(night.zip()).expect("removed");
    night.fails_by(&["daemon", "--once"], "DOWNLOAD", "dump.zip", 1, |_| ());
}

/// Everybody on a machine may read what processes were begun with.
#[test]
fn no_process_of_the_daemon_is_begun_with_a_secret() {
    if skips("no_process_of_the_daemon_is_begun_with_a_secret") {
        return;
    }
    let night = Night::with(Wish { job: "schedule = '@yearly'\nlimit_rate = '100KiB'\n", ..Wish::default() });
    due(&night);
    let child = start(&mut night.command(&["daemon"]));
    let lines = RefCell::new(String::new());
    // Seen again and again, for the job begins processes too.
    until("the job runs", || {
        for pid in with_children(child.id()) {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            *lines.borrow_mut() += &format!("{}\n", line.replace('\0', " "));
        }
        lines.borrow().matches("run nightly").count() > 30
    });
    signal(child.id(), Signal::TERM);
    finish(child).expect_code(0);
    assert_hides(&lines.borrow());
}

/// The job was last seen long ago: it is due as soon as a daemon looks.
fn due(night: &Night) {
    finish(start(&mut night.command(&["daemon", "--once"]))).expect_code(0);
    sql(&night.world, "UPDATE job SET seen = seen - 1000000 * 86400");
}

/// A process, its children, and theirs.
fn with_children(pid: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    let all = fs::read_dir("/proc").expect("processes").flatten();
    let all: Vec<u32> = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let mut family = vec![pid];
    // A child has the higher number nearly always; a second look finds the rest.
    for _ in 0..2 {
        for pid in &all {
            if !family.contains(pid) && parent(*pid).is_some_and(|parent| family.contains(&parent)) {
                family.push(*pid);
            }
        }
    }
    family
}
