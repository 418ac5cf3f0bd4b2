//! Copies and mirrors between two folders, as the library is called.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use sitta_ops::{Event, Held, MaxDelete, Outcome, RunError, StepKind};
use sitta_store::memory::{Fault, MemoryStore};
use sitta_tree::{Existing, Policy, ProblemKind, Side};

use crate::support::{Events, Pair, get, listing, put};

#[test]
fn a_mirror_is_the_source() {
    let pair = Pair::mirror();
    put(&pair.src(), "a", "one");
    put(&pair.src(), "d/e/f", "two");
    fs::create_dir(pair.src().join("empty")).unwrap();
    symlink("d/e", pair.src().join("link")).unwrap();
    let report = pair.run();
    assert_eq!((report.outcome, report.copied, report.updated, report.deleted), (Outcome::Success, 3, 0, 0));
    assert_eq!(report.bytes, 6);
    assert_eq!(listing(&pair.src()), listing(&pair.dst()));
    let report = pair.run();
    assert_eq!((report.copied, report.updated, report.deleted, report.unchanged), (0, 0, 0, 3));
}

#[test]
fn a_mirror_follows_edits_deletes_and_type_changes() {
    let pair = Pair::mirror();
    for path in ["keep", "edit", "gone", "file-to-dir", "dir-to-file/x", "d/gone"] {
        put(&pair.src(), path, path);
    }
    pair.run();
    put(&pair.src(), "edit", "edited");
    fs::remove_file(pair.src().join("gone")).unwrap();
    fs::remove_dir_all(pair.src().join("d")).unwrap();
    fs::remove_file(pair.src().join("file-to-dir")).unwrap();
    put(&pair.src(), "file-to-dir/in", "in");
    fs::remove_dir_all(pair.src().join("dir-to-file")).unwrap();
    put(&pair.src(), "dir-to-file", "now a file");
    put(&pair.dst(), "keep", "tampered with");
    let report = pair.run();
    assert_eq!(report.problems, []);
    assert_eq!(listing(&pair.src()), listing(&pair.dst()));
    assert_eq!(pair.run().unchanged, 4);
}

#[test]
fn a_renamed_file_is_renamed_not_sent() {
    let pair = Pair::mirror();
    put(&pair.src(), "a/big", &"x".repeat(100_000));
    put(&pair.src(), "other", "y");
    pair.run();
    fs::create_dir(pair.src().join("b")).unwrap();
    fs::rename(pair.src().join("a/big"), pair.src().join("b/renamed")).unwrap();
    let report = pair.run();
    assert_eq!((report.moved, report.copied, report.deleted, report.bytes), (1, 0, 0, 0));
    assert_eq!(listing(&pair.src()), listing(&pair.dst()));
    fs::rename(pair.src().join("b/renamed"), pair.src().join("a/big")).unwrap();
    assert_eq!(pair.run().moved, 1, "and back");
}

#[test]
fn a_copy_never_deletes() {
    let pair = Pair::copy();
    put(&pair.src(), "a", "new");
    put(&pair.dst(), "a", "old, and longer");
    put(&pair.dst(), "mine", "mine");
    let report = pair.run();
    assert_eq!((report.copied, report.updated, report.deleted), (0, 1, 0));
    assert_eq!(get(&pair.dst(), "a").as_deref(), Some("new"));
    assert_eq!(get(&pair.dst(), "mine").as_deref(), Some("mine"));
    fs::remove_file(pair.src().join("a")).unwrap();
    put(&pair.src(), "b", "b");
    pair.run();
    assert_eq!(get(&pair.dst(), "a").as_deref(), Some("new"));
}

#[test]
fn a_copy_can_leave_what_exists() {
    let mut pair = Pair::copy();
    pair.options.policy = Policy::Copy { existing: Existing::Keep };
    put(&pair.src(), "a", "new");
    put(&pair.dst(), "a", "old, and longer");
    assert_eq!(pair.run().updated, 0);
    assert_eq!(get(&pair.dst(), "a").as_deref(), Some("old, and longer"));
}

