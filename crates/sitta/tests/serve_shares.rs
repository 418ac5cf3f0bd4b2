//! `sitta serve`: shares with links, with extended attributes, and with an index whose server is killed.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::fs::XattrFlags;
use rustix::process::Signal;
use support::*;

fn put(dir: &Path, name: &str, bytes: &[u8]) {
    let file = dir.join(name);
    fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    fs::write(file, bytes).expect("written");
}

/// A server of the config's shares, and the lines that it says.
struct Serving {
    child: Child,
    address: String,
    lines: Receiver<serde_json::Value>,
}

impl Serving {
    fn start(world: &World) -> Self {
        let mut command = world.command();
        command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).expect("JSON"));
            }
        });
        let told: serde_json::Value = lines.recv_timeout(Duration::from_secs(30)).expect("it serves");
        let address = told["addresses"][0].as_str().expect("an address").to_owned();
        Self { child, address, lines }
    }

    /// Waits until the index is whole: of how many files.
    fn indexed(&self) -> u64 {
        let told = self.lines.recv_timeout(Duration::from_secs(90)).expect("told in time");
        assert_eq!((told["event"].as_str(), told["state"].as_str()), (Some("index"), Some("ready")), "{told}");
        told["files"].as_u64().expect("a number")
    }

    fn end(&mut self, how: Signal) {
        signal(self.child.id(), how);
        self.child.wait().expect("it ends");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end(Signal::KILL);
    }
}

#[test]
fn a_share_shows_what_links_lead_to_if_it_is_told_so() {
    let world = World::new();
    put(&world.path("elsewhere"), "far/f", b"far away");
    put(&world.dst, "near", b"here");
    symlink("../elsewhere", world.dst.join("way")).expect("linked");
    symlink("nowhere", world.dst.join("dangling")).expect("linked");
    world.sitta(&["share", "add", "plain", "dst"]).expect_code(0);
    world.sitta(&["share", "add", "linked", "dst", "--follow-links"]).expect_code(0);
    world.sitta(&["share", "add", "far", "s3://bucket/x", "--follow-links"]).expect_code(2);
    let listed = world.sitta(&["share", "list"]);
    assert!(listed.out().contains("reading and writing, links followed"), "{listed:?}");
    let server = Serving::start(&world);
    let url = |share: &str| format!("sitta://{}/{share}", server.address);
    let copied = |share: &str, to: &str| {
        let to = world.path(to);
        world.sitta(&["mirror", &url(share), to.to_str().expect("UTF-8")]).expect_code(0);
        to
    };
    let plain = copied("plain", "plain");
    assert_same(&plain, &world.dst);
    let linked = copied("linked", "linked");
    assert!(linked.join("way").symlink_metadata().expect("there").is_dir());
    assert_eq!(fs::read(linked.join("way/far/f")).expect("read"), b"far away");
    assert!(linked.join("dangling").symlink_metadata().expect("there").is_symlink());
    let found = world.sitta(&["find", &url("linked"), "--contains", "far away"]);
    assert!(found.out().contains("way/far/f"), "{found:?}");
    // What lies behind the link stays as it is, and is named.
    put(&world.src, "way/far/f", b"another");
    put(&world.src, "near", b"changed");
    let up = world.sitta(&["copy", world.src.to_str().expect("UTF-8"), &url("linked")]);
    up.expect_code(3);
    assert!(up.err().contains("way/far/f") || up.out().contains("way/far/f"), "{up:?}");
    assert_eq!(fs::read(world.path("elsewhere/far/f")).expect("read"), b"far away");
    assert_eq!(fs::read(world.dst.join("near")).expect("read"), b"changed");
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = Vec::with_capacity(1 << 16);
    rustix::fs::getxattr(path, name, rustix::buffer::spare_capacity(&mut value)).ok()?;
    Some(value)
}

fn set(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, XattrFlags::empty()).expect("attributes are kept here");
}

