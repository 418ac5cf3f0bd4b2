use std::path::Path;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use serde_json::json;
use sitta_jobs::{Cause, Run};

use super::*;
use crate::commands::job::history::Listed;
use crate::commands::job::jobs;
use crate::commands::tui::app::Wish;
use crate::commands::tui::browse::Item;
use crate::commands::tui::data::{News, Spot, Told};
use crate::commands::tui::headway::Headway;
use crate::commands::tui::live::Live;

const NOW: &str = "2026-03-10T12:00:00Z";

fn job(name: &str, what: &str, last: [&str; 2], next: &str, problems: u64) -> JobNews {
    let line = jobs::Line {
        job: name.into(),
        what: what.into(),
        last: last[0].into(),
        when: last[1].into(),
        next: next.into(),
        running: None,
    };
    let at = (!last[1].is_empty()).then(|| format!("{}:00Z", last[1].replace(' ', "T")).parse().expect("a time"));
    let places = ["~/Documents", "nas:docs"].map(|place| Spot { label: place.into(), written: place.into() });
    JobNews { line, at, problems, places: places.into() }
}

fn news() -> News {
    let mut notes = job("notes", "sync ~/Notes → cloud:Notes", ["running", "2026-03-10 09:00"], "always", 0);
    notes.line.running = Some(Run {
        id: "20260310T090000Z-notes".into(),
        job: "notes".into(),
        verb: "sync".into(),
        cause: Cause::Watch,
        pid: 4711,
        started: "2026-03-10T09:00:00Z".parse().expect("a time"),
        end: None,
    });
    let cells = |began: &str, result: &str, changed: &str, problems: &str, sent: &str, took: &str, run: &str| {
        let cells = [began, "docs", result, changed, problems, sent, took, run].map(str::to_owned).to_vec();
        Listed { run: run.to_owned(), cells }
    };
    let runs = vec![
        cells("2026-03-10 11:57:12", "partial", "3", "2", "1.2 MiB", "7.5 s", "20260310T115712Z-docs"),
        cells("2026-03-09 02:30:00", "success", "1,204", "0", "84.2 MiB", "42 s", "20260309T023000Z-docs"),
    ];
    News {
        file: "~/.config/sitta/config.toml".into(),
        jobs: vec![
            job("docs", "mirror ~/Documents → nas:docs", ["partial", "2026-03-10 11:57"], "2026-03-11 02:30", 2),
            job(
                "dump",
                "archive https://www.example.org/dump.zip!/db.sql → nas:{job}-{date}.tgz",
                ["never", ""],
                "due",
                0,
            ),
            notes,
        ],
        wait: true,
        stores: vec![Spot { label: "nas:".into(), written: "nas:".into() }],
        runs: Some(("docs".into(), runs)),
        ..News::default()
    }
}

fn app(size: (u16, u16)) -> App {
    let mut app = App::new(NOW.parse().expect("a time"), size, false);
    app.take(news());
    app
}

fn press(app: &mut App, keys: &[KeyCode]) -> Vec<Wish> {
    keys.iter().flat_map(|key| app.key(KeyEvent::new(*key, KeyModifiers::NONE))).collect()
}

fn letter(app: &mut App, c: char) -> Vec<Wish> {
    press(app, &[KeyCode::Char(c)])
}

fn drawn(app: &App) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).expect("a terminal");
    terminal.draw(|frame| draw(frame, app)).expect("drawn");
    terminal
}

fn screen(app: &App) -> String {
    let terminal = drawn(app);
    let buffer = terminal.backend().buffer();
    let row = |y: u16| {
        let mut line = String::new();
        // What is wide covers the cell behind it.
        while line.width() < usize::from(app.size.0) {
            line.push_str(buffer[(line.width() as u16, y)].symbol());
        }
        line
    };
    (0..app.size.1).map(|y| row(y).trim_end().to_owned() + "\n").collect()
}

fn golden(name: &str, app: &App) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let screen = screen(app);
    assert!(screen.contains("quit") || screen.contains("back"), "how to leave is always told: {screen}");
    settings.bind(|| insta::assert_snapshot!(format!("tui_{name}"), screen));
}

