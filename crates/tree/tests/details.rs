//! What the decision table says beside its rows: what is unknown, metadata, names, hashes, links, brakes.

mod support;

use sitta_tree::guard::{Allowance, DeleteLimit, hold_deletes};
use sitta_tree::{Existing, Expect, OnConflict, Policy};
use support::case::{Case, case, shown, unhashed};

const COPY: Policy = Policy::Copy { existing: Existing::Replace };
const MIRROR: Policy = Policy::Mirror;
const BOTH: Policy = Policy::Sync(OnConflict::KeepBoth);
const LEFT: Policy = Policy::Sync(OnConflict::Left);
const ASK: Policy = Policy::Sync(OnConflict::Ask);
const NOTHING: [&str; 0] = [];

fn folding(case: &mut Case) {
    case.traits[1].folds_names = true;
}

#[test]
fn unknown_is_never_absent() {
    for policy in [MIRROR, BOTH, LEFT, COPY] {
        assert_eq!(case("f=1", "f?", "f=1").actions(policy), NOTHING);
        assert_eq!(case("f=1", "f=3", "f?").actions(policy), NOTHING);
        assert_eq!(case("d/ d/f=1", "d?", "d/ d/f=1").actions(policy), NOTHING);
        assert_eq!(case("d/ d/f=1", "d/..", "d/ d/f=1").actions(policy), NOTHING, "not listed, not deleted");
    }
    let seen = case("d/ d/f=1 d/g=3", "d/.. d/g=5", "d/ d/f=1 d/g=3").actions(BOTH);
    assert_eq!(seen, ["R overwrite d/g", "R meta d"], "what was seen takes part");
}

#[test]
fn a_directory_that_holds_more_than_is_seen_stays() {
    for right in ["d/~ d/f=1", "d/ d/f=1 d/x?", "d/ d/e/~ d/f=1"] {
        for policy in [MIRROR, BOTH, LEFT] {
            assert_eq!(case("d/ d/e/ d/f=1", "", right).actions(policy), ["R remove d/f"], "{right}");
        }
    }
    let blocked = case("d/ d/f=1", "d=3", "d/~ d/f=1");
    assert_eq!(blocked.actions(MIRROR), NOTHING);
    assert_eq!(blocked.notes(MIRROR), ["problem d other"]);
}

#[test]
fn metadata_is_merged_field_by_field() {
    assert_eq!(case("f=1", "f=1!600", "f=1").actions(BOTH), ["R meta f"]);
    assert_eq!(case("f=1", "f=1", "f=1@99").actions(BOTH), ["L meta f"]);
    let both = case("f=1", "f=1!600", "f=1@99").actions(BOTH);
    assert_eq!(both, ["R merge f, left's mode", "L merge f, left's mode"]);
    assert_eq!(case("", "f=1!600", "f=1").actions(BOTH).len(), 1, "never a conflict");
    let edited = case("f=1", "f=3", "f=1!600").actions(BOTH);
    assert_eq!(edited, ["R overwrite f", "R merge f, right's mode", "L merge f, right's mode"]);
    assert_eq!(case("f=1", "f=1!600", "f=1@99").actions(MIRROR), ["R meta f"]);
    let no_modes = case("f=1", "f=1!600", "f=1").with(|case| case.traits[1].modes = false);
    assert_eq!(no_modes.actions(BOTH), NOTHING, "what one side cannot keep is no difference");
    assert_eq!(no_modes.actions(MIRROR), NOTHING);
}

#[test]
fn a_new_date_is_no_edit() {
    let touched = unhashed("f=1", "f=1@99", "f=2@50");
    assert_eq!(touched.notes(BOTH), ["undecided f"], "before it counts as a conflict");
    assert_eq!(case("f=1", "f=1@99", "f=2@50").actions(BOTH), ["L overwrite f"]);
    assert_eq!(case("f=1", "f=1@99", "").actions(BOTH), ["L remove f"]);
}

#[test]
fn hashes_are_asked_for_where_nothing_else_decides() {
    assert_eq!(unhashed("", "f=1", "f=3").notes(BOTH), ["undecided f"], "equal size");
    assert_eq!(unhashed("", "f=1@7", "f=1@9").notes(BOTH), ["undecided f"]);
    assert_eq!(unhashed("", "f=1", "f=2").notes(BOTH).len(), 1, "sizes that differ decide");
    assert_eq!(unhashed("", "f=1", "f=3@10").actions(MIRROR), NOTHING, "same size and time");
    assert_eq!(unhashed("", "f=1", "f=3").actions(MIRROR), ["R overwrite f"], "written, not hashed");
    let checksum = |case: &mut Case| case.checksum = true;
    assert_eq!(unhashed("", "f=1", "f=3@10 g=5").with(checksum).notes(MIRROR), ["undecided f"]);
    assert_eq!(unhashed("", "f=1", "f=3@10 g=5").with(checksum).actions(MIRROR), NOTHING);
    assert_eq!(case("", "f=1", "f=3@10").with(checksum).actions(MIRROR), ["R overwrite f"]);
    assert_eq!(case("", "f=1", "f=1@99").with(checksum).actions(MIRROR), ["R meta f"]);
}

