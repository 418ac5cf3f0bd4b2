use std::fs;

use super::{Stage, golden};

#[test]
fn wrong_usage_exits_2_with_a_hint() {
    let stage = Stage::with_source();
    let mut said = String::new();
    for line in [
        "miror src dst",
        "mirror src",
        "mirror src dst --chekcsum",
        "mirror src dst --max-delete many",
        "mirror src dst --transfers 0",
        "mirror src dst --exclude [a",
        "mirror src dst --trash /elsewhere",
        "mirror src dst --filter-from nowhere",
        "mirror src src",
        "mirror src src/sub",
        "mirror src/sub src --limit-rate 1MiB",
        "copy src dst --update --no-overwrite",
        "ls --since yesterday",
        "ls ftp://host/folder",
        "ls smbb://host/share",
        "ls sitta://127.0.0.1:1/share",
        "cat src/a.txt --json",
        "config check --config nowhere.toml",
    ] {
        said += &stage.run(line);
    }
    golden("usage", &said);
}

#[test]
fn failures_say_what_why_and_what_helps() {
    let stage = Stage::with_source();
    let mut said = String::new();
    for line in ["ls nowhere", "copy src/a.txt dst", "cat nowhere", "hash --check src/a.txt", "du nowhere"] {
        said += &stage.run(line);
    }
    golden("failures", &said);
}

#[test]
fn the_config_is_checked_shown_and_used() {
    let stage = Stage::with_source();
    let mut said = stage.run("config check");
    fs::create_dir_all(stage.path("home/.config/sitta")).expect("mkdir");
    let config = format!(
        "[store.here]\nurl = \"{}\"\n\n[store.nas]\nurl = \"smb://me@nas/share\"\npassword = {{ env = \"NAS\" }}\n",
        stage.path("src").display()
    );
    stage.write("home/.config/sitta/config.toml", &config, 1);
    for line in [
        "config check",
        "config show",
        "ls here:",
        "ls --long here: here:sub --ext txt",
        "ls hre:x",
        "ls nas:x",
        "ls here:sub/../..",
    ] {
        said += &stage.run(line);
    }
    stage.write("home/.config/sitta/config.toml", &config.replace("password", "pasword"), 1);
    said += &stage.run("config check");
    said += &stage.run("ls here:");
    said += &stage.run("ls src");
    golden("config", &said);
    insta_schema(&stage.run("config schema"));
}

fn insta_schema(said: &str) {
    golden("config_schema", said);
}
