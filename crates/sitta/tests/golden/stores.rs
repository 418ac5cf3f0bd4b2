//! Places beyond this machine, as far as no server is needed to see what is said of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Stage, golden};

const SECRET: &str = "hush-7357";

fn with_config(text: &str) -> Stage {
    let stage = Stage::with_source();
    stage.write("home/.config/sitta/config.toml", text, 1);
    fs::set_permissions(stage.path("home/.config/sitta/config.toml"), fs::Permissions::from_mode(0o600))
        .expect("chmod");
    stage
}

/// Nobody listens at port 1.
fn dead_ends(stage: &Stage) -> String {
    format!(
        "[store.dead]\nurl = \"webdav://127.0.0.1:1/x\"\ntimeout = \"2s\"\n\n\
         [store.here]\nurl = \"{}\"\n\n[store.gone]\nurl = \"{}\"\n",
        stage.path("src").display(),
        stage.path("gone").display()
    )
}

#[test]
fn secrets_that_cannot_be_had_are_named_and_never_shown() {
    let stage = with_config(&format!(
        "[store.env]\nurl = 'smb://me@127.0.0.1:1/x'\npassword = {{ env = 'NAS_PASSWORD' }}\n\
         [store.file]\nurl = 'smb://me@127.0.0.1:1/x'\npassword = {{ file = 'no-such-file' }}\n\
         [store.empty]\nurl = 'smb://me@127.0.0.1:1/x'\npassword = {{ file = 'empty' }}\n\
         [store.command]\nurl = 's3://bucket'\nkey_id = 'AK'\nsecret = {{ command = ['sh', '-c', 'echo {SECRET}; echo no {SECRET} today >&2; exit 7'] }}\n\
         [store.keyring]\nurl = 'webdav://me@127.0.0.1:1/x'\ntoken = {{ keyring = 'nas/me' }}\n"
    ));
    stage.write("home/.config/sitta/empty", "\nsecond line", 1);
    let mut said = String::new();
    for name in ["env", "file", "empty", "command", "keyring"] {
        said += &stage.run(&format!("ls {name}:"));
    }
    said += &stage.run("config check");
    assert!(said.contains("no (hidden) today") && !said.contains(SECRET), "{said}");
    golden("secrets", &said);
}

#[test]
fn config_check_connect_goes_to_each_store() {
    let stage = Stage::with_source();
    stage.write("home/.config/sitta/config.toml", &dead_ends(&stage), 1);
    let mut said = stage.run("config check --connect");
    said += &stage.run("config check --connect --json");
    golden("config_connect", &said);
}

#[test]
fn certificates_to_trust_must_be_some() {
    let stage = with_config("[store.dav]\nurl = 'webdavs://127.0.0.1:1/x'\nca = 'nothing.pem'\n");
    stage.write("empty.pem", "not a certificate", 1);
    let mut said = stage.run("ls webdavs://127.0.0.1:1/x --ca empty.pem");
    said += &stage.run("ls webdavs://127.0.0.1:1/x --ca nowhere.pem");
    said += &stage.run("ls dav:");
    said += &stage.run("ls src --ca nowhere.pem");
    golden("ca", &said);
}

/// Every way in which a secret can be given, and every command that could show it.
#[test]
fn no_secret_is_ever_printed() {
    let stage = with_config(&format!(
        "[store.plain]\nurl = 'webdav://me@127.0.0.1:1/x'\npassword = '{SECRET}'\ntimeout = '1s'\n\
         [store.url]\nurl = 'webdav://me:{SECRET}@127.0.0.1:1/x'\n\
         [store.query]\nurl = 'http://127.0.0.1:1/x?sig={SECRET}'\n\
         [store.file]\nurl = 'webdav://127.0.0.1:1/x'\ntoken = {{ file = 'secret' }}\n\
         [store.s3]\nurl = 's3://bucket'\nendpoint = 'http://127.0.0.1:1'\nkey_id = 'AK'\nsecret = '{SECRET}'\nsession_token = '{SECRET}'\n\
         [store.env]\nurl = 'smb://me@127.0.0.1:1/share'\npassword = {{ env = 'NAS' }}\n\
         [store.command]\nurl = 'sftp://me@127.0.0.1:1/x'\npassword = {{ command = ['cat', '{}'] }}\n",
        "home/.config/sitta/secret"
    ));
    stage.write("home/.config/sitta/secret", SECRET, 1);
    let variables = [
        ("NAS", SECRET),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_ACCESS_KEY_ID", "AK"),
        ("AWS_SESSION_TOKEN", SECRET),
    ];
    let mut lines: Vec<String> =
        ["config check", "config show", "config check --connect"].map(str::to_owned).to_vec();
    for name in ["plain", "url", "query", "file", "s3", "env", "command"] {
        lines.extend(["ls", "copy src", "mirror src", "get", "cat", "du"].map(|verb| format!("{verb} {name}:x")));
    }
    lines.push(format!("ls webdav://me:{SECRET}@127.0.0.1:1/x"));
    lines.push(format!("ls webdav://me:{SECRET}@127.0.0.1:port/x"));
    lines.push(format!("copy sftp://me:{SECRET}@127.0.0.1:1/x.zip!/a dst"));
    let (stage, variables) = (&stage, &variables);
    // At the same time: each tries several times to get through.
    std::thread::scope(|scope| {
        for line in lines {
            scope.spawn(move || {
                for more in ["", " --json", " -v"] {
                    let said = stage.run_in(&format!("{line}{more}"), "", variables);
                    let said = said.split_once('\n').expect("the command itself").1;
                    assert!(!said.contains(SECRET), "{line}{more}: {said}");
                }
            });
        }
    });
}