#[test]
fn old_versions_are_found_in_the_trash() {
    let pair = Pair::mirror().trashing();
    put(&pair.src(), "d/edit", "old");
    put(&pair.src(), "d/gone", "gone");
    pair.run();
    put(&pair.src(), "d/edit", "new version");
    fs::remove_file(pair.src().join("d/gone")).unwrap();
    let report = pair.run();
    assert_eq!((report.updated, report.deleted), (1, 1));
    let trash = pair.dst().join(".sitta/trash").join(&report.run);
    assert_eq!(get(&trash, "d/edit").as_deref(), Some("old"));
    assert_eq!(get(&trash, "d/gone").as_deref(), Some("gone"));
    assert!(report.trash[1].as_ref().unwrap().ends_with(&report.run));
    assert_eq!(pair.run().unchanged, 1, "the trash is no part of the tree");
}

#[test]
fn too_many_deletes_are_held_and_the_rest_is_done() {
    let mut pair = Pair::mirror();
    for n in 0..100 {
        put(&pair.src(), &format!("f{n}"), "x");
    }
    pair.run();
    for n in 0..60 {
        fs::remove_file(pair.src().join(format!("f{n}"))).unwrap();
    }
    put(&pair.src(), "new", "new");
    let report = pair.run();
    assert_eq!(report.held, [Held::Deletes { side: Side::Right, planned: 60, limit: 50, of: 100 }]);
    assert_eq!((report.outcome, report.copied, report.deleted), (Outcome::Held, 1, 0));
    pair.options.max_delete = MaxDelete::Percent(60);
    let report = pair.run();
    assert_eq!((report.outcome, report.deleted), (Outcome::Success, 60));
}

#[test]
fn an_emptied_source_stops_the_run() {
    let mut pair = Pair::mirror();
    put(&pair.src(), "a", "a");
    pair.run();
    fs::remove_file(pair.src().join("a")).unwrap();
    assert!(matches!(pair.try_run(), Err(RunError::Held(Held::Emptied { side: Side::Left, held: 1 }))));
    fs::remove_dir(pair.src()).unwrap();
    assert!(matches!(pair.try_run(), Err(RunError::Held(Held::Missing { side: Side::Left }))));
    assert_eq!(get(&pair.dst(), "a").as_deref(), Some("a"));
    fs::create_dir(pair.src()).unwrap();
    pair.options.force_empty = true;
    assert_eq!(pair.run().deleted, 1);
}

#[test]
fn an_empty_source_deletes_nothing_though_nothing_is_remembered() {
    let mut pair = Pair::mirror();
    put(&pair.dst(), "a", "a");
    let report = pair.run();
    assert_eq!(report.held, [Held::Deletes { side: Side::Right, planned: 1, limit: 0, of: 1 }]);
    assert_eq!(get(&pair.dst(), "a").as_deref(), Some("a"));
    pair.options.force_empty = true;
    assert_eq!(pair.run().deleted, 1);
}

