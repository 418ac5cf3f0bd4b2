//! Random histories through the real executor and the real state, between two stores in memory: calls fail, replies get
//! lost, the source is edited in mid-run, the run is cancelled or dies. Whatever happens, old versions are in the
//! trash, and the first undisturbed run makes both sides the same.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use sitta_ops::{MaxDelete, Report, RunError, State, transfer};
use sitta_store::memory::{Call, Fault, MemoryStore};
use sitta_store::{ErrorKind, Flow, Store, TEMP_PREFIX};
use sitta_tree::{Kind, Policy, RelPath};
use tokio::sync::Notify;

/// SplitMix64: small, and the same everywhere, so that a seed is a test case.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

const NAMES: [&str; 9] = ["a", "b", "c", "d/a", "d/b", "d/e/a", "d/e/b", "f/a", "f"];

/// One pair of stores and what has happened to it.
struct History {
    random: Random,
    left: MemoryStore,
    right: MemoryStore,
    state: tempfile::TempDir,
    serial: Arc<Mutex<u64>>,
    /// Every content that the right side ever held after a run, unless its user removed it there.
    held: BTreeSet<Vec<u8>>,
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// One edit by a user: a new version of unlike content, or a removal.
fn edit(store: &MemoryStore, random: &mut Random, serial: &Mutex<u64>) {
    let name = path(NAMES[random.below(NAMES.len() as u64) as usize]);
    if random.one_in(3) {
        store.take(&name);
    } else {
        let mut serial = serial.lock().unwrap();
        *serial += 1;
        // What is in the way goes: a file where a directory is wanted, and the reverse.
        let mut above = name.parent();
        while let Some(dir) = above.filter(|dir| !dir.is_root()) {
            if futures::executor::block_on(store.stat(&dir)).unwrap().is_some_and(|e| e.kind != Kind::Dir) {
                store.take(&dir);
            }
            above = dir.parent();
        }
        store.take(&name);
        // Each version has a size of its own: both clocks tick alike, so that time alone would not tell them apart.
        store.put(&name, format!("{serial}{}", ".".repeat(*serial as usize)));
    }
}

async fn content(store: &dyn Store, path: &RelPath) -> Vec<u8> {
    let mut chunks = store.read(path, 0..u64::MAX).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    bytes
}

/// Every file below `dir` with its bytes.
async fn files(store: &dyn Store, dir: &RelPath, out: &mut Vec<(RelPath, Vec<u8>)>) {
    for (name, entry) in store.list(dir).await.unwrap_or_default() {
        let path = dir.join(&name).unwrap();
        match entry.kind {
            Kind::Dir => Box::pin(files(store, &path, out)).await,
            _ => out.push((path.clone(), content(store, &path).await)),
        }
    }
}

impl History {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            left: MemoryStore::new("memory:left"),
            right: MemoryStore::new("memory:right"),
            state: tempfile::tempdir().unwrap(),
            serial: Arc::default(),
            held: BTreeSet::new(),
        }
    }

    async fn files(&self, store: &MemoryStore, dir: &str) -> Vec<(RelPath, Vec<u8>)> {
        let mut out = Vec::new();
        files(store, &path(dir), &mut out).await;
        out
    }

    /// Runs a mirror; none if it died on the way.
    async fn run(&mut self, disturbed: bool) -> Option<Result<Report, RunError>> {
        let mut options = crate::support::options(Policy::Mirror);
        options.trash = Some(path(".sitta/trash"));
        options.max_delete = MaxDelete::Percent(100);
        options.force_empty = true;
        let (flow, death) = (Arc::new(Flow::default()), Arc::new(Notify::new()));
        if disturbed {
            self.disturb(&flow, &death);
        }
        let state = State::open(self.state.path()).unwrap();
        let (left, right) = (Arc::new(self.left.clone()), Arc::new(self.right.clone()));
        let result = tokio::select! {
            biased;
            () = death.notified() => None,
            result = transfer(left, right, &options, &state, &(), &flow) => Some(result),
        };
        self.left.calm();
        self.right.calm();
        result
    }

    fn disturb(&mut self, flow: &Arc<Flow>, death: &Arc<Notify>) {
        let mut random = Random(self.random.next());
        let (left, serial) = (self.left.clone(), self.serial.clone());
        let (flow, death) = (flow.clone(), death.clone());
        let end = random.below(60);
        let mut calls = 0;
        self.right.on_call(move |_: &Call| {
            calls += 1;
            if calls == end {
                if random.one_in(2) { flow.cancel() } else { death.notify_one() }
            }
            if random.one_in(6) {
                edit(&left, &mut random, &serial);
            }
            match random.below(30) {
                0 => Fault::Fail(ErrorKind::Denied),
                1 => Fault::Fail(ErrorKind::Full),
                2 => Fault::LoseReply(ErrorKind::Unreachable),
                3 => Fault::Delay(2),
                _ => Fault::None,
            }
        });
    }

    /// Everything that the right side held is there still, under its path or in the trash.
    async fn nothing_is_lost(&mut self, seed: u64) {
        let mut there: BTreeSet<Vec<u8>> = self.files(&self.right, "").await.into_iter().map(|f| f.1).collect();
        let kept: BTreeSet<Vec<u8>> = self.files(&self.right, ".sitta").await.into_iter().map(|f| f.1).collect();
        for content in &self.held {
            assert!(
                there.contains(content) || kept.contains(content),
                "seed {seed}: {:?} is lost",
                String::from_utf8_lossy(content)
            );
        }
        self.held.append(&mut there);
    }

    /// Users edit the destination too; what they remove there is theirs to lose.
    async fn edit_right(&mut self) {
        let before: BTreeSet<_> = self.files(&self.right, "").await.into_iter().map(|f| f.1).collect();
        edit(&self.right, &mut self.random, &self.serial);
        let after: BTreeSet<_> = self.files(&self.right, "").await.into_iter().map(|f| f.1).collect();
        before.difference(&after).for_each(|content| {
            self.held.remove(content);
        });
        self.held.extend(after);
    }
}

async fn play(seed: u64) {
    let mut history = History::new(seed);
    for _ in 0..6 {
        for _ in 0..history.random.below(6) {
            edit(&history.left, &mut history.random, &history.serial);
        }
        if history.random.one_in(3) {
            history.edit_right().await;
        }
        history.run(true).await;
        history.nothing_is_lost(seed).await;
    }
    let report = history.run(false).await.expect("nobody kills it").unwrap();
    history.nothing_is_lost(seed).await;
    assert_eq!(report.problems, [], "seed {seed}");
    assert_eq!(history.files(&history.left, "").await, history.files(&history.right, "").await, "seed {seed}");
    let mut all = history.files(&history.right, ".sitta").await;
    all.extend(history.files(&history.right, "").await);
    assert!(all.iter().all(|(p, _)| !p.to_string().contains(TEMP_PREFIX)), "seed {seed}: a temporary is left");
    let report = history.run(false).await.unwrap().unwrap();
    assert_eq!((report.copied, report.updated, report.moved, report.deleted), (0, 0, 0, 0), "seed {seed}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how many and which histories is for whoever runs the test to say")]
fn a_mirror_survives_whatever_happens_to_it() {
    let histories = std::env::var("SITTA_HISTORIES").ok().map_or(150, |n| n.parse().unwrap());
    let first = std::env::var("SITTA_SEED").ok().map_or(0, |n| n.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for seed in first..first + histories {
        runtime.block_on(play(seed));
    }
}
