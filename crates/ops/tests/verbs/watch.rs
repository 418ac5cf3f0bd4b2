//! Two folders that are kept in step while somebody works in both.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sitta_ops::{Event, Pace, Report, Sink, State, watch};
use sitta_store::local::LocalStore;
use sitta_store::memory::{Fault, MemoryStore};
use sitta_store::wrap::Recorded;
use sitta_store::{ErrorKind, Flow, Store};
use sitta_tree::{OnConflict, Policy, RelPath};

use crate::support::{get, listing, options, put};

/// No change takes longer, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Sink for Told {
    fn event(&self, event: Event) {
        let line = match event {
            Event::Done(step) => format!("{} {}", step.what.name(), step.path),
            Event::Watching { every, .. } => format!("watching {}", every.is_some()),
            Event::Away { .. } => "away".into(),
            Event::Back { .. } => "back".into(),
            Event::Held(held) => format!("{held:?}"),
            Event::Problem(problem) => format!("problem {}: {}", problem.path, problem.message),
            Event::Conflict(conflict) => format!("conflict {}", conflict.path),
            _ => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

impl Told {
    fn count(&self, start: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.starts_with(start)).count()
    }
}

/// A watch that runs in a thread of its own until it is stopped.
struct Watching {
    _dir: tempfile::TempDir,
    flow: Arc<Flow>,
    told: Arc<Told>,
    thread: Option<std::thread::JoinHandle<Report>>,
}

impl Watching {
    fn start(dir: tempfile::TempDir, left: Arc<dyn Store>, right: Arc<dyn Store>, pace: Pace) -> Self {
        let (flow, told) = (Arc::new(Flow::default()), Arc::new(Told::default()));
        let mut options = options(Policy::Sync(OnConflict::KeepBoth));
        options.trash = Some(RelPath::new(".sitta/trash").unwrap());
        let (state, stop, sink) = (dir.path().join("state"), flow.clone(), told.clone());
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let state = State::open(&state).unwrap();
            runtime.block_on(watch(left, right, &options, &pace, &state, &*sink, &stop)).unwrap()
        });
        let watching = Self { _dir: dir, flow, told, thread: Some(thread) };
        watching.until("both are watched", || watching.told.count("watching") >= 2);
        watching
    }

    #[track_caller]
    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < end, "not: {what}; told: {:?}", self.told.0.lock().unwrap());
            assert!(!self.thread.as_ref().unwrap().is_finished(), "it ended; {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn stop(mut self) -> Report {
        self.flow.cancel();
        self.thread.take().unwrap().join().unwrap()
    }
}

fn folders() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (left, right) = (dir.path().join("left"), dir.path().join("right"));
    fs::create_dir(&left).unwrap();
    fs::create_dir(&right).unwrap();
    (dir, left, right)
}

fn local(path: &Path) -> Arc<dyn Store> {
    Arc::new(LocalStore::open(path).unwrap())
}

#[test]
fn changes_on_either_side_arrive_by_themselves() {
    let (dir, left, right) = folders();
    put(&left, "old/file", "old");
    let watching = Watching::start(dir, local(&left), local(&right), Pace::default());
    assert_eq!(get(&right, "old/file").as_deref(), Some("old"));
    let same = || listing(&left) == listing(&right);

    put(&left, "a", "from the left");
    put(&right, "b", "from the right");
    watching.until("both have both", || get(&right, "a").is_some() && get(&left, "b").is_some() && same());
    put(&left, "deep/er/and/deeper", "in new folders");
    watching.until("new folders arrive", || get(&right, "deep/er/and/deeper").is_some() && same());
    put(&right, "deep/er/and/more", "a file in a folder that was made by us");
    watching.until("and back", || get(&left, "deep/er/and/more").is_some() && same());
    fs::rename(left.join("deep"), left.join("moved")).unwrap();
    watching.until("a renamed folder", || get(&right, "moved/er/and/more").is_some() && same());
    put(&left, "moved/er/last", "in the renamed folder");
    watching.until("and what comes into it", || get(&right, "moved/er/last").is_some() && same());
    fs::remove_dir_all(right.join("moved")).unwrap();
    watching.until("a removed folder", || !left.join("moved").exists() && same());
    fs::remove_file(left.join("a")).unwrap();
    fs::create_dir(left.join("a")).unwrap();
    put(&left, "a/inside", "a folder now");
    watching.until("another kind", || get(&right, "a/inside").is_some() && same());

    let report = watching.stop();
    assert_eq!((report.problems, report.conflicts.len()), (vec![], 0));
}

#[test]
fn a_large_tree_is_looked_at_once() {
    let (dir, left, right) = folders();
    (0..300).for_each(|n| put(&left, &format!("d{}/f{n}", n % 10), "x"));
    let (near, far) = (Recorded::new(local(&left)), Recorded::new(local(&right)));
    let watching = Watching::start(dir, Arc::new(near.clone()), Arc::new(far.clone()), Pace::default());
    let before = [near.counts(), far.counts()];
    for n in 0..10 {
        put(&left, &format!("d3/f{}", 10 * n + 3), &format!("edited {n}"));
        watching.until("it arrives", || get(&right, &format!("d3/f{}", 10 * n + 3)) == Some(format!("edited {n}")));
    }
    watching.stop();
    for (counts, before) in [near.counts(), far.counts()].iter().zip(before) {
        assert_eq!(counts.scans, before.scans);
        let looks = counts.stats + counts.lists - before.stats - before.lists;
        assert!(looks < 150, "{looks} looks for 10 changes");
    }
}

