//! Files that are none, and trees that are too deep for a path.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, OFlags};
use sitta_store::{Displaced, ErrorKind, Precondition, Store, What, Write};
use sitta_tree::{Kind, ProblemKind, RelPath, Unknown};

use super::tools::*;

#[tokio::test]
async fn special_files_are_seen_and_never_opened() {
    let (home, store) = folder();
    std::fs::write(home.path().join("f"), "x").unwrap();
    let fifo = home.path().join("fifo");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(home.path().join("socket")).unwrap();
    let tree = scan(&store).await;
    for name in ["fifo", "socket"] {
        let id = tree.find(&path(name)).expect("it is seen");
        assert_eq!((tree.kind(id), tree.unknown(id)), (Kind::Unknown, Some(Unknown::Special)));
        assert!(tree.problems.iter().any(|p| p.path == path(name) && p.kind == ProblemKind::Special));
        // Opening a fifo would wait for its other end.
        assert_eq!(store.read(&path(name), 0..10).await.err().expect("no bytes").kind, ErrorKind::Unsupported);
        let entry = store.stat(&path(name)).await.unwrap().expect("it is seen");
        let expect = Precondition::Version(entry.fingerprint());
        let over = write(&store, Write { expect, ..new(name, bytes("x")) }).await;
        assert_eq!(over.unwrap_err().kind, ErrorKind::Unsupported);
        let removed = store.remove(&path(name), Precondition::None, Displaced::Discard).await;
        assert_eq!(removed.unwrap_err().kind, ErrorKind::Unsupported);
        let absent = write(&store, new(name, bytes("x"))).await;
        assert_eq!(absent.unwrap_err().kind, ErrorKind::Changed);
    }
    assert_eq!(tree.problems.len(), 2);
    assert!(fifo.exists());
}

/// Makes a chain of directories, each `name`, with a file in each, by handles alone.
fn chain(root: &std::path::Path, name: &str, depth: usize) -> RelPath {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = rustix::fs::open(root, flags, Mode::empty()).unwrap();
    let name = CString::new(name).unwrap();
    let mut bytes = Vec::new();
    for _ in 0..depth {
        rustix::fs::mkdirat(&at, &*name, Mode::from_raw_mode(0o755)).unwrap();
        // A sibling, so that every directory on the way has more to come back for.
        rustix::fs::mkdirat(&at, c"zz", Mode::from_raw_mode(0o755)).unwrap();
        at = rustix::fs::openat(&at, &*name, flags, Mode::empty()).unwrap();
        bytes.extend_from_slice(name.to_bytes());
        bytes.push(b'/');
    }
    bytes.pop();
    RelPath::new(bytes).unwrap()
}

#[tokio::test]
async fn deeper_than_any_path() {
    let ((from, source), (_to, dest)) = (folder(), folder());
    let bottom = chain(from.path(), &"n".repeat(200), 100);
    assert!(bottom.as_bytes().len() > 3 * 4096);
    let tree = scan(&source).await;
    assert!(tree.problems.is_empty(), "{:?}", tree.problems);
    assert_eq!(tree.len(), 1 + 200);
    assert!(tree.find(&bottom).is_some());
    let file = bottom.join(b"f").unwrap();
    let one = Write { path: file.clone(), ..new("f", bytes("deep")) };
    let written = write(&source, one).await.unwrap();
    assert_eq!(source.stat(&file).await.unwrap(), Some(written.entry));
    // A copy of it all, in batches.
    let tree = scan(&source).await;
    let store: Arc<dyn Store> = Arc::new(source.clone());
    let mut writes: Vec<_> = tree
        .ids()
        .skip(1)
        .map(|id| {
            let (path, version) = (tree.path(id), tree.fingerprint(id));
            let what = match tree.kind(id) {
                Kind::Dir => What::Dir,
                _ => What::File(sitta_store::Source::Stored { store: store.clone(), path: path.clone(), version }),
            };
            Write { path, meta: tree.meta(id), ..new(&format!("t{}", id.index()), what) }
        })
        .collect();
    writes.sort_by(|a, b| a.path.cmp(&b.path));
    for result in dest.write_batch(writes, &Arc::default()).await {
        result.unwrap();
    }
    assert_eq!(scan(&dest).await.len(), tree.len());
    assert!(dest.stat(&file).await.unwrap().is_some());
    source.remove(&file, Precondition::None, Displaced::Discard).await.unwrap();
}

#[tokio::test]
async fn more_levels_than_handles() {
    let (home, store) = folder();
    let bottom = chain(home.path(), "d", 1500);
    let tree = scan(&store).await;
    assert!(tree.problems.is_empty(), "{:?}", tree.problems);
    assert_eq!(tree.len(), 1 + 3000);
    assert_eq!(tree.path(tree.find(&bottom).expect("there")), bottom);
    // The test's own cleaning up takes no such paths.
    let all = tree.ids().skip(1).map(|id| tree.path(id)).collect::<Vec<_>>();
    let mut sorted = all.clone();
    sorted.sort();
    for path in sorted.iter().rev() {
        store.remove(path, Precondition::None, Displaced::Discard).await.unwrap();
    }
}

#[tokio::test]
async fn names_that_are_no_text() {
    let (home, store) = folder();
    let name = std::ffi::OsStr::from_bytes(b"odd \xff\n name");
    std::fs::write(home.path().join(name), "x").unwrap();
    let tree = scan(&store).await;
    let id = tree.find(&path(name.as_bytes())).expect("it is there as it is");
    assert_eq!(tree.name(id), name.as_bytes());
}
