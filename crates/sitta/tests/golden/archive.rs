use std::process::Command;

use super::{Stage, golden};

/// The same with what is another each time left out: today's date, and sizes of archives, which hold times.
fn undated(said: &str) -> String {
    let today = Command::new("date").args(["-u", "+%F"]).output().expect("date runs").stdout;
    let said = said.replace(String::from_utf8_lossy(&today).trim(), "[today]");
    ["B → ", ".tgz   ", "packed into "].iter().fold(said, |said, before| {
        let mut parts = said.split(before);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |said, part| {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
            said + before + if rest.len() < part.len() { "[size]" } else { "" } + rest
        })
    })
}

#[test]
fn an_archive_tells_its_steps() {
    let stage = Stage::with_source();
    for name in ["db-2026-01-01.tgz", "db-2026-01-02.tgz"] {
        stage.write(&format!("out/{name}"), "old", 2);
    }
    let mut said = stage.run("archive src out/db-{date}.tgz --keep last=2 --dry-run");
    said += &stage.run("archive src out/db-{date}.tgz --keep last=2");
    said += &stage.run("archive src/a.txt out/db-{date}.tgz --keep last=2 -v");
    said += &stage.run("archive src out/db-{date}.tgz -q");
    said += &stage.run("unpack out/db-2026-01-02.tgz new");
    said += &stage.run("archive src new/x.zip");
    said += &stage.run("unpack new/x.zip again");
    golden("archive", &undated(&said));
}

#[test]
fn an_archive_in_json() {
    let stage = Stage::with_source();
    let said = stage.run("archive src out/a.zip --json") + &stage.run("archive none out/a.zip --json");
    golden("archive_json", &said);
}

#[test]
fn what_is_no_archive() {
    let stage = Stage::with_source();
    let mut said = stage.run("archive src out/a.rar");
    said += &stage.run("archive src out/{day}.zip");
    said += &stage.run("archive src out/{date}/a.zip");
    said += &stage.run("archive src out/a.zip --keep last=3");
    said += &stage.run("archive src out/a.zip --keep 7");
    said += &stage.run("archive src out/a.zip --level 13");
    said += &stage.run("archive src src/a.zip");
    said += &stage.run("archive none out/a.zip");
    said += &stage.run("archive src out/a.zip --exclude *");
    said += &stage.run("archive src out/a.zip --max-age 24h");
    said += &stage.run("archive nas:x.zip!/y out/a.zip");
    stage.write("out/a.zip", "old", 1);
    said += &stage.run("archive src out/a.zip --no-overwrite");
    said += &stage.run("unpack src/a.txt new");
    golden("archive_wrong", &said);
}
