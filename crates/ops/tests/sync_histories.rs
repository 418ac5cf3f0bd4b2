//! Random histories of two-way sync through the real executor and the real state: users edit both sides, also between
//! any two calls; calls fail, replies get lost, runs are stopped or die, a side does not answer or comes back from an
//! older copy, the state is lost. Every content is written once, so that it is known who got rid of it: nothing may be
//! lost, and once everybody keeps still both sides become the same.
//!
//! Environment, for more than a check in passing:
//! - `SITTA_HISTORIES`: how many histories for each test.
//! - `SITTA_SEED`: the first seed (default 1). A failure prints its own seed; with it here and `SITTA_HISTORIES=1`
//!   that one history runs alone.
//! - `SITTA_FOLDERS`: where folders are made (default `/dev/shm`): file systems differ in how their clocks tick.
//! - `SITTA_TRACE=1`: tells all that happens; for a single history.

mod histories;

use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;
use histories::folder::Folder;
use histories::hands::Hands;
use histories::history::Opener;
use histories::objects::Objects;
use histories::random::Random;
use histories::servers::{Bucket, Place, Share, Sitta};
use histories::world::World;
use histories::{Ground, on_conflict, play};
use sitta_store::local::LocalStore;
use sitta_store::memory::MemoryStore;
use sitta_store::{Capabilities, Store};
use sitta_testbed::s3::S3Server;
use sitta_tree::{SideTraits, Time};

/// Names that meet: case, normalisation, and plain ones.
const NAMES: [&str; 5] = ["a", "b", "A", "\u{e9}", "e\u{301}"];

/// A place for one history: in memory where there is one.
#[expect(clippy::disallowed_methods, reason = "where is for whoever runs the test to say")]
fn dir() -> tempfile::TempDir {
    let chosen = std::env::var_os("SITTA_FOLDERS").unwrap_or_else(|| "/dev/shm".into());
    tempfile::tempdir_in(chosen).or_else(|_| tempfile::tempdir()).unwrap()
}

