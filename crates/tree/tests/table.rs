//! The decision table, row by row. How trees are written is told in `support/case.rs`.

mod support;

use sitta_tree::{Existing, OnConflict, Policy};
use support::case::{Case, case, unhashed};

const COPY: Policy = Policy::Copy { existing: Existing::Replace };
const UPDATE: Policy = Policy::Copy { existing: Existing::IfNewer };
const NO_OVERWRITE: Policy = Policy::Copy { existing: Existing::Keep };
const MIRROR: Policy = Policy::Mirror;
const BOTH: Policy = Policy::Sync(OnConflict::KeepBoth);
const NEWEST: Policy = Policy::Sync(OnConflict::Newest { skew: 0 });
const LEFT: Policy = Policy::Sync(OnConflict::Left);
const RIGHT: Policy = Policy::Sync(OnConflict::Right);
const ASK: Policy = Policy::Sync(OnConflict::Ask);
const SYNCS: [Policy; 5] = [BOTH, NEWEST, LEFT, RIGHT, ASK];

/// What each policy does, as lists of actions separated by `;`. The sync policies all do the same.
fn expect(case: &Case, copy: &str, mirror: &str, sync: &str) {
    assert_actions(case, COPY, copy);
    assert_actions(case, MIRROR, mirror);
    SYNCS.into_iter().for_each(|policy| assert_actions(case, policy, sync));
}

fn assert_actions(case: &Case, policy: Policy, expected: &str) {
    let expected: Vec<_> = expected.split(';').map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(case.actions(policy), expected, "{policy:?}");
}

#[test]
fn row_1_nothing_changed() {
    expect(&case("f=1", "f=1", "f=1"), "", "", "");
    expect(&case("f=1", "", ""), "", "", "");
    assert_eq!(case("d/ d/f=1", "", "").notes(BOTH), ["gone d", "gone d/f"]);
    assert_eq!(case("f=1", "f=1", "f=1").notes(BOTH), [""; 0]);
}

#[test]
fn row_2_created_left() {
    expect(&case("", "f=1", ""), "R write f", "R write f", "R write f");
    let all = "R mkdir d; R write d/f; R mkdir d/e; R meta d";
    expect(&case("", "d/ d/f=1 d/e/", ""), all, all, all);
}

#[test]
fn row_3_created_right() {
    expect(&case("", "", "f=1"), "", "R remove f", "L write f");
    let mirror = "R remove d/f; R remove d/e; R remove d";
    expect(&case("", "", "d/ d/f=1 d/e/"), "", mirror, "L mkdir d; L write d/f; L mkdir d/e; L meta d");
}

#[test]
fn row_4_same_content_on_both() {
    expect(&case("", "f=1", "f=1"), "", "", "");
    assert_eq!(case("", "f=1", "f=1").notes(BOTH), ["agreed f"]);
    assert_eq!(case("", "f=1", "f=1").notes(COPY), ["agreed f"]);
    assert_eq!(case("", "f=1", "f=1").notes(MIRROR), [""; 0]);
    expect(&case("f=3", "f=1", "f=1"), "", "", "");
}

#[test]
fn row_5_both_made_something_else() {
    for case in [case("", "f=1", "f=3"), case("f=5", "f=1", "f=3")] {
        assert_actions(&case, COPY, "R overwrite f");
        assert_actions(&case, UPDATE, "");
        assert_actions(&case, NO_OVERWRITE, "");
        assert_actions(&case, MIRROR, "R overwrite f");
        assert_actions(&case, NEWEST, "L overwrite f");
        assert_actions(&case, LEFT, "R overwrite f");
        assert_actions(&case, RIGHT, "L overwrite f");
        assert_actions(&case, ASK, "");
        assert!(case.notes(ASK).contains(&"conflict f Left".to_owned()));
        let actions = case.actions(BOTH);
        assert!(actions[0].starts_with("L move f to f.conflict-"), "the older one gives up its name: {actions:?}");
        assert!(actions[1].starts_with("R copy f.conflict-"), "{actions:?}");
        assert_eq!(actions[2..], ["L write f"]);
    }
    assert_actions(&case("", "f=3", "f=1"), UPDATE, "R overwrite f");
}

