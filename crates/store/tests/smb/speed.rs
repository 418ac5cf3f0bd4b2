//! How fast it is beside rclone: `cargo test -p sitta-store --test smb -- --ignored --nocapture speed`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt, TryStreamExt};
use sitta_store::local::LocalStore;
use sitta_store::{Change, Source, Store, What, Write};
use sitta_testbed::samba::{PASSWORD, Samba, USER};
use sitta_tree::{Kind, RelPath};

use crate::support::{access, new, open, open_with, path};

fn rclone(samba: &Samba, args: &[&str]) -> Duration {
    let rclone = sitta_testbed::need("rclone");
    let hidden = Command::new(&rclone).args(["obscure", PASSWORD]).output().expect("rclone runs");
    let hidden = String::from_utf8(hidden.stdout).expect("text");
    let began = Instant::now();
    let status = Command::new(rclone)
        .args(["--config", "/dev/null", "--smb-host", "127.0.0.1", "--smb-user", USER, "--smb-pass", hidden.trim()])
        .args(["--smb-port", &samba.port().to_string()])
        .args(args)
        .stdout(Stdio::null())
        .status()
        .expect("rclone runs");
    assert!(status.success());
    began.elapsed()
}

fn smbclient(samba: &Samba, command: &str) -> Duration {
    let began = Instant::now();
    let status = Command::new(sitta_testbed::need("smbclient"))
        .args(["//127.0.0.1/share", "-p", &samba.port().to_string(), "-U", &format!("{USER}%{PASSWORD}")])
        .args(["-c", command])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("smbclient runs");
    assert!(status.success());
    began.elapsed()
}

/// Copies all files of a flat folder into a new directory, as a run does: batches, several at a time.
async fn copy(from: &Arc<dyn Store>, to: &Arc<dyn Store>, dir: &str) -> Duration {
    let began = Instant::now();
    let flow = Arc::default();
    to.write(new(dir, What::Dir), &flow).await.expect("made");
    let files = from.list(&RelPath::root()).await.expect("listed");
    let writes = files.into_iter().filter(|(_, entry)| entry.kind == Kind::File).map(|(name, entry)| {
        let version = entry.fingerprint();
        let source = Source::Stored { store: from.clone(), path: path(&name), version };
        let at = path(dir).join(&name).expect("a name");
        Change::Write(Write { meta: entry.meta, ..new(at.as_bytes(), What::File(source)) })
    });
    let capabilities = to.capabilities();
    let batches: Vec<Vec<Change>> =
        stream::iter(writes.collect::<Vec<_>>()).chunks(capabilities.batch).collect().await;
    let done = stream::iter(batches).map(|batch| to.apply(batch, &flow)).buffered(capabilities.batches);
    for result in done.collect::<Vec<_>>().await.concat() {
        result.expect("written");
    }
    began.elapsed()
}

fn fill(folder: &Path, files: usize, size: usize) {
    std::fs::create_dir_all(folder).expect("a folder");
    for n in 0..files {
        let content: Vec<u8> = (0..size).map(|at| (at * 31 + n) as u8).collect();
        std::fs::write(folder.join(format!("f{n:05}")), content).expect("written");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; for a quiet machine"]
#[allow(clippy::disallowed_macros, reason = "it tells what it measured")]
async fn speed() {
    let samba = Samba::start();
    let home = tempfile::tempdir().expect("a folder");
    let (small, big, back) = (home.path().join("small"), home.path().join("big"), home.path().join("back"));
    fill(&small, 2_000, 4_096);
    fill(&big, 1, 256 << 20);
    fill(&back, 0, 0);
    let local = |folder: &Path| Arc::new(LocalStore::open(folder).expect("opened")) as Arc<dyn Store>;
    let told = |what: &str, ours: Duration, theirs: Duration, smbclient: Duration| {
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        println!("{what}: {ours:.2?}, rclone {theirs:.2?} (ratio {ratio:.2}), smbclient {smbclient:.2?}");
    };
    for round in 0..3 {
        let store = open(&samba).await;
        let (s, b) = (small.display(), big.display());
        let ours = copy(&local(&small), &store, &format!("ours{round}")).await;
        let theirs =
            rclone(&samba, &["copy", &s.to_string(), &format!(":smb:share/theirs{round}"), "--transfers", "16"]);
        let other = smbclient(&samba, &format!("mkdir c{round}; cd c{round}; lcd {s}; prompt; mput *"));
        told("2,000 × 4 KiB up", ours, theirs, other);

        let below = open(&samba).await;
        let (url, access) = (format!("{}/ours{round}", samba.url()), access(Duration::from_secs(30)));
        let inside = open_with(&url, &access).await.expect("opened");
        let ours = copy(&inside, &local(&back), &format!("ours{round}")).await;
        let to = back.join(format!("theirs{round}"));
        let theirs = rclone(
            &samba,
            &["copy", &format!(":smb:share/theirs{round}"), &to.display().to_string(), "--transfers", "16"],
        );
        let to = back.join(format!("c{round}"));
        std::fs::create_dir(&to).expect("a folder");
        let other = smbclient(&samba, &format!("cd c{round}; lcd {}; prompt; mget *", to.display()));
        told("2,000 × 4 KiB down", ours, theirs, other);

        let ours = copy(&local(&big), &below, &format!("big{round}")).await;
        let theirs = rclone(&samba, &["copy", &b.to_string(), &format!(":smb:share/rbig{round}")]);
        let other = smbclient(&samba, &format!("lcd {b}; put f00000 cbig{round}"));
        told("256 MiB up", ours, theirs, other);

        let began = Instant::now();
        let stream = below.read(&path(format!("big{round}/f00000")), 0..u64::MAX).await.expect("begun");
        let len = stream.try_fold(0, |len, piece| async move { Ok(len + piece.len()) }).await.expect("read");
        let ours = began.elapsed();
        assert_eq!(len, 256 << 20);
        let theirs = rclone(&samba, &["cat", &format!(":smb:share/big{round}/f00000")]);
        let other = smbclient(&samba, &format!("get cbig{round} /dev/null"));
        told("256 MiB down, into nothing", ours, theirs, other);
    }
    fill(&samba.folder().join("many"), 10_000, 1);
    for _ in 0..3 {
        let store = open(&samba).await;
        let began = Instant::now();
        assert_eq!(store.list(&path("many")).await.expect("listed").len(), 10_000);
        let ours = began.elapsed();
        let theirs = rclone(&samba, &["lsf", ":smb:share/many"]);
        told("10,000 listed", ours, theirs, smbclient(&samba, "cd many; ls"));
    }
}
