use std::fs;

use sitta_tree::{Agreed, ContentHash, Fingerprint, Kind, Meta, NodeId, RelPath, Side, Time};

use super::{Intent, KnownConflict, PairKey, RootSeen, Segment, State};
use crate::RunError;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn key(left: &str, right: &str) -> PairKey {
    PairKey { left: left.into(), right: right.into(), two_way: false }
}

fn agreed(size: u64) -> Agreed {
    let fingerprint = |id| Fingerprint { size, mtime: Time::new(-7, 5), id, change: 9 };
    Agreed {
        kind: Kind::File,
        meta: Meta { mtime: Time::new(-7, 5), mode: 0o640, uid: 1, gid: 2, xattrs: 3 },
        content: Some(ContentHash([size as u8; 32])),
        target: Box::default(),
        left: fingerprint(1),
        right: fingerprint(2),
        conflicted: false,
    }
}

fn segment(changes: &[(RelPath, Option<Agreed>)]) -> Segment {
    let mut segment = Segment::default();
    changes.iter().for_each(|(path, agreed)| segment.push(path, agreed.as_ref()));
    segment
}

fn opened() -> (tempfile::TempDir, State) {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(&dir.path().join("state")).unwrap();
    (dir, state)
}

#[test]
fn reading_creates_nothing() {
    let (dir, state) = opened();
    assert!(state.known_pair(&key("/a", "/b")).unwrap().is_none());
    assert!(state.runs(10).unwrap().is_empty());
    assert!(!dir.path().join("state").exists());
}

#[test]
fn a_base_is_the_sum_of_its_segments() {
    let (_dir, state) = opened();
    let pair = state.begin_pair(&key("/a", "/b")).unwrap();
    state.settle(&pair, segment(&[(path("d/x"), Some(agreed(1))), (path("y"), Some(agreed(2)))]), &[]).unwrap();
    state.settle(&pair, segment(&[(path("y"), None), (path("d/x"), Some(agreed(3)))]), &[]).unwrap();
    let other = state.begin_pair(&key("/a", "/c")).unwrap();
    state.settle(&other, segment(&[(path("z"), Some(agreed(4)))]), &[]).unwrap();
    let base = state.load_base(&pair).unwrap();
    let x = base.tree().find(&path("d/x")).unwrap();
    assert_eq!(base.tree().find(&path("y")), None);
    assert_eq!(base.tree().find(&path("z")), None, "another pair's");
    assert_eq!((base.left(x), base.right(x)), (agreed(3).left, agreed(3).right));
    assert_eq!((base.tree().content(x), base.tree().meta(x)), (agreed(3).content, agreed(3).meta));
    assert!(base.is_implied(base.tree().find(&path("d")).unwrap()));
}

#[test]
fn joining_segments_changes_nothing_but_their_number() {
    let (_dir, state) = opened();
    let pair = state.begin_pair(&key("/a", "/b")).unwrap();
    for n in 0..100 {
        state.settle(&pair, segment(&[(path(&format!("f{}", n % 40)), Some(agreed(n)))]), &[]).unwrap();
    }
    state.compact_base(&pair).unwrap();
    let segments = state.segments(&pair).unwrap();
    let base = state.load_base(&pair).unwrap();
    assert_eq!((segments.len(), base.tree().len()), (1, 41));
    let f39 = base.tree().find(&path("f39")).unwrap();
    assert_eq!(base.tree().size(f39), 79);
}

#[test]
fn a_damaged_segment_is_no_base_at_all() {
    let (_dir, state) = opened();
    let pair = state.begin_pair(&key("/a", "/b")).unwrap();
    state.settle(&pair, segment(&[(path("x"), Some(agreed(1)))]), &[]).unwrap();
    state.settle(&pair, segment(&[(path("x"), None)]), &[]).unwrap();
    state.write(|db| db.execute("UPDATE base SET records = zeroblob(40) WHERE id = 2", [])).unwrap();
    assert_eq!(state.load_base(&pair).unwrap().tree().children(NodeId::ROOT).len(), 0);
}

#[test]
fn intents_stay_until_settled() {
    let (_dir, state) = opened();
    let pair = state.begin_pair(&key("/a", "/b")).unwrap();
    let intent = |name: &str| Intent {
        side: Side::Right,
        path: path(name),
        temp: Some(path(".sitta-tmp-1")),
        before: Some(agreed(1).right),
        trash: None,
    };
    let first = state.open_intents(&pair, "run", &[intent("x"), intent("y")]).unwrap();
    state.open_intents(&pair, "run", &[intent("z")]).unwrap();
    state.settle(&pair, Segment::default(), &[first]).unwrap();
    assert_eq!(state.left_over_intents(&pair).unwrap(), [intent("z")]);
    state.clear_intents(&pair).unwrap();
    assert!(state.left_over_intents(&pair).unwrap().is_empty());
}

#[test]
fn a_run_that_lost_its_pair_begins_nothing_more() {
    let (_dir, state) = opened();
    let stale = state.begin_pair(&key("/a", "/b")).unwrap();
    let current = state.begin_pair(&key("/a", "/b")).unwrap();
    let error = state.open_intents(&stale, "run", &[]).unwrap_err();
    assert!(error.to_string().contains("another run has taken this pair over"), "{error}");
    state.open_intents(&current, "run", &[]).unwrap();
}

