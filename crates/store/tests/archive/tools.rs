//! What the tests are made of.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures::stream::StreamExt;
use sitta_store::local::LocalStore;
use sitta_store::{
    ByteStream, Capabilities, Displaced, Fetched, Flow, Precondition, Result, ScanOptions, Store, Write, Written,
    archive,
};
use sitta_testbed::need;
use sitta_tree::{Entry, Fingerprint, Kind, Meta, RelPath, Time, Tree};

pub fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

/// Runs a program in `dir` and expects it to end well.
pub fn run(dir: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(need(program)).current_dir(dir).args(arguments).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{program} {arguments:?}: {said}{told}");
}

pub fn python(dir: &Path, script: &str) {
    run(dir, "python3", &["-c", script]);
}

pub fn local(dir: &Path) -> Arc<dyn Store> {
    Arc::new(LocalStore::open(dir).expect("a folder"))
}

pub async fn open_in(outside: Arc<dyn Store>, file: &str, inner: &str) -> Result<Arc<dyn Store>> {
    archive::open(outside, &path(file), inner, &format!("somewhere/{file}!/{inner}")).await
}

pub async fn open(dir: &Path, file: &str) -> Arc<dyn Store> {
    open_in(local(dir), file, "").await.expect("an archive")
}

pub async fn scan(store: &Arc<dyn Store>) -> Tree {
    store.scan(&ScanOptions::default()).await.expect("a scan")
}

pub async fn read(store: &Arc<dyn Store>, at: &RelPath, range: Range<u64>) -> Result<Vec<u8>> {
    collect(store.read(at, range).await?).await
}

pub async fn collect(mut stream: ByteStream) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(piece) = stream.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

pub async fn get(store: &Arc<dyn Store>, at: &str) -> Result<Vec<u8>> {
    read(store, &path(at), 0..u64::MAX).await
}

/// As runs read: in the version that the scan told.
pub async fn fetch(store: &Arc<dyn Store>, tree: &Tree, at: &str) -> Result<Vec<u8>> {
    let id = tree.find(&path(at)).expect("it was seen");
    collect(store.fetch(&path(at), &tree.fingerprint(id), 0).await?.bytes).await
}

/// Bytes that do not compress.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// What there is at a path, as far as archives keep it.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    kind: Kind,
    size: u64,
    mode: u32,
    mtime: Option<Time>,
    target: Vec<u8>,
    hash: Option<[u8; 32]>,
}

/// All of a store: with times in ticks of `tick` nanoseconds, and only those of files unless `all_times`.
pub async fn seen(store: &Arc<dyn Store>, tick: u32, all_times: bool) -> BTreeMap<String, Seen> {
    let tree = scan(store).await;
    assert!(tree.problems.is_empty(), "{:?}", tree.problems);
    let mut all = BTreeMap::new();
    for id in tree.ids().skip(1) {
        let entry = tree.entry(id);
        let at = tree.path(id);
        let stat = store.stat(&at).await.expect("stat works").expect("it is there");
        assert_eq!(stat.fingerprint(), entry.fingerprint(), "{at}: stat and scan agree");
        let hash = match entry.kind {
            Kind::File => {
                let bytes = collect(store.fetch(&at, &entry.fingerprint(), 0).await.unwrap().bytes).await;
                Some(*blake3::hash(&bytes.unwrap_or_else(|e| panic!("{e}"))).as_bytes())
            }
            _ => None,
        };
        let mtime = entry.meta.mtime;
        let mtime = Time::new(mtime.secs, mtime.nanos / tick * tick);
        let seen = Seen {
            kind: entry.kind,
            size: entry.size,
            mode: if entry.kind == Kind::Symlink { 0 } else { entry.meta.mode },
            mtime: (entry.kind == Kind::File || all_times).then_some(mtime),
            target: entry.target.into(),
            hash,
        };
        all.insert(at.to_string(), seen);
    }
    all
}

/// A tree with a bit of everything.
pub fn plant(dir: &Path) {
    let deep = dir.join("a directory/of/some depth");
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir_all(dir.join("empty")).unwrap();
    fs::create_dir_all(dir.join("ordner-ä")).unwrap();
    let files: [(&str, Vec<u8>, u32, i64); 9] = [
        ("zeros", vec![0; 3 << 20], 0o644, 1_600_000_001),
        ("noise", noise((2 << 20) + 17, 1), 0o600, 1_500_000_003),
        ("nothing", Vec::new(), 0o640, 1_400_000_005),
        ("run.sh", b"#!/bin/sh\n".to_vec(), 0o755, 1_300_000_007),
        ("ordner-ä/größe.txt", b"utf-8".to_vec(), 0o644, 1_200_000_009),
        ("a directory/of/some depth/text", b"some text\n".repeat(9999), 0o444, 1_700_000_011),
        ("a directory/-dash", b"-".to_vec(), 0o644, 1_700_000_013),
        ("a directory/q?*\\n", b"odd".to_vec(), 0o644, 1_700_000_015),
        ("zz", noise(70_000, 2), 0o644, 1_700_000_017),
    ];
    for (name, bytes, mode, mtime) in files {
        let file = dir.join(name);
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::new(mtime as u64, 123_456_789);
        fs::File::open(&file).unwrap().set_modified(time).unwrap();
    }
    symlink("zeros", dir.join("link")).unwrap();
    symlink("../nowhere/at all", dir.join("a directory/dangling")).unwrap();
}

/// Counts the bytes that are read.
#[derive(Debug, Clone)]
pub struct Counted {
    inner: Arc<dyn Store>,
    bytes: Arc<AtomicU64>,
}

impl Counted {
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, bytes: Arc::default() }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    fn count(&self, stream: ByteStream) -> ByteStream {
        let bytes = self.bytes.clone();
        let count = move |piece: &Result<bytes::Bytes>| {
            bytes.fetch_add(piece.as_ref().map_or(0, |piece| piece.len() as u64), Relaxed);
        };
        stream.inspect(count).boxed()
    }
}

#[async_trait::async_trait]
impl Store for Counted {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Tree> {
        self.inner.scan(options).await
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        self.inner.list(dir).await
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        self.inner.stat(path).await
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        Ok(self.count(self.inner.read(path, range).await?))
    }

    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        let fetched = self.inner.fetch(path, version, offset).await?;
        Ok(Fetched { bytes: self.count(fetched.bytes), ..fetched })
    }

    async fn write(&self, _: Write, _: &Arc<Flow>) -> Result<Written> {
        unreachable!("archives change nothing")
    }

    async fn remove(&self, _: &RelPath, _: Precondition, _: Displaced) -> Result<()> {
        unreachable!("archives change nothing")
    }

    async fn rename(&self, _: &RelPath, _: &RelPath, _: Precondition) -> Result<Written> {
        unreachable!("archives change nothing")
    }

    async fn set_meta(&self, _: &RelPath, _: &Meta, _: Precondition) -> Result<Written> {
        unreachable!("archives change nothing")
    }

    async fn sync(&self) -> Result<()> {
        Ok(())
    }
}
