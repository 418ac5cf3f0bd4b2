use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sitta_testbed::nginx::Nginx;
use sitta_testbed::{s3, samba};

use super::support::*;

fn config(world: &World) -> PathBuf {
    world.path("config/sitta/config.toml")
}

fn write_config(world: &World, text: &str) {
    fs::create_dir_all(config(world).parent().expect("a parent")).expect("mkdir");
    fs::write(config(world), text).expect("write");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// The wizard in a terminal, with the first questions answered: the source is mirrored to such a server.
fn mirror_to(world: &World, server: &str) -> Terminal {
    let mut terminal = Terminal::start(world, &["init"], 40, 120);
    terminal.answer("Which folder:", "src");
    terminal.answer("Which one [mirror]:", "");
    terminal.answer("Which one [folder]:", server);
    terminal
}

/// Answers by lines, without a terminal.
fn answered(world: &World, answers: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = world.command();
    command.args(["init", "--json"]).envs(variables.iter().copied());
    command.stdin(std::process::Stdio::piped());
    let mut child = start(&mut command);
    let mut input = child.stdin.take().expect("piped");
    input.write_all(format!("{}\n", answers.join("\n")).as_bytes()).expect("write");
    drop(input);
    finish(child)
}

#[test]
fn a_share_is_asked_for_tried_written_and_mirrored_to() {
    if !is_root() {
        return skipped("a_share_is_asked_for_tried_written_and_mirrored_to", "smbd needs root");
    }
    let samba = samba::Samba::start();
    let world = World::new();
    put(&world.src, "a.txt", "alpha");
    let before = "# my own words\n[job.other]   # stays\nverb = 'copy'\nfrom = '/a'\nto = '/b'\n\n# the end\n";
    write_config(&world, before);
    let mut terminal = mirror_to(&world, "smb");
    terminal.answer("host/share/folder:", &format!("127.0.0.1:{}", samba.port()));
    terminal.asked("needs a share");
    terminal.answer("host/share/folder:", &format!(r"\\127.0.0.1:{}\{}", samba.port(), samba::SHARE));
    terminal.answer("The user", samba::USER);
    terminal.answer("called here [share]:", "nas");
    terminal.answer("Which one [file]:", "");
    terminal.answer("Which file", "");
    terminal.answer("Password:", "wrong");
    terminal.asked("error:");
    terminal.answer("What now [again]:", "");
    terminal.answer("host/share/folder [smb://127.0.0.1", "");
    terminal.answer(&format!("[{}]:", samba::USER), "");
    terminal.answer("called here [nas]:", "");
    terminal.answer("Which one [file]:", "");
    terminal.answer("Which file", "");
    terminal.answer("Password:", samba::PASSWORD);
    terminal.asked("nas: can be reached: 0 entries");
    terminal.answer("Which folder of nas (a dot for all of it) [src]:", "../x");
    terminal.asked("name a folder inside of it");
    terminal.answer("Which folder of nas", "docs");
    terminal.answer("Which one [daily]:", "cron");
    terminal.answer("weekday", "99 * * * *");
    terminal.answer("weekday", "30 2 * * 1-5");
    terminal.answer("Which one [nobody]:", "");
    terminal.answer("the job be called [src]:", "other");
    terminal.asked("there is a job other already");
    terminal.answer("the job be called", "documents");
    terminal.asked("[job.documents]");
    assert_eq!(read(&config(&world)), before, "nothing is written before it is wanted");
    terminal.answer("Write it [yes]:", "");
    assert_eq!(terminal.end(), 0, "{}", terminal.screen());
    assert!(!terminal.raw().contains(samba::PASSWORD), "a password is not shown");
    let written = read(&config(&world));
    for line in before.lines() {
        assert!(written.lines().any(|other| other == line), "{line} in {written}");
    }
    assert!(written.starts_with(before.trim_end_matches("\n# the end\n")), "{written}");
    assert!(
        written.contains("schedule = \"30 2 * * 1-5\"\n") && written.contains("to = \"nas:docs\"\n"),
        "{written}"
    );
    let secret = world.path("config/sitta/secrets/nas");
    assert_eq!((read(&secret), mode(&secret)), (format!("{}\n", samba::PASSWORD), 0o600));
    assert!(!written.contains(samba::PASSWORD), "{written}");
    world.sitta(&["config", "check", "--connect"]).expect_code(0);
    world.sitta(&["run", "documents"]).expect_code(0);
    assert_eq!(read(&samba.folder().join("docs/a.txt")), "alpha");
}

#[test]
fn ctrl_c_leaves_everything_as_it_was() {
    let world = World::new();
    let before = "# mine\n";
    write_config(&world, before);
    let mut terminal = mirror_to(&world, "smb");
    terminal.answer("host/share/folder:", "127.0.0.1:1/x");
    terminal.answer("The user", "me");
    terminal.answer("called here", "");
    terminal.answer("Which one [file]:", "config");
    terminal.asked("others can read");
    terminal.answer("Which one [file]:", "file");
    terminal.answer("Which file", "");
    terminal.asked("Password:");
    terminal.send("hal\x03");
    assert_eq!(terminal.end(), 130);
    terminal.shows("nothing was written");
    assert!(terminal.is_cooked(), "what is typed is shown again");
    let left: Vec<_> = fs::read_dir(world.path("config/sitta")).expect("a folder").flatten().collect();
    assert_eq!((read(&config(&world)).as_str(), left.len()), (before, 1), "{left:?}");
}

#[test]
fn the_end_of_the_answers_and_a_no_leave_everything_as_it_was() {
    let world = World::new();
    let dst = world.dst.to_str().expect("UTF-8").to_owned();
    let run = answered(&world, &["src", "copy", "folder", &dst], &[]);
    run.expect_code(130);
    assert!(run.err().contains("the answers ended"), "{run:?}");
    let run = answered(&world, &["src", "copy", "folder", &dst, "hand", "nobody", "", "no"], &[]);
    run.expect_code(0);
    assert!(run.err().contains("Nothing was written"), "{run:?}");
    assert!(!config(&world).exists());
}

#[test]
fn a_bucket_gets_a_config_of_its_own_that_only_the_user_can_read() {
    let server = s3::S3Server::moto();
    server.create_bucket("bucket");
    let world = World::new();
    put(&world.src, "a.txt", "alpha");
    let endpoint = format!("http://127.0.0.1:{}", server.port());
    let variables = [("BUCKET_SECRET_KEY", s3::SECRET)];
    let store = ["s3", "nowhere/x", &endpoint, "", s3::KEY_ID, "bucket", "env", ""];
    let again = ["again", "bucket/x", "", "", "", "", "env", ""];
    let rest = ["docs", "daily", "", "nobody", "", "yes"];
    let answers = [&["src", "mirror"][..], &store, &again, &rest].concat();
    let run = answered(&world, &answers, &variables);
    run.expect_code(0);
    assert!(
        run.err().contains("nowhere") && run.err().contains("hint:"),
        "a bucket that is missing is told: {run:?}"
    );
    assert_eq!(run.report()["job"], "src");
    assert_eq!(mode(&config(&world)), 0o600);
    let mut command = world.command();
    command.args(["run", "src"]).envs(variables);
    finish(start(&mut command)).expect_code(0);
    let mut command = world.command();
    command.args(["cat", "bucket:docs/a.txt"]).envs(variables);
    let run = finish(start(&mut command));
    assert_eq!(run.out(), "alpha", "{run:?}");
}

#[test]
fn a_server_is_trusted_by_a_file_of_certificates_and_the_desktop_is_told() {
    let server = Nginx::start();
    let world = World::new();
    put(&world.src, "a.txt", "alpha");
    let certificate = server.certificate().certificate.to_str().expect("UTF-8").to_owned();
    let mut terminal = mirror_to(&world, "webdav");
    terminal.answer("https://host/folder:", &server.tls().replace("/files", "/dav"));
    terminal.answer("without a login):", "");
    terminal.answer("called here [cloud]:", "");
    terminal.asked("is not trusted");
    terminal.answer("What now [again]:", "ca");
    terminal.answer("in PEM form:", "src/a.txt");
    terminal.asked("holds no certificate");
    terminal.answer("in PEM form:", &certificate);
    terminal.asked("cloud: can be reached: 0 entries");
    terminal.answer("Which folder of cloud", ".");
    terminal.answer("Which one [daily]:", "hand");
    terminal.answer("Which one [nobody]:", "desktop");
    terminal.answer("called here [desktop]:", "me");
    terminal.answer("Which one [problems]:", "always");
    terminal.answer("the job be called [src]:", "");
    terminal.answer("Write it [yes]:", "");
    assert_eq!(terminal.end(), 0, "{}", terminal.screen());
    let written = read(&config(&world));
    for part in [&format!("ca = \"{certificate}\"\n"), "[notify.me]\nkind = \"desktop\"\non = \"always\"\n"] {
        assert!(written.contains(part), "{part} in {written}");
    }
    world.sitta(&["run", "src"]).expect_code(0);
    assert_eq!(read(&server.root().join("a.txt")), "alpha");
}

#[test]
fn a_place_that_is_away_may_be_kept_and_two_jobs_do_not_write_one_place() {
    let world = World::new();
    let (src, dst) = (world.src.to_str().expect("UTF-8"), world.dst.to_str().expect("UTF-8"));
    let before = format!("[job.first]\nverb = 'mirror'\nfrom = '{src}'\nto = '{dst}'\n");
    write_config(&world, &before);
    let store = ["smb", "127.0.0.1:1/x", "", "nas", "keep", "."];
    let run = answered(&world, &[&["src", "mirror"][..], &store, &["hand", "", "", "yes"]].concat(), &[]);
    run.expect_code(0);
    assert!(run.err().contains("error: nas:"), "{run:?}");
    assert!(read(&config(&world)).contains("\nto = \"nas:\"\n"), "{}", read(&config(&world)));
    let inside = format!("{dst}/inside");
    fs::create_dir(world.path("other")).expect("mkdir");
    let answers = ["src", "copy", "folder", &inside, "other", "hand", "", "third", "yes"];
    let run = answered(&world, &answers, &[]);
    run.expect_code(0);
    assert!(run.err().contains("[job.src-2] writes where [job.first] does"), "{run:?}");
    assert!(read(&config(&world)).contains("other\"\n"));
}
