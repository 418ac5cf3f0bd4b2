//! Who may do what, and how the connection is protected.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use sitta_store::{Access, ErrorKind, Password};
use sitta_testbed::samba::{Options, PASSWORD, Samba, USER};
use sitta_tree::RelPath;

use crate::support::{access, bytes, get, new, open, open_with, path, put};

const PATIENCE: Duration = Duration::from_secs(30);

async fn refused(url: &str, access: &Access) -> (ErrorKind, String) {
    let error = open_with(url, access).await.expect_err("this must fail");
    assert!(!error.to_string().contains(PASSWORD), "{error}");
    (error.kind, error.to_string())
}

#[tokio::test]
async fn who_is_let_in() {
    let samba = Samba::start();
    let wrong = Access { password: Some(Password::new("wrong")), ..access(PATIENCE) };
    let (kind, text) = refused(&samba.url(), &wrong).await;
    assert!(kind == ErrorKind::Auth && text.contains("wrong user or password"), "{text}");
    let nobody = Access { user: Some("nobody-knows-me".into()), ..access(PATIENCE) };
    assert_eq!(refused(&samba.url(), &nobody).await.0, ErrorKind::Auth);
    let guest = Access { user: None, ..access(PATIENCE) };
    let (kind, text) = refused(&samba.url(), &guest).await;
    assert!(matches!(kind, ErrorKind::Auth | ErrorKind::Denied), "{kind:?}: {text}");
    let missing = samba.url().replace("/share", "/none");
    let (kind, text) = refused(&missing, &access(PATIENCE)).await;
    assert!(kind == ErrorKind::NotFound && text.contains("no share 'none' on 127.0.0.1"), "{text}");
}

#[tokio::test]
async fn user_domain_and_password_in_the_url() {
    let samba = Samba::start();
    let password = PASSWORD.replace(' ', "%20");
    for user in [USER.to_owned(), format!("WORKGROUP;{USER}"), format!("WORKGROUP%5C{USER}")] {
        let url = samba.url().replace("smb://", &format!("smb://{user}:{password}@"));
        let store = open_with(&url, &Access::default()).await.expect("let in");
        assert!(!store.location().contains(&password), "{}", store.location());
        store.list(&RelPath::root()).await.expect("it works");
    }
}

#[tokio::test]
async fn guests_where_the_share_takes_them() {
    let options =
        Options { share: vec!["guest ok = yes"], global: vec!["map to guest = bad user"], ..Options::default() };
    let samba = Samba::with(&options);
    let store = open_with(&samba.url(), &Access::default()).await.expect("guests are let in");
    put(&store, "f", "as a guest").await.expect("and may write");
    // Somebody who gives a name does not want to be a guest.
    let nobody = Access { user: Some("nobody-knows-me".into()), ..access(PATIENCE) };
    let (kind, text) = refused(&samba.url(), &nobody).await;
    assert!(kind == ErrorKind::Auth && text.contains("a guest"), "{text}");
}

#[tokio::test]
async fn a_root_that_is_not_there() {
    let samba = Samba::start();
    let store = open_with(&format!("{}/a/b:c", samba.url()), &access(PATIENCE)).await.expect("no failure yet");
    assert_eq!(store.stat(&RelPath::root()).await.expect("asked"), None);
    assert_eq!(store.list(&RelPath::root()).await.expect_err("nothing to list").kind, ErrorKind::NotFound);
    assert_eq!(store.root_identity().await, None);
    store.create_root().await.expect("made with what is above it");
    store.create_root().await.expect("made already");
    let root = store.root_identity().await.expect("it can be told");
    put(&store, "f", "x").await.expect("written");
    assert_eq!(store.root_identity().await, Some(root.clone()), "it stays");
    assert_eq!(open(&samba).await.root_identity().await.map(|other| other == root), Some(false));
    assert!(samba.folder().join("a/b\u{f022}c/f").exists());
}

#[tokio::test]
async fn read_only_shares() {
    let samba = Samba::with(&Options { share: vec!["read only = yes"], ..Options::default() });
    std::fs::write(samba.folder().join("f"), "content").expect("written");
    let store = open(&samba).await;
    assert_eq!(get(&store, "f").await.expect("readable"), b"content");
    let error = put(&store, "g", "x").await.expect_err("read-only");
    assert!(matches!(error.kind, ErrorKind::Denied | ErrorKind::ReadOnly), "{error:?}");
    assert_eq!(error.path, Some(path("g")));
}

#[tokio::test]
async fn no_permission_for_one_file() {
    let samba = Samba::start();
    let store = open(&samba).await;
    put(&store, "mine", "x").await.expect("written");
    let theirs = samba.folder().join("theirs");
    std::fs::write(&theirs, "secret").expect("written");
    std::fs::set_permissions(&theirs, std::fs::Permissions::from_mode(0o600)).expect("root's own");
    let error = get(&store, "theirs").await.expect_err("root's own");
    assert_eq!((error.kind, error.path.clone()), (ErrorKind::Denied, Some(path("theirs"))), "{error}");
    assert_eq!(store.list(&RelPath::root()).await.expect("listed").len(), 2);
    assert_eq!(get(&store, "mine").await.expect("readable"), b"x");
}

#[tokio::test]
async fn encryption_and_signing_that_the_server_demands() {
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n >> 3) as u8).collect();
    for (global, share) in [
        ("server smb encrypt = required", ""),
        ("server min protocol = SMB3_11", "server smb encrypt = required"),
        ("server max protocol = SMB3_00", "server smb encrypt = required"),
        ("server signing = mandatory", ""),
        ("server max protocol = SMB2_10", ""),
        ("server max protocol = SMB2_02", ""),
    ] {
        let samba = Samba::with(&Options { global: vec![global], share: vec![share], ..Options::default() });
        let store = open(&samba).await;
        put(&store, "f", "content").await.unwrap_or_else(|error| panic!("{global}, {share}: {error}"));
        store.write(new("big", bytes(big.clone())), &std::sync::Arc::default()).await.expect("written");
        assert!(get(&store, "big").await.expect("read") == big, "{global}, {share}");
        assert!(std::fs::read(samba.folder().join("big")).expect("on disk") == big);
        let (kind, text) = refused(&samba.url(), &Access { password: None, ..access(PATIENCE) }).await;
        assert_eq!(kind, ErrorKind::Auth, "{global}, {share}: {text}");
    }
}
