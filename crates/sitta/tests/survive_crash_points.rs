//! A crash right before each single system call that changes anything: what random kills hit only by luck.

mod support;

use std::process::Command;

use support::*;

/// Calls that change files, or make changes last.
const CALLS: [&str; 17] = [
    "rename",
    "renameat",
    "renameat2",
    "linkat",
    "symlinkat",
    "unlinkat",
    "unlink",
    "mkdirat",
    "fsync",
    "fdatasync",
    "syncfs",
    "pwrite64",
    "write",
    "ftruncate",
    "copy_file_range",
    "fchmod",
    "utimensat",
];

/// No more crash points than this for one call.
const MOST: usize = 24;

/// Wraps the program so that the kernel kills it when a thread of it makes that call for the nth time.
fn crash_at(world: &World, call: &str, nth: usize, options: &[&str]) -> Command {
    let plain = world.verb("mirror", options);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]);
    command.arg(plain.get_program()).args(plain.get_args());
    world.furnish(&mut command);
    command
}

fn crash_everywhere(options: &[&str]) {
    let trash = options.contains(&"--trash");
    let mut story = Story::new(20);
    let options = &[&["--max-delete", "100%"], options].concat();
    story.world.mirror_well(options);
    story.check(trash);
    let mut crashes = 0;
    for call in CALLS {
        for nth in 1..=MOST {
            story.edit(1);
            let run = finish(start(&mut crash_at(&story.world, call, nth, options)));
            story.check(trash);
            let crashed = run.status.code() != Some(0);
            crashes += usize::from(crashed);
            story.world.mirror_well(options);
            story.check(trash);
            assert_eq!(story.seen, story.source, "after a crash at {call} {nth}");
            if !crashed {
                break;
            }
        }
    }
    eprintln!("{crashes} crashes");
    assert!(crashes > 20, "the program changes files by calls that are not in the list");
}

fn can_trace() -> bool {
    try_tool("strace", &["-qq", "-o", "/dev/null", "true"])
}

#[test]
fn a_crash_before_any_change() {
    if !can_trace() {
        return skipped("a_crash_before_any_change", "no strace, or it may not trace");
    }
    crash_everywhere(&[]);
}

#[test]
fn a_crash_before_any_change_with_the_trash_on() {
    if !can_trace() {
        return skipped("a_crash_before_any_change_with_the_trash_on", "no strace, or it may not trace");
    }
    crash_everywhere(&["--trash", ".sitta/trash"]);
}
