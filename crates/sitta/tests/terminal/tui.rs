use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::support::*;

const DOCS: &str = "[job.docs]\nverb = 'mirror'\nfrom = 'SRC'\nto = 'DST'\n";
/// Several seconds of work, with the file below.
const SLOW: &str = "limit_rate = '400KiB'\n";
const LARGE: usize = 4 << 20;

/// A world whose config has these lines; `SRC`, `DST` and `ROOT` in them are its folders.
fn world(config: &str) -> World {
    let world = World::new();
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let config = config.replace("SRC", &text(&world.src)).replace("DST", &text(&world.dst));
    fs::create_dir(world.path("config/sitta")).expect("mkdir");
    fs::write(world.path("config/sitta/config.toml"), config.replace("ROOT", &text(&world.path(""))))
        .expect("write");
    world
}

fn tui(world: &World) -> Terminal {
    Terminal::start(world, &["tui"], 24, 100)
}

/// The screen of before is back, with its cursor, and the terminal works as a shell expects it.
#[track_caller]
fn expect_restored(terminal: &Terminal) {
    let raw = terminal.raw();
    let last = |sequence: &str| raw.rfind(sequence).unwrap_or_else(|| panic!("{sequence:?} was never sent"));
    assert!(last("\x1b[?1049l") > last("\x1b[?1049h"), "the screen of before is back");
    assert!(last("\x1b[?25h") > last("\x1b[?25l"), "the cursor is shown");
    assert!(terminal.is_cooked() && !terminal.is_full_screen());
}

#[track_caller]
fn leave(mut terminal: Terminal) {
    while terminal.is_full_screen() {
        terminal.send("q");
        sleep(Duration::from_millis(100));
    }
    assert_eq!(terminal.end(), 0);
    expect_restored(&terminal);
}

fn newest(world: &World) -> serde_json::Value {
    let run = world.sitta(&["history", "--json", "--limit", "1"]);
    run.events()[0].clone()
}

#[test]
fn a_job_is_run_and_looked_back_on() {
    let world = world(DOCS);
    put(&world.src, "a.txt", "alpha");
    run_tool("mkfifo", &[world.src.join("pipe").to_str().expect("UTF-8")]);
    let mut terminal = tui(&world);
    terminal.shows("› docs");
    for part in ["JOB", "mirror ", "never", "by hand", "no daemon", "r run", "a add profile", "? help", "q quit"] {
        assert!(terminal.screen().contains(part), "{part} in {}", terminal.screen());
    }
    terminal.send("r");
    terminal.shows("partial (exit code 3)");
    terminal.shows("Result   partial: 1 copied, 1 problem");
    terminal.shows("pipe");
    assert_eq!(fs::read(world.dst.join("a.txt")).expect("it was sent"), b"alpha");
    terminal.send("q");
    terminal.shows("just now");
    terminal.send("\r");
    terminal.shows("BEGAN");
    terminal.shows("partial");
    terminal.send("\r");
    terminal.shows("Problems");
    terminal.send("\x1b[F");
    terminal.shows("Sent       a.txt   5 B");
    terminal.shows("Ended      partial");
    leave(terminal);
}

#[test]
fn what_others_run_is_seen_within_seconds() {
    let world = world(&format!("{DOCS}{SLOW}"));
    let terminal = &mut tui(&world);
    terminal.shows("never");
    world.sitta(&["run", "docs"]).expect_code(0);
    let began = Instant::now();
    terminal.shows("success");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    put(&world.src, "large", "x".repeat(LARGE));
    let mut command = world.command();
    command.args(["run", "docs"]);
    let child = start(&mut command);
    terminal.shows("running");
    terminal.send("r");
    terminal.shows("the job docs is running since");
    terminal.shows(&format!("it is process {}", child.id()));
    terminal.shows("failed (exit code 1)");
    terminal.send("q\r");
    terminal.shows("begun elsewhere");
    terminal.send("\r");
    terminal.shows("Started");
    assert!(terminal.screen().contains("running (process"), "{}", terminal.screen());
    signal(child.id(), Signal::INT);
    finish(child).expect_code(130);
    terminal.shows("Result   interrupted");
}

