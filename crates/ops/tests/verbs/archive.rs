//! Packing: sources that change or go away under it, destinations that keep something else.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::TryStreamExt;
use sitta_ops::archive::{ArchiveOptions, Format, Origin, StepName, StepState, archive};
use sitta_ops::{Held, Outcome, Report, RunError, State};
use sitta_store::memory::{Fault, MemoryStore};
use sitta_store::{Capabilities, ErrorKind, Flow, ScanOptions, Store};
use sitta_tree::retention::Keep;
use sitta_tree::template::{Names, Template};
use sitta_tree::{Civil, RelPath, Time};

use crate::support::{Events, Pair};

/// 2026-11-21 12:14:40
const NOW: i64 = 1_795_263_280;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn options(name: &str) -> ArchiveOptions {
    ArchiveOptions {
        template: Template::parse(name, Names { host: "h", job: "j" }).unwrap(),
        format: Format::of(name).unwrap(),
        level: 1,
        filter: None,
        max_age: None,
        keep: Keep::default().last(1),
        replace: true,
        verify: true,
        dry_run: false,
        force_empty: false,
        now: Time::new(NOW, 0),
        local: Civil::at(NOW, 0),
    }
}

/// What a run gave, and how its steps ended.
struct Ran {
    result: Result<Report, RunError>,
    steps: Vec<(StepName, StepState)>,
    /// The bytes that it counted as packed.
    packed: u64,
}

impl Ran {
    #[track_caller]
    fn ended(&self, step: StepName) -> &StepState {
        &self.steps.iter().rfind(|(name, _)| *name == step).unwrap_or_else(|| panic!("{step:?} is not told")).1
    }
}

fn run(place: &Pair, from: &MemoryStore, to: &MemoryStore, options: &ArchiveOptions) -> Ran {
    let origin = Origin { store: Arc::new(from.clone()), file: None, is_remote: true, is_inside: false };
    let (to, events): (Arc<dyn Store>, _) = (Arc::new(to.clone()), Events::default());
    let state = State::open(&place.state_dir()).unwrap();
    let (flow, packed) = (Arc::new(Flow::default()), Arc::new(Flow::default()));
    let result = place.block_on(archive(&origin, &to, options, &state, &events, &flow, &packed));
    let events = events.0.into_inner().unwrap();
    let steps = events.into_iter().filter_map(|event| match event {
        sitta_ops::Event::Step(told) => Some((told.step, told.state)),
        _ => None,
    });
    Ran { result, steps: steps.collect(), packed: packed.bytes() }
}

fn stores() -> (MemoryStore, MemoryStore) {
    let (from, to) = (MemoryStore::new("memory:from"), MemoryStore::new("memory:to"));
    from.set_clock(Time::new(NOW - 60, 0));
    to.put(&path("2020-01-01.zip"), "an old one");
    (from, to)
}

/// The paths that an archive holds.
fn held(place: &Pair, to: &MemoryStore, name: &str) -> Vec<String> {
    place.block_on(async {
        let inside = sitta_store::archive::open(Arc::new(to.clone()), &path(name), "", name).await.unwrap();
        let tree = inside.scan(&ScanOptions::default()).await.unwrap();
        assert!(tree.problems.is_empty(), "{:?}", tree.problems);
        tree.ids().map(|id| tree.path(id).to_string()).filter(|path| !path.is_empty()).collect()
    })
}