#[test]
fn what_comes_all_at_once_arrives_whole() {
    let (dir, left, right) = folders();
    let watching = Watching::start(dir, local(&left), local(&right), Pace::default());
    for n in 0..40 {
        for m in 0..50 {
            put(&left, &format!("t{}/u{n}/f{m}", n % 4), &format!("{n} {m}"));
        }
    }
    watching.until("2,000 files in new folders", || listing(&left) == listing(&right));
    fs::rename(right.join("t1"), right.join("t0/t1")).unwrap();
    watching.until("500 renamed ones", || right.join("t0/t1").exists() && listing(&left) == listing(&right));
    // What was looked at while it moved is told as changed, and taken up then.
    let told = watching.told.0.lock().unwrap().clone();
    let problems: Vec<_> =
        told.iter().filter(|line| line.starts_with("problem") && !line.contains("change")).collect();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(watching.stop().problems, []);
}

#[test]
fn an_emptied_folder_is_not_followed() {
    let (dir, left, right) = folders();
    (0..20).for_each(|n| put(&left, &format!("f{n}"), "x"));
    let pace = Pace { retry: (Duration::from_millis(50), Duration::from_millis(200)), ..Pace::default() };
    let watching = Watching::start(dir, local(&left), local(&right), pace);
    let hidden = left.with_extension("hidden");
    fs::rename(&left, &hidden).unwrap();
    watching.until("it is told", || watching.told.count("away") == 1);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(listing(&right).len(), 20, "nothing was deleted");
    fs::rename(&hidden, &left).unwrap();
    watching.until("it goes on", || watching.told.count("back") == 1);
    put(&left, "after", "after");
    watching.until("and hears again", || get(&right, "after").is_some());
    (0..20).for_each(|n| fs::remove_file(left.join(format!("f{n}"))).unwrap());
    fs::remove_file(left.join("after")).unwrap();
    watching.until("emptied", || watching.told.count("away") == 2);
    assert!(!listing(&right).is_empty(), "not all is deleted");
    watching.stop();
}

#[test]
fn a_folder_that_is_emptied_bit_by_bit_is_held() {
    let (dir, left, right) = folders();
    (0..200).for_each(|n| put(&left, &format!("f{n:03}"), "x"));
    let watching = Watching::start(dir, local(&left), local(&right), Pace::default());
    for n in 0..120 {
        fs::remove_file(left.join(format!("f{n:03}"))).unwrap();
        std::thread::sleep(Duration::from_millis(8));
    }
    watching.until("the brake holds", || watching.told.count("Deletes") > 0);
    std::thread::sleep(Duration::from_millis(400));
    assert!(listing(&right).len() >= 150, "at most 50 went: {}", listing(&right).len());
    watching.stop();
}

#[test]
fn a_store_that_goes_away_is_waited_for() {
    let (dir, left, _) = folders();
    let memory = MemoryStore::new("memory:right");
    put(&left, "a", "a");
    let pace = Pace {
        poll: Some(Duration::from_millis(100)),
        retry: (Duration::from_millis(50), Duration::from_millis(200)),
        ..Pace::default()
    };
    let watching = Watching::start(dir, local(&left), Arc::new(memory.clone()), pace);
    let there = |name: &str| {
        let name = RelPath::new(name).unwrap();
        futures::executor::block_on(memory.stat(&name)).ok().flatten().is_some()
    };
    watching.until("it is there", || there("a"));
    memory.put(&RelPath::new("polled").unwrap(), "found by looking");
    watching.until("it is found", || get(&left, "polled").is_some());
    memory.on_call(|_| Fault::Fail(ErrorKind::Unreachable));
    put(&left, "meanwhile", "meanwhile");
    watching.until("it is told", || watching.told.count("away") == 1);
    std::thread::sleep(Duration::from_millis(300));
    memory.calm();
    watching.until("it goes on", || watching.told.count("back") == 1 && there("meanwhile"));
    assert_eq!(watching.told.count("away"), 1, "it is told once");
    watching.stop();
}

#[test]
fn edits_on_both_sides_are_both_kept() {
    let (dir, left, right) = folders();
    put(&left, "a", "a");
    let watching = Watching::start(dir, local(&left), local(&right), Pace::default());
    for n in 0..5 {
        put(&left, "a", &format!("left {n}"));
        put(&right, "a", &format!("right, longer {n}"));
        watching.until("the conflict is told", || watching.told.count("conflict") == n + 1);
        watching.until("both are the same", || listing(&left) == listing(&right));
        let kept: Vec<_> =
            fs::read_dir(&left).unwrap().filter_map(|e| fs::read_to_string(e.unwrap().path()).ok()).collect();
        assert!(kept.contains(&format!("left {n}")) && kept.contains(&format!("right, longer {n}")), "{kept:?}");
    }
    watching.stop();
}