fn headway() -> Headway {
    let (mut headway, now) = (Headway::default(), Instant::now());
    let ago = |millis| now.checked_sub(Duration::from_millis(millis)).expect("a past");
    for (at, event) in [
        (9000, json!({"event": "job", "job": "docs", "run": "20260310T115955Z-docs"})),
        (
            8000,
            json!({"event": "scanned", "side": "from", "location": "/home/me/Documents", "files": 12408, "bytes": 8_697_308_774u64}),
        ),
        (
            8000,
            json!({"event": "scanned", "side": "to", "location": "smb://nas/docs", "files": 12377, "bytes": 8_589_934_592u64}),
        ),
        (
            4000,
            json!({"event": "planned", "new": 31, "changed": 12, "moved": 3, "deleted": 0, "unchanged": 12360, "bytes": 88_290_099}),
        ),
        (3000, json!({"event": "done", "what": "copy", "path": "letters/a.odt", "bytes": 20480})),
        (2500, json!({"event": "done", "what": "move", "path": "new.txt", "old_path": "old.txt", "bytes": 0})),
        (
            2000,
            json!({"event": "problem", "path": "budget.xlsx", "kind": "busy", "message": "in use on this machine"}),
        ),
        (1500, json!({"event": "sending", "path": "photos/2024/IMG_1234.jpg", "bytes": 8_000_000})),
        (0, json!({"event": "pulse", "bytes": 53_896_806, "entries": 24785})),
    ] {
        headway.note(&event, ago(at));
    }
    headway
}

#[test]
fn jobs_are_listed_as_wide_as_there_is_room() {
    golden("jobs_wide", &app((120, 14)));
    golden("jobs", &app((80, 14)));
    golden("jobs_narrow", &app((40, 14)));
}

#[test]
fn a_config_that_is_wrong_or_empty_says_what_to_do() {
    let mut app = app((80, 14));
    let trouble = "config.toml:3: unknown key 'form'\n  known here: from, to\nhint: did you mean from ?";
    app.take(News { trouble: Some(trouble.into()), config_is_wrong: true, ..news() });
    golden("jobs_wrong", &app);
    app.take(News { jobs: Vec::new(), wait: false, ..news() });
    golden("jobs_none", &app);
}

#[test]
fn a_job_shows_its_runs_and_each_run_all_that_is_known_of_it() {
    let mut app = app((80, 16));
    press(&mut app, &[KeyCode::Enter]);
    golden("job", &app);
    press(&mut app, &[KeyCode::Enter]);
    assert_eq!(app.wanted().run.as_deref(), Some("20260310T115712Z-docs"));
    let facts = [
        "Run       20260310T115712Z-docs",
        "Result    partial: 3 copied, 2 problems · 1.2 MiB in 7.5 s",
        "",
        "Problems",
    ];
    let problem = "  budget.xlsx   in use on this machine (sharing violation); will be tried again next time";
    let told = Told {
        run: "20260310T115712Z-docs".into(),
        facts: facts.into_iter().chain([problem]).map(str::to_owned).collect(),
        log: (1..40).map(|n| format!("2026-03-10 11:57:12  Sent       {n}.txt")).collect(),
    };
    app.take(News { told: Some(told), ..news() });
    golden("run", &app);
    press(&mut app, &[KeyCode::End]);
    assert!(screen(&app).contains("39.txt") && !screen(&app).contains("budget"), "{}", screen(&app));
}

#[test]
fn a_run_shows_how_far_it_is_and_how_it_ended() {
    let mut app = app((80, 18));
    app.began("docs".into(), Live::of(headway()));
    golden("live", &app);
    app.resize((40, 18));
    golden("live_narrow", &app);
    app.resize((80, 18));
    let mut headway = headway();
    let error =
        json!({"message": "31 files would be deleted", "notes": ["none was"], "hint": "add --max-delete 31"});
    headway.note(
        &json!({"event": "report", "jobs": [{"job": "docs", "outcome": "held", "error": error}]}),
        Instant::now(),
    );
    headway.ended(Some(4));
    app.lives.insert("docs".into(), Live::of(headway));
    app.ended("docs");
    golden("live_ended", &app);
}

#[test]
fn an_archive_shows_its_steps() {
    let mut headway = Headway::default();
    for event in [
        json!({
            "event": "step", "step": "DOWNLOAD", "state": "skipped", "seconds": 0.0,
            "text": "the source is on this machine",
        }),
        json!({
            "event": "step", "step": "CHECK", "state": "done", "seconds": 0.0,
            "text": "the newest file is 2 h 10 min old",
        }),
        json!({"event": "step", "step": "COMPRESS", "state": "begun", "seconds": 0.0}),
    ] {
        headway.note(&event, Instant::now());
    }
    let mut app = app((80, 12));
    app.began("dump".into(), Live::of(headway));
    golden("live_archive", &app);
}

