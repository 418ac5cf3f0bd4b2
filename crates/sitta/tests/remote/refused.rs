//! What cannot be done is said in clear words, with the right exit code, and without any secret.

use std::fs;

use crate::place::Place;
use crate::support::*;

/// Runs `sitta ls there:` after an edit of the config and gives what it said.
fn refused(place: &Place, edit: impl Fn(&str) -> String, password: &str) -> Run {
    let world = place.world();
    let file = world.path("config/sitta/config.toml");
    let config = fs::read_to_string(&file).expect("the config");
    fs::write(&file, edit(&config)).expect("written");
    let mut command = place.command(&world);
    command.args(["ls", "there:"]).env("THERE_PASSWORD", password).env("THERE_SECRET", password);
    finish(start(&mut command))
}

#[track_caller]
fn says(run: &Run, code: i32, words: &[&str]) {
    run.expect_code(code);
    for word in words {
        assert!(run.err().contains(word), "'{word}' is missing in: {}", run.err());
    }
    assert!(!run.err().contains("SeCrEt"), "a secret is told: {}", run.err());
}

#[test]
fn wrong_passwords() {
    says(
        &refused(&Place::smb(), str::to_owned, "SeCrEt"),
        1,
        &["error: ", "hint: check the user and the password"],
    );
    says(
        &refused(&Place::s3(), str::to_owned, "SeCrEt"),
        1,
        &["secret access key is wrong", "hint: check key_id and secret"],
    );
}

#[test]
fn shares_and_buckets_that_are_not_there() {
    let missing = |config: &str| config.replace("/share/", "/nothing/").replace("//bucket/", "//nothing/");
    says(&refused(&Place::smb(), missing, sitta_testbed::samba::PASSWORD), 1, &["nothing"]);
    says(&refused(&Place::moto(), missing, "any"), 1, &["bucket", "nothing"]);
}

#[test]
fn servers_that_are_not_there() {
    let place = Place::smb();
    let closed = sitta_testbed::free_port();
    let elsewhere = |config: &str| config.replace(&place.port.to_string(), &closed.to_string());
    says(&refused(&place, elsewhere, "any"), 1, &["error: ", "hint: check the connection"]);
}

#[test]
fn hosts_that_nobody_vouches_for() {
    let place = Place::sftp();
    let unknown = |config: &str| {
        let lines = config.lines().filter(|line| !line.starts_with("known_hosts"));
        lines.map(|line| format!("{line}\n")).collect()
    };
    says(&refused(&place, unknown, "any"), 1, &["SHA256:", "known_hosts", "ssh-keyscan"]);
}
