//! What arrives is what was sent.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use futures::stream::TryStreamExt;
use sitta_store::{ErrorKind, Precondition, Source, What};
use sitta_testbed::samba::Samba;
use sitta_tree::{Fingerprint, Kind, Meta, RelPath, Time};

use crate::support::{bytes, get, new, open, path, put};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0] ^ (at >> 9) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_and_times_are_exact_on_disk() {
    let samba = Samba::start();
    let store = open(&samba).await;
    let edge = 256 << 10;
    for size in [0, 1, 4_096, 65_536, edge - 1, edge, edge + 1, (1 << 20) + 7, 9 << 20] {
        let (name, content) = (format!("f{size}"), pattern(size));
        let written = put(&store, &name, content.clone()).await.expect("written");
        let disk = samba.folder().join(&name);
        assert!(std::fs::read(&disk).expect("there") == content, "{size} on disk");
        assert!(get(&store, &name).await.expect("read") == content, "{size} read back");
        let meta = std::fs::metadata(&disk).expect("there");
        assert_eq!((meta.mtime(), meta.mtime_nsec()), (1_600_000_000, 123_456_700), "{size}");
        assert_eq!(written.entry.meta.mtime, Time::new(1_600_000_000, 123_456_700));
        assert_eq!(written.entry.id, meta.ino(), "the id is the inode number");
        let listed = store.list(&RelPath::root()).await.expect("listed");
        let listed = listed.into_iter().find(|(at, _)| **at == *name.as_bytes()).expect("it is there");
        assert_eq!(listed.1, written.entry, "listings and stat tell the same");
        for range in [0..1, 5..9, 0..edge as u64, 1000..(1 << 20), 1_000_000..u64::MAX] {
            let stream = store.read(&path(&name), range.clone()).await.expect("read");
            let part: Vec<_> = stream.try_collect::<Vec<_>>().await.expect("to its end");
            let end = content.len().min(usize::try_from(range.end).unwrap_or(usize::MAX));
            let wanted = &content[end.min(range.start as usize)..end];
            assert!(part.concat() == wanted, "{range:?} of {size}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_of_directories_and_odd_times() {
    let samba = Samba::start();
    let store = open(&samba).await;
    let made = store.write(new("d", What::Dir), &Arc::default()).await.expect("made").entry;
    assert_eq!((made.kind, made.meta.mtime), (Kind::Dir, Time::new(1_600_000_000, 123_456_700)));
    for mtime in [Time::new(0, 0), Time::new(-1_000_000_000, 500), Time::new(1 << 32, 999_999_900)] {
        for at in ["d", "f"] {
            if at == "f" && store.stat(&path("f")).await.expect("asked").is_none() {
                put(&store, "f", "x").await.expect("written");
            }
            let meta = Meta { mtime, ..Meta::default() };
            let set = store.set_meta(&path(at), &meta, Precondition::None).await.expect("set").entry;
            let disk = std::fs::metadata(samba.folder().join(at)).expect("there");
            let exact = Time::new(mtime.secs, mtime.nanos / 100 * 100);
            assert_eq!((set.meta.mtime, Time::new(disk.mtime(), disk.mtime_nsec() as u32)), (exact, exact), "{at}");
        }
    }
    let ancient = Meta { mtime: Time::new(-12_000_000_000, 0), ..Meta::default() };
    let error = store.set_meta(&path("d"), &ancient, Precondition::None).await.expect_err("before 1601");
    assert_eq!(error.kind, ErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_stay_when_files_are_renamed() {
    let samba = Samba::start();
    let store = open(&samba).await;
    assert!(store.capabilities().traits.stable_ids);
    let old = put(&store, "a", "x").await.expect("written").entry;
    assert_ne!(old.id, 0);
    let new = store.rename(&path("a"), &path("b"), Precondition::None).await.expect("renamed").entry;
    assert!(new.fingerprint().same_file(&old.fingerprint()));
    std::fs::rename(samba.folder().join("b"), samba.folder().join("c")).expect("renamed on the server");
    let seen = store.stat(&path("c")).await.expect("asked").expect("there");
    assert_eq!(seen.id, old.id);
    let other = put(&store, "a", "x").await.expect("written").entry;
    assert_ne!(other.id, old.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_while_it_is_read_is_noticed() {
    let samba = Samba::start();
    let store = open(&samba).await;
    for size in [5_000, 40 << 20] {
        let disk = samba.folder().join("f");
        std::fs::write(&disk, vec![1; size]).expect("written");
        let version = store.stat(&path("f")).await.expect("asked").expect("there").fingerprint();
        let source = Source::Stored { store: store.clone(), path: path("f"), version };
        let whole: Vec<_> = source.open(0).await.expect("opened").bytes.try_collect().await.expect("unchanged");
        assert_eq!(whole.concat().len(), size);
        let mut stream = source.open(0).await.expect("opened").bytes;
        stream.try_next().await.expect("a piece");
        std::fs::write(&disk, vec![2; size]).expect("written again");
        let rest: Result<Vec<_>, _> = stream.try_collect().await;
        if size > 1 << 20 {
            assert_eq!(rest.expect_err("it is another version now").kind, ErrorKind::Changed);
        }
        let error = store.fetch(&path("f"), &version, 0).await.expect_err("it is another version");
        assert_eq!((error.kind, error.path), (ErrorKind::Changed, Some(path("f"))));
    }
    let nothing = Fingerprint::default();
    let error = store.fetch(&path("none"), &nothing, 0).await.expect_err("nothing stands there");
    assert_eq!(error.kind, ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_calls_cost() {
    let samba = Samba::start();
    let store = open(&samba).await;
    put(&store, "f", "x").await.expect("written");
    let entry = store.stat(&path("f")).await.expect("asked").expect("there");
    let mut before = store.requests();
    let mut cost = || {
        let now = store.requests();
        now - std::mem::replace(&mut before, now)
    };
    store.stat(&path("f")).await.expect("asked");
    assert_eq!(cost(), 1, "stat");
    get(&store, "f").await.expect("read");
    assert!(cost() <= 2, "a small file of unknown size");
    let source = Source::Stored { store: store.clone(), path: path("f"), version: entry.fingerprint() };
    let read: Vec<_> = source.open(0).await.expect("opened").bytes.try_collect().await.expect("read");
    assert_eq!((read.concat().len(), cost()), (1, 1), "a small file, checked to the end");
    put(&store, "g", "x").await.expect("written");
    assert_eq!(cost(), 2, "a new small file: make and flush, rename and close");
    let meta = Meta { mtime: Time::new(5, 0), ..Meta::default() };
    store.set_meta(&path("g"), &meta, Precondition::None).await.expect("set");
    assert_eq!(cost(), 3, "set_meta: stat, set, stat");
    store.write(new("h", bytes(vec![0; 8 << 20])), &Arc::default()).await.expect("written");
    assert!(cost() <= 16 + 8, "8 MiB");
}