#[test]
fn without_times_the_base_decides() {
    let timeless = |case: &mut Case| case.traits[1].mtime_precision = 0;
    assert_eq!(unhashed("f=1", "f=1", "f=1").with(timeless).actions(MIRROR), NOTHING);
    assert_eq!(unhashed("f=1", "f=3", "f=1").with(timeless).actions(MIRROR), ["R overwrite f"]);
    assert_eq!(unhashed("", "f=1", "f=1").with(timeless).notes(MIRROR), ["undecided f"]);
    assert_eq!(case("", "f=1", "f=1").with(timeless).notes(MIRROR), ["agreed f"]);
}

#[test]
fn damage_is_reported_and_goes_nowhere() {
    let checksum = |case: &mut Case| case.checksum = true;
    for policy in [BOTH, LEFT, MIRROR, COPY] {
        let rotten = case("f=1", "f=1#3", "f=1").with(checksum);
        assert_eq!(rotten.actions(policy), NOTHING, "{policy:?}");
        assert_eq!(rotten.notes(policy), ["problem f corrupt"]);
    }
    let copy = case("f=1", "f=1", "f=1#3").with(checksum);
    assert_eq!(copy.notes(BOTH), ["problem f corrupt"]);
    assert_eq!(copy.actions(MIRROR), ["R overwrite f"], "a good source mends its copy");
    assert_eq!(copy.actions(COPY), ["R overwrite f"]);
}

#[test]
fn left_to_the_user_until_one_of_them_changes() {
    let waiting = unhashed("conflict:f=1|3", "f=1", "f=3");
    assert_eq!(waiting.notes(ASK), ["conflict f Left"], "and nobody has to hash it again");
    let settled = case("conflict:f=1|3", "f=3", "f=3");
    assert_eq!(settled.notes(ASK), ["agreed f"]);
    assert_eq!(case("conflict:f=1|3", "", "f=3").actions(ASK), ["L write f"], "one version was thrown away");
    assert_eq!(case("d/ conflict:d/f=1|3", "d=5", "d/ d/f=3").notes(ASK), ["conflict d Left"]);
}

#[test]
fn names_that_are_one_name() {
    let blocked = case("a=1", "A=3 a=1", "a=1").with(folding);
    assert_eq!(blocked.actions(BOTH), NOTHING);
    assert_eq!(blocked.notes(BOTH), ["problem A name_clash"]);
    assert_eq!(blocked.actions(MIRROR), NOTHING);
    assert_eq!(case("a=1", "A=3 a=1", "a=1").actions(BOTH), ["R write A"], "two names to others");
    let composed = case("\u{e9}=1", "\u{e9}=3", "e\u{301}=1").with(folding);
    assert_eq!(composed.actions(BOTH), ["R overwrite e\u{301}"], "spelled otherwise, the same file");
    let inside = case("", "D/ D/f=1", "d/").with(folding);
    assert_eq!(inside.actions(BOTH), ["R write d/f", "R meta d"]);
}

#[test]
fn a_new_spelling_goes_to_the_other_side() {
    let renamed = case("a=1", "A=1", "a=1").with(folding);
    assert_eq!(renamed.actions(BOTH), ["R move a to A"]);
    assert_eq!(renamed.actions(MIRROR), ["R move a to A"]);
    let expect = renamed.look(BOTH, |_, plan| plan.actions[0].expect);
    assert!(matches!(expect, Expect::Seen(_)), "the store finds the file itself under the new name");
    assert_eq!(case("a=1", "a=1", "A=1").with(folding).actions(BOTH), ["L move a to A"]);
    assert_eq!(case("d/", "D/", "d/").with(folding).actions(BOTH), ["R move d to D"]);
    assert_eq!(case("\u{e9}=1", "\u{e9}=1", "e\u{301}=1").with(folding).actions(BOTH), NOTHING);
    let implied = case("d/ d/f=1", "D/ D/f=1", "d/ d/f=1").with(|case| {
        case.traits[0].folds_names = true;
        case.traits[1].dirs = false;
    });
    assert_eq!(implied.actions(BOTH), NOTHING, "a directory that is only implied cannot be renamed");
}

#[test]
fn conflict_names_are_free() {
    let first = case("", "f=1", "f=3").actions(BOTH)[0].clone();
    let name = first.rsplit(' ').next().expect("a name").to_owned();
    let taken = format!("f=3 {name}=7");
    let second = case("", "f=1", &taken).actions(BOTH);
    assert!(second.iter().any(|action| action.contains(&format!("to {name}-2"))), "{second:?}");
    let long = "n".repeat(255);
    let cut = case("", &format!("{long}=1"), &format!("{long}=3"));
    cut.look(BOTH, |_, plan| assert_eq!(plan.names[0].name().len(), 255));
}

