//! How fast, beside rclone. By hand: `cargo test --release -p sitta-store --test sftp -- --ignored --nocapture`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sitta_store::local::LocalStore;
use sitta_store::{Flow, ScanOptions, Source, Store, What, Write};
use sitta_testbed::proxy::Proxy;
use sitta_testbed::sshd::this_user;

use crate::support::*;

/// Seconds of a processor that this process, and those it has waited for, have used.
fn cpu() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap() / 100.0;
    (ticks(11) + ticks(12), ticks(13) + ticks(14))
}

struct Measured {
    wall: f64,
    cpu: f64,
}

async fn ours<F: Future<Output = ()>>(doing: F) -> Measured {
    let (before, begin) = (cpu().0, Instant::now());
    doing.await;
    Measured { wall: begin.elapsed().as_secs_f64(), cpu: cpu().0 - before }
}

fn rclone(place: &Place, port: u16, arguments: &[&str]) -> Measured {
    let (before, begin) = (cpu().1, Instant::now());
    let status = Command::new(sitta_testbed::need("rclone"))
        .args(arguments)
        .args(["--config", "/dev/null", "--sftp-host", "127.0.0.1", "--sftp-user", &this_user()])
        .args(["--sftp-port", &port.to_string(), "--transfers", "32", "--checkers", "32"])
        .args(["--sftp-concurrency", "64", "--sftp-disable-hashcheck", "--sftp-shell-type", "none"])
        .arg("--sftp-key-file")
        .arg(place.server.identity())
        .arg("--sftp-known-hosts-file")
        .arg(place.server.known_at(port))
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    Measured { wall: begin.elapsed().as_secs_f64(), cpu: cpu().1 - before }
}

#[allow(clippy::disallowed_macros, reason = "whoever measures reads it")]
fn tell(what: &str, ours: &Measured, theirs: &Measured) {
    println!(
        "{what:24} ours {:6.2} s ({:5.2} cpu)   rclone {:6.2} s ({:5.2} cpu)   ratio {:.2} ({:.2} cpu)",
        ours.wall,
        ours.cpu,
        theirs.wall,
        theirs.cpu,
        ours.wall / theirs.wall,
        ours.cpu / theirs.cpu
    );
}

/// Copies all files of one store to another, as the executor does: in batches.
async fn copy(from: &Arc<dyn Store>, to: &Arc<dyn Store>) {
    let tree = from.scan(&ScanOptions::default()).await.unwrap();
    let mut writes = Vec::new();
    for id in tree.ids().filter(|id| !tree.path(*id).is_root()) {
        let (path, entry) = (tree.path(id), tree.entry(id));
        let version = entry.fingerprint();
        let source = Source::Stored { store: from.clone(), path: path.clone(), version };
        writes.push(Write { meta: entry.meta, ..new(path.as_bytes(), What::File(source)) });
    }
    let flow = Arc::new(Flow::default());
    let (batch, batches) = (to.capabilities().batch, to.capabilities().batches);
    let mut running = tokio::task::JoinSet::new();
    for part in writes.chunks(batch) {
        while running.len() >= batches {
            running.join_next().await.unwrap().unwrap();
        }
        let (to, flow, part) = (to.clone(), flow.clone(), part.to_vec());
        running.spawn(
            async move { to.write_batch(part, &flow).await.into_iter().for_each(|done| drop(done.unwrap())) },
        );
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

fn local(dir: &Path) -> Arc<dyn Store> {
    std::fs::create_dir_all(dir).unwrap();
    Arc::new(LocalStore::open(dir).unwrap())
}

async fn compare(what: &str, place: &Place, port: u16, make: impl Fn(&Path)) {
    let files = place.server.files();
    let source = files.join("source");
    std::fs::create_dir_all(&source).unwrap();
    make(&source);
    let mut access = place.access.clone();
    access.ssh.known_hosts = vec![place.server.known_at(port)];
    let remote = |dir: &str| format!(":sftp:{}", files.join(dir).display());
    for round in 0..2 {
        let (up, down) = (format!("up{round}"), format!("down{round}"));
        let store = place.with(&access, port, &up).await.unwrap();
        store.create_root().await.unwrap();
        let mine = ours(copy(&local(&source), &store)).await;
        let theirs = rclone(place, port, &["copy", &source.display().to_string(), &remote("theirs-up")]);
        tell(&format!("{what} up"), &mine, &theirs);
        let target = local(&files.join(&down));
        let mine = ours(copy(&store, &target)).await;
        let theirs_down = files.join("theirs-down").display().to_string();
        let theirs = rclone(place, port, &["copy", &remote("source"), &theirs_down]);
        tell(&format!("{what} down"), &mine, &theirs);
        for dir in [up.as_str(), &down, "theirs-up", "theirs-down"] {
            std::fs::remove_dir_all(files.join(dir)).unwrap();
        }
    }
    std::fs::remove_dir_all(&source).unwrap();
}

fn small(dir: &Path) {
    (0..2000).for_each(|n| std::fs::write(dir.join(format!("f{n}")), pattern(4096)).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn beside_rclone() {
    let place = Place::new();
    let port = place.server.port();
    let store = place.ready("listed").await;
    (0..10_000).for_each(|n| std::fs::write(place.folder("listed").join(format!("f{n}")), "").unwrap());
    for _ in 0..2 {
        let mine = ours(async { drop(store.scan(&ScanOptions::default()).await.unwrap()) }).await;
        let listed = format!(":sftp:{}", place.folder("listed").display());
        tell("list 10,000", &mine, &rclone(&place, port, &["lsf", "--format", "pst", &listed]));
    }
    std::fs::remove_dir_all(place.folder("listed")).unwrap();
    compare("2,000 x 4 KiB", &place, port, small).await;
    compare("256 MiB", &place, port, |dir| std::fs::write(dir.join("big"), pattern(256 << 20)).unwrap()).await;
    let far = Proxy::to(port);
    far.round_trip(Duration::from_millis(20));
    compare("20 ms: 2,000 x 4 KiB", &place, far.port(), small).await;
    compare("20 ms: 64 MiB", &place, far.port(), |dir| std::fs::write(dir.join("big"), pattern(64 << 20)).unwrap())
        .await;
}
