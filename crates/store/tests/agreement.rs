//! A folder and the store in memory agree on every call of a random history, and on what it leaves.

use std::sync::Arc;

use proptest::prelude::*;
use sitta_store::local::LocalStore;
use sitta_store::memory::MemoryStore;
use sitta_store::{
    Displaced, ErrorKind, Precondition, Result, ScanOptions, Source, Store, TEMP_PREFIX, What, Write, Written,
};
use sitta_tree::{Kind, Meta, RelPath, Time};

const PATHS: [&str; 8] = ["a", "b", "a/x", "a/y", "b/x", "a/x/z", "c", "b/x/z"];

#[derive(Debug, Clone, Copy)]
enum Expect {
    None,
    Absent,
    Current,
    Stale,
}

#[derive(Debug, Clone)]
enum Step {
    File(usize, Expect, bool, u8),
    Dir(usize, Expect, bool),
    Symlink(usize, Expect, bool),
    Remove(usize, Expect, bool),
    Rename(usize, usize, Expect),
    Meta(usize, Expect, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let expect = || {
        prop_oneof![
            4 => Just(Expect::Current),
            3 => Just(Expect::Absent),
            2 => Just(Expect::None),
            1 => Just(Expect::Stale)
        ]
    };
    let at = || 0..PATHS.len();
    prop_oneof![
        4 => (at(), expect(), any::<bool>(), any::<u8>()).prop_map(|(p, e, t, n)| Step::File(p, e, t, n)),
        3 => (at(), expect(), any::<bool>()).prop_map(|(p, e, t)| Step::Dir(p, e, t)),
        1 => (at(), expect(), any::<bool>()).prop_map(|(p, e, t)| Step::Symlink(p, e, t)),
        3 => (at(), expect(), any::<bool>()).prop_map(|(p, e, t)| Step::Remove(p, e, t)),
        2 => (at(), at(), expect()).prop_map(|(a, b, e)| Step::Rename(a, b, e)),
        1 => (at(), expect(), any::<u8>()).prop_map(|(p, e, n)| Step::Meta(p, e, n)),
    ]
}

fn path(at: usize) -> RelPath {
    RelPath::new(PATHS[at]).expect("a valid path")
}

async fn expectation(store: &dyn Store, at: usize, expect: Expect) -> Precondition {
    match (expect, store.stat(&path(at)).await.expect("stat works")) {
        (Expect::None, _) => Precondition::None,
        (Expect::Absent, _) | (_, None) => Precondition::Absent,
        (Expect::Current, Some(entry)) => Precondition::Version(entry.fingerprint()),
        (Expect::Stale, Some(entry)) => {
            let mut version = entry.fingerprint();
            version.id += 1;
            Precondition::Version(version)
        }
    }
}

/// What a call came to: all that two stores have in common.
type Told = Result<Option<(Kind, u64, Time)>, ErrorKind>;

fn told(result: Result<Written>) -> Told {
    let shown = |entry: sitta_tree::Entry| match entry.kind {
        Kind::File => (entry.kind, entry.size, entry.meta.mtime),
        kind => (kind, 0, Time::default()),
    };
    result.map(|written| Some(shown(written.entry))).map_err(|error| error.kind)
}

async fn carry_out(store: &dyn Store, n: usize, step: &Step) -> Told {
    let trash = |kept: bool| match kept {
        true => Displaced::MoveTo(RelPath::new(format!("t/{n}")).expect("a valid path")),
        false => Displaced::Discard,
    };
    let mtime = Time::new(1_600_000_000 + n as i64, 0);
    let write = |at: usize, what: What, expect: Precondition, kept: bool| Write {
        path: path(at),
        meta: Meta { mtime, mode: if matches!(what, What::Dir) { 0o755 } else { 0o644 }, ..Meta::default() },
        what,
        expect,
        displaced: trash(kept),
        temp: format!("{TEMP_PREFIX}{n}").into(),
    };
    match *step {
        Step::File(at, expect, kept, size) => {
            let bytes = What::File(Source::Bytes(vec![size; usize::from(size) * 100].into()));
            let write = write(at, bytes, expectation(store, at, expect).await, kept);
            told(store.write(write, &Arc::default()).await)
        }
        Step::Dir(at, expect, kept) => {
            let write = write(at, What::Dir, expectation(store, at, expect).await, kept);
            told(store.write(write, &Arc::default()).await)
        }
        Step::Symlink(at, expect, kept) => {
            let write = write(at, What::Symlink((*b"a").into()), expectation(store, at, expect).await, kept);
            told(store.write(write, &Arc::default()).await)
        }
        Step::Remove(at, expect, kept) => {
            let expect = expectation(store, at, expect).await;
            store.remove(&path(at), expect, trash(kept)).await.map(|()| None).map_err(|error| error.kind)
        }
        Step::Rename(from, to, expect) => {
            let expect = expectation(store, from, expect).await;
            told(store.rename(&path(from), &path(to), expect).await)
        }
        Step::Meta(at, expect, mode) => {
            let meta = Meta { mtime, mode: 0o600 | u32::from(mode), ..Meta::default() };
            told(store.set_meta(&path(at), &meta, expectation(store, at, expect).await).await)
        }
    }
}

/// Everything that is there, as far as two stores agree on it.
async fn all(store: &dyn Store) -> Vec<String> {
    let options = ScanOptions { temps: Some(Arc::default()), ..ScanOptions::default() };
    let tree = store.scan(&options).await.expect("a scan");
    let temps = options.temps.expect("just made");
    assert!(temps.lock().expect("no panic").is_empty(), "temporaries were left");
    let mut all = Vec::new();
    for id in tree.ids().skip(1) {
        let facts = match tree.kind(id) {
            Kind::File => format!("{:?} {} {:o}", tree.mtime(id), tree.size(id), tree.meta(id).mode),
            kind => format!("{kind:?}"),
        };
        all.push(format!("{} {facts}", tree.path(id)));
    }
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_folder_and_memory_agree(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let home = tempfile::tempdir_in("/dev/shm").expect("a temporary folder");
            let local = LocalStore::open(home.path()).expect("opened");
            let memory = MemoryStore::new("memory:");
            for (n, step) in steps.iter().enumerate() {
                let (a, b) = (carry_out(&local, n, step).await, carry_out(&memory, n, step).await);
                prop_assert_eq!(a, b, "step {}: {:?}", n, step);
                prop_assert_eq!(all(&local).await, all(&memory).await, "after step {}: {:?}", n, step);
            }
            Ok(())
        })?;
    }
}
