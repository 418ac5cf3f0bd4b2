//! The program against real servers: it finds its way in, and says what is wrong when it does not.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sitta_testbed::proxy::Proxy;
use sitta_testbed::samba::{self, Samba};
use sitta_testbed::sshd::{Sshd, SshdOptions, password_user, this_user};
use sitta_testbed::{free_port, need};
use support::*;

/// Writes the config; as it may hold passwords, nobody else can read it.
fn configure(world: &World, text: &str) {
    let dir = world.path("config/sitta");
    fs::create_dir_all(&dir).expect("mkdir");
    fs::write(dir.join("config.toml"), text).expect("write");
    fs::set_permissions(dir.join("config.toml"), fs::Permissions::from_mode(0o600)).expect("chmod");
}

#[track_caller]
fn well(world: &World, line: &str) -> Run {
    let run = world.sitta(&line.split(' ').collect::<Vec<_>>());
    run.expect_code(0);
    run
}

/// What is said when it fails with exit code 1.
#[track_caller]
fn fails(world: &World, line: &str) -> String {
    let run = world.sitta(&line.split(' ').collect::<Vec<_>>());
    run.expect_code(1);
    run.err()
}

/// A config with one store on an SSH server, opened by the server's own key.
fn sftp_config(server: &Sshd, port: u16) -> String {
    let (user, known) = (this_user(), server.known_at(port));
    format!(
        "[store.far]\nurl = 'sftp://{user}@127.0.0.1:{port}{}'\nknown_hosts = '{}'\nidentity = '{}'\ntimeout = '10s'\n",
        server.files().display(),
        known.display(),
        server.identity().display()
    )
}

/// Every verb between this machine and the store `far`.
fn every_verb(world: &World) {
    fs::create_dir(world.src.join("sub dir")).expect("mkdir");
    fs::write(world.src.join("a.txt"), "alpha").expect("write");
    fs::write(world.src.join("sub dir/b.txt"), "beta beta").expect("write");
    let mirror = |from: &str, to: &str| {
        let run = world.sitta(&["mirror", from, to, "--json"]);
        run.expect_code(0);
        run
    };
    let (src, dst) = (world.src.to_string_lossy().into_owned(), world.dst.to_string_lossy().into_owned());
    mirror(&src, "far:docs").expect_counts([2, 0, 0, 0]);
    mirror(&src, "far:docs").expect_counts([0, 0, 0, 0]);
    mirror("far:docs", &dst);
    assert_eq!(fs::read(world.dst.join("sub dir/b.txt")).expect("it is back"), b"beta beta");
    let said = |line: &[&str]| {
        let run = world.sitta(line);
        run.expect_code(0);
        run.out()
    };
    assert_eq!(said(&["cat", "far:docs/a.txt"]), "alpha");
    assert_eq!(said(&["ls", "far:docs/"]), "a.txt\nsub dir/\n");
    assert_eq!(said(&["ls", "far:docs/sub dir"]), "b.txt\n");
    assert_eq!(said(&["ls", "far:docs/sub dir/b.txt"]), "b.txt\n");
    assert_eq!(said(&["find", "far:docs"]), "far:docs/a.txt\nfar:docs/sub dir\nfar:docs/sub dir/b.txt\n");
    let alpha = blake3::hash(b"alpha").to_string();
    assert_eq!(said(&["hash", "far:docs/a.txt"]), format!("{alpha}  far:docs/a.txt\n"));
    assert!(said(&["du", "far:docs", "--depth", "0"]).contains("14 B"));
    let got = said(&["get", "far:docs/a.txt", "got.txt"]);
    assert!(got.contains(&alpha), "{got}");
    assert_eq!(fs::read(world.path("got.txt")).expect("it is here"), b"alpha");
    assert!(said(&["config", "check", "--connect"]).contains("can be reached"));
    let missing = fails(world, "get far:docs/nowhere.txt");
    assert!(missing.contains("far:docs/nowhere.txt"), "{missing}");
    // A source that is missing is held back.
    world.sitta(&["mirror", "far:nowhere", &dst]).expect_code(4);
    assert_eq!(fs::read(world.dst.join("a.txt")).expect("untouched"), b"alpha");
}

