use std::fs;

use super::{Stage, golden};

#[test]
fn get_brings_a_file_and_shows_what_it_is() {
    let stage = Stage::with_source();
    fs::create_dir(stage.path("here")).expect("mkdir");
    let mut said = stage.run("get src/a.txt here");
    assert_eq!(fs::read_to_string(stage.path("here/a.txt")).expect("it is here"), "alpha");
    said += &stage.run("get src/a.txt here");
    said += &stage.run("get src/sub/c.txt here/other.txt --json");
    said += &stage.run("get src/b.txt");
    stage.write("here/a.txt", "mine, newer", 9);
    said += &stage.run("get src/a.txt here --no-overwrite");
    said += &stage.run("get src/a.txt here --update");
    said += &stage.run("get src/a.txt here");
    stage.write("here/a.txt", "alpha", 9);
    said += &stage.run("get src/a.txt here -q");
    said += &stage.run("get src here");
    said += &stage.run("get src/a.txt here --transport tcp");
    golden("get", &said);
    let left: Vec<_> =
        fs::read_dir(stage.path("here")).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".sitta")), "{left:?}");
}

#[test]
fn get_says_why_it_cannot() {
    let stage = Stage::with_source();
    let mut said = String::new();
    for line in [
        "get nowhere.txt",
        "get src/a.txt nowhere/",
        "get src/a.txt nowhere/new.txt",
        "get src/a.txt src",
        "get src/a.txt s3://bucket/x",
        "get src/a.txt nas:x",
        "get src/a.txt --transport udp",
        "get src/a.txt --transport quic",
    ] {
        said += &stage.run(line);
    }
    fs::create_dir_all(stage.path("here/a.txt")).expect("mkdir");
    said += &stage.run("get src/a.txt here");
    golden("get_failures", &said);
}