#[test]
fn a_run_is_watched_left_alone_and_stopped() {
    let world = world(&format!("{DOCS}{SLOW}"));
    put(&world.src, "large", "x".repeat(LARGE));
    let mut terminal = tui(&world);
    terminal.shows("› docs");
    terminal.send("r");
    terminal.shows("Sending");
    terminal.shows("KiB/s");
    terminal.shows("━━");
    assert!(
        terminal.screen().contains("0/1 files") && terminal.screen().contains("/4.0 MiB"),
        "{}",
        terminal.screen()
    );
    terminal.send("qq");
    terminal.shows("docs is running: stop it and quit?");
    terminal.send("\x1b");
    terminal.hides("stop it and quit?");
    terminal.shows("running");
    terminal.send("r");
    terminal.shows("Sending");
    terminal.send("s");
    terminal.shows("interrupted (exit code 130)");
    terminal.shows("Result   interrupted");
    assert!(!world.dst.join("large").exists());
    terminal.send("r");
    terminal.shows("Sending");
    terminal.send("\x03");
    terminal.shows("stop it and quit?");
    terminal.send("s");
    assert_eq!(terminal.end(), 0);
    expect_restored(&terminal);
    assert_eq!(newest(&world)["outcome"], "interrupted");
    assert_no_temporaries(&world.dst);
}

#[test]
fn a_job_that_is_held_back_says_why() {
    let world = world("[job.away]\nverb = 'copy'\nfrom = 'ROOTnowhere'\nto = 'DST'\n");
    let mut terminal = tui(&world);
    terminal.shows("› away");
    terminal.send("r");
    terminal.shows("held (exit code 4)");
    terminal.shows("nowhere is not there");
    terminal.shows("hint: ");
    leave(terminal);
}

