//! Old versions come back as they were, whatever they are called and whatever stands in their place; and a restore that is
//! killed loses none.

mod support;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use support::*;

/// `sitta trash VERB DST …`
fn trash<S: AsRef<OsStr>>(world: &World, verb: &str, rest: &[S]) -> Run {
    let mut command = trash_command(world, verb);
    command.args(rest);
    finish(start(&mut command))
}

fn trash_command(world: &World, verb: &str) -> Command {
    let mut command = world.command();
    command.arg("trash").arg(verb).arg(&world.dst).arg("--json");
    command
}

/// The run ids that are listed, the last first, each once.
fn runs(world: &World) -> Vec<String> {
    let mut runs: Vec<String> = Vec::new();
    for event in trash::<&str>(world, "list", &[]).events().iter().filter(|event| event["event"] == "version") {
        let run = event["run"].as_str().expect("a run");
        if runs.last().is_none_or(|last| last != run) {
            runs.push(run.to_owned());
        }
    }
    runs
}

#[test]
fn a_whole_tree_comes_back_as_it_was() {
    let world = World::new();
    assorted(&world.src);
    many(&world.src.join("many"), 300);
    world.mirror_well(&[]);
    let before = snapshot(&world.dst);
    let emptied = world.path("emptied");
    fs::create_dir(&emptied).expect("mkdir");
    put(&emptied, "one", "left");
    let mut command = world.command();
    command.arg("mirror").arg(&emptied).arg(&world.dst).args(["--json", "--trash", "--max-delete", "100%"]);
    finish(start(&mut command)).expect_code(0);
    assert_eq!(snapshot(&world.dst).len(), 1, "nothing but one file");

    let back = trash(&world, "restore", &["."]);
    back.expect_code(0);
    // Folders are not kept, only what is in them; and the file that came meanwhile stays.
    let files = |tree: &Snapshot| {
        let mut files = tree.clone();
        files.retain(|path, item| !matches!(item.what, What::Dir) && path != b"one");
        files
    };
    assert_same_snapshots(&files(&before), &files(&snapshot(&world.dst)));
    assert_eq!(back.report()["restored"], files(&before).len());
    assert_eq!(trashed(&world.dst), Vec::<Vec<u8>>::new());
    assert_no_temporaries(&world.dst);
    let left: Vec<_> = fs::read_dir(world.dst.join(".sitta/trash")).expect("the trash").collect();
    assert!(left.is_empty(), "its folder is gone: {left:?}");
}

#[test]
fn what_stands_there_is_never_lost() {
    let world = World::new();
    put(&world.src, "file", "one");
    put(&world.src, "dir/a", "in a folder");
    link(&world.src, "link", "file");
    world.mirror_well(&["--trash"]);
    put(&world.src, "file", "number two");
    fs::remove_dir_all(world.src.join("dir")).expect("remove");
    put(&world.src, "dir", "a file now");
    fs::remove_file(world.src.join("link")).expect("remove");
    put(&world.src, "link/x", "a folder now");
    world.mirror_well(&["--trash"]);

    for path in ["file", "dir", "link"] {
        let refused = trash(&world, "restore", &[path]);
        refused.expect_code(3);
        assert_eq!(refused.problems(), [path]);
    }
    assert_same(&world.src, &world.dst);
    let run = runs(&world).pop().expect("a run");
    let back = trash(&world, "restore", &["file", "dir", "link", "--force", "--run", &run]);
    back.expect_code(0);
    assert_eq!(fs::read(world.dst.join("file")).expect("read"), b"one");
    assert_eq!(fs::read(world.dst.join("dir/a")).expect("read"), b"in a folder");
    assert_eq!(fs::read_link(world.dst.join("link")).expect("a link"), PathBuf::from("file"));
    let kept = PathBuf::from(back.report()["trash"].as_str().expect("where the others are"));
    assert_eq!(fs::read(kept.join("file")).expect("read"), b"number two");
    assert_eq!(fs::read(kept.join("dir")).expect("read"), b"a file now");
    assert_eq!(fs::read(kept.join("link/x")).expect("read"), b"a folder now");
    assert_no_temporaries(&world.dst);
}