#[test]
fn a_destination_that_is_not_mounted_stops_the_run() {
    let pair = Pair::mirror();
    put(&pair.src(), "a", "a");
    pair.run();
    fs::remove_dir_all(pair.dst()).unwrap();
    assert!(matches!(pair.try_run(), Err(RunError::Held(Held::Missing { side: Side::Right }))));
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_it_would() {
    let mut pair = Pair::mirror();
    put(&pair.src(), "d/a", "a");
    pair.options.dry_run = true;
    let (events, [left, right]) = (Events::default(), pair.stores());
    let report = pair.run_between(left, right, &events).unwrap();
    assert_eq!((report.dry_run, report.copied), (true, 1));
    let would: Vec<_> = events.0.into_inner().unwrap();
    let would: Vec<_> = would
        .iter()
        .filter_map(|event| match event {
            Event::Would(step) => Some((step.what, step.path.to_string())),
            _ => None,
        })
        .collect();
    assert_eq!(would, [(StepKind::MakeDir, "d".to_owned()), (StepKind::Copy, "d/a".to_owned())]);
    assert!(!pair.dst().exists() && !pair.state_dir().exists());
}

#[test]
fn what_cannot_be_opened_is_reported_and_the_rest_is_done() {
    let pair = Pair::mirror();
    put(&pair.src(), "a", "a");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        pair.src().join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let report = pair.run();
    assert_eq!((report.outcome, report.copied), (Outcome::Partial, 1));
    assert_eq!((report.problems.len(), report.problems[0].kind), (1, ProblemKind::Special));
}

#[test]
fn checksums_find_what_size_and_time_hide() {
    let mut pair = Pair::mirror();
    put(&pair.src(), "a", "one");
    pair.run();
    let time = fs::metadata(pair.src().join("a")).unwrap().modified().unwrap();
    put(&pair.dst(), "a", "two");
    fs::File::options().write(true).open(pair.dst().join("a")).unwrap().set_modified(time).unwrap();
    assert_eq!(pair.run().updated, 0);
    pair.options.checksum = true;
    assert_eq!(pair.run().updated, 1);
    assert_eq!(get(&pair.dst(), "a").as_deref(), Some("one"));
}

#[test]
fn one_side_inside_the_other_is_refused() {
    let pair = Pair::mirror();
    let [left, _] = pair.stores();
    let inside = sitta_store::local::LocalStore::open(pair.src().join("in/side")).unwrap();
    let result = pair.run_between(left.clone(), Arc::new(inside), &());
    assert!(matches!(result, Err(RunError::Nested { .. })));
    assert!(matches!(pair.run_between(left.clone(), left, &()), Err(RunError::Nested { .. })));
}

#[test]
fn a_time_or_mode_of_zero_settles_too() {
    let pair = Pair::mirror();
    put(&pair.src(), "d/a", "a");
    pair.run();
    for path in ["d/a", "d"] {
        let path = pair.src().join(path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        fs::File::open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    pair.run();
    let report = pair.run();
    assert_eq!((report.copied, report.updated, report.unchanged), (0, 0, 1));
    assert_eq!(listing(&pair.src()), listing(&pair.dst()));
    for path in ["d/a", "d"] {
        assert_eq!(fs::metadata(pair.dst().join(path)).unwrap().permissions().mode() & 0o7777, 0);
    }
}

#[test]
fn extended_attributes_follow_on_files_and_folders() {
    let mut pair = Pair::mirror();
    pair.options.xattrs = true;
    put(&pair.src(), "d/a", "a");
    let set = |path: &str, name: &str, value: &str| {
        let path = pair.src().join(path);
        rustix::fs::setxattr(path, name, value.as_bytes(), rustix::fs::XattrFlags::empty()).unwrap();
    };
    let get = |path: &str, name: &str| {
        let mut value = [0; 100];
        let found = rustix::fs::getxattr(pair.dst().join(path), name, &mut value[..]).ok()?;
        Some(String::from_utf8(value[..found].to_vec()).unwrap())
    };
    set("d", "user.colour", "red");
    set("d/a", "user.colour", "blue");
    pair.run();
    assert_eq!((get("d", "user.colour"), get("d/a", "user.colour")), (Some("red".into()), Some("blue".into())));
    set("d", "user.colour", "green");
    set("d/a", "user.shape", "round");
    rustix::fs::removexattr(pair.src().join("d/a"), "user.colour").unwrap();
    let report = pair.run();
    assert_eq!((report.updated, report.bytes), (1, 0));
    assert_eq!((get("d", "user.colour"), get("d/a", "user.colour")), (Some("green".into()), None));
    assert_eq!(get("d/a", "user.shape"), Some("round".into()));
    assert_eq!(pair.run().unchanged, 1);
}

#[test]
fn what_reads_back_differently_is_no_success() {
    let mut pair = Pair::mirror();
    pair.options.verify = true;
    put(&pair.src(), "good", "good");
    put(&pair.src(), "rotten", "as it was sent");
    let memory = MemoryStore::new("memory:dst");
    let disk = memory.clone();
    memory.on_call(move |call| {
        if call.name == "read" && call.path.as_bytes() == b"rotten" {
            disk.put(&call.path, "as it was seNt");
        }
        Fault::None
    });
    let [left, _] = pair.stores();
    let report = pair.run_between(left.clone(), Arc::new(memory.clone()), &()).unwrap();
    assert_eq!((report.outcome, report.copied), (Outcome::Partial, 1));
    assert_eq!(report.problems.len(), 1);
    assert_eq!(
        (report.problems[0].kind, report.problems[0].path.as_bytes()),
        (ProblemKind::Corrupt, &b"rotten"[..])
    );
    memory.calm();
    let report = pair.run_between(left, Arc::new(memory), &()).unwrap();
    assert_eq!((report.outcome, report.updated, report.unchanged), (Outcome::Success, 1, 1));
}
