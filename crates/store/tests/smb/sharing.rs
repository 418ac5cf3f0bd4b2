//! Others at work on the same share.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::StreamExt;
use sitta_store::wrap::{Backoff, Retried};
use sitta_store::{Displaced, ErrorKind, Precondition, Store, Write};
use sitta_testbed::samba::{PASSWORD, Samba, USER};
use smb2::{ClientConfig, SmbClient};

use crate::support::{bytes, get, new, open, path, put};

/// Another client, which keeps files to itself while it writes them.
async fn other(samba: &Samba) -> (SmbClient, smb2::Tree) {
    let config = ClientConfig {
        addr: format!("127.0.0.1:{}", samba.port()),
        username: USER.into(),
        password: PASSWORD.into(),
        ..ClientConfig::default()
    };
    let mut client = SmbClient::connect(config).await.expect("connected");
    let tree = client.connect_share("share").await.expect("the share");
    (client, tree)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_holds_is_busy_until_they_let_go() {
    let samba = Samba::start();
    let store = open(&samba).await;
    put(&store, "f", "old").await.expect("written");
    let (mut client, tree) = other(&samba).await;
    let mut writer = client.create_file_writer(&tree, "f").await.expect("held");
    writer.write_chunk(b"theirs").await.expect("written");
    let error = get(&store, "f").await.expect_err("held");
    assert_eq!((error.kind, error.path.clone()), (ErrorKind::Busy, Some(path("f"))), "{error}");
    let error = store.remove(&path("f"), Precondition::None, Displaced::Discard).await.expect_err("held");
    assert_eq!(error.kind, ErrorKind::Busy, "{error}");
    let overwrite = Write { expect: Precondition::None, ..new("f", bytes("ours")) };
    if let Err(error) = store.write(overwrite, &Arc::default()).await {
        assert_eq!(error.kind, ErrorKind::Busy, "{error}");
    }
    let _ = put(&store, "g", "beside it").await.expect("others are free");
    // With the retries that stand before every server, a short hold is not noticed.
    let retried = Arc::new(Retried::new(store, Backoff::default())) as Arc<dyn Store>;
    put(&retried, "h", "x").await.expect("written");
    let mut holder = client.create_file_writer(&tree, "h").await.expect("held");
    holder.write_chunk(b"theirs").await.expect("written");
    let letting_go = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        holder.finish().await.expect("closed");
    });
    assert_eq!(get(&retried, "h").await.expect("after a while"), b"theirs");
    letting_go.await.expect("no panic");
    writer.finish().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_clients_makes_a_file() {
    let samba = Samba::start();
    let stores: Vec<_> = futures::future::join_all((0..2).map(|_| open(&samba))).await;
    let store = stores[0].clone();
    for round in 0..50 {
        let at = format!("f{round}");
        let racing = (0..8).map(|n| {
            let (store, at) = (store.clone(), at.clone());
            let one =
                Write { temp: format!(".sitta-tmp-{round}-{n}").into(), ..new(at, bytes(format!("racer {n}"))) };
            async move { store.write(one, &Arc::default()).await.is_ok() }
        });
        let won: Vec<bool> = futures::stream::iter(racing).buffer_unordered(8).collect().await;
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn smbclient_sees_what_was_written() {
    let samba = Samba::start();
    let store = open(&samba).await;
    let content: Vec<u8> = (0..1_000_000_u32).map(|n| (n >> 4) as u8).collect();
    put(&store, "with space.bin", content.clone()).await.expect("written");
    let got = samba.folder().with_file_name("got");
    let status = Command::new(sitta_testbed::need("smbclient"))
        .args(["//127.0.0.1/share", "-p", &samba.port().to_string(), "-U", &format!("{USER}%{PASSWORD}")])
        .args(["-c", &format!("get \"with space.bin\" {}", got.display())])
        .stdout(Stdio::null())
        .status()
        .expect("smbclient runs");
    assert!(status.success());
    assert!(std::fs::read(got).expect("fetched") == content);
}
