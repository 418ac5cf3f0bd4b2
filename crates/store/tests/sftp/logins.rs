//! Whom the server lets in, and whom we trust.

use sitta_store::{Access, Error, ErrorKind, Password, SshAccess};
use sitta_testbed::sshd::{Agent, Sshd, SshdOptions, keygen, password_user};

use crate::support::*;

async fn refused(place: &Place, access: &Access) -> Error {
    place.with(access, place.server.port(), "").await.map(drop).expect_err("this must be refused")
}

async fn lets_in(place: &Place, access: &Access) {
    let store = place.with(access, place.server.port(), "").await.expect("let in");
    store.list(&path("")).await.expect("listed");
}

fn with_keys(place: &Place, identities: Vec<std::path::PathBuf>) -> Access {
    let ssh = SshAccess { identities, ..place.access.ssh.clone() };
    Access { ssh, ..place.access.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_type() {
    let place = Place::new();
    for kind in ["ed25519", "rsa", "ecdsa"] {
        let key = place.server.another_identity(&format!("key_{kind}"), kind, "");
        lets_in(&place, &with_keys(&place, vec![place.server.home().join("missing"), key])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_a_passphrase() {
    let place = Place::new();
    let key = place.server.another_identity("locked", "ed25519", "open sesame");
    let access = with_keys(&place, vec![key]);
    let with = |password: &str| Access { password: Some(Password::new(password)), ..access.clone() };
    lets_in(&place, &with("open sesame")).await;
    let error = refused(&place, &access).await;
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(error.to_string().contains("needs its passphrase"), "{error}");
    // In the format of OpenSSL too.
    let old = place.server.another_identity("old", "rsa", "");
    let mut convert = std::process::Command::new(sitta_testbed::need("ssh-keygen"));
    let output = convert.args(["-p", "-m", "PKCS8", "-P", "", "-N", "open sesame", "-f"]).arg(&old).output();
    assert!(output.expect("ssh-keygen runs").status.success());
    let password = Some(Password::new("open sesame"));
    lets_in(&place, &Access { password, ..with_keys(&place, vec![old]) }).await;
    let error = refused(&place, &with("swordfish")).await;
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(
        error.to_string().contains("not its passphrase") && !error.to_string().contains("swordfish"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_and_no_key() {
    let place = Place::new();
    let stranger = place.server.home().join("stranger");
    keygen(&stranger, "ed25519", "");
    let error = refused(&place, &with_keys(&place, vec![stranger])).await;
    assert_eq!(error.kind, ErrorKind::Auth);
    let said = error.to_string();
    assert!(said.contains("publickey") && said.contains("stranger"), "{said}");
    let error = refused(&place, &with_keys(&place, vec![])).await;
    assert!(error.kind == ErrorKind::Auth && error.to_string().contains("no key and no password"), "{error}");
    let nobody = Access { user: None, ..place.access.clone() };
    let error = refused(&place, &nobody).await;
    assert!(error.kind == ErrorKind::Auth && error.to_string().contains("USER@"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent() {
    let place = Place::new();
    let keys: Vec<_> = ["ed25519", "rsa", "ecdsa"]
        .into_iter()
        .map(|kind| (kind, place.server.another_identity(&format!("agent_{kind}"), kind, "")))
        .collect();
    for (kind, key) in keys {
        let dir = place.server.home().join(kind);
        std::fs::create_dir(&dir).unwrap();
        let stranger = dir.join("stranger");
        keygen(&stranger, "ed25519", "");
        let agent = Agent::start(&dir, &[stranger, key]);
        let ssh = SshAccess { agent: Some(agent.socket().into()), identities: vec![], ..place.access.ssh.clone() };
        lets_in(&place, &Access { ssh: ssh.clone(), ..place.access.clone() }).await;
        drop(agent);
        let error = refused(&place, &Access { ssh, ..place.access.clone() }).await;
        assert!(error.kind == ErrorKind::Auth && error.to_string().contains("agent"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password() {
    let (user, password) = password_user();
    let kinds: [&[&str]; 2] = [
        &["PasswordAuthentication yes"],
        // By prompts, as PAM asks for it.
        &["UsePAM yes", "PasswordAuthentication no", "KbdInteractiveAuthentication yes"],
    ];
    for lines in kinds {
        let lines = lines.iter().map(|line| (*line).into()).collect();
        let place = Place::of(Sshd::with(&SshdOptions { lines, ..SshdOptions::default() }));
        let with = |password: &str| Access {
            user: Some(user.into()),
            password: Some(Password::new(password)),
            ..with_keys(&place, vec![])
        };
        lets_in(&place, &with(password)).await;
        let error = refused(&place, &with("swordfish")).await;
        assert_eq!(error.kind, ErrorKind::Auth);
        let said = error.to_string();
        assert!(said.contains("the password") && !said.contains("swordfish"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host() {
    let place = Place::new();
    let file = place.server.home().join("known_nobody");
    let ssh = SshAccess { known_hosts: vec![file.clone()], ..place.access.ssh.clone() };
    let error = refused(&place, &Access { ssh: ssh.clone(), ..place.access.clone() }).await;
    assert_eq!(error.kind, ErrorKind::Untrusted);
    let said = error.to_string();
    let advice = format!("ssh-keyscan -p {} 127.0.0.1 >> {}", place.server.port(), file.display());
    assert!(said.contains(&advice) && said.contains("ED25519 SHA256:"), "{said}");
    // Nowhere to look is no reason to trust.
    let ssh = SshAccess { known_hosts: vec![], ..ssh };
    assert_eq!(refused(&place, &Access { ssh, ..place.access.clone() }).await.kind, ErrorKind::Untrusted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_another_one() {
    let mut place = Place::new();
    let store = place.ready("").await;
    place.server.restart_with_another_key("ed25519");
    let error = refused(&place, &place.access).await;
    assert_eq!(error.kind, ErrorKind::Untrusted);
    let said = error.to_string();
    assert!(said.contains("HAS CHANGED") && said.contains(&format!("{}:1", place.server.known_hosts().display())));
    // A store that was open does not fall for it either, when it connects again.
    let error = loop {
        match store.list(&path("")).await {
            Err(error) if error.kind == ErrorKind::Unreachable => {}
            other => break other.expect_err("another server"),
        }
    };
    assert_eq!(error.kind, ErrorKind::Untrusted);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_types_of_keys_come_first() {
    let options = SshdOptions { host_keys: vec!["ed25519", "rsa", "ecdsa"], ..SshdOptions::default() };
    let place = Place::of(Sshd::with(&options));
    for kind in options.host_keys {
        let file = place.server.home().join(format!("known_{kind}"));
        let line = format!("[127.0.0.1]:{} {}", place.server.port(), place.server.host_key(kind));
        std::fs::write(&file, line).unwrap();
        let ssh = SshAccess { known_hosts: vec![file], ..place.access.ssh.clone() };
        lets_in(&place, &Access { ssh, ..place.access.clone() }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_trust_nobody() {
    let place = Place::new();
    let host = format!("[127.0.0.1]:{}", place.server.port());
    let key = place.server.host_key("ed25519");
    for line in [
        format!("@revoked {host} {key}{host} {key}"),
        format!("@cert-authority {host} {key}"),
        format!("[127.0.0.1]:*,!{host} {key}"),
        format!("127.0.0.1 {key}"),
    ] {
        let file = place.server.home().join("known_odd");
        std::fs::write(&file, &line).unwrap();
        let ssh = SshAccess { known_hosts: vec![file], ..place.access.ssh.clone() };
        let error = refused(&place, &Access { ssh, ..place.access.clone() }).await;
        assert_eq!(error.kind, ErrorKind::Untrusted, "{line}");
    }
    // The system's own tool hashes the names.
    let file = place.server.home().join("known_hashed");
    std::fs::copy(place.server.known_hosts(), &file).unwrap();
    let keygen = sitta_testbed::need("ssh-keygen");
    let output = std::process::Command::new(keygen).args(["-H", "-f"]).arg(&file).output().unwrap();
    assert!(output.status.success());
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("|1|"));
    let ssh = SshAccess { known_hosts: vec![file], ..place.access.ssh.clone() };
    lets_in(&place, &Access { ssh, ..place.access.clone() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_sftp() {
    for (subsystem, said) in [("/bin/false", "ended SFTP"), ("/bin/echo Welcome to this machine", "not SFTP")] {
        let place = Place::of(Sshd::with(&SshdOptions { subsystem: subsystem.into(), ..SshdOptions::default() }));
        let error = refused(&place, &place.access).await;
        assert!(error.kind == ErrorKind::Unsupported && error.to_string().contains(said), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there() {
    let mut place = Place::new();
    place.server.kill();
    assert_eq!(refused(&place, &place.access).await.kind, ErrorKind::Unreachable);
    // Somebody else there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = place.with(&place.access, port, "").await.map(drop).expect_err("no SSH");
    assert!(matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Unsupported), "{error}");
}