#[test]
fn row_5_newest_needs_a_gap() {
    let close = case("", "f=1@100", "f=3@101").with(|case| case.traits[1].mtime_precision = 2_000_000_000);
    assert!(close.actions(NEWEST)[0].contains("conflict"), "within a tick nobody is newer");
    let skewed = Policy::Sync(OnConflict::Newest { skew: 60_000_000_000 });
    assert!(case("", "f=1@100", "f=3@150").actions(skewed)[0].contains("conflict"));
    assert_actions(&case("", "f=1@100", "f=3@190"), skewed, "L overwrite f");
}

#[test]
fn row_6_and_7_one_side_changed() {
    expect(&case("f=1", "f=3", "f=1"), "R overwrite f", "R overwrite f", "R overwrite f");
    expect(&case("f=1", "f=1", "f=3"), "", "R overwrite f", "L overwrite f");
    expect(&case("l>a", "l>b", "l>a"), "R overwrite l", "R overwrite l", "R overwrite l");
}

#[test]
fn row_8_and_9_one_side_deleted() {
    expect(&case("f=1", "", "f=1"), "", "R remove f", "R remove f");
    expect(&case("f=1", "f=1", ""), "R write f", "R write f", "L remove f");
}

#[test]
fn row_10_and_11_deleted_here_changed_there() {
    let edited_left = case("f=1", "f=3", "");
    let edited_right = case("f=1", "", "f=3");
    for policy in [COPY, MIRROR, BOTH, NEWEST, LEFT, ASK] {
        assert_actions(&edited_left, policy, "R write f");
    }
    assert_actions(&edited_left, RIGHT, "L remove f");
    assert_eq!(edited_left.notes(RIGHT), ["conflict f Won(Right)"]);
    assert_actions(&edited_right, COPY, "");
    assert_actions(&edited_right, MIRROR, "R remove f");
    for policy in [BOTH, NEWEST, RIGHT, ASK] {
        assert_actions(&edited_right, policy, "L write f");
    }
    assert_actions(&edited_right, LEFT, "R remove f");
}

#[test]
fn row_12_one_side_changed_the_kind() {
    let to_dir = case("f=1", "f/ f/g=3", "f=1");
    expect(
        &to_dir,
        "",
        "R remove f; R mkdir f; R write f/g; R meta f",
        "R remove f; R mkdir f; R write f/g; R meta f",
    );
    assert_eq!(to_dir.notes(COPY), ["problem f other"]);
    let to_file = case("f/ f/g=1", "f=3", "f/ f/g=1");
    expect(&to_file, "", "R remove f/g; R remove f; R write f", "R remove f/g; R remove f; R write f");
    expect(
        &case("f/ f/g=1", "f/ f/g=1", "f=3"),
        "",
        "R remove f; R mkdir f; R write f/g; R meta f",
        "L remove f/g; L remove f; L write f",
    );
    expect(&case("f=1", "f>t", "f=1"), "", "R overwrite f", "R overwrite f");
}

#[test]
fn row_13_kind_changed_here_deleted_there() {
    let case = case("f=1", "f/ f/g=3", "");
    for policy in [COPY, MIRROR, BOTH, NEWEST, LEFT, ASK] {
        assert_actions(&case, policy, "R mkdir f; R write f/g; R meta f");
    }
    assert_actions(&case, RIGHT, "L remove f/g; L remove f");
}

#[test]
fn row_14_a_changed_directory_keeps_the_path() {
    for case in [case("f=1", "f/ f/g=5", "f=3"), case("", "f/ f/g=5", "f=3"), case("f/ f/h=1", "f/ f/g=5", "f=3")] {
        for policy in [BOTH, NEWEST] {
            let actions = case.actions(policy);
            assert!(actions[0].starts_with("R move f to f.conflict-"), "{actions:?}");
            assert!(actions[1].starts_with("L copy f.conflict-"), "{actions:?}");
            assert_eq!(actions[2..], ["R mkdir f", "R write f/g", "R meta f"]);
        }
        assert_actions(&case, LEFT, "R remove f; R mkdir f; R write f/g; R meta f");
        assert_actions(&case, RIGHT, "L remove f/g; L remove f; L write f");
        assert_actions(&case, ASK, "");
        assert_actions(&case, COPY, "");
    }
    let link = case("f=1", "f>t", "f=3").actions(BOTH);
    assert!(link[0].starts_with("L move f to f.conflict-"), "a link against a file is as row 5: {link:?}");
}

