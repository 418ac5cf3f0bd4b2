use super::{Stage, golden};

/// Two runs of the past, and files that stand there now.
fn stage() -> Stage {
    let stage = Stage::new();
    let runs = ["20260101T100000Z-0123abcd-7.0", "20260203T101112Z-0123abcd-8.0"];
    stage.write("dst/a.txt", "now", 20);
    for (run, name, text, day) in [
        (runs[0], "a.txt", "first", 1),
        (runs[0], "sub/c.txt", "gamma", 2),
        (runs[1], "a.txt", "second version", 3),
        (runs[1], "sub/deep/d.txt", "delta", 4),
    ] {
        stage.write(&format!("dst/.sitta/trash/{run}/{name}"), text, day);
    }
    stage.write("dst/.sitta/trash/notes/mine", "not ours", 1);
    std::os::unix::fs::symlink("../a.txt", stage.path(&format!("dst/.sitta/trash/{}/sub/link", runs[1])))
        .expect("symlink");
    stage
}

#[test]
fn the_trash_is_listed_restored_and_emptied() {
    let stage = stage();
    let mut said = stage.run("trash list dst");
    said += &stage.run("trash list dst sub --since 2026-02-01");
    said += &stage.run("trash restore dst a.txt");
    said += &stage.run("trash restore dst a.txt --to old/a.txt");
    said += &stage.run("trash restore dst sub --run 202601");
    said += &stage.run("trash restore dst a.txt sub --force -v");
    said += &stage.run("trash empty dst --dry-run");
    said += &stage.run("trash empty dst --older-than 1d");
    said += &stage.run("trash empty dst --yes");
    said += &stage.run("trash list dst");
    golden("trash_verbs", &masked(&said));
}

#[test]
fn the_trash_is_told_in_json() {
    let stage = stage();
    let mut said = stage.run("trash list dst --json");
    said += &stage.run("trash restore dst sub --json");
    said += &stage.run("trash restore dst a.txt --json");
    said += &stage.run("trash empty dst --older-than 1d --json");
    golden("trash_json", &said);
}

#[test]
fn what_is_wrong_with_the_trash_is_said() {
    let stage = stage();
    let mut said = stage.run("trash list nowhere");
    said += &stage.run("trash list dst c.txt");
    said += &stage.run("trash restore dst a.tx");
    said += &stage.run("trash restore dst a.txt --run 2027");
    said += &stage.run("trash restore dst a.txt --run 2026");
    said += &stage.run("trash restore dst ../a.txt");
    said += &stage.run("trash restore dst a.txt sub --to b");
    said += &stage.run("trash restore dst a.txt --to .sitta/x");
    said += &stage.run("trash restore dst a.txt --json --run 2027");
    said += &stage.run("trash empty dst");
    said += &stage.run("trash empty dst --older-than soon");
    said += &stage.run("mirror dst copy --trash-keep 30d");
    golden("trash_wrong", &said);
}

#[test]
fn a_run_says_what_its_trash_let_go_of() {
    let stage = stage();
    stage.write("src/a.txt", "now", 20);
    let mut said = stage.run("mirror src dst --trash --trash-keep 30d");
    said += &stage.run("mirror src dst --trash --trash-keep 30d");
    golden("trash_keep", &said);
}

/// The moment at which a run of the test itself began differs from run to run.
fn masked(said: &str) -> String {
    let today = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d").to_string();
    let mask = |line: &str| match line.find(&today) {
        Some(at) => format!("{}[when]{}", &line[..at], &line[(at + 16).min(line.len())..]),
        None => line.to_owned(),
    };
    said.lines().map(|line| mask(line) + "\n").collect()
}