#[test]
fn whoever_ends_it_ends_what_it_runs_and_gets_the_terminal_back() {
    let world = world(&format!("{DOCS}{SLOW}"));
    put(&world.src, "large", "x".repeat(LARGE));
    let mut terminal = tui(&world);
    terminal.shows("› docs");
    terminal.send("r");
    terminal.shows("Sending");
    signal(terminal.pid(), Signal::TERM);
    assert_eq!(terminal.end(), 130);
    expect_restored(&terminal);
    let began = Instant::now();
    while newest(&world)["outcome"] != "interrupted" || newest(&world)["ended"].is_null() {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", newest(&world));
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn places_are_looked_into() {
    let config = format!("{DOCS}[store.all]\nurl = 'ROOT'\n[store.gone]\nurl = 'ROOTnowhere'\n");
    let world = world(&config);
    put(&world.src, "letters/a.txt", "alpha");
    put(&world.src, "evil\x1b[2J.txt", "x".repeat(2048));
    let mut terminal = tui(&world);
    terminal.shows("› docs");
    terminal.send("b");
    terminal.shows("gone:");
    let screen = terminal.screen();
    assert!(screen.contains("/src") && screen.contains("/dst") && screen.contains("all:"), "{screen}");
    terminal.send("\r");
    terminal.shows("evil\\u{1b}[2J.txt   2.0 KiB");
    terminal.shows("letters/");
    assert!(!terminal.raw().contains("evil\x1b"), "no name steers the terminal");
    terminal.send("\x1b[B\r");
    terminal.shows("a.txt");
    terminal.shows("5 B");
    terminal.send("\x7f");
    terminal.shows("› letters/");
    put(&world.src, "new.txt", "new");
    terminal.send("u");
    terminal.shows("new.txt");
    terminal.send("\x1b[D");
    terminal.shows("gone:");
    terminal.send("\x1b[F\r");
    terminal.shows("gone: could not be read");
    terminal.shows("No such file or directory");
    terminal.send("qk\r");
    terminal.shows("config/");
    leave(terminal);
}

#[test]
fn the_config_is_edited_and_what_is_wrong_with_it_told() {
    let world = world(DOCS);
    let editor = world.path("editor");
    let script = "#!/bin/sh\nif [ -e \"$2.good\" ]; then mv \"$2.good\" \"$2\"; else cp \"$2\" \"$2.good\"; \
                  printf 'nonsense = 1\\n' >> \"$2\"; fi\n[ \"$1\" = --wait ]\n";
    fs::write(&editor, script).expect("write");
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).expect("chmod");
    let editor = format!("{} --wait", editor.display());
    let mut terminal = Terminal::start_with(&world, &["tui"], 24, 100, &[("VISUAL", ""), ("EDITOR", &editor)]);
    terminal.shows("› docs");
    terminal.send("e");
    terminal.shows("unknown key 'nonsense'");
    terminal.shows("these are the jobs as they were before");
    assert!(terminal.screen().contains("› docs") && terminal.is_full_screen(), "{}", terminal.screen());
    terminal.send("e");
    terminal.hides("nonsense");
    terminal.shows("› docs");
    leave(terminal);
}

#[test]
fn a_profile_is_added_by_the_wizard() {
    let world = World::new();
    put(&world.src, "a.txt", "alpha");
    let mut terminal = Terminal::start(&world, &["tui"], 40, 100);
    terminal.shows("There are no jobs in");
    terminal.shows("Press a to add a profile");
    terminal.send("a");
    terminal.answer("Which folder:", "src");
    terminal.answer("Which one [mirror]:", "");
    terminal.answer("Which one [folder]:", "");
    terminal.answer("Which folder", "dst");
    terminal.answer("Which one [daily]:", "hand");
    terminal.answer("Which one [nobody]:", "");
    terminal.answer("the job be called [src]:", "letters");
    terminal.answer("Write it [yes]:", "");
    terminal.answer("Enter goes back to the jobs:", "");
    terminal.shows("› letters");
    terminal.send("r");
    terminal.shows("success (exit code 0)");
    assert!(world.dst.join("a.txt").exists());
    terminal.send("qa");
    terminal.asked("Which folder:");
    terminal.send("\x03");
    terminal.answer("Enter goes back to the jobs:", "");
    terminal.shows("› letters");
    leave(terminal);
}

#[test]
fn the_screen_follows_the_size_of_the_terminal() {
    let world = world(DOCS);
    let mut terminal = tui(&world);
    terminal.shows("PROBLEMS");
    terminal.resize(10, 40);
    terminal.hides("PROBLEMS");
    terminal.shows("q quit");
    terminal.shows("› docs");
    terminal.resize(3, 12);
    terminal.shows("too small");
    terminal.resize(24, 100);
    terminal.shows("PROBLEMS");
    terminal.send("?");
    terminal.shows("this help");
    leave(terminal);
}

#[test]
fn colours_are_shown_unless_nobody_wants_them() {
    let world = world(DOCS);
    for (variables, color) in [(&[][..], true), (&[("NO_COLOR", "1")][..], false)] {
        let terminal = Terminal::start_with(&world, &["tui"], 24, 100, variables);
        terminal.shows("› docs");
        assert_eq!(terminal.raw().contains("38;5;6"), color);
        leave(terminal);
    }
}

#[test]
fn without_a_terminal_it_says_what_to_do_instead() {
    let world = world(DOCS);
    let run = world.sitta(&["tui"]);
    run.expect_code(2);
    assert!(run.err().contains("needs a terminal") && run.err().contains("`sitta jobs`"), "{run:?}");
    world.sitta(&["tui", "--json"]).expect_code(2);
    let mut terminal = Terminal::start_with(&world, &["tui"], 24, 80, &[("TERM", "dumb")]);
    assert_eq!(terminal.end(), 2);
    terminal.shows("TERM says");
}

/// The window is closed, or the connection lost: nobody is there to be heard any more.
#[test]
fn it_ends_when_its_terminal_is_gone() {
    let world = world(DOCS);
    let mut command = Command::new("script");
    world.furnish(&mut command);
    command.args(["-qfc", &format!("'{}' tui", world.binary().display()), "/dev/null"]);
    let mut window = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("script runs");
    let children = format!("/proc/{0}/task/{0}/children", window.id());
    let began = Instant::now();
    let shell = loop {
        let pids = fs::read_to_string(&children).expect("it runs");
        if let Some(pid) = pids.split_whitespace().next() {
            break pid.to_owned();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it does not start");
        sleep(Duration::from_millis(20));
    };
    // Long enough to draw itself and to wait for keys.
    sleep(Duration::from_secs(2));
    let name = || fs::read_to_string(format!("/proc/{shell}/comm")).unwrap_or_default();
    assert!(matches!(name().trim(), "sitta" | "sh"), "{} is no tui", name());
    let inner = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap_or_default();
    let tui = inner.split_whitespace().next().unwrap_or(&shell).to_owned();
    window.kill().expect("killed");
    window.wait().expect("it ends");
    let began = Instant::now();
    // What nobody waits for is still there, as a name only.
    let goes_on = || fs::read_to_string(format!("/proc/{tui}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while goes_on() {
        assert!(began.elapsed() < Duration::from_secs(10), "it goes on without a terminal");
        sleep(Duration::from_millis(50));
    }
}
