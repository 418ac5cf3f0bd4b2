use std::fs;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use super::support::*;
use super::{configure, history, world};

const DOCS: &str = "[job.docs]\nverb = 'mirror'\nfrom = 'SRC'\nto = 'DST'\n";

#[test]
fn a_job_does_what_its_verb_does_and_is_remembered() {
    let world = world(&format!("{DOCS}filter = ['*.tmp', '!keep.tmp']\ntrash = 'old'\n"));
    put(&world.src, "a.txt", "alpha");
    put(&world.src, "x.tmp", "left out");
    put(&world.src, "keep.tmp", "kept");
    put(&world.dst, "gone.txt", "not in the source");
    let run = world.sitta(&["run", "docs", "--json"]);
    run.expect_code(0);
    assert!(world.dst.join("a.txt").exists() && world.dst.join("keep.tmp").exists());
    assert!(!world.dst.join("x.tmp").exists() && !world.dst.join("gone.txt").exists());
    assert_eq!(fs::read_dir(world.dst.join("old")).expect("the trash").count(), 1);
    let report = run.report();
    let log = fs::read_to_string(report["jobs"][0]["log"].as_str().expect("a log")).expect("read the log");
    for part in ["Sent       a.txt   5 B", "Deleted    gone.txt", "Ended      success: 2 copied, 1 deleted"] {
        assert!(log.contains(part), "{part} in {log}");
    }
    let runs = history(&world);
    assert_eq!(runs.len(), 1, "the verb's own run is not told a second time: {runs:?}");
    assert_eq!((&runs[0]["job"], &runs[0]["outcome"]), (&"docs".into(), &"success".into()));
    assert_eq!((runs[0]["copied"].as_u64(), runs[0]["deleted"].as_u64()), (Some(2), Some(1)));
    world.mirror(&[]);
    let runs = history(&world);
    assert_eq!(runs.len(), 2, "what was typed is told too");
    assert!(runs.iter().any(|run| run["job"].is_null() && run["verb"] == "mirror"));
}

/// Of several jobs each reports its own named steps, and the history tells them as the report does.
#[test]
fn of_several_archives_each_tells_its_own_steps() {
    let job = |name: &str, from: &str| {
        format!("[job.{name}]\nverb = 'archive'\nfrom = '{from}'\nto = 'DST/{{job}}-{{date}}.tgz'\n")
    };
    let metrics = "[daemon]\nmetrics_file = 'ROOT/sitta.prom'\n";
    let world = world(&(job("a", "ROOT/nowhere") + &job("b", "SRC") + &job("c", "ROOT/nowhere") + metrics));
    put(&world.src, "a.txt", "alpha");
    let run = world.sitta(&["run", "a", "b", "c", "--json"]);
    run.expect_code(4);
    let reports: Vec<_> = run.events().into_iter().filter(|event| event["event"] == "job_report").collect();
    let states = |steps: &serde_json::Value| -> String {
        let steps = steps.as_array().expect("steps").iter();
        steps.map(|step| step["state"].as_str().and_then(|state| state.chars().next()).unwrap_or('?')).collect()
    };
    let expected = ["ssfsss", "ssddds", "ssfsss"];
    assert_eq!(reports.iter().map(|report| states(&report["steps"])).collect::<Vec<_>>(), expected, "{reports:?}");
    for (run, report) in history(&world).iter().rev().zip(&reports) {
        assert_eq!(run["named_steps"], report["steps"], "one form for all");
    }
    let text = fs::read_to_string(world.path("sitta.prom")).expect("metrics");
    for (job, step, outcome) in [("a", "CHECK", "failed"), ("a", "UPLOAD", "skipped"), ("b", "UPLOAD", "done")] {
        let labels = format!("{{job=\"{job}\",step=\"{step}\",outcome=\"{outcome}\"}}");
        assert!(text.contains(&format!("sitta_job_last_run_step_outcome{labels} 1\n")), "{labels} in {text}");
    }
}

#[test]
fn a_dry_run_changes_and_remembers_nothing() {
    let world = world(DOCS);
    put(&world.src, "a.txt", "alpha");
    let run = world.sitta(&["run", "docs", "--dry-run"]);
    run.expect_code(0);
    assert!(run.out().contains("would send   a.txt"), "{run:?}");
    assert!(!world.dst.join("a.txt").exists());
    assert!(history(&world).is_empty());
}