#[test]
fn names_of_every_sort_come_back_and_steer_no_terminal() {
    let world = World::new();
    let names: [&[u8]; 9] = [
        b"new\nline",
        b"esc\x1b[31mred\x1b[0m",
        b"not-utf8-\xff\xfe",
        b"-rf",
        b"--force",
        b" blank ",
        b"*",
        b"back\\slash",
        "bidi-\u{202e}txt.exe".as_bytes(),
    ];
    for name in names {
        put(&world.src, OsStr::from_bytes(name), name);
        put(&world.src.join("dir").join(OsStr::from_bytes(name)), OsStr::from_bytes(name), name);
    }
    put(&world.src, "stays", "so that the source is not empty");
    world.mirror_well(&["--trash"]);
    let before = snapshot(&world.dst);
    for name in names {
        fs::remove_file(world.src.join(OsStr::from_bytes(name))).expect("remove");
    }
    fs::remove_dir_all(world.src.join("dir")).expect("remove");
    world.mirror_well(&["--trash", "--max-delete", "100%"]);
    let listed = world.sitta(&[OsStr::new("trash"), OsStr::new("list"), world.dst.as_os_str()]);
    listed.expect_code(0);
    assert!(!listed.stdout.contains(&b'\x1b') && !listed.out().contains('\u{202e}'), "{listed:?}");
    assert_eq!(listed.out().lines().count(), 1 + 2 * names.len(), "a line each");
    let mut paths: Vec<OsString> = vec!["dir".into(), "--".into()];
    paths.extend(names.iter().map(|name| OsStr::from_bytes(name).to_owned()));
    trash(&world, "restore", &paths).expect_code(0);
    let files = |tree: Snapshot| tree.into_iter().filter(|(_, item)| !matches!(item.what, What::Dir)).collect();
    assert_same_snapshots(&files(before), &files(snapshot(&world.dst)));
}

/// Versions and what stands in their place, all of unlike content.
fn world_to_kill(files: usize) -> World {
    let world = World::new();
    for i in 0..files {
        put(&world.src, format!("d{}/f{i}", i % 7), format!("then {i} {}", ".".repeat(i)));
    }
    world.mirror_well(&["--trash"]);
    for i in 0..files {
        put(&world.src, format!("d{}/f{i}", i % 7), format!("now {i}"));
    }
    // Some have nothing in their way.
    fs::remove_dir_all(world.src.join("d3")).expect("remove");
    world.mirror_well(&["--trash", "--max-delete", "100%"]);
    world
}

#[track_caller]
fn assert_nothing_lost(world: &World, files: usize, when: &str) {
    let held: Vec<_> = snapshot_all(&world.dst)
        .into_values()
        .filter_map(|item| match item.what {
            What::File(bytes) => Some(String::from_utf8(bytes).expect("text")),
            _ => None,
        })
        .collect();
    for i in 0..files {
        let then = format!("then {i} {}", ".".repeat(i));
        assert!(held.contains(&then), "{when}: the old version of {i} is lost");
        assert!(i % 7 == 3 || held.contains(&format!("now {i}")), "{when}: the new version of {i} is lost");
    }
}

/// The restore is run again, and everything is as it was.
#[track_caller]
fn assert_finished(world: &World, run: &str, files: usize, when: &str) {
    if runs(world).iter().any(|left| left == run) {
        trash(world, "restore", &[".", "--force", "--run", run]).expect_code(0);
    }
    for i in 0..files {
        let text = fs::read_to_string(world.dst.join(format!("d{}/f{i}", i % 7))).expect("it is back");
        assert_eq!(text, format!("then {i} {}", ".".repeat(i)), "{when}");
    }
    assert_nothing_lost(world, files, when);
}

#[test]
fn killed_in_the_middle() {
    let mut random = Rng::seeded(11);
    let mut killed = 0;
    for round in 0..6 {
        let world = world_to_kill(400);
        let run = runs(&world).remove(0);
        let mut command = trash_command(&world, "restore");
        command.args([".", "--force", "--run", &run]);
        let mut child = start(&mut command);
        // What it replaces goes to a trash of its own: with that it has begun.
        let begun = || fs::read_dir(world.dst.join(".sitta/trash")).is_ok_and(|left| left.count() > 1);
        while !begun() && child.try_wait().expect("asked").is_none() {
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
        std::thread::sleep(std::time::Duration::from_millis(random.below(4) as u64));
        signal(child.id(), Signal::KILL);
        killed += usize::from(finish(child).status.code().is_none());
        let when = format!("round {round}");
        assert_nothing_lost(&world, 400, &when);
        assert_finished(&world, &run, 400, &when);
        if killed >= 3 {
            break;
        }
    }
    assert!(killed > 0, "none was killed before its end");
}

#[test]
fn a_crash_before_any_change_of_a_restore() {
    if !try_tool("strace", &["-qq", "-o", "/dev/null", "true"]) {
        return skipped("a_crash_before_any_change_of_a_restore", "no strace, or it may not trace");
    }
    let mut crashes = 0;
    for call in ["renameat2", "linkat", "unlinkat", "mkdirat"] {
        for nth in 1..=6 {
            let world = world_to_kill(9);
            let run = runs(&world).remove(0);
            let plain = trash_command(&world, "restore");
            let mut command = Command::new("strace");
            command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            command.args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]);
            command.arg(plain.get_program()).args(plain.get_args());
            command.args([".", "--force", "--run", &run]);
            world.furnish(&mut command);
            let crashed = finish(start(&mut command)).status.code() != Some(0);
            crashes += usize::from(crashed);
            let when = format!("a crash at {call} {nth}");
            assert_nothing_lost(&world, 9, &when);
            assert_finished(&world, &run, 9, &when);
            if !crashed {
                break;
            }
        }
    }
    assert!(crashes > 10, "a restore changes files by calls that are not in the list: {crashes}");
}