fn names(place: &Pair, to: &MemoryStore) -> Vec<String> {
    let mut names: Vec<_> = place
        .block_on(to.list(&RelPath::root()))
        .unwrap()
        .into_iter()
        .map(|(name, _)| String::from_utf8_lossy(&name).into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn all_goes_well() {
    let (place, (from, to)) = (Pair::copy(), stores());
    from.put(&path("a"), "content");
    let ran = run(&place, &from, &to, &options("{date}.zip"));
    let report = ran.result.as_ref().unwrap();
    assert_eq!((report.outcome, report.copied, report.deleted), (Outcome::Success, 1, 1));
    assert_eq!(names(&place, &to), ["2026-11-21.zip"]);
    assert!(matches!(ran.ended(StepName::Download), StepState::Done(_)));
    assert!(matches!(ran.ended(StepName::Extract), StepState::Skipped(_)));
    let runs = State::open(&place.state_dir()).unwrap().runs(9).unwrap();
    assert_eq!((runs.len(), &*runs[0].verb, runs[0].outcome.as_deref()), (1, "archive", Some("success")));
}

/// A part of it was sent when it turned out to have changed: the archive is made again, without it.
#[test]
fn a_large_file_that_changes_is_left_out() {
    for name in ["{date}.zip", "{date}.tar.zst", "{date}.tgz"] {
        let (place, (from, to)) = (Pair::copy(), stores());
        from.put(&path("a"), "content");
        let noise: Vec<u8> = (0..6_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        from.put(&path("large"), noise);
        from.put(&path("z"), "content");
        let changing = from.clone();
        from.on_call(move |call| {
            // Asked for once the bytes were read.
            if call.name == "stat" && call.path == path("large") {
                let changing = changing.clone();
                std::thread::spawn(move || changing.put(&path("large"), "other")).join().unwrap();
            }
            Fault::None
        });
        let ran = run(&place, &from, &to, &options(name));
        let report = ran.result.as_ref().unwrap();
        assert_eq!((report.outcome, report.copied), (Outcome::Partial, 2));
        assert_eq!(ran.packed, 14, "what was packed in vain does not count");
        assert_eq!(report.problems.iter().map(|p| p.path.to_string()).collect::<Vec<_>>(), ["large"]);
        assert_eq!(held(&place, &to, &report.archive.as_ref().unwrap().name), ["a", "z"]);
        assert!(matches!(ran.ended(StepName::Clean), StepState::Skipped(_)), "nothing is removed then");
        assert_eq!(names(&place, &to).len(), 2);
    }
}

#[test]
fn a_small_file_that_cannot_be_read_is_left_out() {
    let (place, (from, to)) = (Pair::copy(), stores());
    for name in ["a", "b", "c"] {
        from.put(&path(name), "content");
    }
    from.on_call(|call| match call.name == "read" && call.path == path("b") {
        true => Fault::Fail(ErrorKind::Denied),
        false => Fault::None,
    });
    let ran = run(&place, &from, &to, &options("{date}.tgz"));
    let report = ran.result.unwrap();
    assert_eq!((report.outcome, report.copied, report.problems.len()), (Outcome::Partial, 2, 1));
    assert_eq!(held(&place, &to, "2026-11-21.tgz"), ["a", "c"]);
}

#[test]
fn a_source_that_goes_away_makes_no_archive() {
    let (place, (from, to)) = (Pair::copy(), stores());
    for nth in 0..50 {
        from.put(&path(&format!("f{nth}")), vec![7; 100_000]);
    }
    from.on_call(|call| match call.name == "read" && call.path == path("f30") {
        true => Fault::Fail(ErrorKind::Unreachable),
        false => Fault::None,
    });
    let ran = run(&place, &from, &to, &options("{date}.zip"));
    assert!(matches!(&ran.result, Err(RunError::Store(error)) if error.kind == ErrorKind::Unreachable));
    assert!(matches!(ran.ended(StepName::Download), StepState::Failed(_)));
    assert!(matches!(ran.ended(StepName::Upload), StepState::Skipped(_)));
    assert!(matches!(ran.ended(StepName::Clean), StepState::Skipped(_)));
    assert_eq!(names(&place, &to), ["2020-01-01.zip"]);
}

#[test]
fn what_does_not_arrive_as_it_was_sent_is_removed() {
    let (place, (from, to)) = (Pair::copy(), stores());
    from.put(&path("a"), "content");
    let (twisted, reads) = (to.clone(), Arc::new(Mutex::new(0)));
    to.on_call(move |call| {
        let mut reads = reads.lock().unwrap();
        if call.name == "read" && call.path == path("2026-11-21.zip") && *reads == 0 {
            *reads += 1;
            let twisted = twisted.clone();
            std::thread::spawn(move || twisted.edit(&path("2026-11-21.zip"), "other bytes")).join().unwrap();
        }
        Fault::None
    });
    let ran = run(&place, &from, &to, &options("{date}.zip"));
    assert!(matches!(&ran.result, Err(RunError::Store(error)) if error.kind == ErrorKind::Corrupt));
    assert!(matches!(ran.ended(StepName::Upload), StepState::Failed(_)));
    assert!(names(&place, &to).contains(&"2020-01-01.zip".to_owned()));
}

/// The one of the same name stands there again.
#[test]
fn what_is_replaced_stays_until_the_new_one_has_arrived() {
    let (place, (from, to)) = (Pair::copy(), stores());
    from.put(&path("a"), "content");
    to.put(&path("2026-11-21.zip"), "the one before");
    let twisted = to.clone();
    to.on_call(move |call| {
        if call.name == "read" && call.path == path("2026-11-21.zip") {
            let twisted = twisted.clone();
            std::thread::spawn(move || twisted.edit(&path("2026-11-21.zip"), "other bytes")).join().unwrap();
        }
        Fault::None
    });
    let ran = run(&place, &from, &to, &options("{date}.zip"));
    assert!(matches!(&ran.result, Err(RunError::Store(error)) if error.kind == ErrorKind::Corrupt));
    to.calm();
    assert_eq!(names(&place, &to), ["2020-01-01.zip", "2026-11-21.zip"]);
    let bytes = place.block_on(async {
        let pieces: Vec<_> = to.read(&path("2026-11-21.zip"), 0..99).await.unwrap().try_collect().await.unwrap();
        pieces.concat()
    });
    assert_eq!(bytes, b"the one before");
    let ran = run(&place, &from, &to, &options("{date}.zip"));
    assert_eq!(ran.result.unwrap().outcome, Outcome::Success);
    assert_eq!(names(&place, &to), ["2026-11-21.zip"]);
    let temps = Arc::new(Mutex::new(Vec::new()));
    let all = ScanOptions { temps: Some(temps.clone()), ..ScanOptions::default() };
    place.block_on(to.scan(&all)).unwrap();
    assert!(temps.lock().unwrap().is_empty(), "nothing is left aside");
}

#[test]
fn ages_that_a_listing_does_not_tell_are_asked_for() {
    let (place, (_, to)) = (Pair::copy(), stores());
    let can = MemoryStore::new("memory:x").capabilities();
    let from = MemoryStore::with("memory:from", Capabilities { lists_meta: false, ..can });
    from.set_clock(Time::new(NOW - 7200, 0));
    from.put(&path("a"), "content");
    let hour = ArchiveOptions { max_age: Some(Duration::from_secs(3600)), ..options("{date}.zip") };
    let ran = run(&place, &from, &to, &hour);
    assert!(matches!(&ran.result, Err(RunError::Held(Held::Stale { newest: Some(_), .. }))), "{:?}", ran.result);
    assert!(matches!(ran.ended(StepName::Check), StepState::Failed(_)));
    let day = ArchiveOptions { max_age: Some(Duration::from_secs(86_400)), ..hour };
    let ran = run(&place, &from, &to, &day);
    assert_eq!(ran.result.unwrap().outcome, Outcome::Success);
}

#[test]
fn one_file_that_cannot_be_read_makes_no_archive() {
    for size in [100, 5 << 20] {
        let (place, (from, to)) = (Pair::copy(), stores());
        from.put(&path("only"), vec![7; size]);
        from.on_call(|call| if call.name == "read" { Fault::Fail(ErrorKind::Denied) } else { Fault::None });
        let ran = run(&place, &from, &to, &options("{date}.zip"));
        assert!(matches!(&ran.result, Err(RunError::Store(error)) if error.kind == ErrorKind::Denied));
        assert!(matches!(ran.ended(StepName::Download), StepState::Failed(_)));
        assert_eq!(names(&place, &to), ["2020-01-01.zip"]);
    }
}