#[test]
fn smb_is_used_and_its_failures_are_told() {
    let server = Samba::start();
    let world = World::new();
    let url = format!("smb://{}@127.0.0.1:{}", samba::USER, server.port());
    let with = |url: &str, secret: &str| {
        format!("[store.far]\nurl = '{url}/{}'\n{secret}\ntimeout = '10s'\n", samba::SHARE)
    };
    fs::create_dir_all(world.path("config/sitta")).expect("mkdir");
    fs::write(world.path("config/sitta/secret"), format!("{}\nand more\n", samba::PASSWORD)).expect("write");
    configure(&world, &with(&url, "password = { file = 'secret' }"));
    every_verb(&world);
    assert!(server.folder().join("docs/a.txt").exists());

    configure(&world, &with(&url, "password = 'wrong'"));
    let said = fails(&world, "ls far:");
    assert!(
        said.contains("far: could not be opened") && said.contains("hint: check the user and the password"),
        "{said}"
    );
    let run = world.sitta(&["config", "check", "--connect"]);
    run.expect_code(1);
    assert!(run.out().contains("far   could not be opened"), "{run:?}");
    configure(&world, &with(&format!("smb://127.0.0.1:{}", free_port()), ""));
    let said = fails(&world, "ls far:");
    assert!(said.contains("hint: check the connection"), "{said}");
}

#[test]
fn sftp_is_used_and_its_failures_are_told() {
    let server = Sshd::start();
    let world = World::new();
    configure(&world, &sftp_config(&server, server.port()));
    every_verb(&world);
    assert!(server.files().join("docs/a.txt").exists());

    // Without any known host, and without any key.
    let config = sftp_config(&server, server.port());
    let strange = config.replace(&*server.known_at(server.port()).to_string_lossy(), "/dev/null");
    configure(&world, &strange);
    let said = fails(&world, "ls far:");
    assert!(said.contains("hint: make sure that it is the right server") && said.contains("ssh-keyscan"), "{said}");
    let keyless: String =
        config.lines().filter(|line| !line.starts_with("identity")).map(|l| format!("{l}\n")).collect();
    configure(&world, &keyless);
    let said = fails(&world, "ls far:");
    assert!(said.contains("hint: give a password or a key"), "{said}");
}

/// Runs the program on a terminal; each answer is typed when one more password is asked for.
fn on_a_terminal(world: &World, line: &str, answers: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(need("script"));
    command.args(["-qec", &format!("{} {line}", world.binary().display()), "/dev/null"]);
    world.furnish(&mut command);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script starts");
    let (mut input, mut output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let mut said = String::new();
    let (mut buffer, mut asked) = ([0; 4096], 0);
    loop {
        match output.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => said.push_str(&String::from_utf8_lossy(&buffer[..n])),
        }
        while said.matches("Password for").count() > asked {
            // The question is there a moment before the terminal stops showing what is typed.
            std::thread::sleep(Duration::from_millis(500));
            writeln!(input, "{}", answers.get(asked).unwrap_or(&"")).expect("it listens");
            asked += 1;
        }
    }
    (child.wait().expect("it ends").code(), said)
}

/// On a terminal, who has neither key nor password is asked for one; once wrong is no end.
#[test]
fn a_password_is_asked_for_on_a_terminal_only() {
    let (user, password) = password_user();
    let lines = vec!["PasswordAuthentication yes".into()];
    let server = Sshd::with(&SshdOptions { lines, ..SshdOptions::default() });
    let world = World::new();
    let url = format!("sftp://{user}@127.0.0.1:{}{}", server.port(), server.files().display());
    let known = server.known_at(server.port());
    configure(&world, &format!("[store.far]\nurl = '{url}'\nknown_hosts = '{}'\n", known.display()));
    fs::write(server.files().join("there"), "x").expect("write");

    let (code, said) = on_a_terminal(&world, "ls far:", &["wrong", password]);
    assert!(code == Some(0) && said.contains("there"), "{code:?} {said}");
    assert!(said.matches("Password for sftp://").count() == 2 && !said.contains(password), "{said}");
    let said = fails(&world, "ls far:");
    assert!(!said.contains("Password for"), "{said}");
}