#[test]
fn emptying_asks_first_and_follows_nothing() {
    let world = World::new();
    put(&world.src, "a", "1");
    world.mirror_well(&["--trash"]);
    put(&world.src, "a", "another");
    world.mirror_well(&["--trash"]);
    put(&world.path("elsewhere"), "mine", "not ours");
    let run = runs(&world).remove(0);
    let folder = world.dst.join(".sitta/trash").join(&run);
    std::os::unix::fs::symlink(world.path("elsewhere"), folder.join("out")).expect("symlink");
    std::os::unix::fs::symlink(
        world.path("elsewhere"),
        world.dst.join(".sitta/trash/20260101T000000Z-0123abcd-1.0"),
    )
    .expect("symlink");
    put(&world.dst, ".sitta/trash/mine/kept", "x");

    trash::<&str>(&world, "empty", &[]).expect_code(2);
    trash(&world, "empty", &["--dry-run"]).expect_code(0);
    trash(&world, "empty", &["--older-than", "1d"]).expect_code(0);
    assert!(folder.exists());
    let gone = trash(&world, "empty", &["--yes"]);
    gone.expect_code(0);
    assert_eq!((&gone.report()["files"], &gone.report()["runs"]), (&2.into(), &1.into()));
    assert!(!folder.exists());
    assert_eq!(fs::read(world.path("elsewhere/mine")).expect("read"), b"not ours");
    assert_eq!(fs::read(world.dst.join(".sitta/trash/mine/kept")).expect("read"), b"x");
    assert_same(&world.src, &world.dst);
}

/// Runs `sitta trash empty DST` on a terminal and types the answer.
fn asked(world: &World, answer: &str) -> Run {
    let line = format!("'{}' trash empty '{}'", world.binary().display(), world.dst.display());
    let mut command = Command::new("script");
    command.args(["-qefc", &line, "/dev/null"]);
    world.furnish(&mut command);
    command.stdin(Stdio::piped());
    let mut child = start(&mut command);
    child.stdin.take().expect("a pipe").write_all(answer.as_bytes()).expect("write");
    finish(child)
}

#[test]
fn only_a_yes_empties_it() {
    if !try_tool("script", &["-qefc", "true", "/dev/null"]) {
        return skipped("only_a_yes_empties_it", "no script, which gives a program a terminal");
    }
    let world = World::new();
    put(&world.dst, ".sitta/trash/20260101T100000Z-0123abcd-7.0/a", "old");
    for answer in ["n\n", "\n", "maybe\n"] {
        let run = asked(&world, answer);
        run.expect_code(1);
        assert!(run.out().contains("1 file of 1 run (3 B) will be gone for good. Go on?"), "{run:?}");
        assert_eq!(runs(&world).len(), 1, "{answer:?}");
    }
    asked(&world, "y\n").expect_code(0);
    assert_eq!(runs(&world).len(), 0);
}

#[test]
fn what_cannot_be_removed_is_named() {
    let world = World::unprivileged();
    put(&world.src, "d/a", "1");
    put(&world.src, "b", "1");
    world.give_away();
    world.mirror_well(&["--trash"]);
    put(&world.src, "d/a", "another");
    put(&world.src, "b", "another");
    world.give_away();
    world.mirror_well(&["--trash"]);
    let folder = world.dst.join(".sitta/trash").join(runs(&world).remove(0));
    chmod(&folder.join("d"), 0o555);
    let gone = trash(&world, "empty", &["--yes"]);
    gone.expect_code(3);
    assert_eq!((gone.report()["files"].as_u64(), gone.problems().len()), (Some(1), 1), "{gone:?}");
    assert!(folder.join("d/a").exists() && !folder.join("b").exists());
    chmod(&folder.join("d"), 0o755);
    trash(&world, "empty", &["--yes"]).expect_code(0);
    assert!(!folder.exists());
}
