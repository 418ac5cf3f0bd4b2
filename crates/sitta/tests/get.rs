//! `sitta get` from another sitta: parts side by side, cuts, restarts, UDP where TCP is slow, the cache.

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sitta_testbed::proxy::Proxy;
use sitta_testbed::relay::{Line, Relay};
use support::*;

const MIB: usize = 1 << 20;

/// A world whose server shares a large file through a proxy.
struct Far {
    world: World,
    server: Server,
    proxy: Proxy,
    bytes: Vec<u8>,
}

impl Far {
    fn new(size: usize) -> Self {
        let world = World::new();
        let server = Server::start(&world, "127.0.0.1:0");
        let bytes: Vec<u8> =
            (0..size as u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
        fs::write(world.dst.join("large"), &bytes).expect("written");
        let proxy = Proxy::to(server.port());
        Self { world, server, proxy, bytes }
    }

    fn url(&self) -> String {
        format!("sitta://127.0.0.1:{}/docs/large", self.proxy.port())
    }

    fn get(&self, to: &str, options: &[&str]) -> Run {
        self.world.sitta(&[&["get", &self.url(), to, "--json"], options].concat())
    }

    fn begin(&self, to: &str, options: &[&str]) -> std::process::Child {
        start(self.world.command().args(["get", &self.url(), to, "--json"]).args(options))
    }

    #[track_caller]
    fn is_here(&self, name: &str) {
        assert!(fs::read(self.world.path(name)).expect("it is there") == self.bytes, "other bytes");
        assert_no_temporaries(self.world.path(name).parent().expect("a folder"));
    }

    fn config(&self, text: &str) -> String {
        let file = self.world.path("config.toml");
        fs::write(&file, text).expect("written");
        file.to_str().expect("UTF-8").to_owned()
    }
}

/// Waits until so much has come over.
fn until_received(proxy: &Proxy, bytes: u64) {
    let started = Instant::now();
    while proxy.received() < bytes {
        assert!(started.elapsed() < Duration::from_secs(60), "nothing comes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn parts_come_side_by_side_and_cuts_cost_little() {
    let far = Far::new(40 * MIB);
    let run = far.get("whole", &["--transport", "tcp"]);
    run.expect_code(0);
    far.is_here("whole");
    assert!(far.proxy.connections() >= 4, "{} connections", far.proxy.connections());
    let before = far.proxy.received();
    far.proxy.cut_after(5 << 20, 4);
    let run = far.get("cut", &[]);
    run.expect_code(0);
    far.is_here("cut");
    assert_eq!(far.proxy.cuts(), 4);
    let came = far.proxy.received() - before;
    assert!(came < 50 << 20, "{came} bytes for 40 MiB");
    assert_eq!(run.report()["transport"], "tcp");
}

#[test]
fn a_restart_of_the_server_in_mid_download_is_got_over() {
    let mut far = Far::new(24 * MIB);
    far.proxy.limit(Some(8 << 20));
    let child = far.begin("here", &["--transport", "tcp"]);
    until_received(&far.proxy, 6 << 20);
    let address = far.server.address.clone();
    far.server.end(Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    far.server = Server::start(&far.world, &address);
    finish(child).expect_code(0);
    far.is_here("here");
    assert!(far.proxy.received() < 34 << 20, "it went on where it was");
}

#[test]
fn what_came_before_a_lasting_cut_need_not_come_again() {
    let far = Far::new(24 * MIB);
    far.proxy.limit(Some(16 << 20));
    let child = far.begin("here", &[]);
    until_received(&far.proxy, 16 << 20);
    far.proxy.refuse();
    let run = finish(child);
    run.expect_code(1);
    assert!(!far.world.path("here").exists());
    far.proxy.pass();
    far.proxy.limit(None);
    let before = far.proxy.received();
    let run = far.get("here", &[]);
    run.expect_code(0);
    far.is_here("here");
    let resumed = run.report()["resumed_from"].as_u64().expect("a number");
    assert!(resumed > 4 << 20, "{resumed}");
    assert!(far.proxy.received() - before < (25 << 20) - resumed);
}

#[test]
fn a_file_that_is_replaced_meanwhile_is_never_mixed() {
    let mut far = Far::new(24 * MIB);
    far.proxy.limit(Some(8 << 20));
    for transport in ["tcp", "auto"] {
        let before = far.proxy.received();
        let child = far.begin("here", &["--transport", transport]);
        until_received(&far.proxy, before + (10 << 20));
        let other: Vec<u8> = far.bytes.iter().map(|byte| !byte).collect();
        fs::write(far.world.path("other"), &other).expect("written");
        fs::rename(far.world.path("other"), far.world.dst.join("large")).expect("renamed");
        let run = finish(child);
        run.expect_code(1);
        assert!(run.err().contains("changed while it was being downloaded"), "{}", run.err());
        assert!(!far.world.path("here").exists());
        far.bytes = other;
    }
    far.proxy.limit(None);
    far.get("here", &[]).expect_code(0);
    far.is_here("here");
}

#[test]
fn where_tcp_is_slow_udp_takes_over() {
    let far = Far::new(24 * MIB);
    far.proxy.limit(Some(500_000));
    let relay = Relay::to(far.server.port(), far.proxy.port(), Line { lost: 10, ..Line::default() });
    let relay = relay.expect("the same port for UDP");
    let run = far.get("here", &[]);
    run.expect_code(0);
    far.is_here("here");
    assert_eq!(run.report()["transport"], "udp");
    assert!(relay.lost() > 0 && far.proxy.received() < 8 << 20);
    drop(relay);
    // Where nothing gets through by UDP, TCP goes on.
    let far = Far::new(9 * MIB);
    far.proxy.limit(Some(1_200_000));
    let run = far.get("here", &[]);
    run.expect_code(0);
    far.is_here("here");
    assert_eq!(run.report()["transport"], "tcp");
}

#[test]
fn three_in_a_hundred_lost_cost_no_byte() {
    let far = Far::new(12 * MIB);
    let line = Line { lost: 30, delay: Duration::from_millis(10), rate: None };
    let relay = Relay::to(far.server.port(), far.proxy.port(), line).expect("the same port for UDP");
    let run = far.get("here", &["--transport", "udp"]);
    run.expect_code(0);
    far.is_here("here");
    assert!(relay.lost() > 100, "{}", relay.lost());
}

#[test]
fn what_was_downloaded_is_taken_from_the_cache() {
    let far = Far::new(9 * MIB);
    let config = far.config("[cache]\nmax_size = \"10MiB\"\n");
    let cached = |to: &str, expected: bool| {
        let run = far.get(to, &["--config", &config]);
        run.expect_code(0);
        assert_eq!(run.report()["cached"], expected, "{to}");
        far.is_here(to);
        run
    };
    cached("first", false);
    let before = far.proxy.received();
    cached("second", true);
    assert!(far.proxy.received() - before < 10_000);
    assert_eq!(far.get("third", &["--config", &config, "--no-cache"]).report()["cached"], false);
    let show = || far.world.sitta(&["cache", "show", "--json", "--config", &config]);
    assert_eq!((&show().report()["files"], &show().report()["bytes"]), (&1.into(), &(9 << 20).into()));
    // Another version is another file, and the old one has to leave for it.
    let mut changed = far.bytes.clone();
    changed[5] ^= 1;
    fs::write(far.world.dst.join("large"), &changed).expect("written");
    assert_eq!(far.get("other", &["--config", &config]).report()["cached"], false);
    assert!(fs::read(far.world.path("other")).expect("it") == changed);
    assert_eq!(show().report()["files"], 1);
    let cleared = far.world.sitta(&["cache", "clear", "--json", "--config", &config]);
    assert_eq!((&cleared.report()["files"], &show().report()["files"]), (&1.into(), &0.into()));
}

/// The folder of the cache of downloads.
fn cache_of(world: &World) -> std::path::PathBuf {
    let command = world.command();
    let told = command.get_envs().find(|(name, _)| *name == "XDG_CACHE_HOME").and_then(|(_, value)| value);
    match told {
        Some(dir) => Path::new(dir).join("sitta/downloads"),
        None => panic!("the world has no cache of its own"),
    }
}

#[test]
fn a_cache_that_is_damaged_or_full_or_no_folder_costs_no_download() {
    let far = Far::new(9 * MIB);
    let config = far.config("[cache]\nmax_size = \"100MiB\"\n");
    let get = |to: &str| {
        let run = far.get(to, &["--config", &config]);
        run.expect_code(0);
        far.is_here(to);
        run.report()["cached"].as_bool().expect("a bool")
    };
    assert!(!get("first"));
    let dir = cache_of(&far.world);
    let file =
        fs::read_dir(&dir).expect("the cache").flatten().find(|e| e.file_name().len() == 64).expect("a file");
    let mut damaged = far.bytes.clone();
    damaged[77] ^= 1;
    fs::write(file.path(), &damaged).expect("written by hand");
    assert!(!get("damaged") && get("whole again"));
    fs::write(dir.join("files.db"), b"no database").expect("written by hand");
    assert!(!get("no table") && get("with a table"));
    let small = far.config("[cache]\nmax_size = \"1MiB\"\n");
    assert_eq!(small, config);
    assert!(!get("too large") && !get("still too large"));
    far.config("[cache]\nmax_size = \"100MiB\"\n");
    fs::remove_dir_all(&dir).expect("removed");
    fs::write(&dir, b"a file").expect("written");
    assert!(!get("no folder"));
}
