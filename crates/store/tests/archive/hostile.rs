//! Archives that are damaged, cut off, or made to do harm.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sitta_store::{ErrorKind, ScanOptions, Store};
use sitta_tree::{Kind, NodeId, ProblemKind};

use super::tools::*;
use super::zip::Crafted;

/// Looks at all of an archive that may be anything, and gives what could be read.
async fn probe(dir: &Path, bytes: &[u8]) -> HashMap<String, Vec<u8>> {
    fs::write(dir.join("probe"), bytes).unwrap();
    let all = async {
        let mut read = HashMap::new();
        let Ok(store) = open_in(local(dir), "probe", "").await else { return read };
        let Ok(tree) = store.scan(&ScanOptions::default()).await else { return read };
        for id in tree.ids().filter(|id| tree.kind(*id) == Kind::File) {
            let at = tree.path(id);
            let version = tree.fingerprint(id);
            // What a flipped bit says of the size may be anything.
            if version.size < 1 << 26
                && let Ok(fetched) = store.fetch(&at, &version, 0).await
                && let Ok(bytes) = collect(fetched.bytes).await
            {
                read.insert(at.to_string(), bytes);
            }
        }
        read
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("it ends")
}

/// A small archive of each sort.
fn samples() -> (tempfile::TempDir, HashMap<&'static str, Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("some-directory")).unwrap();
    fs::write(tree.join("first-file"), b"first ".repeat(200)).unwrap();
    fs::write(tree.join("some-directory/second"), noise(700, 5)).unwrap();
    fs::write(tree.join("third-of-them"), b"third ".repeat(100)).unwrap();
    std::os::unix::fs::symlink("first-file", tree.join("link")).unwrap();
    run(&tree, "zip", &["-qry", "../a.zip", "."]);
    run(&tree, "zip", &["-qry0", "../stored.zip", "."]);
    for (option, file) in [("-cf", "../a.tar"), ("-czf", "../a.tgz"), ("-cjf", "../a.tbz2")] {
        run(&tree, "tar", &["-b1", option, file, "."]);
    }
    run(&tree, "tar", &["-b1", "--zstd", "-cf", "../a.tzst", "."]);
    let names = ["a.zip", "stored.zip", "a.tar", "a.tgz", "a.tbz2", "a.tzst"];
    let all = names.map(|name| (name, fs::read(dir.path().join(name)).unwrap()));
    (dir, all.into_iter().collect())
}

fn contents() -> HashMap<String, Vec<u8>> {
    [
        ("first-file", b"first ".repeat(200)),
        ("some-directory/second", noise(700, 5)),
        ("third-of-them", b"third ".repeat(100)),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn cut_off_anywhere() {
    let (dir, samples) = samples();
    let runtime = runtime();
    for (name, bytes) in samples {
        assert_eq!(runtime.block_on(probe(dir.path(), &bytes)), contents(), "{name}");
        for len in (0..bytes.len()).step_by(if name.ends_with(".tar") { 61 } else { 7 }) {
            let read = runtime.block_on(probe(dir.path(), &bytes[..len]));
            for (at, found) in read {
                assert!(contents().get(&at) == Some(&found), "{name} cut at {len}: {at}");
                assert!(name.ends_with(".tar"), "{name} cut at {len} gives {at} though nothing vouches for it");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever is flipped, what has checksums never gives wrong bytes, and nothing panics or hangs.
    #[test]
    fn flipped_bits(flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..4)) {
        use std::sync::LazyLock;
        static SAMPLES: LazyLock<(tempfile::TempDir, HashMap<&'static str, Vec<u8>>)> = LazyLock::new(samples);
        static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(runtime);
        for (name, bytes) in &SAMPLES.1 {
            let mut bytes = bytes.clone();
            for (at, bit) in &flips {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            for (at, found) in RUNTIME.block_on(probe(SAMPLES.0.path(), &bytes)) {
                if let Some(right) = contents().get(&at).filter(|_| *name != "a.tar") {
                    prop_assert!(&found == right, "{}: {} is wrong", name, at);
                }
            }
        }
    }
}

const BAD_NAMES: [&str; 6] = ["../up", "a/../../up", "/etc/cron.d/x", "a//b", "C:/windows/x", "a/.."];

#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut crafted = Crafted { system: 3, ..Crafted::default() }.add(b"good", 0, b"x", b"x");
    for name in BAD_NAMES.into_iter().chain(["nul\0nul"]) {
        crafted = crafted.add(name.as_bytes(), 0, b"x", b"x");
    }
    fs::write(dir.path().join("bad.zip"), crafted.finish()).unwrap();
    // What is no way out on Unix is one on Windows, where the archive is from.
    let windows = Crafted::default().add(b"good", 0, b"x", b"x").add(b"..\\up", 0, b"x", b"x");
    fs::write(dir.path().join("windows.zip"), windows.finish()).unwrap();
    let names = BAD_NAMES.map(|name| format!("{name:?}")).join(",");
    let script = format!(
        "import tarfile,io\nt=tarfile.open('bad.tar','w')\nfor n in ['good',{names}]:\n i=tarfile.TarInfo(n); i.size=1; t.addfile(i,io.BytesIO(b'x'))\nt.close()"
    );
    python(dir.path(), &script);
    for (file, bad) in [("bad.zip", 7), ("windows.zip", 1), ("bad.tar", 6)] {
        let store = open(dir.path(), file).await;
        let tree = scan(&store).await;
        assert_eq!(tree.ids().map(|id| tree.path(id).to_string()).collect::<Vec<_>>(), ["", "good"], "{file}");
        assert_eq!(tree.problems.len(), bad, "{file}: {:?}", tree.problems);
        assert!(tree.problems.iter().all(|problem| problem.kind == ProblemKind::Unsupported));
        assert!(!tree.is_complete(NodeId::ROOT), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_lead_out_are_kept_and_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    python(
        dir.path(),
        "import tarfile,io\nt=tarfile.open('a.tar','w')\ndef add(name,type,link=''):\n i=tarfile.TarInfo(name); i.type=type; i.linkname=link; t.addfile(i)\nadd('out',tarfile.SYMTYPE,'/etc')\nadd('out/passwd',tarfile.REGTYPE)\nadd('hard',tarfile.LNKTYPE,'../../etc/passwd')\nadd('none',tarfile.LNKTYPE,'missing')\nadd('loop',tarfile.LNKTYPE,'loop')\nt.close()",
    );
    let store = open(dir.path(), "a.tar").await;
    let tree = scan(&store).await;
    assert_eq!(tree.target(tree.find(&path("out")).unwrap()), b"/etc");
    assert!(store.stat(&path("out/passwd")).await.unwrap().is_none());
    assert_eq!(get(&store, "out").await.unwrap_err().kind, ErrorKind::Unsupported);
    for at in ["hard", "none", "loop"] {
        assert_eq!(tree.kind(tree.find(&path(at)).unwrap()), Kind::Unknown, "{at}");
        assert!(get(&store, at).await.is_err(), "{at}");
    }
    assert_eq!(tree.problems.len(), 4, "{:?}", tree.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs() {
    let dir = tempfile::tempdir().unwrap();
    let packed = noise(100, 1);
    let write = |file: &str, crafted: Crafted| fs::write(dir.path().join(file), crafted.finish()).unwrap();
    // Two members that are the same bytes.
    let shared = Crafted::default().add(b"a", 0, &packed, &packed);
    let mut shared = shared.told(b"b", 0, &packed, 100, crc32fast::hash(&packed), 0, 0);
    shared.bytes.truncate(131);
    write("shared.zip", shared);
    let store = open(dir.path(), "shared.zip").await;
    for at in ["a", "b"] {
        assert_eq!(get(&store, at).await.unwrap_err().kind, ErrorKind::Unsupported, "{at}");
    }
    // Too good to be true.
    write("ratio.zip", Crafted::default().told(b"a", 8, &packed, 2 << 30, 1, 0, 0));
    let error = get(&open(dir.path(), "ratio.zip").await, "a").await.unwrap_err();
    assert!(error.kind == ErrorKind::Unsupported && error.to_string().contains("bomb"), "{error}");
    // More than is told.
    python(
        dir.path(),
        "import zlib\nc=zlib.compressobj(9,8,-15)\nopen('deflated','wb').write(c.compress(bytes(10<<20))+c.flush())",
    );
    let deflated = fs::read(dir.path().join("deflated")).unwrap();
    for (size, how) in [(100, "goes on"), (11 << 20, "ends")] {
        write("lies.zip", Crafted::default().told(b"a", 8, &deflated, size, 1, 0, 0));
        let error = get(&open(dir.path(), "lies.zip").await, "a").await.unwrap_err();
        assert!(error.kind == ErrorKind::Corrupt && error.to_string().contains(how), "{error}");
    }
    // A wrong checksum.
    write("crc.zip", Crafted::default().told(b"a", 0, &packed, 100, 1, 0, 0));
    assert_eq!(get(&open(dir.path(), "crc.zip").await, "a").await.unwrap_err().kind, ErrorKind::Corrupt);
    // Twice the same name.
    write("twice.zip", Crafted::default().add(b"a", 0, b"1", b"1").add(b"a", 0, b"2", b"2"));
    let store = open(dir.path(), "twice.zip").await;
    let tree = scan(&store).await;
    assert_eq!(fetch(&store, &tree, "a").await.unwrap(), b"2");
    assert_eq!(tree.problems[0].kind, ProblemKind::NameClash);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tar_that_is_cut_off_says_so() {
    let (dir, samples) = samples();
    let tar = &samples["a.tar"];
    for (len, cut) in [(tar.len() - 1024, "no end mark"), (tar.len() - 1024 - 500, "cut off"), (700, "cut off")] {
        fs::write(dir.path().join("cut.tar"), &tar[..len]).unwrap();
        let store: Arc<dyn Store> = open(dir.path(), "cut.tar").await;
        let tree = scan(&store).await;
        assert!(!tree.is_complete(NodeId::ROOT), "{len}");
        assert!(tree.problems.iter().any(|p| p.message.contains(cut)), "{len}: {:?}", tree.problems);
    }
}
