use super::{Stage, golden};

fn two() -> Stage {
    let stage = Stage::with_source();
    stage.write("other/a.txt", "alpha", 1);
    stage.write("other/b.txt", "beta, newer", 5);
    stage.write("other/only here.txt", &"x".repeat(46_592), 2);
    std::os::unix::fs::symlink("a.txt", stage.path("other/link")).expect("symlink");
    // What is no file shows the time of now.
    for folder in ["src/sub", "other/link"] {
        let time = rustix::fs::Timespec { tv_sec: 1_767_268_800, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, stage.path(folder), &times, flags).expect("touch");
    }
    stage
}

#[test]
fn ls_lists_one_folder_or_several() {
    let stage = two();
    let mut said = stage.run("ls src");
    said += &stage.run("ls --long src other");
    said += &stage.run("ls src other --recursive --sort time");
    said += &stage.run("ls other --long --sort size --min-size 8B");
    said += &stage.run("ls src other --json --glob b*");
    said += &stage.run("ls src/a.txt --long");
    golden("ls", &said);
}

#[test]
fn find_prints_paths() {
    let stage = two();
    let mut said = stage.run("find src other");
    said += &stage.run("find src --ext txt --since 2026-01-03");
    said += &stage.run("find src other --contains eta");
    said += &stage.run("find other --glob *.txt --until 2026-01-02 --json");
    golden("find", &said);
}

#[test]
fn du_adds_up() {
    let stage = two();
    let mut said = stage.run("du src");
    said += &stage.run("du src other --depth 0 --sort size");
    said += &stage.run("du src --json");
    golden("du", &said);
}

#[test]
fn hash_is_what_coreutils_print_and_verify() {
    let stage = Stage::with_source();
    let mut said = stage.run("hash src");
    said += &stage.run("hash --algo md5 src/a.txt src/b.txt");
    said += &stage.run("hash --algo sha256 --json src/a.txt");
    said += &stage.run_with("hash -", "standard input");
    let list = stage.run("hash --algo sha256 src");
    let list: String = list.lines().filter(|line| line.contains("  src")).map(|line| format!("{line}\n")).collect();
    stage.write("SUMS", &list, 1);
    said += &stage.run("hash --check SUMS");
    stage.write("src/a.txt", "other", 1);
    said += &stage.run("hash --check SUMS --quiet");
    stage.remove("src/b.txt");
    said += &stage.run("hash --check SUMS --json");
    stage.write("src/a.txt", "alpha", 1);
    stage.write("SUMS", &format!("{list}nonsense\n"), 1);
    said += &stage.run("hash --check SUMS");
    golden("hash", &said);
}

#[test]
fn cat_prints_files() {
    let stage = Stage::with_source();
    golden("cat", &(stage.run("cat src/a.txt src/b.txt") + &stage.run("cat src")));
}
