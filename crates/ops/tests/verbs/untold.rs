//! Stores whose listings tell no times and modes, as object stores: what a run costs, and that nothing is lost by it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use sitta_ops::{Options, Outcome, Report, State, transfer};
use sitta_store::local::LocalStore;
use sitta_store::memory::MemoryStore;
use sitta_store::wrap::{Counts, Recorded};
use sitta_store::{Capabilities, Store};
use sitta_tree::{Policy, RelPath, SideTraits, Time};

use crate::support::{get, listing, options, put};

/// A folder, a store as S3 is one, and a state.
struct World {
    dir: tempfile::TempDir,
    objects: MemoryStore,
    options: Options,
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

impl World {
    fn new() -> Self {
        let traits = SideTraits {
            owners: false,
            xattrs: false,
            symlinks: false,
            dirs: false,
            stable_ids: false,
            ..MemoryStore::CAPABILITIES.traits
        };
        let capabilities = Capabilities { traits, lists_meta: false, ..MemoryStore::CAPABILITIES };
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("src")).unwrap();
        let objects = MemoryStore::with("memory:objects", capabilities);
        Self { dir, objects, options: options(Policy::Mirror) }
    }

    fn folder(&self, name: &str) -> (std::path::PathBuf, Arc<dyn Store>) {
        let path = self.dir.path().join(name);
        (path.clone(), Arc::new(LocalStore::open(path).unwrap()))
    }

    /// Runs and tells what it cost at the objects.
    fn run(&self, left: &str, right: &str) -> (Report, Counts) {
        let objects = Recorded::new(Arc::new(self.objects.clone()));
        let store = |name: &str| match name {
            "objects" => Arc::new(objects.clone()) as Arc<dyn Store>,
            name => self.folder(name).1,
        };
        let state = State::open(&self.dir.path().join("state")).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (left, right) = (store(left), store(right));
        let flow = Arc::default();
        let run = transfer(left, right, &self.options, &state, &(), &flow);
        (runtime.block_on(run).unwrap(), objects.counts())
    }

    /// Nothing was asked but one listing, and nothing was done.
    fn still(&self, left: &str, right: &str) {
        let (report, counts) = self.run(left, right);
        assert_eq!(report.problems, []);
        assert_eq!((report.copied, report.updated, report.deleted, report.moved), (0, 0, 0, 0));
        assert_eq!((counts.scans, counts.total()), (1, 1), "{counts:?}");
    }
}

#[test]
fn a_run_without_changes_asks_for_the_listing_only() {
    let world = World::new();
    let (src, _) = world.folder("src");
    for n in 0..50 {
        put(&src, &format!("d{}/f{n}", n % 7), &format!("content {n}"));
    }
    let (report, counts) = world.run("src", "objects");
    assert_eq!((report.outcome, report.copied, counts.stats, counts.reads), (Outcome::Success, 50, 0, 0));
    world.still("src", "objects");
    put(&src, "d1/f1", "edited");
    let (report, counts) = world.run("src", "objects");
    assert_eq!((report.updated, report.unchanged, counts.writes, counts.stats), (1, 49, 1, 0));
    world.still("src", "objects");
    fs::set_permissions(src.join("d1/f1"), fs::Permissions::from_mode(0o600)).unwrap();
    let (report, counts) = world.run("src", "objects");
    assert_eq!((report.updated, counts.metas, counts.writes), (1, 1, 0));
    world.still("src", "objects");
}

#[test]
fn there_and_back_is_the_same_tree() {
    let world = World::new();
    let (src, _) = world.folder("src");
    put(&src, "a/b/c", "deep");
    put(&src, "script", "#!/bin/sh");
    put(&src, "empty", "");
    fs::set_permissions(src.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    world.run("src", "objects");
    let (report, counts) = world.run("objects", "back");
    assert_eq!((report.outcome, report.copied), (Outcome::Success, 3));
    assert_eq!((counts.stats, counts.reads), (0, 3), "times and modes come with the bytes");
    let (back, _) = world.folder("back");
    assert_eq!(listing(&src), listing(&back));
    world.still("objects", "back");
    world.objects.put(&path("a/b/c"), "changed elsewhere");
    let (report, _) = world.run("objects", "back");
    assert_eq!((report.updated, report.unchanged), (1, 2));
    assert_eq!(get(&back, "a/b/c").as_deref(), Some("changed elsewhere"));
    world.still("objects", "back");
}

#[test]
fn without_memory_times_are_asked_for_and_nothing_is_sent() {
    let world = World::new();
    let (src, _) = world.folder("src");
    for n in 0..20 {
        put(&src, &format!("f{n}"), &format!("content {n}"));
    }
    world.run("src", "objects");
    fs::remove_dir_all(world.dir.path().join("state")).unwrap();
    put(&src, "f3", "of another size");
    let (report, counts) = world.run("src", "objects");
    assert_eq!((report.updated, report.unchanged), (1, 19));
    assert_eq!(
        (counts.writes, counts.reads, counts.stats),
        (1, 0, 19),
        "what differs in size need not be asked for"
    );
    world.still("src", "objects");
}

#[test]
fn what_another_program_wrote_is_recognised_by_its_time() {
    let mut world = World::new();
    let (src, _) = world.folder("src");
    put(&src, "same", "x");
    put(&src, "older", "x");
    let mtime = fs::metadata(src.join("same")).unwrap().modified().unwrap();
    let since = mtime.duration_since(std::time::UNIX_EPOCH).unwrap();
    // `put` gives the next tick of the store's clock, 1 µs later.
    world.objects.set_clock(Time::new(since.as_secs() as i64, since.subsec_nanos() - 1000));
    world.objects.put(&path("same"), "x");
    world.objects.set_clock(Time::new(since.as_secs() as i64 + 3600, 0));
    world.objects.put(&path("older"), "y");
    world.options.policy = Policy::Copy { existing: sitta_tree::Existing::IfNewer };
    let (report, counts) = world.run("src", "objects");
    assert_eq!((report.updated, report.unchanged, counts.stats, counts.writes), (0, 1, 2, 0), "{report:?}");
    world.options.policy = Policy::Mirror;
    let (report, counts) = world.run("src", "objects");
    assert_eq!((report.updated, counts.writes), (1, 1), "{report:?}");
}

#[test]
fn a_mirror_of_objects_does_not_touch_the_looks_of_folders() {
    let world = World::new();
    world.objects.put(&path("d/f"), "x");
    let (back, store) = world.folder("back");
    fs::create_dir(&back).unwrap();
    fs::set_permissions(&back, fs::Permissions::from_mode(0o750)).unwrap();
    drop(store);
    world.run("objects", "back");
    let mode = |at: &str| fs::metadata(back.join(at)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(""), 0o750);
    assert!(mode("d") & 0o700 == 0o700 && mode("d") != 0o700, "as the user's umask says: {:o}", mode("d"));
}
