//! `sitta shell`: with lines from a pipe, and with somebody who types.

mod support;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use support::*;

fn put(dir: &std::path::Path, name: &str, bytes: &[u8]) {
    let file = dir.join(name);
    fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    fs::write(file, bytes).expect("written");
}

/// Runs lines in a shell at `location`.
fn script(world: &World, location: &str, lines: &str) -> Run {
    let mut command = world.command();
    command.args(["shell", location]).stdin(Stdio::piped());
    let mut child = start(&mut command);
    child.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("typed");
    finish(child)
}

#[test]
fn the_same_lines_do_the_same_on_every_store() {
    let world = World::new();
    let server = Server::start(&world, "127.0.0.1:0");
    for location in [server.url(), world.dst.display().to_string()] {
        let _ = fs::remove_dir_all(&world.dst);
        put(&world.dst, "docs/a b.txt", b"the needle is here");
        put(&world.dst, "docs/other.txt", b"nothing");
        put(&world.dst, "c", b"12345");
        put(&world.path("up"), "file", b"one");
        put(&world.path("up"), "other", b"two");
        put(&world.path("tree"), "x/y", b"three");
        let lines = "ls\n# a remark\n\nls docs\ncd docs\npwd\nfind --contains needle\nhash 'a b.txt'\ncat other.txt\ncd ..\n\
                     get docs/other.txt here\nlcd up\nput file docs\nlcd ..\nput tree\nget docs folder\nexit\nnot reached\n";
        let run = script(&world, &location, lines);
        run.expect_code(0);
        let hash = blake3_of(b"the needle is here");
        let expected = format!("c\ndocs/\na b.txt\nother.txt\n/docs\na b.txt\n{hash}  a b.txt\nnothing");
        assert!(run.out().starts_with(&expected), "{}", run.out());
        assert_eq!(fs::read(world.path("here")).expect("got"), b"nothing");
        assert_eq!(fs::read(world.dst.join("docs/file")).expect("put"), b"one");
        assert!(!world.dst.join("docs/other").exists(), "only what was named");
        assert_eq!(fs::read(world.dst.join("tree/x/y")).expect("put"), b"three");
        assert_same(&world.dst.join("docs"), &world.path("folder"));
        for gone in ["here", "folder"] {
            let path = world.path(gone);
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
    }
}

#[test]
fn the_words_of_the_old_client_are_understood() {
    let world = World::new();
    let server = Server::start(&world, "127.0.0.1:0");
    put(&world.dst, "report.txt", b"Programmer");
    put(&world.dst, "notes.txt", b"nothing");
    put(&world.dst, "image.png", b"Programmer");
    let run =
        script(&world, &server.url(), "IndexGet longlist *.txt Programmer\nIndexGet shortlist 1d 2030-01-01\n");
    run.expect_code(0);
    let (first, second) =
        run.out().split_once("NAME").and_then(|(_, rest)| rest.split_once("NAME")).map(owned).expect("two");
    assert!(
        first.contains("report.txt") && !first.contains("notes.txt") && !first.contains("image.png"),
        "{first}"
    );
    assert!(second.contains("report.txt") && second.contains("notes.txt"), "{second}");
    let run = script(
        &world,
        &server.url(),
        "FileHash verify report.txt\nFileHash checkall\nFileDownload UDP report.txt\n",
    );
    run.expect_code(0);
    assert!(run.out().matches(&blake3_of(b"Programmer")).count() == 4, "{}", run.out());
    assert_eq!(fs::read(world.path("report.txt")).expect("got"), b"Programmer");
    let wrong = script(&world, &server.url(), "FileDownload report.txt\n");
    wrong.expect_code(2);
    assert!(wrong.err().contains("FileDownload TCP|UDP FILE [DEST]"), "{}", wrong.err());
}

fn blake3_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn owned((a, b): (&str, &str)) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn the_first_failure_ends_a_script_and_all_is_written_down() {
    let world = World::new();
    put(&world.dst, "a", b"x");
    let place = world.dst.display().to_string();
    for (line, code, told) in [
        ("cd nowhere", 1, "nowhere could not be read"),
        ("cd a", 1, "name the folder that holds it"),
        ("cd ../..", 2, "above"),
        ("sl", 2, "did you mean ls ?"),
        ("ls 'a", 2, "a quote is not closed"),
        ("get b", 1, "b could not be read"),
        ("put nowhere", 1, "could not be read"),
        ("mirror a b", 2, "no command here"),
    ] {
        let run = script(&world, &place, &format!("{line}\nget a never\n"));
        run.expect_code(code);
        assert!(run.err().contains(told), "{line}: {}", run.err());
        assert!(!world.path("never").exists());
    }
    script(&world, &world.path("missing").display().to_string(), "ls\n").expect_code(1);
    let log = world.sitta(&["history", "--commands", "--json"]);
    log.expect_code(0);
    let events = log.events();
    assert_eq!(events.len(), 8);
    assert_eq!((&events[0]["command"], &events[0]["exit"]), (&"cd nowhere".into(), &1.into()));
    assert_eq!(events[7]["place"], place.as_str());
}

#[test]
fn somebody_types() {
    let world = World::new();
    let server = Server::start(&world, "127.0.0.1:0");
    put(&world.dst, "documents/a long name.txt", b"content");
    let url = server.url();
    let mut terminal = Terminal::start(&world, &["shell", &url], 30, 120);
    terminal.asked("docs> ");
    // Completed: the command, the folder, the name with its blanks.
    terminal.send("ca\tdoc\ta\t\r");
    terminal.shows("content");
    terminal.asked("docs> ");
    terminal.send("cd doc\t\r");
    terminal.asked("docs/documents> ");
    // Ctrl-C leaves the line, the arrow brings back what was typed before.
    terminal.send("nonsense\x03");
    terminal.asked("docs/documents> ");
    terminal.send("\x1b[A\x1b[A\r");
    terminal.shows("a long name.txt could not be read");
    terminal.asked("docs/documents> ");
    terminal.send("\x04");
    assert_eq!(terminal.end(), 0);
}
