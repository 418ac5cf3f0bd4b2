use std::fs;

use super::{Stage, golden};

/// Two folders that agree on three files.
fn agreed() -> Stage {
    let stage = Stage::with_source();
    fs::create_dir(stage.path("other")).expect("mkdir");
    stage.run("sync src other");
    stage
}

/// With another version of a file on each side.
fn in_conflict() -> Stage {
    let stage = agreed();
    stage.write("src/a.txt", "changed on one side", 5);
    stage.write("other/a.txt", "and on the other", 6);
    stage
}

#[test]
fn a_sync_tells_what_it_does() {
    let stage = Stage::with_source();
    stage.write("other/theirs.txt", "theirs", 4);
    let mut said = stage.run("sync src other");
    said += &stage.run("sync src other");
    stage.write("src/b.txt", "changed here", 5);
    stage.remove("other/sub/c.txt");
    said += &stage.run("sync src other --dry-run");
    said += &stage.run("sync other src -v");
    golden("sync", &said);
}

#[test]
fn conflicts_are_told_listed_and_settled() {
    let stage = in_conflict();
    let mut said = stage.run("sync src other");
    said += &stage.run("conflicts src other");
    said += &stage.run("conflicts src other --json");
    said += &stage.run("conflicts resolve a.text --keep left");
    said += &stage.run("conflicts resolve a.txt --keep left");
    said += &stage.run("conflicts src other");
    golden("conflicts", &said);
}

#[test]
fn conflicts_are_left_to_who_wants_to_be_asked() {
    let stage = in_conflict();
    let mut said = stage.run("sync src other --policy ask");
    said += &stage.run("conflicts src other");
    said += &stage.run("conflicts resolve src/a.txt --keep right");
    said += &stage.run("sync src other --policy newest");
    golden("conflicts_left", &said);
}

#[test]
fn one_side_may_win() {
    let stage = in_conflict();
    let mut said = stage.run("sync src other --policy newest --dry-run");
    said += &stage.run("sync src other --policy left");
    golden("sync_wins", &said);
}

#[test]
fn what_holds_a_sync_back_says_so() {
    let stage = agreed();
    let mut said = String::new();
    fs::rename(stage.path("other"), stage.path("away")).expect("rename");
    said += &stage.run("sync src other");
    fs::create_dir(stage.path("other")).expect("mkdir");
    said += &stage.run("sync src other");
    fs::remove_dir(stage.path("other")).expect("rmdir");
    fs::rename(stage.path("away"), stage.path("other")).expect("rename");
    stage.remove("src/a.txt");
    said += &stage.run("sync src other --max-delete 0");
    said += &stage.run("sync src src");
    fs::create_dir(stage.path("third")).expect("mkdir");
    stage.run("sync other third");
    said += &stage.run("sync third src");
    said += &stage.run("sync --forget src other");
    said += &stage.run("sync --forget src other");
    said += &stage.run("sync src");
    golden("sync_guards", &said);
}

#[test]
fn a_hub_tells_of_each_pair() {
    let stage = Stage::with_source();
    stage.write("b/theirs.txt", "theirs", 4);
    fs::create_dir(stage.path("hub")).expect("mkdir");
    let mut said = stage.run("sync hub src b");
    said += &stage.run("sync hub src b");
    golden("sync_hub", &said);
}
