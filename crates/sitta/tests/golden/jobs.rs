use std::process::Command;

use super::{Stage, golden};

/// A config with jobs, and what they need.
fn stage() -> Stage {
    let stage = Stage::with_source();
    stage.write(
        "home/.config/sitta/config.toml",
        "[daemon]\ntime_zone = \"Europe/Berlin\"\n\n\
         [job.docs]\nverb = \"mirror\"\nfrom = \"~/../src\"\nto = \"../../../dst\"\n\n\
         [job.away]\nverb = \"copy\"\nfrom = \"~/nowhere\"\nto = \"~/elsewhere\"\nschedule = \"0 3 * * *\"\n",
        1,
    );
    stage
}

/// What differs from run to run: dates, and ids that hold them.
fn timeless(said: &str) -> String {
    let mut text = String::new();
    let mut digits = String::new();
    for c in said.chars().chain(['\0']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        match digits.len() {
            4 | 8 if digits.starts_with("20") => text.push_str(&"#".repeat(digits.len())),
            6 if text.ends_with("########T") => text.push_str("######"),
            2 if text.ends_with(['-', ':', ' ', 'T']) && (text.contains('#')) => text.push_str("##"),
            _ => text.push_str(&digits),
        }
        digits.clear();
        if c != '\0' {
            text.push(c);
        }
    }
    text
}

#[test]
fn jobs_are_run_listed_and_looked_back_on() {
    let stage = stage();
    let mut said = String::new();
    for line in [
        "jobs",
        "history",
        "run docs",
        "run docs away --quiet",
        "run dosc",
        "jobs",
        "history docs",
        "history --run 2",
    ] {
        said += &stage.run(line);
    }
    // Runs that begin within one second are told apart by a number: how fast the machine is must not matter.
    golden("jobs", &timeless(&said).replace("Z.2-", "Z-"));
}

#[test]
fn what_the_machine_is_told_to_begin_is_shown() {
    let stage = stage();
    let mut said = String::new();
    for kind in ["systemd-user", "systemd-system", "launchd", "task-scheduler", "cron"] {
        said += &stage.run(&format!("schedule show --kind {kind}"));
    }
    said += &stage.run("schedule install --kind task-scheduler");
    said += &stage.run("schedule install --kind launchd");
    let program = env!("CARGO_BIN_EXE_sitta");
    golden("schedule", &said.replace(program, "/usr/bin/sitta"));
}

#[test]
fn systemd_finds_nothing_wrong_with_its_units() {
    let stage = stage();
    for kind in ["systemd-user", "systemd-system"] {
        let said = stage.run(&format!("schedule show --kind {kind} --quiet"));
        let unit: String =
            said.lines().filter(|line| !line.starts_with(['$', '-'])).map(|l| format!("{l}\n")).collect();
        stage.write("sitta.service", &unit, 1);
        let verify =
            Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(stage.path("sitta.service")).output();
        let output = verify.expect("systemd-analyze runs; `cargo xtask test` installs it");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("sitta.service"), "{kind}: {said}");
    }
}

#[test]
fn configs_of_jobs_that_are_wrong_say_where_and_what_is_right() {
    let stage = Stage::new();
    let job = "[job.docs]\nverb = \"mirror\"\nfrom = \"/a\"\nto = \"/b\"\n";
    let mut said = String::new();
    for text in [
        "[job.docs]\nverb = \"mirror\"\nfrom = \"/a\"\n".to_owned(),
        format!("{job}chekcsum = true\n"),
        format!("{job}checksum = \"yes\"\n"),
        format!("{job}policy = \"newest\"\n"),
        format!("{job}schedule = \"0 3 * *\"\n"),
        format!("{job}time_zone = \"Europe/Berlln\"\n"),
        format!("{job}notify = [\"ops\"]\n"),
        format!("{job}alert_after = \"48h\"\n"),
        format!("{job}trash = \"/elsewhere\"\n"),
        job.replace("\"/b\"", "\"nas:b\""),
        format!("{job}[job.other]\nverb = \"copy\"\nfrom = \"/c\"\nto = \"/b/\"\n"),
        format!("{job}[job.other]\nverb = \"copy\"\nfrom = \"/c\"\nto = \"/b/sub\"\n"),
        "[job.\"a/b\"]\nverb = \"copy\"\nfrom = \"/a\"\nto = \"/b\"\n".to_owned(),
        "[notify.ops]\nkind = \"mail\"\n".to_owned(),
        "[notify.ops]\nkind = \"mail\"\nto = [\"ops\"]\n".to_owned(),
        "[notify.ops]\nkind = \"mail\"\nto = [\"a@example.org\"]\nsmtp = \"smtp://me:hush@x\"\n".to_owned(),
        "[notify.ops]\nkind = \"mail\"\nto = [\"a@example.org\"]\nsmtp = \"smtps://me@x\"\n".to_owned(),
        "[notify.ops]\nkind = \"ping\"\nurl = \"hc-ping.com/hush\"\n".to_owned(),
        "[notify.ops]\nkind = \"ping\"\nurl = \"https://x/y\"\nto = [\"a@example.org\"]\n".to_owned(),
    ] {
        stage.write("c.toml", &text, 1);
        said += &stage.run("config check --config c.toml");
    }
    assert!(!said.contains("hush"), "{said}");
    golden("jobs_config", &said);
}