/// The keyring of a real desktop holds the password.
#[test]
fn a_keyring_gives_the_password() {
    let server = Samba::start();
    let world = World::new();
    let url = format!("smb://{}@127.0.0.1:{}/{}", samba::USER, server.port(), samba::SHARE);
    configure(&world, &format!("[store.far]\nurl = '{url}'\npassword = {{ keyring = 'sitta nas/me' }}\n"));
    fs::write(server.folder().join("there"), "x").expect("write");
    let run = world.path("run");
    fs::create_dir(&run).expect("mkdir");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o700)).expect("chmod");
    need("gnome-keyring-daemon");
    need("secret-tool");
    let script = format!(
        "printf 'login' | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1\n\
         {sitta} ls far:; echo before: $?\n\
         printf '%s' '{password}' | secret-tool store --label=nas service 'sitta nas' username me || exit 9\n\
         {sitta} ls far:; echo after: $?\n",
        sitta = world.binary().display(),
        password = samba::PASSWORD,
    );
    let mut command = Command::new(need("dbus-run-session"));
    command.args(["--", "sh", "-c", &script]);
    world.furnish(&mut command);
    let output = command.env("XDG_RUNTIME_DIR", &run).output().expect("a session");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(out, "before: 1\nthere\nafter: 0\n", "{err}");
    assert!(err.contains("the keyring holds nothing with service 'sitta nas' and username 'me'"), "{err}");
    assert!(err.contains("hint: secret-tool store") && !err.contains(samba::PASSWORD), "{err}");
}

/// A download that is killed goes on where it was, and what lands is whole.
#[test]
fn get_goes_on_where_it_was_cut() {
    let server = Sshd::start();
    let proxy = Proxy::to(server.port());
    let world = World::new();
    configure(&world, &sftp_config(&server, proxy.port()));
    let blob = Blob::new(7, 24 << 20);
    fs::write(server.files().join("big"), blob.bytes()).expect("write");
    proxy.limit(Some(4 << 20));
    let mut child = world.command().args(["get", "far:big", "."]).spawn().expect("it starts");
    let arrived = || {
        let names = fs::read_dir(world.path(".")).expect("a folder").flatten();
        names
            .filter(|e| e.file_name().to_string_lossy().starts_with(".sitta-tmp-get-"))
            .map(|e| e.metadata().map_or(0, |m| m.len()))
            .max()
            .unwrap_or(0)
    };
    let end = Instant::now() + Duration::from_secs(60);
    while arrived() < 6 << 20 {
        assert!(Instant::now() < end, "nothing arrives");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("kill");
    child.wait().expect("it is gone");
    assert!(!world.path("big").exists(), "nothing is seen of it yet");
    proxy.limit(None);
    let run = world.sitta(&["get", "far:big", "--json"]);
    run.expect_code(0);
    let report = run.report();
    let resumed = report["resumed_from"].as_u64().expect("a number");
    assert!(resumed >= 6 << 20, "{report}");
    assert_eq!(report["bytes"].as_u64(), Some((24 << 20) - resumed));
    assert!(fs::read(world.path("big")).expect("it is here") == blob.bytes(), "the bytes differ");
    assert_eq!(arrived(), 0, "nothing is left");

    // Another version at the same place begins anew.
    fs::write(server.files().join("big"), b"short").expect("write");
    assert!(well(&world, "get far:big -v").err().contains("1 updated"));
    assert_eq!(fs::read(world.path("big")).expect("it is here"), b"short");
}
