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
    let typo = said("[store.nas]\nurl = '/mnt'\npasword = 'x'\n");
    assert!(typo.starts_with("config.toml:3: unknown key 'pasword'\n  known here: url, user, password"), "{typo}");
    assert!(typo.ends_with("\nhint: did you mean password ?"), "{typo}");
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
        ("{ env = \"NAS_PASSWORD\" }", "{ keyring = \"nas\" }", "a keyring's entry is written service/user"),
        ("{ env = \"NAS_PASSWORD\" }", "{ }", "exactly one of env, file, command and keyring"),
        ("{ env = ", "{ file = \"x\", env = ", "exactly one of env, file, command and keyring"),
        (
            "[\"ops-mail\"]",
            "[\"ops-mal\"]",
            "config.toml:13: there is no [notify.ops-mal]\nhint: did you mean ops-mail ?",
        ),
        ("\"nas:db", "\"nsa:db", "config.toml:9: there is no [store.nsa]\nhint: did you mean nas ?"),
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
    for text in [
        "[store.nas]\nurl = 'smb://me@host/x'\npassword = 'hush'\n",
        "[store.nas]\nurl = 'sftp://me:hush@host/x'\n",
        "[store.nas]\nurl = 'https://host/x'\ntoken = 'hush'\n",
        "[store.nas]\nurl = 's3://bucket'\nkey_id = 'AK'\nsecret = 'hush'\n",
        "[store.nas]\nurl = 's3://bucket'\nkey_id = 'AK'\nsecret = { env = 'X' }\nsession_token = 'hush'\n",
    ] {
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

#[test]
fn what_a_store_takes_fits_where_it_is() {
    let store = |url: &str, rest: &str| format!("# ours\n[store.nas]\nurl = '{url}'\n{rest}\n");
    let secret = "{ env = 'X' }";
    for (url, rest) in [
        ("smb://nas/share", "user = 'me'\npassword = { command = ['pass', 'nas'] }\ntimeout = '10s'"),
        ("sftp://me@host/x", "identity = '~/.ssh/id'\nknown_hosts = ['a', 'b']\npassword = { keyring = 'nas/me' }"),
        ("webdavs://host/x", "token = { file = 'token' }\nca = 'ca.pem'"),
        ("s3://bucket", "endpoint = 'http://127.0.0.1:9000'\nregion = 'here'\npath_style = true"),
        ("https://host/x.zip!/folder", "user = 'me'\npassword = { env = 'X' }"),
        ("/mnt/x", ""),
    ] {
        assert!(load(&store(url, rest), 0o644).is_ok(), "{url}: {:?}", load(&store(url, rest), 0o644).err());
    }
    for (url, rest, expected) in [
        (
            "smb://nas/share",
            "region = 'here'",
            "config.toml:4: 'region' means nothing for smb://\nhint: leave it out; it is for s3://",
        ),
        ("smb://nas/share", "timeout = '1s'\nidentity = 'x'", "config.toml:5: 'identity' means nothing for smb://"),
        ("/mnt/x", "timeout = '1s'", "config.toml:4: 'timeout' means nothing for a folder of this machine"),
        ("webdav://host/x", "ca = 'x'", "config.toml:4: 'ca' means nothing for webdav://"),
        (
            "s3://bucket",
            "password = { env = 'X' }",
            "'password' means nothing for s3://\nhint: for s3:// it is key_id and secret",
        ),
        ("s3://bucket", "key_id = 'AK'", "config.toml:4: 'key_id' is of no use without 'secret'"),
        ("s3://bucket", &format!("secret = {secret}"), "config.toml:4: 'secret' is of no use without 'key_id'"),
        ("https://me@host/x", "user = 'you'", "config.toml:4: the user stands in 'url' already"),
        (
            "https://host/x",
            &format!("password = {secret}\ntoken = {secret}"),
            "config.toml:5: a login is either by",
        ),
        ("other:x", "", "config.toml:3: 'url' is itself the name of a store"),
        ("smb://nas/share", "timeout = '0s'", "config.toml:4: in no time at all"),
        ("smb://nas/share", "timeout = 30", "config.toml:4: invalid type: integer, expected a string"),
        ("s3://bucket", "endpoint = 's3.example.org'", "config.toml:4: an endpoint is a server's address"),
        ("s3://bucket", "path_style = 'yes'", "config.toml:4: invalid type: string"),
        ("sftp://host", "identity = 7", "expected a text, or a list of texts"),
        ("s3://bucket", "regoin = 'x'", "config.toml:4: unknown key 'regoin'"),
    ] {
        let said = said(&store(url, rest));
        assert!(said.contains(expected), "{url} {rest}: {said}");
    }
}

#[test]
fn nothing_that_may_be_a_secret_is_repeated() {
    for value in
        ["73573573", "7357.3573", "[ 'hush73573' ]", "hush73573", "'hush73573", "{ 'env' = 73573 }", "2026-01-01"]
    {
        for key in ["password", "token", "secret", "session_token"] {
            for url in ["smb://nas/share", "s3://bucket", "webdav://host"] {
                let said = said(&format!("[store.nas]\nurl = '{url}'\n{key} = {value}\n"));
                let hidden = !said.contains("3573") && !said.contains("hush") && !said.contains("2026");
                assert!(hidden, "{key} = {value}: {said}");
            }
        }
    }
    let said = said("[store.nas]\nurl = 'sftp://me:hush@host:port/%zz'\n");
    assert!(!said.contains("hush"), "{said}");
}