#[test]
fn what_a_side_cannot_hold_is_a_problem() {
    let no_links = |case: &mut Case| case.traits[1].symlinks = false;
    assert_eq!(case("", "l>t", "").with(no_links).notes(MIRROR), ["problem l unsupported"]);
    assert_eq!(case("", "l>t", "l=1").with(no_links).actions(MIRROR), NOTHING, "and what is there stays");
    let no_dirs = |case: &mut Case| case.traits[1].dirs = false;
    assert_eq!(case("", "d/ d/f=1", "").with(no_dirs).actions(BOTH), ["R write d/f"]);
    assert_eq!(
        case("d/", "d/", "").with(no_dirs).actions(BOTH),
        NOTHING,
        "an empty directory is not deleted there"
    );
    let emptied = case("d/ d/f=1", "d/ d/f=1", "").with(no_dirs).actions(BOTH);
    assert_eq!(emptied, ["L remove d/f", "L remove d"]);
}

#[test]
fn several_names_of_one_file() {
    let linked = |case: &mut Case| case.hard_links = true;
    assert_eq!(case("", "a=1& b=1&", "").with(linked).actions(MIRROR), ["R write a", "R link b to a"]);
    assert_eq!(case("", "a=1& b=1&", "b=1").with(linked).actions(MIRROR), ["R link a to b"]);
    assert_eq!(case("", "a=1& b=1&", "a=1 b=1").with(linked).actions(MIRROR), NOTHING, "they share an inode");
    let update = case("", "a=1& b=1&", "a=3 b=3").with(linked).actions(MIRROR);
    assert_eq!(update, ["R overwrite a", "R link b to a"]);
    assert_eq!(case("", "a=1& b=1&", "").actions(MIRROR), ["R write a", "R write b"], "only if asked for");
}

#[test]
fn one_file_at_two_agreed_paths_is_not_deleted_at_both() {
    // The base has it where it was and where it was moved to; each side has it at one of the two.
    let moved_back = case("f=1 g=1", "g=1", "f=1");
    assert_eq!(moved_back.actions(BOTH), ["R remove f"]);
    moved_back.look(BOTH, |inputs, plan| {
        let gone: Vec<_> = plan.gone.iter().map(|id| inputs.base.tree().path(*id).to_string()).collect();
        assert_eq!(gone, ["g"], "what stays counts as new from now on");
    });
    let by_chance = case("f=1 g=3", "g=3", "f=1").actions(BOTH);
    assert_eq!(by_chance, ["R remove f", "L remove g"]);
}

#[test]
fn what_lies_too_deep_is_left_alone() {
    fn look() {
        let (mut deep, mut path) = (String::new(), String::from("a"));
        for _ in 0..4_100 {
            deep += &format!("{path}/ ");
            path += "/a";
        }
        for policy in [MIRROR, BOTH] {
            assert_eq!(case("", &deep, "").look(policy, |_, plan| plan.problems.len()), 1);
            assert_eq!(case("a/ a/a/", "", &deep).look(policy, |_, plan| plan.problems.len()), 1);
        }
        assert_eq!(case("", "a=1", &deep).actions(MIRROR), NOTHING);
    }
    let planner = std::thread::Builder::new().stack_size(sitta_tree::plan::STACK);
    planner.spawn(look).expect("a thread").join().expect("the stack is deep enough");
}

#[test]
fn the_order_of_actions() {
    let case = case(
        "gone/ gone/g=2 kind=4 moved=6 old=8",
        "kind/ kind/in=1 new/ new/f=3 new/sub/ new/sub/moved=6 old=5 z=7",
        "gone/ gone/g=2 kind=4 moved=6 old=8",
    );
    let order = [
        "R write z",
        "R mkdir new",
        "R write new/f",
        "R mkdir new/sub",
        "R overwrite old",
        "R move moved to new/sub/moved",
        "R remove gone/g",
        "R remove gone",
        "R remove kind",
        "R mkdir kind",
        "R write kind/in",
        "R meta kind",
        "R meta new/sub",
        "R meta new",
    ];
    assert_eq!(case.actions(MIRROR), order);
}

fn held(case: &Case, limit: DeleteLimit) -> (Vec<String>, Vec<(u64, u64, u64)>) {
    case.look(MIRROR, |inputs, mut plan| {
        let held = hold_deletes(inputs, &mut plan, &Allowance::whole(limit, inputs));
        (shown(inputs, &plan), held.iter().map(|held| (held.planned, held.limit, held.of)).collect())
    })
}

#[test]
fn too_many_deletes_are_held() {
    let case = case("", "k/ k/new=1 n=9", "a=1 b=3 c=5 k=7 d/");
    let (actions, told) = held(&case, DeleteLimit::Count(3));
    assert_eq!(actions, ["R write n"], "what was to stand in the place of something goes with it");
    assert_eq!(told, [(4, 3, 4)]);
    assert_eq!(held(&case, DeleteLimit::Default).1, []);
    assert_eq!(held(&case, DeleteLimit::Percent(50)).1, [(4, 2, 4)]);
    assert_eq!(held(&case, DeleteLimit::Percent(100)).1, []);
    assert_eq!((DeleteLimit::Default.of(10), DeleteLimit::Default.of(1_000)), (50, 200));
}
