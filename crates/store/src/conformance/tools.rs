//! What the checks are made of.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::TryStreamExt;
use sitta_tree::{Entry, Meta, RelPath, Time, Tree};

use crate::{
    Displaced, ErrorKind, Flow, Precondition, Result, ScanOptions, Source, Store, TEMP_PREFIX, What, Write, Written,
};

pub(super) type Subject = Arc<dyn Store>;

pub(super) fn path(text: impl AsRef<[u8]>) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

/// Some time that every store can keep.
pub(super) const MTIME: Time = Time::new(1_600_000_000, 0);

pub(super) fn some_meta() -> Meta {
    Meta { mtime: MTIME, mode: 0o644, ..Meta::default() }
}

/// A write of `what` to a path where nothing stands.
pub(super) fn new(at: &str, what: What) -> Write {
    let mode = if matches!(what, What::Dir) { 0o755 } else { 0o644 };
    Write {
        path: path(at),
        what,
        meta: Meta { mode, ..some_meta() },
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: format!("{TEMP_PREFIX}check-{:x}", fingerprint_of(at)).into(),
    }
}

fn fingerprint_of(text: &str) -> u64 {
    text.bytes().fold(5381, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte))
}

pub(super) fn bytes(content: impl Into<Bytes>) -> What {
    What::File(Source::Bytes(content.into()))
}

/// Bytes in which no part repeats soon.
pub(super) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0] ^ (at >> 9) as u8).collect()
}

pub(super) async fn write(store: &Subject, write: Write) -> Result<Written> {
    store.write(write, &Arc::default()).await
}

/// Writes a new file.
pub(super) async fn put(store: &Subject, at: &str, content: impl Into<Bytes>) -> Entry {
    write(store, new(at, bytes(content))).await.expect("a new file").entry
}

/// Makes a directory. A store that keeps none shows it once it holds something.
pub(super) async fn dir(store: &Subject, at: &str) -> Entry {
    write(store, new(at, What::Dir)).await.expect("a new directory").entry
}

pub(super) async fn get(store: &Subject, at: &str) -> Result<Vec<u8>> {
    read(store, at, 0..u64::MAX).await
}

pub(super) async fn read(store: &Subject, at: &str, range: std::ops::Range<u64>) -> Result<Vec<u8>> {
    let stream = store.read(&path(at), range).await?;
    let add = |mut all: Vec<u8>, piece: Bytes| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    };
    stream.try_fold(Vec::new(), add).await
}

pub(super) async fn stat(store: &Subject, at: &str) -> Option<Entry> {
    store.stat(&path(at)).await.expect("stat works")
}

/// The version that stands at a path.
pub(super) async fn version(store: &Subject, at: &str) -> Precondition {
    Precondition::Version(stat(store, at).await.expect("something stands there").fingerprint())
}

pub(super) async fn scan(store: &Subject) -> Tree {
    store.scan(&ScanOptions::default()).await.expect("a scan")
}

/// All paths of the store, and no temporary among them or left behind.
pub(super) async fn paths(store: &Subject) -> Vec<String> {
    let options = ScanOptions { temps: Some(Arc::default()), ..ScanOptions::default() };
    let tree = store.scan(&options).await.expect("a scan");
    let temps = options.temps.expect("just made");
    let temps = temps.lock().expect("nobody panicked");
    assert!(temps.is_empty(), "temporaries were left: {temps:?}");
    assert!(tree.problems.is_empty(), "{:?}", tree.problems);
    let mut paths: Vec<_> =
        tree.ids().map(|id| tree.path(id).to_string()).filter(|path| !path.is_empty()).collect();
    paths.sort();
    paths
}

/// What scans and listings tell of what `stat` tells as `entry`.
pub(super) fn as_listed(store: &Subject, entry: Entry) -> Entry {
    if store.capabilities().lists_meta { entry } else { Entry { meta: Meta::default(), ..entry } }
}

/// The kind of a failure, which names the path.
pub(super) fn refused<T: std::fmt::Debug>(result: Result<T>, at: &str) -> ErrorKind {
    let error = result.expect_err("this must fail");
    assert_eq!(error.path, Some(path(at)), "the error names the path: {error:?}");
    assert!(!error.location.is_empty() && !error.source.to_string().is_empty(), "{error:?}");
    error.kind
}

pub(super) fn flow() -> Arc<Flow> {
    Arc::default()
}
