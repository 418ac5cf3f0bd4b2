use super::*;

fn load(text: &str, mode: u32) -> Outcome<Config> {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("config.toml");
    fs::write(&file, text).expect("write");
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("chmod");
    Config::load(&file, true).map_err(|mut failure| {
        let folder = format!("{}/", dir.path().display());
        failure.what = failure.what.replace(&folder, "");
        failure.hint = failure.hint.map(|hint| hint.replace(&folder, ""));
        failure
    })
}

/// What is said about a config that is wrong.
#[track_caller]
fn said(text: &str) -> String {
    load(text, 0o644).expect_err("a config that is wrong").to_string()
}

const WHOLE: &str = r#"
[store.nas]
url = "smb://backup@nas.local/archive"
password = { env = "NAS_PASSWORD" }

[job.nightly-db]
verb = "archive"
from = "https://intranet.example/data_zip.zip!/data.sql"
to = "nas:db/{date}.tgz"
max_age = "24h"
keep = { within = "30d", last = 7 }
schedule = "0 0 * * *"
notify = ["ops-mail"]

[notify.ops-mail]
kind = "mail"
to = ["ops@example.org"]
smtp = "smtps://ops@smtp.example.org"
password = { file = "/etc/sitta/smtp" }
on = ["failed", "partial"]
attach_log = true
"#;

#[test]
fn the_config_of_the_design_is_right() {
    let config = load(WHOLE, 0o644).expect("a config");
    assert_eq!((config.store.len(), config.job.len(), config.notify.len()), (1, 1, 1));
    load(&WHOLE.replace(r#"["failed", "partial"]"#, r#""always""#), 0o644).expect("always");
}

#[test]
fn unknown_keys_are_named_with_the_nearest() {
    assert_eq!(
        said("[store.nas]\nurl = '/mnt'\npasword = 'x'\n"),
        "config.toml:3: unknown key 'pasword'\n  known here: url, password\nhint: did you mean password ?"
    );
    assert!(said("[stor.nas]\nurl = '/mnt'").contains("config.toml:1: unknown key 'stor'"));
    assert!(said(&WHOLE.replace("max_age", "maxage")).contains("config.toml:10: unknown key 'maxage'"));
    assert!(said(&WHOLE.replace("within", "withn")).contains("did you mean within ?"));
}

#[test]
fn bad_values_are_named_with_what_is_right() {
    for (from, to, expected) in [
        ("\"archive\"", "\"archiv\"", "config.toml:7: unknown value 'archiv'"),
        ("24h", "24x", "config.toml:10: '24x' is not a length of time"),
        ("0 0 * * *", "0 25 * * *", "config.toml:12: '25' is no hour"),
        ("[\"failed\"", "[\"faled\"", "did you mean failed ?"),
        ("\"mail\"", "\"pigeon\"", "config.toml:16: unknown value 'pigeon'"),
        ("last = 7", "last = -7", "config.toml:11: "),
        ("smb://backup", "smbb://backup", "config.toml:3: unknown scheme 'smbb://'"),
        ("{ file =", "{ keyring =", "keyrings are not supported by this version"),
        ("{ env = \"NAS_PASSWORD\" }", "{ }", "exactly one of env, file and command"),
        (
            "[\"ops-mail\"]",
            "[\"ops-mal\"]",
            "config.toml:13: there is no [notify.ops-mal]\nhint: did you mean ops-mail ?",
        ),
        ("\"nas:db", "\"nsa:db", "config.toml:6: there is no [store.nsa]\nhint: did you mean nas ?"),
        ("url = ", "url = = ", "config.toml:3: "),
        ("[store.nas]", "[store.n]", "config.toml:2: 'n' is no name for a store"),
    ] {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from}");
        let said = said(&text);
        assert!(said.contains(expected), "{to}: {said}");
    }
}

#[test]
fn passwords_as_plain_text_need_a_closed_file() {
    for text in ["[store.nas]\nurl = '/mnt'\npassword = 'hush'\n", "[store.nas]\nurl = 'sftp://me:hush@host/x'\n"] {
        assert!(load(text, 0o600).is_ok());
        let failure = load(text, 0o640).expect_err("others can read it").to_string();
        assert!(failure.contains("[store.nas] holds a password") && failure.contains("chmod 600"), "{failure}");
        assert!(!failure.contains("hush"));
        let config = load(text, 0o600).expect("a config");
        let shown = toml::to_string(&config).expect("TOML") + &format!("{config:?}");
        assert!(!shown.contains("hush"), "{shown}");
    }
}

#[test]
fn a_missing_config_is_an_empty_one_unless_it_was_named() {
    let nowhere = Path::new("/nonexistent/config.toml");
    assert!(Config::load(nowhere, false).expect("an empty config").store.is_empty());
    assert!(Config::load(nowhere, true).is_err());
}