#[test]
fn a_place_is_chosen_and_looked_into() {
    let mut app = app((60, 12));
    letter(&mut app, 'b');
    golden("places", &app);
    press(&mut app, &[KeyCode::Down]);
    let wishes = press(&mut app, &[KeyCode::Enter]);
    let [Wish::List(request)] = &wishes[..] else { panic!("{wishes:?}") };
    assert_eq!(request.spot.label, "nas:docs");
    let item = |shown: &str, size: &str, is_dir| Item {
        name: shown.trim_end_matches('/').as_bytes().into(),
        shown: shown.into(),
        size: size.into(),
        time: "2026-03-09 10:12".into(),
        is_dir,
    };
    let items =
        vec![item("letters/", "", true), item("日本.txt", "661 B", false), item("zoo.jpg", "45.5 KiB", false)];
    app.listed(request.serial, Ok(items));
    golden("browse", &app);
    let wishes = press(&mut app, &[KeyCode::Enter]);
    let [Wish::List(request)] = &wishes[..] else { panic!("{wishes:?}") };
    assert_eq!(request.path.as_bytes(), b"letters");
    std::thread::sleep(SOON);
    assert!(screen(&app).contains("loading …"), "{}", screen(&app));
    let why = "letters in nas:docs could not be read\n  Permission denied\nhint: run as a user who may read it";
    app.listed(request.serial, Err(why.into()));
    golden("browse_failed", &app);
    press(&mut app, &[KeyCode::Backspace]);
    assert!(screen(&app).contains("› letters/"), "{}", screen(&app));
    press(&mut app, &[KeyCode::Left]);
    assert!(matches!(app.screen(), Screen::Places { .. }), "above its root are the places");
}

#[test]
fn whoever_leaves_while_something_runs_is_asked() {
    let mut app = app((80, 14));
    app.began("docs".into(), Live::of(headway()));
    letter(&mut app, 'q');
    assert!(matches!(app.screen(), Screen::Jobs), "the run goes on while one looks elsewhere");
    assert_eq!(letter(&mut app, 'q'), []);
    golden("leave", &app);
    press(&mut app, &[KeyCode::Esc]);
    assert!(!app.asks_to_leave && !app.leaving);
    app.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert_eq!(letter(&mut app, 's'), [Wish::Stop("docs".into())]);
    assert!(app.leaving);
    assert_eq!(letter(&mut app, 'r'), [], "nothing is begun any more");
}

#[test]
fn what_runs_here_is_watched_and_not_begun_twice() {
    let mut app = app((80, 14));
    assert_eq!(letter(&mut app, 'r'), [Wish::Run("docs".into())]);
    app.began("docs".into(), Live::of(headway()));
    assert_eq!(letter(&mut app, 's'), [Wish::Stop("docs".into())]);
    assert_eq!(press(&mut app, &[KeyCode::Esc, KeyCode::Char('r')]), []);
    assert!(matches!(app.screen(), Screen::Live { .. }));
    letter(&mut app, 'q');
    let wishes = press(&mut app, &[KeyCode::Down, KeyCode::Char('s')]);
    assert_eq!(wishes, [], "another job's run is not stopped");
}

#[test]
fn the_job_that_was_chosen_stays_so_when_others_come() {
    let mut app = app((80, 14));
    press(&mut app, &[KeyCode::Down]);
    let mut more = news();
    more.jobs.insert(0, job("aaa", "copy a → b", ["never", ""], "by hand", 0));
    app.take(more);
    assert!(screen(&app).contains("› dump"), "{}", screen(&app));
    app.take(News { jobs: news().jobs.into_iter().take(1).collect(), ..news() });
    assert!(screen(&app).contains("› docs"), "{}", screen(&app));
}

#[test]
fn a_screen_that_is_too_small_says_so_and_colours_only_decorate() {
    for size in [(1, 1), (10, 3), (29, 40), (200, 7)] {
        let mut app = app(size);
        press(&mut app, &[KeyCode::Enter, KeyCode::PageDown]);
        assert!(!screen(&app).contains("PROBLEMS"), "{}", screen(&app));
    }
    assert!(screen(&app((29, 40))).starts_with("too small: 30 × 8 at least"));
    let (plain, mut colored) = (app((80, 14)), app((80, 14)));
    colored.color = true;
    assert_eq!(screen(&plain), screen(&colored));
    let has_color = |app: &App| drawn(app).backend().buffer().content().iter().any(|cell| cell.fg != Color::Reset);
    assert_eq!((has_color(&plain), has_color(&colored)), (false, true));
}

#[test]
fn the_help_names_every_key_that_is_hinted_at() {
    let mut app = app((100, 24));
    let hinted: Vec<_> = hints(&app).into_iter().map(|(key, ..)| key).collect();
    letter(&mut app, '?');
    golden("help", &app);
    let text = screen(&app);
    assert!(
        hinted.iter().all(|key| text.lines().any(|line| line.split_whitespace().any(|word| word == *key))),
        "{text}"
    );
}
