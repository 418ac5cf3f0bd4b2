//! Writing: all or nothing, and only from the version that was meant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sitta_tree::{ContentHash, Kind};

use super::tools::*;
use crate::memory::{Fault, MemoryStore};
use crate::{Displaced, ErrorKind, Precondition, Source, Store, What, Write};

fn hash(content: &[u8]) -> ContentHash {
    ContentHash(*blake3::hash(content).as_bytes())
}

/// A file in another store, as a source.
async fn elsewhere(content: impl Into<bytes::Bytes>) -> (MemoryStore, Source) {
    let memory = MemoryStore::new("memory:elsewhere");
    memory.put(&path("source"), content);
    let version = memory.stat(&path("source")).await.unwrap().expect("just put").fingerprint();
    let source = Source::Stored { store: Arc::new(memory.clone()), path: path("source"), version };
    (memory, source)
}

pub(super) async fn entry_is_what_stat_tells(store: Subject) {
    let written = write(&store, new("f", bytes("content"))).await.unwrap();
    assert_eq!(stat(&store, "f").await.as_ref(), Some(&written.entry));
    assert_eq!((written.entry.kind, written.entry.size), (Kind::File, 7));
    assert!(written.content.is_none_or(|content| content == hash(b"content")));
    assert_eq!(get(&store, "f").await.unwrap(), b"content");
    let again = Write { expect: version(&store, "f").await, ..new("f", bytes("other")) };
    let again = write(&store, again).await.unwrap();
    assert_eq!(stat(&store, "f").await.as_ref(), Some(&again.entry));
    assert_ne!(again.entry.fingerprint(), written.entry.fingerprint(), "another version is told apart");
    assert_eq!(paths(&store).await, ["f"]);
}

