//! Names of every sort, paths of any length.

mod support;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Command;

use support::*;

fn awkward() -> Vec<OsString> {
    let mut names: Vec<Vec<u8>> = [
        &b"new\nline"[..],
        b"tab\there",
        b"carriage\rreturn",
        b"esc\x1b[31mred\x1b[0m",
        b"title\x1b]0;pwned\x07",
        b"bell\x07",
        b"\x7f",
        b"\x01",
        b"not-utf8-\xff\xfe",
        b"\xc3\x28",
        b"latin1-\xe9",
        "bidi-\u{202e}txt.exe".as_bytes(),
        "c1-\u{9b}31m".as_bytes(),
        "nfc-\u{e9}".as_bytes(),
        "nfd-e\u{301}".as_bytes(),
        "\u{1f426}".as_bytes(),
        b" leading and trailing ",
        b"-rf",
        b"--help",
        b"~",
        b"*",
        b"?[a-z]",
        b"back\\slash",
        b"quote'\"`$(touch pwned)",
        b"...",
        b".hidden",
        b"CON",
        b"a:b",
        b"case",
        b"CASE",
    ]
    .iter()
    .map(|name| name.to_vec())
    .collect();
    names.push(vec![b'n'; 255]);
    names.push([vec![b'x'; 253], "\u{e9}".as_bytes().to_vec()].concat());
    names.push(vec![0xff; 255]);
    names.into_iter().map(OsString::from_vec).collect()
}

fn awkward_world() -> World {
    let world = World::new();
    for name in awkward() {
        put(&world.src, &name, name.as_bytes());
        put(&world.src.join("dirs"), OsStr::new(&name), "");
        let dir = world.src.join("trees").join(&name);
        put(&dir, &name, "inside");
        std::os::unix::fs::symlink(&name, dir.join("link")).expect("symlink");
    }
    world
}

#[test]
fn names_of_every_sort() {
    let world = awkward_world();
    world.mirror_well(&[]);
    world.nothing_to_do(&[]);
    for name in awkward() {
        put(&world.src, &name, "changed");
        fs::rename(world.src.join("dirs").join(&name), world.src.join("trees").join(&name).join("moved"))
            .expect("rename");
    }
    let run = world.mirror_well(&[]);
    run.events();
    fs::remove_dir_all(world.src.join("trees")).expect("remove");
    world.mirror_well(&["--max-delete", "100%", "--trash", ".sitta/trash"]);
    world.nothing_to_do(&[]);
}

/// Whether a terminal could be steered by this: any control character but the line end in what a pipe gets.
fn raw_controls(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let bad = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}' || *c == '\u{fffd}';
    text.lines().filter(|line| line.chars().any(|c| bad(&c))).map(|line| format!("{line:?}")).collect()
}

#[test]
fn messages_never_carry_raw_names() {
    let world = World::unprivileged();
    for name in awkward() {
        put(&world.src, &name, "unreadable");
        chmod(&world.src.join(&name), 0);
    }
    world.give_away();
    let run = world.sitta(&["mirror".as_ref(), world.src.as_os_str(), world.dst.as_os_str(), "-v".as_ref()]);
    run.expect_code(3);
    assert!(run.err().contains("pwned") || run.out().contains("pwned"), "they are named: {run:?}");
    assert!(raw_controls(&run.stderr).is_empty(), "{:?}", raw_controls(&run.stderr));
    assert!(raw_controls(&run.stdout).is_empty(), "{:?}", raw_controls(&run.stdout));
    assert_eq!(run.err().lines().filter(|line| line.trim() == "line").count(), 0, "a newline was printed raw");
}

/// Runs a command line on a pseudo terminal and gives what it wrote there.
fn on_a_terminal(world: &World, line: &str) -> Option<Vec<u8>> {
    let mut command = Command::new("script");
    command.args(["-qec", line, "/dev/null"]);
    world.furnish(&mut command);
    command.output().ok().map(|output| output.stdout)
}

#[test]
fn a_terminal_is_never_steered_by_names() {
    let world = awkward_world();
    world.mirror_well(&[]);
    for name in awkward() {
        put(&world.src, &name, "changed and to be sent again");
        fs::remove_file(world.src.join("dirs").join(&name)).expect("remove");
    }
    let binary = world.binary().display();
    for line in [
        format!("{binary} mirror src dst --dry-run -v"),
        format!("{binary} mirror src dst -v"),
        format!("{binary} ls src"),
        format!("{binary} ls --long src"),
        format!("{binary} find src"),
        format!("{binary} hash src"),
        format!("{binary} du src"),
    ] {
        let Some(shown) = on_a_terminal(&world, &line) else {
            return skipped("a_terminal_is_never_steered_by_names", "no `script` to make a terminal with");
        };
        assert!(!shown.is_empty(), "{line} shows something");
        for payload in [&b"\x1b]0;"[..], b"\x07", b"\x1b[31mred", b"\xff\xfe", "\u{202e}".as_bytes(), b"new\nline"]
        {
            let found = shown.windows(payload.len()).any(|window| window == payload);
            let text = String::from_utf8_lossy(&shown);
            assert!(!found, "{line}: {payload:?} came through raw in {text:?}");
        }
        let raw_newline = shown.windows(9).any(|window| window == b"new\r\nline");
        assert!(!raw_newline, "{line}: a newline came through raw");
    }
}

#[test]
fn paths_longer_than_path_max() {
    let world = World::new();
    let name = "n".repeat(200);
    dig(&world.src, &name, 30, b"deep down");
    world.mirror_well(&[]);
    assert_eq!(dug(&world.dst, &name, 30).as_deref(), Some(&b"deep down"[..]));
    world.nothing_to_do(&[]);

    // Deleted again, which has to find the way down as well.
    run_tool("rm", &["-rf", world.src.join(&name).to_str().expect("UTF-8")]);
    put(&world.src, "other", "so that the source is not empty");
    world.mirror_well(&[]);
    assert!(!world.dst.join(&name).exists());
}

#[test]
fn trees_deeper_than_any_stack_of_open_directories() {
    let world = World::new();
    dig(&world.src, "d", 3000, b"at the bottom");
    let run = world.mirror(&[]);
    run.expect_code(0);
    assert_eq!(dug(&world.dst, "d", 3000).as_deref(), Some(&b"at the bottom"[..]));
    world.nothing_to_do(&[]);
}

#[test]
fn a_long_path_goes_to_the_trash() {
    let world = World::new();
    let name = "n".repeat(200);
    dig(&world.src, &name, 25, b"deep down");
    put(&world.src, "other", "so that the source is not empty");
    world.mirror_well(&[]);
    run_tool("rm", &["-rf", world.src.join(&name).to_str().expect("UTF-8")]);
    world.mirror_well(&["--trash", ".sitta/trash"]);
    assert!(trashed(&world.dst).contains(&b"deep down".to_vec()));
}