fn some_names(random: &mut Random, of: &[&'static str]) -> Vec<&'static str> {
    of[..2 + random.below(of.len() - 1)].to_vec()
}

/// Stores of random kinds: good disks, object stores, and between them.
fn in_memory(random: &mut Random, name: &str) -> MemoryStore {
    let mut capabilities = MemoryStore::CAPABILITIES;
    let traits = capabilities.traits;
    if random.percent(20) {
        let traits = SideTraits { owners: false, symlinks: false, dirs: false, stable_ids: false, ..traits };
        capabilities = Capabilities { traits, lists_meta: false, ..capabilities };
    } else {
        capabilities.traits = SideTraits {
            stable_ids: random.percent(70),
            folds_names: random.percent(15),
            modes: random.percent(85),
            mtime_precision: *random.pick(&[1, 1, 1, 100, 1_000_000_000, 0]),
            symlinks: random.percent(85),
            ..traits
        };
    }
    MemoryStore::with(name, capabilities)
}

fn memory_ground(seed: u64) -> Ground {
    let mut random = Random::new(!seed);
    let stores = [in_memory(&mut random, "memory:left"), in_memory(&mut random, "memory:right")];
    // Both clocks tick each microsecond: they never tell the same time.
    stores[1].set_clock(Time::new(1_700_000_000, 500));
    let folds = stores.iter().any(|store| store.capabilities().traits.folds_names);
    // The store in memory folds plain letters only.
    let names = some_names(&mut random, if folds { &NAMES[..3] } else { &NAMES });
    let traits = stores.each_ref().map(|store| store.capabilities().traits);
    let hands = stores.each_ref().map(|store| Box::new(Objects::memory(store)) as Box<dyn Hands>);
    let open = stores.map(|store| -> Opener {
        Box::new(move || {
            let store: Arc<dyn Store> = Arc::new(store.clone());
            Box::pin(async { store })
        })
    });
    let dir = dir();
    Ground {
        world: World::new(hands, traits, names, on_conflict(seed)),
        open,
        state: dir.path().join("state"),
        dir,
    }
}

fn folder(dir: &Path, name: &str) -> Place {
    let root = dir.join(name);
    let hands = Box::new(Folder::new(root.clone(), dir.join(format!("aside-{name}")), None));
    let traits = LocalStore::open(&root).unwrap().capabilities().traits;
    let open = Box::new(move || {
        let store: Arc<dyn Store> = Arc::new(LocalStore::open(&root).unwrap());
        Box::pin(async { store }) as BoxFuture<'static, _>
    });
    Place { hands, open, traits }
}

/// A history between two places.
fn between(seed: u64, dir: tempfile::TempDir, left: Place, right: Place, names: &[&'static str]) -> Ground {
    let names = some_names(&mut Random::new(!seed), names);
    let world = World::new([left.hands, right.hands], [left.traits, right.traits], names, on_conflict(seed));
    Ground { world, open: [left.open, right.open], state: dir.path().join("state"), dir }
}

fn folders_ground(seed: u64) -> Ground {
    let dir = dir();
    let (left, right) = (folder(dir.path(), "left"), folder(dir.path(), "right"));
    between(seed, dir, left, right, &NAMES)
}

/// 10, 14: times that a listing had not told were taken for what recognises a version, so that nothing could be done to
/// such files any more. 8006674: an empty directory, only implied, was in a file's way. 8015064: as 1001585 of the folders,
/// without ids. 8006858: the same as 8006674, of a directory in a directory. 8007831, 8049281: what had changed between listing and asking gave its counterpart permissions that
/// nobody had told. 8022350: a removal that went unanswered had been done, and the base went on claiming the path.
#[test]
fn stores_in_memory_lose_nothing() {
    let known = [10, 14, 8_006_674, 8_006_858, 8_007_831, 8_015_064, 8_022_350, 8_049_281];
    histories::histories(400, &known, memory_ground);
}

#[test]
fn object_stores_lose_nothing() {
    let bucket = Bucket::new(S3Server::moto());
    histories::histories(6, &[7_010_015], |seed| {
        let dir = dir();
        let (left, right) = (folder(dir.path(), "folder"), bucket.place(&format!("h{seed}")));
        between(seed, dir, left, right, &NAMES)
    });
}

#[test]
fn object_stores_without_conditions_lose_nothing() {
    let buckets = dir();
    let bucket = Bucket::new(S3Server::rclone(buckets.path()));
    histories::histories(10, &[], |seed| {
        let dir = dir();
        let (left, right) = (bucket.place(&format!("h{seed}")), folder(dir.path(), "folder"));
        // rclone finds a file under another normalisation of its name too, and loses its way where a file is to come to
        // the place of what was a directory.
        let mut ground = between(seed, dir, left, right, &NAMES[..3]);
        ground.world.dirs = Some(vec!["d", "e"]);
        ground
    });
}

#[test]
fn shares_lose_nothing() {
    let share = Share::new();
    histories::histories(16, &[], |seed| {
        let dir = dir();
        let (left, right) = (folder(dir.path(), "folder"), share.place(&format!("h{seed}")));
        between(seed, dir, left, right, &NAMES)
    });
}

#[test]
fn shares_of_another_sitta_lose_nothing() {
    let sitta = Sitta::new(dir());
    histories::histories(40, &[], |seed| {
        let dir = dir();
        let (left, right) = (folder(dir.path(), "folder"), sitta.place(&format!("h{seed}")));
        between(seed, dir, left, right, &NAMES)
    });
}

#[test]
fn shares_of_two_sittas_lose_nothing() {
    let sittas = [Sitta::new(dir()), Sitta::new(dir())];
    histories::histories(20, &[], |seed| {
        let [left, right] = sittas.each_ref().map(|sitta| sitta.place(&format!("h{seed}")));
        between(seed, dir(), left, right, &NAMES)
    });
}

/// 4: a directory that is only implied was to be renamed to the other side's spelling. 7010007, 7010037: an object and
/// what lies below its name, side by side. 7010075: what somebody saved in the middle of a write went to the trash.
#[test]
fn a_share_and_an_object_store_lose_nothing() {
    let (share, bucket) = (Share::new(), Bucket::new(S3Server::moto()));
    histories::histories(4, &[4, 7_010_007, 7_010_037, 7_010_075], |seed| {
        let name = format!("h{seed}");
        between(seed, dir(), share.place(&name), bucket.place(&name), &NAMES)
    });
}

/// 1001585: a file that was moved there and back, and whose removal went unanswered, was deleted at both paths.
#[test]
fn folders_lose_nothing() {
    histories::histories(150, &[1_001_585], folders_ground);
}

/// A store that does not look at what stands at a path must be found out.
#[test]
fn notices_a_missing_precondition() {
    let found = (1..3000)
        .find(|seed| play(*seed, memory_ground(*seed), true).is_err_and(|error| error.contains("content")));
    assert!(found.is_some(), "a store without preconditions went unnoticed");
}