#[test]
fn row_14_what_was_agreed_below_is_forgotten_before_it_is_made_anew() {
    // Else a failure half way would count as deleted what was only not written yet.
    let case = case("f/ f/g=1", "f/ f/g=1 f/new=5", "f=3");
    assert!(case.notes(BOTH).contains(&"gone f/g".to_owned()), "{:?}", case.notes(BOTH));
}

#[test]
fn row_15_changes_inside_a_deleted_directory() {
    let case = case("d/ d/same=1 d/edited=3 d/e/ d/e/f=5", "", "d/ d/same=1 d/edited=7 d/new=9 d/e/ d/e/f=5");
    let survivors =
        "L mkdir d; L write d/edited; L write d/new; R remove d/same; R remove d/e/f; R remove d/e; L meta d";
    for policy in [BOTH, NEWEST, RIGHT, ASK] {
        let actions = case.actions(policy);
        let expected: Vec<_> = survivors.split("; ").collect();
        assert_eq!(actions[..expected.len() - 1], expected[..expected.len() - 1], "{policy:?}");
    }
    assert_actions(
        &case,
        LEFT,
        "R remove d/edited; R remove d/new; R remove d/same; R remove d/e/f; R remove d/e; R remove d",
    );
    assert_actions(&case, COPY, "");
    let unchanged = support::case::case("d/ d/f=1", "", "d/ d/f=1");
    SYNCS.into_iter().for_each(|policy| assert_actions(&unchanged, policy, "R remove d/f; R remove d"));
}

#[test]
fn row_16_the_edit_survives_at_the_old_path() {
    let case = case("a=1", "b=1", "a=3");
    for policy in SYNCS {
        // Also where the left side wins: a rename is no deletion.
        assert_actions(&case, policy, "L write a; R write b");
    }
    assert_actions(&case, MIRROR, "R write b; R remove a");
}

#[test]
fn row_17_both_moved_to_one_name() {
    let case = case("a=1", "b=1", "b=1");
    expect(&case, "", "", "");
    assert_eq!(case.notes(BOTH), ["agreed b", "gone a"]);
}

#[test]
fn row_18_both_moved_to_different_names() {
    assert_actions(&case("a=1", "b=1", "c=1"), BOTH, "R write b; L write c");
}

#[test]
fn moves_are_found_by_id_and_by_content() {
    expect(&case("a=1", "b=1", "a=1"), "R write b", "R move a to b", "R move a to b");
    expect(&unhashed("a=1", "b=1", "a=1"), "R write b", "R move a to b", "R move a to b");
    let no_ids = |case: &mut Case| case.traits[0].stable_ids = false;
    assert_actions(&case("a=1", "b=1", "a=1").with(no_ids), BOTH, "R move a to b");
    assert_actions(&unhashed("a=1", "b=1", "a=1").with(no_ids), BOTH, "R write b; R remove a");
    assert_actions(&case("a=1", "d/ d/b=1", "a=1"), MIRROR, "R mkdir d; R move a to d/b; R meta d");
    assert_actions(&case("a=1", "b=1!600", "a=1"), BOTH, "R move a to b; R meta b");
    // What was edited at the destination is not what was moved.
    assert_actions(&unhashed("a=1", "b=1", "a=3"), MIRROR, "R write b; R remove a");
    // Two that look alike prove nothing.
    assert_actions(&case("a=1", "b=1& c=1&", "a=1"), MIRROR, "R write b; R write c; R remove a");
}

#[test]
fn a_moved_file_that_is_there_already_is_guarded() {
    assert_actions(&case("a=1", "b=1", "a=1 b=1"), BOTH, "R remove a, keep R b");
}

#[test]
fn moves_are_not_deletes() {
    let summary = case("a=1", "b=1", "a=1").look(BOTH, |_, plan| plan.summary);
    assert_eq!((summary.moved, summary.new, summary.deleted, summary.bytes), (1, 0, 0, 0));
}
