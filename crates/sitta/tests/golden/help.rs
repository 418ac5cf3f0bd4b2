use super::{Stage, golden};

#[test]
fn every_verb_explains_itself() {
    let stage = Stage::new();
    for verb in [
        "copy",
        "mirror",
        "sync",
        "archive",
        "unpack",
        "conflicts",
        "conflicts resolve",
        "trash",
        "trash list",
        "trash restore",
        "trash empty",
        "ls",
        "find",
        "hash",
        "du",
        "get",
        "cat",
        "run",
        "jobs",
        "history",
        "daemon",
        "schedule",
        "schedule install",
        "tui",
        "serve",
        "share",
        "share add",
        "user",
        "user add",
        "user token",
        "init",
        "config",
        "config check",
        "completions",
        "man",
    ] {
        let said = stage.run(&format!("{verb} --help"));
        golden(&format!("help_{}", verb.replace(' ', "_")), &said);
        for part in ["Usage: sitta ", "Exit codes:"] {
            assert!(said.contains(part) || verb.contains(' '), "{verb}: {part}");
        }
    }
}

#[test]
fn alone_it_shows_the_verbs_in_groups() {
    let stage = Stage::new();
    golden("overview", &stage.run(""));
    let alone = stage.run("").replacen("$ sitta \n", "", 1);
    for other in ["--help", "help", "-h"] {
        assert_eq!(stage.run(other).replacen(&format!("$ sitta {other}\n"), "", 1), alone);
    }
}

#[test]
fn completions_and_the_manual_are_made() {
    let stage = Stage::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = stage.run(&format!("completions {shell}"));
        assert!(script.contains("mirror") && script.contains("max-delete") && script.ends_with("--- exit 0\n"));
    }
    let manual = stage.run("man");
    assert!(manual.contains(".TH sitta") && manual.contains("force") && manual.ends_with("--- exit 0\n"));
}