pub(super) async fn readers_see_old_or_new(store: Subject) {
    let versions: Vec<_> = (0..20u8).map(|n| vec![n; 70_000 + usize::from(n) * 1000]).collect();
    put(&store, "f", versions[0].clone()).await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, done) = (store.clone(), done.clone());
        tokio::spawn(async move {
            let mut seen = 0_u64;
            loop {
                let content = get(&store, "f").await.expect("it never goes away");
                let n = content.first().copied().expect("it is never empty");
                assert!(content.iter().all(|byte| *byte == n), "parts of two versions");
                assert_eq!(content.len(), 70_000 + usize::from(n) * 1000, "a part of a version");
                seen += 1;
                if done.load(Ordering::Relaxed) {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    for content in &versions[1..] {
        let one = Write { expect: version(&store, "f").await, ..new("f", bytes(content.clone())) };
        write(&store, one).await.unwrap();
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::Relaxed);
    assert!(reader.await.expect("every read was whole") > 0, "the reader read");
}

pub(super) async fn failed_ones_leave_no_trace(store: Subject) {
    dir(&store, "d").await;
    put(&store, "d/f", "old").await;
    assert_eq!(refused(write(&store, new("d/f", bytes("new"))).await, "d/f"), ErrorKind::Changed);
    // Where directories are only implied, a file may stand beside one of its name.
    if store.capabilities().traits.dirs {
        assert_eq!(refused(write(&store, new("d", bytes("new"))).await, "d"), ErrorKind::Changed);
        let over_dir = Write { expect: Precondition::None, ..new("d", bytes("new")) };
        write(&store, over_dir).await.expect_err("a directory that is not empty stays");
    }
    assert_eq!(paths(&store).await, ["d", "d/f"]);
    assert_eq!(get(&store, "d/f").await.unwrap(), b"old");
}

pub(super) async fn parent_must_be_a_directory(store: Subject) {
    put(&store, "f", "x").await;
    if store.capabilities().traits.dirs {
        assert_eq!(refused(write(&store, new("none/g", bytes("x"))).await, "none/g"), ErrorKind::NotFound);
    }
    assert_eq!(refused(write(&store, new("f/g", bytes("x"))).await, "f/g"), ErrorKind::NotADirectory);
    assert_eq!(refused(write(&store, new("f/g", What::Dir)).await, "f/g"), ErrorKind::NotADirectory);
    assert_eq!(paths(&store).await, ["f"]);
}

pub(super) async fn cancelled(store: Subject) {
    let flow = flow();
    flow.cancel();
    let refusal = store.write(new("f", bytes("x")), &flow).await;
    assert_eq!(refused(refusal, "f"), ErrorKind::Cancelled);
    assert_eq!(paths(&store).await, Vec::<String>::new());
}

pub(super) async fn cancelled_half_way(store: Subject) {
    put(&store, "f", "old").await;
    let (memory, source) = elsewhere(pattern(8 << 20)).await;
    let flow = flow();
    let stop = flow.clone();
    memory.on_call(move |call| {
        if call.name == "read" {
            stop.cancel();
        }
        Fault::None
    });
    let one = Write { expect: version(&store, "f").await, ..new("f", What::File(source)) };
    let failed = store.write(one, &flow).await.expect_err("it was cancelled");
    assert_eq!(failed.kind, ErrorKind::Cancelled);
    assert_eq!(get(&store, "f").await.unwrap(), b"old");
    assert_eq!(paths(&store).await, ["f"]);
}

pub(super) async fn source_that_changes(store: Subject) {
    for size in [10, 4 << 20] {
        let (memory, source) = elsewhere(pattern(size)).await;
        let changing = memory.clone();
        memory.on_call(move |call| {
            // Asked for once the bytes were read.
            if call.name == "stat" {
                let changing = changing.clone();
                std::thread::spawn(move || changing.put(&path("source"), "other")).join().expect("it is put");
            }
            Fault::None
        });
        let failed = write(&store, new("f", What::File(source))).await.expect_err("the source changed");
        assert_eq!(failed.kind, ErrorKind::Changed, "{size} bytes");
        assert_eq!(paths(&store).await, Vec::<String>::new());
    }
}

pub(super) async fn source_that_changed_before(store: Subject) {
    let (memory, source) = elsewhere("12345").await;
    memory.put(&path("source"), "54321");
    let failed = write(&store, new("f", What::File(source))).await.expect_err("another version");
    assert_eq!(failed.kind, ErrorKind::Changed);
    let own = put(&store, "own", "12345").await;
    let mut version = own.fingerprint();
    version.mtime.secs += 100;
    let source = Source::Stored { store: store.clone(), path: path("own"), version };
    let failed = write(&store, new("f", What::File(source))).await.expect_err("another version");
    assert_eq!(failed.kind, ErrorKind::Changed);
    assert_eq!(paths(&store).await, ["own"]);
}

pub(super) async fn source_that_fails(store: Subject) {
    let (memory, source) = elsewhere("12345").await;
    memory.fail_nth(1, ErrorKind::Denied);
    let failed = write(&store, new("f", What::File(source.clone()))).await.expect_err("unreadable");
    assert_eq!((failed.kind, failed.path), (ErrorKind::Denied, Some(path("source"))), "the source is named");
    memory.calm();
    memory.take(&path("source"));
    write(&store, new("f", What::File(source))).await.expect_err("it is gone");
    assert_eq!(paths(&store).await, Vec::<String>::new());
}

pub(super) async fn from_another_store(store: Subject) {
    for size in [0, 1, 70_000, (3 << 20) + 1] {
        let content = pattern(size);
        let (_, source) = elsewhere(content.clone()).await;
        let (at, flow) = (format!("f{size}"), flow());
        let written = store.write(new(&at, What::File(source)), &flow).await.unwrap();
        assert_eq!(written.entry.size, size as u64);
        assert!(written.content.is_none_or(|content_hash| content_hash == hash(&content)));
        assert!(get(&store, &at).await.unwrap() == content, "the same {size} bytes");
    }
    let content = pattern(100_000);
    let own = put(&store, "own", content.clone()).await;
    let source = Source::Stored { store: store.clone(), path: path("own"), version: own.fingerprint() };
    write(&store, new("copy", What::File(source))).await.unwrap();
    assert!(get(&store, "copy").await.unwrap() == content, "a copy in the same store");
}

pub(super) async fn symlinks(store: Subject) {
    for (at, target) in [("a", &b"target"[..]), ("b", b"../out/of/here"), ("c", b"/abs"), ("d", b"odd \xff\n")] {
        let written = write(&store, new(at, What::Symlink(target.into()))).await.unwrap();
        assert_eq!((written.entry.kind, &*written.entry.target), (Kind::Symlink, target));
        assert_eq!(stat(&store, at).await, Some(written.entry));
    }
    let one = Write { expect: version(&store, "a").await, ..new("a", What::Symlink((*b"other").into())) };
    let written = write(&store, one).await.unwrap();
    assert_eq!(&*written.entry.target, b"other");
    let one = Write { expect: version(&store, "a").await, ..new("a", bytes("now a file")) };
    write(&store, one).await.unwrap();
    assert_eq!(get(&store, "a").await.unwrap(), b"now a file");
    let one = Write { expect: version(&store, "a").await, ..new("a", What::Symlink((*b"back").into())) };
    write(&store, one).await.unwrap();
    assert_eq!(paths(&store).await, ["a", "b", "c", "d"]);
}

pub(super) async fn not_through_links(store: Subject) {
    dir(&store, "d").await;
    let old = put(&store, "d/f", "old").await;
    write(&store, new("l", What::Symlink((*b"d").into()))).await.unwrap();
    write(&store, new("lf", What::Symlink((*b"d/f").into()))).await.unwrap();
    assert_eq!(refused(write(&store, new("l/g", bytes("x"))).await, "l/g"), ErrorKind::NotADirectory);
    assert_eq!(refused(write(&store, new("l/g", What::Dir)).await, "l/g"), ErrorKind::NotADirectory);
    let through = store.remove(&path("l/f"), Precondition::None, Displaced::Discard).await;
    assert_eq!(refused(through, "l/f"), ErrorKind::NotADirectory);
    let through = store.set_meta(&path("l/f"), &some_meta(), Precondition::None).await;
    assert_eq!(refused(through, "l/f"), ErrorKind::NotADirectory);
    let one = Write { expect: version(&store, "lf").await, ..new("lf", bytes("new")) };
    write(&store, one).await.unwrap();
    assert_eq!(stat(&store, "d/f").await, Some(old), "what the link pointed to is untouched");
    assert_eq!(get(&store, "lf").await.unwrap(), b"new");
    store.remove(&path("l"), Precondition::None, Displaced::Discard).await.unwrap();
    assert_eq!(paths(&store).await, ["d", "d/f", "lf"]);
}

pub(super) async fn hard_links(store: Subject) {
    let first = put(&store, "a", "shared").await;
    let written = write(&store, new("b", What::Link(path("a")))).await.unwrap();
    assert!(written.entry.linked && written.entry.size == 6);
    assert_eq!(written.entry.id, first.id);
    assert!(stat(&store, "a").await.expect("still there").linked);
    let again = refused(write(&store, new("b", What::Link(path("a")))).await, "b");
    assert_eq!(again, ErrorKind::Changed);
    let over = Write { expect: version(&store, "b").await, ..new("b", bytes("alone")) };
    write(&store, over).await.unwrap();
    assert_eq!(get(&store, "a").await.unwrap(), b"shared");
    write(&store, new("c", What::Link(path("none")))).await.expect_err("nothing to link to");
    assert_eq!(paths(&store).await, ["a", "b"]);
}
