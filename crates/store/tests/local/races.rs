//! Other programs change the tree at the worst moment.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sitta_store::{Displaced, ErrorKind, Precondition, Store, Write};

use super::tools::*;

/// Does something over and over in a thread until it is dropped.
struct Meanwhile(Arc<AtomicBool>, Option<std::thread::JoinHandle<u64>>);

impl Meanwhile {
    fn new(mut work: impl FnMut(u64) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut turns = 0;
            while !stopped.load(Ordering::Relaxed) {
                work(turns);
                turns += 1;
            }
            turns
        });
        Self(stop, Some(thread))
    }

    fn stop(mut self) -> u64 {
        self.0.store(true, Ordering::Relaxed);
        self.1.take().expect("running").join().expect("no panic")
    }
}

/// Exchanges a directory with a link to another place, over and over.
fn swapping(root: &Path) -> Meanwhile {
    let (dir, link) = (root.join("in/d"), root.join("in/link"));
    Meanwhile::new(move |_| renameat_with(CWD, &dir, CWD, &link, RenameFlags::EXCHANGE).expect("exchanged"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_becomes_a_link_leads_nobody_out() {
    let home = tempfile::tempdir().expect("a temporary folder");
    for dir in ["in/d", "out"] {
        std::fs::create_dir_all(home.path().join(dir)).unwrap();
    }
    std::fs::write(home.path().join("out/secret"), "secret").unwrap();
    std::fs::write(home.path().join("in/d/secret"), "public").unwrap();
    std::os::unix::fs::symlink(home.path().join("out"), home.path().join("in/link")).unwrap();
    let store = sitta_store::local::LocalStore::open(home.path().join("in")).expect("opened");
    let secret = std::os::unix::fs::MetadataExt::ino(&home.path().join("out/secret").metadata().unwrap());
    let swaps = swapping(home.path());
    let (mut written, mut refused) = (0, 0);
    for n in 0..400 {
        let writes = vec![
            new(&format!("d/f{n}"), bytes("x")),
            new_dir(&format!("d/dir{n}")),
            new(&format!("d/dir{n}/f"), bytes("x")),
        ];
        for result in store.write_batch(writes, &Arc::default()).await {
            match result {
                Ok(_) => written += 1,
                Err(error) => {
                    refused += 1;
                    assert!(
                        matches!(error.kind, ErrorKind::NotADirectory | ErrorKind::NotFound),
                        "refused because of the link: {error:?}"
                    );
                }
            }
        }
        if let Ok(mut stream) = store.read(&path("d/secret"), 0..100).await {
            let first = futures::StreamExt::next(&mut stream).await.expect("bytes").unwrap();
            assert_eq!(&first[..], b"public");
        }
        let removed = store.remove(&path("d/secret"), Precondition::Absent, Displaced::Discard).await;
        removed.expect_err("absent is never true");
        let tree = scan(&store).await;
        assert!(tree.ids().all(|id| tree.fingerprint(id).id != secret), "a scan that looked behind the link");
    }
    assert!(swaps.stop() > 100 && written > 0 && refused > 0, "{written} written, {refused} refused");
    let outside: Vec<_> = std::fs::read_dir(home.path().join("out")).unwrap().collect();
    assert_eq!(outside.len(), 1, "nothing came out: {outside:?}");
}

/// The user saves `f` over and over; each version has its own size. We replace it whenever we know what stands there.
/// What we displace must be what we knew, and what the user saved meanwhile must stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_saved_at_the_last_moment_is_not_displaced() {
    let (home, store) = folder();
    let root = home.path().to_owned();
    let save = move |turn: u64| {
        let size = 1000 + (turn % 5000) as usize;
        std::fs::write(root.join("saving"), vec![b'u'; size]).expect("written");
        std::fs::rename(root.join("saving"), root.join("f")).expect("renamed");
    };
    save(0);
    let saves = Meanwhile::new(save);
    let (mut replaced, mut refused) = (0, 0);
    for n in 0..1500 {
        let Some(seen) = store.stat(&path("f")).await.unwrap() else { panic!("f is always there") };
        let trash = format!("trash{}/{n}", n % 2);
        let one = Write {
            expect: Precondition::Version(seen.fingerprint()),
            displaced: Displaced::MoveTo(path(&trash)),
            ..new("f", bytes("ours"))
        };
        let kept = home.path().join(&trash);
        match write(&store, one).await {
            Ok(_) => {
                replaced += 1;
                assert_eq!(kept.metadata().expect("in the trash").len(), seen.size, "what we knew");
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind, ErrorKind::Changed, "{error:?}");
                assert!(!kept.exists(), "a refused write leaves nothing in the trash");
            }
        }
    }
    let turns = saves.stop();
    let last = std::fs::read(home.path().join("f")).unwrap();
    let newest = 1000 + ((turns - 1) % 5000) as usize;
    assert!(last == b"ours" || last.len() == newest, "an older version came back: {} not {newest}", last.len());
    assert!(refused > 0 && turns > 100, "{replaced} replaced, {refused} refused, {turns} saves");
    assert!(temps(home.path()).is_empty());
}

/// As above, for removals that discard: what the user saved at the last moment is put back.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_saved_at_the_last_moment_is_not_removed() {
    let (home, store) = folder();
    let root = home.path().to_owned();
    let last = Arc::new(std::sync::Mutex::new(0));
    let saved = last.clone();
    let saves = Meanwhile::new(move |turn| {
        let size = 1000 + turn;
        std::fs::write(root.join("saving"), vec![b'u'; size as usize % 9000 + 1]).expect("written");
        std::fs::rename(root.join("saving"), root.join("f")).expect("renamed");
        *saved.lock().expect("no panic") = turn;
    });
    let (mut removed, mut refused) = (0, 0);
    for _ in 0..1500 {
        let Some(seen) = store.stat(&path("f")).await.unwrap() else { continue };
        let expect = Precondition::Version(seen.fingerprint());
        match store.remove(&path("f"), expect, Displaced::Discard).await {
            Ok(()) => removed += 1,
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind, ErrorKind::Changed, "{error:?}");
            }
        }
    }
    saves.stop();
    assert!(removed + refused > 0);
    assert!(temps(home.path()).is_empty(), "{removed} removed, {refused} refused: {:?}", temps(home.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_being_written_is_not_taken() {
    let ((from, source), (to, dest)) = (folder(), folder());
    let file = from.path().join("f");
    std::fs::write(&file, vec![0; 300_000]).unwrap();
    let writes = Meanwhile::new(move |turn| {
        // In place, as a database does: half of each version at a time.
        let file = std::fs::OpenOptions::new().write(true).open(&file).expect("opened");
        for half in [0, 150_000] {
            std::os::unix::fs::FileExt::write_all_at(&file, &vec![turn as u8; 150_000], half).expect("written");
        }
        std::thread::sleep(std::time::Duration::from_millis(turn % 4));
    });
    let (mut taken, mut refused) = (0, 0);
    for n in 0..400 {
        let name = format!("f{n}");
        match write(&dest, copy_of(&source, "f", &name).await).await {
            Ok(_) => {
                taken += 1;
                let copy = std::fs::read(to.path().join(&name)).unwrap();
                assert_eq!(copy.len(), 300_000);
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind, ErrorKind::Changed);
                assert_eq!(error.path, Some(path("f")), "the source is named");
            }
        }
    }
    writes.stop();
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
    assert!(temps(to.path()).is_empty());
}