#[test]
fn of_several_jobs_all_run_and_the_worst_end_counts() {
    let more = "[job.away]\nverb = 'copy'\nfrom = 'ROOT/nowhere'\nto = 'ROOT/other'\n";
    let world = world(&format!("{DOCS}{more}"));
    put(&world.src, "a.txt", "alpha");
    let run = world.sitta(&["run", "away", "docs", "--json"]);
    run.expect_code(4);
    assert!(world.dst.join("a.txt").exists(), "the second one runs although the first one could not");
    let jobs = run.report()["jobs"].clone();
    assert_eq!((&jobs[0]["outcome"], &jobs[1]["outcome"]), (&"held".into(), &"success".into()));
    let ended: Vec<_> = run.events().iter().filter(|event| event["event"] == "job_report").cloned().collect();
    assert_eq!(ended.len(), 2, "each job has a report of its own, and only the last line is called that");
}

#[test]
fn a_job_runs_once_at_a_time_and_a_killed_one_frees_it() {
    let world = world(&format!("{DOCS}limit_rate = '200KiB'\n"));
    put(&world.src, "large", "x".repeat(4 << 20));
    let mut command = world.command();
    command.args(["run", "docs"]);
    let mut child = start(&mut command);
    let locked = world.state.join("sitta/locks/job-docs.lock");
    while !locked.exists() || history(&world).is_empty() {
        sleep(Duration::from_millis(20));
    }
    let second = world.sitta(&["run", "docs"]);
    second.expect_code(1);
    for part in ["the job docs is running since", &format!("it is process {}", child.id()), "nothing was done"] {
        assert!(second.err().contains(part), "{part} in {second:?}");
    }
    assert!(world.sitta(&["jobs"]).out().contains("running"));
    child.kill().expect("kill");
    child.wait().expect("wait");
    assert_eq!(history(&world)[0]["outcome"], "interrupted", "nobody runs it any more");
    configure(&world, DOCS);
    let third = world.sitta(&["run", "docs"]);
    third.expect_code(0);
    assert!(third.err().contains("was interrupted; this one goes on where it was"), "{third:?}");
    assert_same(&world.src, &world.dst);
    let outcomes: Vec<_> = history(&world).iter().map(|run| run["outcome"].clone()).collect();
    assert_eq!(outcomes, ["success", "interrupted"]);
}

#[test]
fn stopping_ends_the_jobs_that_follow_too() {
    let more = "[job.later]\nverb = 'copy'\nfrom = 'SRC'\nto = 'ROOT/later'\n";
    let world = world(&format!("{DOCS}limit_rate = '200KiB'\n{more}"));
    put(&world.src, "large", "x".repeat(4 << 20));
    let mut command = world.command();
    command.args(["run", "docs", "later"]);
    let child = start(&mut command);
    while !world.dst.join("large").exists() && fs::read_dir(&world.dst).map_or(0, Iterator::count) == 0 {
        sleep(Duration::from_millis(20));
    }
    signal(child.id(), Signal::TERM);
    let run = finish(child);
    run.expect_code(130);
    assert!(!world.path("later").exists());
    let runs = history(&world);
    assert_eq!((runs.len(), &runs[0]["outcome"]), (1, &"interrupted".into()));
}

#[test]
fn old_runs_go_with_their_logs() {
    let world = world(&format!("{DOCS}[daemon]\nkeep_history = '1s'\n"));
    for _ in 0..2 {
        world.sitta(&["run", "docs"]).expect_code(0);
        sleep(Duration::from_millis(1100));
    }
    world.sitta(&["run", "docs"]).expect_code(0);
    let logs = fs::read_dir(world.state.join("sitta/logs/docs")).expect("logs").count();
    assert_eq!((history(&world).len(), logs), (1, 1), "but for the last one");
}

#[test]
fn metrics_are_written_where_a_collector_looks() {
    let world = world(&format!("{DOCS}[daemon]\nmetrics_file = 'ROOT/sitta.prom'\n"));
    put(&world.src, "a.txt", "alpha");
    world.sitta(&["run", "docs"]).expect_code(0);
    let text = fs::read_to_string(world.path("sitta.prom")).expect("metrics");
    assert!(text.contains("sitta_job_last_run_outcome{job=\"docs\",outcome=\"success\"} 1\n"), "{text}");
    assert!(text.contains("sitta_job_last_run_files{job=\"docs\",what=\"copied\"} 1\n"), "{text}");
}

#[test]
fn a_sync_of_three_folders_is_one_run_of_the_job() {
    let world = world("[job.all]\nverb = 'sync'\nfrom = ['SRC', 'ROOT/b']\nto = 'DST'\n");
    put(&world.src, "a.txt", "alpha");
    fs::create_dir(world.path("b")).expect("mkdir");
    put(&world.path("b"), "b.txt", "beta");
    world.sitta(&["run", "all"]).expect_code(0);
    assert!(world.dst.join("b.txt").exists() && world.path("b/a.txt").exists());
    let runs = history(&world);
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert!(runs[0]["steps"].as_array().is_some_and(|steps| steps.len() >= 2), "{runs:?}");
}
