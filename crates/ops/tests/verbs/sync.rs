//! Two-way syncs between two folders, as the library is called.

use std::fs;
use std::sync::Arc;

use sitta_ops::{
    Event, Held, Keep, MaxDelete, Outcome, Report, RunError, State, check_hub, conflicts, forget, settle,
};
use sitta_store::Store;
use sitta_store::local::LocalStore;
use sitta_tree::{OnConflict, Outcome as Settled, Policy, RelPath, Side};

use crate::support::{Events, Pair, get, listing, options, put};

fn pair(on_conflict: OnConflict) -> Pair {
    let pair = Pair::with(options(Policy::Sync(on_conflict))).trashing();
    fs::create_dir(pair.dst()).unwrap();
    pair
}

fn counts(report: &Report) -> [u64; 4] {
    [report.copied, report.updated, report.deleted, report.moved]
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// A pair that agrees on some files.
fn agreed(on_conflict: OnConflict) -> Pair {
    let pair = pair(on_conflict);
    for name in ["a", "b", "c", "d/e", "d/f"] {
        put(&pair.src(), name, name);
    }
    assert_eq!(counts(&pair.run()), [5, 0, 0, 0]);
    pair
}

#[test]
fn changes_go_both_ways() {
    let pair = agreed(OnConflict::KeepBoth);
    put(&pair.src(), "a", "edited on the left");
    put(&pair.dst(), "b", "edited on the right");
    put(&pair.dst(), "new/one", "new");
    fs::remove_file(pair.src().join("c")).unwrap();
    fs::remove_dir_all(pair.dst().join("d")).unwrap();
    let report = pair.run();
    assert_eq!((report.outcome, counts(&report)), (Outcome::Success, [1, 2, 3, 0]));
    assert_eq!(listing(&pair.src()), listing(&pair.dst()));
    assert_eq!(get(&pair.src(), "new/one").as_deref(), Some("new"));
    assert_eq!(get(&pair.src(), "d/e"), None);
    assert_eq!(report.trash.iter().flatten().count(), 2, "old versions were kept on both sides");
    assert_eq!(counts(&pair.run()), [0; 4]);
}

#[test]
fn a_pair_is_the_same_whichever_side_is_named_first() {
    let pair = agreed(OnConflict::Left);
    let [left, right] = pair.stores();
    fs::remove_file(pair.src().join("a")).unwrap();
    put(&pair.src(), "b", "left's");
    put(&pair.dst(), "b", "right's, and longer");
    let events = Events::default();
    let report = pair.run_between(right, left, &events).unwrap();
    assert_eq!(report.deleted, 1, "what was agreed on is known");
    assert_eq!(get(&pair.src(), "b").as_deref(), Some("right's, and longer"), "left is what was named first");
    assert_eq!(report.conflicts[0].outcome, Settled::Won(Side::Left));
    let done = events.0.into_inner().unwrap();
    let updated = done.iter().find_map(|event| match event {
        Event::Done(step) if step.path == path("b") => Some(step.side),
        _ => None,
    });
    assert_eq!(updated, Some(Side::Right));
}

#[test]
fn two_edits_are_both_kept() {
    let pair = agreed(OnConflict::KeepBoth);
    put(&pair.src(), "a", "left's");
    std::thread::sleep(std::time::Duration::from_millis(20));
    put(&pair.dst(), "a", "right's, which is newer");
    let report = pair.run();
    let Settled::KeptBoth(side, copy) = &report.conflicts[0].outcome else { panic!("{report:?}") };
    assert_eq!(*side, Side::Left, "the older one gives up its name");
    for root in [pair.src(), pair.dst()] {
        assert_eq!(get(&root, "a").as_deref(), Some("right's, which is newer"));
        assert_eq!(get(&root, &copy.to_string()).as_deref(), Some("left's"));
    }
    assert_eq!(counts(&pair.run()), [0; 4]);
}

/// Makes a conflict at `a`, and gives what is known of it.
fn conflicted(pair: &Pair) -> sitta_ops::Unsettled {
    put(&pair.src(), "a", "left's");
    std::thread::sleep(std::time::Duration::from_millis(20));
    put(&pair.dst(), "a", "right's, which is newer");
    pair.run();
    let mut found = listed(pair);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn listed(pair: &Pair) -> Vec<sitta_ops::Unsettled> {
    let state = State::open(&pair.state_dir()).unwrap();
    let [left, right] = pair.stores();
    pair.block_on(conflicts(left, right, &pair.options, &state, &Arc::default())).unwrap()
}

fn settled(pair: &Pair, conflict: &sitta_ops::Unsettled, keep: Keep) {
    let state = State::open(&pair.state_dir()).unwrap();
    let report =
        pair.block_on(settle(pair.stores(), conflict, keep, &pair.options, &state, &(), &Arc::default())).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(listed(pair), []);
    assert_eq!(listing(&pair.src()), listing(&pair.dst()));
    let after = pair.run();
    assert_eq!((counts(&after), after.conflicts.len()), ([0; 4], 0));
}

/// Whether some trash of either side has a file with this content.
fn in_trash(pair: &Pair, content: &str) -> bool {
    [pair.src(), pair.dst()].iter().any(|root| {
        let trash = root.join(".sitta/trash");
        listing(&trash).iter().any(|line| {
            let name = line.split(' ').next().unwrap();
            get(&trash, name).as_deref() == Some(content)
        })
    })
}

#[test]
fn a_conflict_copy_is_listed_and_settled() {
    for (keep, stays, goes) in [
        (Keep::Side(Side::Left), "left's", "right's, which is newer"),
        (Keep::Side(Side::Right), "right's, which is newer", "left's"),
    ] {
        let pair = agreed(OnConflict::KeepBoth);
        let conflict = conflicted(&pair);
        assert_eq!((&conflict.path, conflict.side), (&path("a"), Some(Side::Left)));
        settled(&pair, &conflict, keep);
        assert_eq!(get(&pair.src(), "a").as_deref(), Some(stays));
        assert!(in_trash(&pair, goes));
    }
    let pair = agreed(OnConflict::KeepBoth);
    let conflict = conflicted(&pair);
    settled(&pair, &conflict, Keep::Both);
    assert_eq!(get(&pair.dst(), "a").as_deref(), Some("right's, which is newer"));
    assert_eq!(get(&pair.dst(), "a (2)").as_deref(), Some("left's"));
}

#[test]
fn a_conflict_that_was_left_is_listed_and_settled() {
    for keep in [Keep::Side(Side::Left), Keep::Side(Side::Right), Keep::Both] {
        let pair = agreed(OnConflict::Ask);
        let conflict = conflicted(&pair);
        assert_eq!((&conflict.copy, get(&pair.src(), "a").as_deref()), (&None, Some("left's")));
        assert_eq!(pair.run().conflicts[0].outcome, Settled::Left, "it stays one");
        let state = State::open(&pair.state_dir()).unwrap();
        let flow = Arc::default();
        let settling = settle(pair.stores(), &conflict, keep, &pair.options, &state, &(), &flow);
        let report = pair.block_on(settling).unwrap();
        assert_eq!(report.problems, []);
        assert_eq!(listing(&pair.src()), listing(&pair.dst()));
        let expected = if keep == Keep::Side(Side::Left) { "left's" } else { "right's, which is newer" };
        assert_eq!(get(&pair.src(), "a").as_deref(), Some(expected));
    }
}

#[test]
fn a_side_that_is_gone_or_empty_stops_the_run() {
    let pair = agreed(OnConflict::KeepBoth);
    fs::rename(pair.dst(), pair.dst().with_extension("away")).unwrap();
    assert!(matches!(pair.try_run(), Err(RunError::Held(Held::Missing { side: Side::Right }))));
    fs::create_dir(pair.dst()).unwrap();
    assert!(matches!(pair.try_run(), Err(RunError::Held(Held::Emptied { side: Side::Right, held: 5 }))));
    assert_eq!(get(&pair.src(), "a").as_deref(), Some("a"));
}

#[test]
fn a_side_that_is_new_is_made() {
    let pair = Pair::with(options(Policy::Sync(OnConflict::KeepBoth)));
    put(&pair.src(), "a", "a");
    assert_eq!(counts(&pair.run()), [1, 0, 0, 0]);
    assert_eq!(listing(&pair.src()), listing(&pair.dst()));
    let other = Pair::with(options(Policy::Sync(OnConflict::KeepBoth)));
    fs::remove_dir(other.src()).unwrap();
    assert!(matches!(other.try_run(), Err(RunError::Held(Held::Missing { side: Side::Right | Side::Left }))));
}

#[test]
fn too_many_deletes_wait() {
    let mut pair = pair(OnConflict::KeepBoth);
    (0..200).for_each(|n| put(&pair.src(), &format!("f{n}"), &n.to_string()));
    pair.run();
    (0..100).for_each(|n| fs::remove_file(pair.dst().join(format!("f{n}"))).unwrap());
    put(&pair.dst(), "new", "new");
    let report = pair.run();
    assert_eq!((report.outcome, counts(&report)), (Outcome::Held, [1, 0, 0, 0]));
    let held = Held::Deletes { side: Side::Left, planned: 100, limit: 50, of: 200 };
    assert_eq!(report.held, [held]);
    pair.options.max_delete = MaxDelete::Count(100);
    assert_eq!(counts(&pair.run()), [0, 0, 100, 0]);
}

#[test]
fn what_is_forgotten_deletes_nothing() {
    let pair = agreed(OnConflict::KeepBoth);
    fs::remove_file(pair.src().join("a")).unwrap();
    let state = State::open(&pair.state_dir()).unwrap();
    let [left, right] = pair.stores();
    assert!(forget(right.location(), left.location(), &state).unwrap());
    assert!(!forget(left.location(), right.location(), &state).unwrap());
    assert_eq!(counts(&pair.run()), [1, 0, 0, 0], "it comes back");
}

#[test]
fn a_copy_before_is_no_agreement() {
    let mut pair = pair(OnConflict::KeepBoth);
    let sync =
        std::mem::replace(&mut pair.options, options(Policy::Copy { existing: sitta_tree::Existing::Replace }));
    put(&pair.src(), "a", "a");
    put(&pair.src(), "b", "b");
    pair.run();
    fs::remove_file(pair.src().join("a")).unwrap();
    pair.options = sync;
    assert_eq!(counts(&pair.run()), [1, 0, 0, 0]);
}

#[test]
fn a_second_way_between_two_folders_is_refused() {
    let pair = agreed(OnConflict::KeepBoth);
    let state = State::open(&pair.state_dir()).unwrap();
    let third = tempfile::tempdir().unwrap();
    let third: Arc<dyn Store> = Arc::new(LocalStore::open(third.path()).unwrap());
    let [left, right] = pair.stores();
    check_hub(&left, std::slice::from_ref(&right), &state).unwrap();
    check_hub(&left, &[right.clone(), third.clone()], &state).unwrap();
    check_hub(&third, std::slice::from_ref(&left), &state).unwrap();
    match check_hub(&third, &[left.clone(), right.clone()], &state) {
        Err(RunError::Cycle { way }) => assert_eq!(way.len(), 3),
        other => panic!("{other:?}"),
    }
    assert!(matches!(check_hub(&left, &[right.clone(), right], &state), Err(RunError::Nested { .. })));
}
