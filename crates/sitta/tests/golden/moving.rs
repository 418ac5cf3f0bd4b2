use std::fs;

use super::{Stage, golden};

#[test]
fn a_mirror_tells_what_it_does() {
    let stage = Stage::with_source();
    let mut said = stage.run("mirror src dst");
    said += &stage.run("mirror src dst");
    stage.write("src/a.txt", "alpha changed", 4);
    stage.write("src/new.txt", "new", 4);
    stage.remove("src/b.txt");
    said += &stage.run("mirror src dst --dry-run");
    said += &stage.run("mirror src dst");
    golden("mirror", &said);
}

#[test]
fn a_copy_never_deletes() {
    let stage = Stage::with_source();
    let mut said = stage.run("copy src dst -v");
    stage.remove("src/b.txt");
    stage.write("dst/a.txt", "newer here", 9);
    said += &stage.run("copy src dst --update");
    said += &stage.run("copy src dst --no-overwrite");
    said += &stage.run("copy src dst -q");
    said += &stage.run("copy src dst");
    golden("copy", &said);
}

#[test]
fn old_versions_are_said_to_be_in_the_trash() {
    let stage = Stage::with_source();
    stage.run("mirror src dst");
    stage.write("src/a.txt", "alpha changed", 4);
    stage.remove("src/b.txt");
    golden("trash", &stage.run("mirror src dst --trash"));
}

#[test]
fn what_could_not_be_sent_is_named() {
    let stage = Stage::with_source();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        stage.path("src/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("mkfifo");
    golden("partial", &stage.run("mirror src dst"));
}

#[test]
fn filters_leave_out_in_order() {
    let stage = Stage::with_source();
    stage.write("rules", "# ours\n*.txt\n!a.txt\n", 1);
    let mut said = stage.run("copy src one --exclude *.txt --include b.txt --dry-run");
    said += &stage.run("copy src two --include c.txt --dry-run");
    said += &stage.run("copy src three --filter-from rules --dry-run");
    golden("filters", &said);
}

#[test]
fn guards_say_what_lets_it_through() {
    let stage = Stage::with_source();
    for n in 0..60 {
        stage.write(&format!("src/many/{n}"), "x", 1);
    }
    stage.run("mirror src dst");
    stage.remove("src/many");
    let mut said = stage.run("mirror src dst");
    said += &stage.run("mirror src dst --max-delete 60");
    fs::rename(stage.path("src"), stage.path("elsewhere")).expect("rename");
    said += &stage.run("mirror src dst");
    fs::create_dir(stage.path("src")).expect("mkdir");
    said += &stage.run("mirror src dst");
    golden("guards", &said);
}