#[test]
fn the_second_of_two_runs_is_told_of_the_first() {
    let (_dir, state) = opened();
    let lock = state.lock("/a", "/b").unwrap();
    state.lock("/a", "/c").unwrap();
    match state.lock("/a", "/b") {
        Err(RunError::PairBusy { pid, .. }) => assert_eq!(pid, std::process::id()),
        other => panic!("{other:?}"),
    }
    drop(lock);
    state.lock("/a", "/b").unwrap();
}

#[test]
fn a_damaged_database_is_set_aside_whole() {
    let (dir, state) = opened();
    let pair = state.begin_pair(&key("/a", "/b")).unwrap();
    let root = RootSeen { identity: Some("1:2".into()), files: 7 };
    state.end_pair(&pair, &root, &root, Some(u64::MAX)).unwrap();
    assert_eq!(state.known_pair(&key("/a", "/b")).unwrap().unwrap().root(Side::Left), &root);
    drop(state);
    let file = dir.path().join("state/state.db");
    let _ = fs::remove_file(dir.path().join("state/state.db-wal"));
    fs::write(&file, b"not a database, but long enough to look like a file of one".repeat(100)).unwrap();
    let state = State::open(&dir.path().join("state")).unwrap();
    assert!(state.known_pair(&key("/a", "/b")).unwrap().is_none());
    let aside = state.was_damaged().expect("it says so");
    assert!(fs::read(aside).unwrap().starts_with(b"not a database"));
    state.begin_pair(&key("/a", "/b")).unwrap();
}

#[test]
fn a_sync_remembers_apart_from_a_copy() {
    let (_dir, state) = opened();
    let (copied, synced) = (key("/a", "/b"), PairKey { two_way: true, ..key("/a", "/b") });
    let copy = state.begin_pair(&copied).unwrap();
    state.settle(&copy, segment(&[(path("x"), Some(agreed(1)))]), &[]).unwrap();
    let sync = state.begin_pair(&synced).unwrap();
    assert!(state.load_base(&sync).unwrap().is_empty());
    assert_eq!(state.two_way_pairs().unwrap(), std::slice::from_ref(&synced));
    let conflict =
        KnownConflict { path: path("x"), copy: path("x.conflict-0"), side: Side::Right, run: "r".into() };
    state.note_conflict(&sync, &conflict).unwrap();
    assert_eq!(state.known_conflicts(&sync).unwrap(), [conflict]);
    assert!(state.forget_pair(&synced).unwrap() && !state.forget_pair(&synced).unwrap());
    assert_eq!(state.known_pair(&synced).unwrap().map(|pair| pair.id), None);
    assert!(!state.load_base(&copy).unwrap().is_empty(), "the copy's stays");
}

#[test]
fn what_is_new_in_a_base_is_told() {
    let (_dir, state) = opened();
    let pair = state.begin_pair(&key("/a", "/b")).unwrap();
    state.settle(&pair, segment(&[(path("x"), Some(agreed(1)))]), &[]).unwrap();
    let newest = state.newest_record(&pair).unwrap();
    assert_eq!(state.base_since(&pair, newest).unwrap(), (Vec::new(), newest));
    state.settle(&pair, segment(&[(path("x"), None), (path("y"), Some(agreed(2)))]), &[]).unwrap();
    let (changes, newer) = state.base_since(&pair, newest).unwrap();
    assert_eq!(changes, [(path("x"), None), (path("y"), Some(agreed(2)))]);
    assert!(newer > newest);
    let grown = [state.grown_since(&pair, newest).unwrap(), state.grown_since(&pair, newer).unwrap()];
    assert!(grown[0] > 0 && grown[1] == 0);
}

#[test]
fn the_state_of_the_first_version_is_taken_over() {
    let (dir, state) = opened();
    let pair = state.begin_pair(&key("/a", "/b")).unwrap();
    state.settle(&pair, segment(&[(path("x"), Some(agreed(1)))]), &[]).unwrap();
    drop(state);
    let file = dir.path().join("state/state.db");
    let db = rusqlite::Connection::open(&file).unwrap();
    db.execute_batch(
        "CREATE TABLE first (id INTEGER PRIMARY KEY, left TEXT NOT NULL, right TEXT NOT NULL, left_root TEXT, \
         right_root TEXT, left_files INTEGER, right_files INTEGER, filter INTEGER, token INTEGER NOT NULL DEFAULT 0, \
         UNIQUE (left, right)); \
         INSERT INTO first SELECT id, left, right, left_root, right_root, left_files, right_files, filter, token \
         FROM pair; DROP TABLE pair; DROP TABLE conflict; ALTER TABLE first RENAME TO pair; PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(db);
    let state = State::open(&dir.path().join("state")).unwrap();
    let pair = state.known_pair(&key("/a", "/b")).unwrap().expect("it is known still");
    assert!(!state.load_base(&pair).unwrap().is_empty());
    assert!(state.known_conflicts(&pair).unwrap().is_empty());
    assert_eq!(state.was_damaged(), None);
}