#[test]
fn extended_attributes_travel_both_ways() {
    let world = World::new();
    world.sitta(&["share", "add", "docs", "dst"]).expect_code(0);
    let server = Serving::start(&world);
    let url = format!("sitta://{}/docs", server.address);
    let (src, back) = (world.src.to_str().expect("UTF-8").to_owned(), world.path("back"));
    for n in 0..200 {
        put(&world.src, &format!("d{}/f{n}", n % 5), format!("content {n}").as_bytes());
    }
    put(&world.src, "large", &vec![7; 9_000_000]);
    let same = |left: &Path, right: &Path| {
        assert_same(left, right);
        for at in ["d0", "d0/f5", "d1/f1", "large"] {
            for name in ["user.text", "user.odd", "user.more"] {
                assert_eq!(xattr(&left.join(at), name), xattr(&right.join(at), name), "{at} {name}");
            }
        }
    };
    let round = |counts: [u64; 4]| {
        world.sitta(&["mirror", "--xattrs", &src, &url, "--json"]).expect_counts(counts);
        same(&world.src, &world.dst);
        world.sitta(&["mirror", "--xattrs", &src, &url, "--json"]).expect_counts([0, 0, 0, 0]);
        world.sitta(&["mirror", "--xattrs", &url, back.to_str().expect("UTF-8"), "--json"]).expect_code(0);
        same(&world.src, &back);
    };
    for at in ["d0", "d0/f5", "large"] {
        set(&world.src.join(at), "user.text", b"some text");
        set(&world.src.join(at), "user.odd", b"\0\xff\n");
    }
    set(&world.src.join("d0/f5"), "user.more", &[0xab; 3000]);
    round([201, 0, 0, 0]);
    assert_eq!(xattr(&world.dst.join("d0/f5"), "user.more"), Some(vec![0xab; 3000]));
    // On files and a directory that are there already; and away again.
    for at in ["d0", "d1/f1", "large"] {
        set(&world.src.join(at), "user.text", b"another text");
    }
    let first = world.sitta(&["mirror", "--xattrs", &src, &url, "--json"]);
    first.expect_code(0);
    same(&world.src, &world.dst);
    rustix::fs::removexattr(world.src.join("large"), "user.odd").expect("removed");
    world.sitta(&["mirror", "--xattrs", &src, &url, "--json"]).expect_code(0);
    round([0, 0, 0, 0]);
    assert_eq!(xattr(&world.dst.join("large"), "user.odd"), None);
    // A large file with attributes of which only some bytes are others.
    let mut bytes: Vec<u8> = (0..9_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    put(&world.src, "large", &bytes);
    world.sitta(&["mirror", "--xattrs", &src, &url, "--json"]).expect_code(0);
    bytes.insert(4_000_000, 1);
    put(&world.src, "large", &bytes);
    round([0, 1, 0, 0]);
    assert_eq!(xattr(&world.dst.join("large"), "user.text"), Some(b"another text".to_vec()));
}

/// A server that is killed while it reads what it shares: the next one finds exactly what is there, at once, and reads the rest.
#[test]
fn a_server_that_is_killed_while_it_indexes() {
    let world = World::new();
    for n in 0..1500 {
        let word = if n % 150 == 0 { "seldom-met" } else { "common" };
        put(
            &world.dst,
            &format!("d{}/f{n}", n % 20),
            format!("{word} {}", format!("filler {n} ").repeat(1500)).as_bytes(),
        );
    }
    world.sitta(&["share", "add", "docs", "dst"]).expect_code(0);
    // What was changed a moment ago is read later.
    std::thread::sleep(Duration::from_secs(2));
    let find = |server: &Serving, word: &str| -> BTreeSet<String> {
        let run = world.sitta(&["find", &format!("sitta://{}/docs", server.address), "--contains", word]);
        run.expect_code(0);
        run.out().lines().filter_map(|line| Some(line.rsplit_once("/docs/")?.1.trim().to_owned())).collect()
    };
    let mut rare: BTreeSet<_> = (0..1500).step_by(150).map(|n| format!("d{}/f{n}", n % 20)).collect();
    for (round, delay) in [0, 100, 300, 700, 1200].into_iter().enumerate() {
        let mut server = Serving::start(&world);
        std::thread::sleep(Duration::from_millis(delay));
        server.end(Signal::KILL);
        assert!(server.lines.try_iter().all(|told| told["state"] != "rebuilt"), "nothing is damaged");
        // It changes while nobody looks.
        put(&world.dst, &format!("new/{round}"), b"seldom-met too");
        rare.insert(format!("new/{round}"));
        let gone = format!("d{}/f{}", (round * 150) % 20, round * 150);
        put(&world.dst, &gone, b"other");
        rare.remove(&gone);
        let mut server = Serving::start(&world);
        assert_eq!(find(&server, "seldom-met"), rare, "round {round}, at once");
        server.end(Signal::KILL);
    }
    std::thread::sleep(Duration::from_secs(2));
    let server = Serving::start(&world);
    assert_eq!(find(&server, "seldom-met"), rare);
    assert_eq!(server.indexed(), 1505);
    assert_eq!(find(&server, "seldom-met"), rare);
    assert_eq!(find(&server, "filler 777 "), BTreeSet::from(["d17/f777".to_owned()]));
    assert_eq!(find(&server, "nowhere at all"), BTreeSet::new());
}
