use std::fs;
use std::process::Command;

use sitta_testbed::collector::Collector;
use sitta_testbed::exim::Exim;
use sitta_testbed::free_port;
use sitta_testbed::proxy::Proxy;

use super::support::*;
use super::world;

const FAILS: &str = "[job.docs]\nverb = 'copy'\nfrom = 'ROOT/nowhere'\nto = 'DST'\nnotify = ['ops']\n";

fn mail(url: &str, rest: &str) -> String {
    format!(
        "{FAILS}[notify.ops]\nkind = 'mail'\nto = ['ops@example.org']\nfrom = 'Sitta <sitta@example.org>'\nsmtp = '{url}'\n\
         password = {{ env = 'MAIL_PASSWORD' }}\n{rest}"
    )
}

/// Runs the job with the password in the environment.
fn run(world: &World, password: &str, ca: Option<&std::path::Path>) -> Run {
    let mut command = world.command();
    command.args(["run", "docs"]).env("MAIL_PASSWORD", password);
    if let Some(ca) = ca {
        command.env("SSL_CERT_FILE", ca);
    }
    finish(start(&mut command))
}

/// What became of the last run's message.
pub(super) fn told(world: &World) -> serde_json::Value {
    let newest = super::history(world)[0]["run"].as_str().expect("an id").to_owned();
    let run = world.sitta(&["history", "--json", "--run", &newest]);
    run.events()[0]["notifications"][0].clone()
}

#[test]
fn mails_arrive_by_tls_and_by_starttls_with_text_page_and_log() {
    if !is_root() {
        return skipped(
            "mails_arrive_by_tls_and_by_starttls_with_text_page_and_log",
            "Exim delivers as a user of its own, which needs root",
        );
    }
    let exim = Exim::start();
    let ca = exim.certificate().certificate.clone();
    let urls = [
        format!("smtps://ops%40example.org@localhost:{}", exim.tls_port()),
        format!("smtp://ops%40example.org@localhost:{}", exim.port()),
    ];
    for (index, url) in urls.iter().enumerate() {
        let world = world(&mail(url, "attach_log = true\n"));
        let done = run(&world, Exim::USER.1, Some(&ca));
        done.expect_code(4);
        assert!(!done.err().contains("was not told"), "{done:?}\n{}", exim.log());
        let mails = exim.mails(index + 1);
        let mail = &mails[index];
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy();
        for part in [
            &format!("Subject: sitta: docs was held back on {host}"),
            "To: ops@example.org",
            "From: Sitta <sitta@example.org>",
            "Auto-Submitted: auto-generated",
            "Content-Type: multipart/alternative",
            "Content-Type: text/html",
            "Content-Disposition: attachment; filename=",
            "is not there",
        ] {
            assert!(mail.contains(part), "{part} in {mail}");
        }
        assert!(told(&world)["sent"].is_string());
    }
}

#[test]
fn each_trouble_with_mail_has_its_own_words_and_is_tried_again() {
    if !is_root() {
        return skipped(
            "each_trouble_with_mail_has_its_own_words_and_is_tried_again",
            "Exim delivers as a user of its own, which needs root",
        );
    }
    let exim = Exim::start();
    let ca = exim.certificate().certificate.clone();
    let (tls, plain) = (exim.tls_port(), exim.port());
    let down = free_port();
    let ops = "ops%40example.org@localhost";
    for (url, password, trusted, expected) in [
        (format!("smtps://{ops}:{tls}"), "wrong-hush", true, "refused the login of 'ops@example.org'"),
        (format!("smtps://{ops}:{tls}"), Exim::USER.1, false, "is not trusted"),
        (format!("smtp://{ops}:{plain}"), Exim::USER.1, false, "is not trusted"),
        (format!("smtps://{ops}:{down}"), Exim::USER.1, true, "could not be reached"),
    ] {
        let world = world(&mail(&url, ""));
        let done = run(&world, password, trusted.then_some(&*ca));
        done.expect_code(4);
        assert!(done.err().contains(expected) && done.err().contains("tried again"), "{url}: {done:?}");
        let message = told(&world);
        assert!(message["error"].as_str().is_some_and(|error| error.contains(expected)), "{message}");
        assert!(message["again"].is_string() && message["sent"].is_null(), "{message}");
    }
    let nobody = mail(&format!("smtps://{ops}:{tls}"), "").replace("['ops@example.org']", "['nobody@example.org']");
    let done = run(&world(&nobody), Exim::USER.1, Some(&ca));
    assert!(
        done.err().contains("did not take the mail") && done.err().contains("that one is not here"),
        "{done:?}"
    );
}

#[test]
fn mails_wait_for_a_server_that_is_down() {
    if !is_root() {
        return skipped(
            "mails_wait_for_a_server_that_is_down",
            "Exim delivers as a user of its own, which needs root",
        );
    }
    let exim = Exim::start();
    let ca = exim.certificate().certificate.clone();
    let way = Proxy::to(exim.tls_port());
    let world = world(&mail(&format!("smtps://ops%40example.org@localhost:{}", way.port()), ""));
    way.refuse();
    let done = run(&world, Exim::USER.1, Some(&ca));
    done.expect_code(4);
    assert!(done.err().contains("could not be reached") && exim.mails(0).is_empty(), "{done:?}");
    way.pass();
    // The wait is over.
    sql(&world, "UPDATE outbox SET next = 0");
    run(&world, Exim::USER.1, Some(&ca)).expect_code(4);
    let mails = exim.mails(2);
    for run in super::history(&world) {
        let id = format!("Run     {}\n", run["run"].as_str().expect("an id"));
        assert_eq!(mails.iter().filter(|mail| mail.contains(&id)).count(), 1, "{id} in {mails:?}");
    }
}

#[test]
fn webhooks_get_json_and_monitors_are_pinged() {
    let collector = Collector::start();
    let url = collector.url();
    let world = world(&format!(
        "[job.docs]\nverb = 'copy'\nfrom = 'SRC'\nto = 'DST'\nnotify = ['hook', 'monitor']\n\
         [notify.hook]\nkind = 'webhook'\nurl = '{url}/hook/secret-path'\ntoken = {{ file = 'ROOT/token' }}\non = 'always'\n\
         [notify.monitor]\nkind = 'ping'\nurl = {{ env = 'PING_URL' }}\n"
    ));
    fs::write(world.path("token"), "token-hush\n").expect("write");
    put(&world.src, "a.txt", "alpha");
    let ping = format!("{url}/uuid");
    let run = || {
        let mut command = world.command();
        finish(start(command.args(["run", "docs"]).env("PING_URL", &ping)))
    };
    run().expect_code(0);
    fs::remove_dir_all(&world.src).expect("remove");
    run().expect_code(4);
    let lines: Vec<_> = collector.asked().iter().map(|asked| asked.line.clone()).collect();
    let expected = [
        "POST /uuid/start",
        "POST /hook/secret-path",
        "POST /uuid",
        "POST /uuid/start",
        "POST /hook/secret-path",
        "POST /uuid/fail",
    ];
    assert_eq!(lines, expected);
    let hook = &collector.asked()[1];
    assert!(hook.headers.contains(&("authorization".into(), "Bearer token-hush".into())), "{hook:?}");
    let body: serde_json::Value = serde_json::from_str(&hook.body).expect("JSON");
    assert_eq!(
        (&body["job"], &body["outcome"], &body["counts"]["copied"]),
        (&"docs".into(), &"success".into(), &1.into())
    );
}

#[test]
fn who_was_away_is_told_later_and_recovery_is_told() {
    let collector = Collector::start();
    let world = world(&format!(
        "{FAILS}[notify.ops]\nkind = 'webhook'\nurl = '{}/x'\non = ['failed', 'held', 'recovered']\n",
        collector.url()
    ));
    collector.answer_with(503);
    let run = world.sitta(&["run", "docs"]);
    run.expect_code(4);
    assert!(run.err().contains("it answered 503"), "{run:?}");
    collector.answer_with(200);
    fs::create_dir(world.path("nowhere")).expect("mkdir");
    // The wait is over.
    sql(&world, "UPDATE outbox SET next = 0");
    world.sitta(&["run", "docs"]).expect_code(0);
    world.sitta(&["run", "docs"]).expect_code(0);
    let told: Vec<serde_json::Value> =
        collector.asked().iter().map(|asked| serde_json::from_str(&asked.body).expect("JSON")).collect();
    let told: Vec<_> = told.iter().map(|body| (body["event"].as_str(), body["outcome"].as_str())).collect();
    let held = (Some("ended"), Some("held"));
    assert_eq!(told, [held, held, (Some("recovered"), Some("success"))], "refused, told later, recovered once");
}

#[test]
fn a_job_that_has_not_succeeded_for_too_long_raises_one_alarm() {
    let collector = Collector::start();
    let world = world(&format!(
        "{FAILS}alert_after = '48h'\n[notify.ops]\nkind = 'webhook'\nurl = '{}/x'\non = ['partial']\n",
        collector.url()
    ));
    world.sitta(&["run", "docs"]).expect_code(4);
    assert!(collector.asked().is_empty());
    sql(&world, "UPDATE job SET seen = seen - 49 * 3600 * 1000");
    for _ in 0..2 {
        let run = world.sitta(&["run", "docs"]);
        run.expect_code(4);
    }
    fs::create_dir(world.path("nowhere")).expect("mkdir");
    for _ in 0..2 {
        world.sitta(&["run", "docs"]).expect_code(0);
    }
    let events: Vec<_> = collector
        .asked()
        .iter()
        .map(|asked| serde_json::from_str::<serde_json::Value>(&asked.body).expect("JSON")["event"].clone())
        .collect();
    assert_eq!(events, ["alarm", "recovered"]);
}

#[test]
fn secrets_are_nowhere() {
    if !is_root() {
        return skipped("secrets_are_nowhere", "Exim delivers as a user of its own, which needs root");
    }
    let exim = Exim::start();
    let hidden = ["mail-hush-73", "wrong-hush", "url-hush", "token-hush"];
    let url = format!("smtps://ops%40example.org@localhost:{}", exim.tls_port());
    let mut config = mail(&url, "attach_log = true\n").replace("['ops']", "['ops', 'hook', 'gone']");
    config.push_str(&format!(
        "[notify.hook]\nkind = 'webhook'\nurl = 'http://127.0.0.1:{}/url-hush'\ntoken = 'token-hush'\n",
        free_port()
    ));
    config.push_str("[notify.gone]\nkind = 'ping'\nurl = { env = 'MAIL_PASSWORD' }\n");
    let world = world(&config);
    let ca = exim.certificate().certificate.clone();
    let mut said = String::new();
    for password in [Exim::USER.1, "wrong-hush"] {
        let run = run(&world, password, Some(&ca));
        said += &format!("{}{}", run.out(), run.err());
        assert!(run.err().contains("[notify.hook] was not told"), "{run:?}");
    }
    for args in
        [&["history"][..], &["history", "--json"], &["jobs", "--json"], &["config", "show"], &["config", "check"]]
    {
        let run = world.sitta(args);
        said += &format!("{}{}", run.out(), run.err());
    }
    said += &exim.mails(1).concat();
    for secret in hidden {
        assert!(!said.contains(secret), "{secret} was told: {said}");
        let found = Command::new("grep").args(["-rl", secret]).arg(&world.state).output().expect("grep runs");
        assert!(found.stdout.is_empty(), "{secret} is in {}", String::from_utf8_lossy(&found.stdout));
    }
}

/// Changes the history as time would.
pub fn sql(world: &World, statement: &str) {
    let file = world.state.join("sitta/jobs.db");
    rusqlite::Connection::open(file).and_then(|db| db.execute(statement, [])).expect("the history can be changed");
}

/// Asks the history for one number.
pub fn sql_one(world: &World, question: &str) -> u32 {
    let db = rusqlite::Connection::open(world.state.join("sitta/jobs.db")).expect("the history opens");
    db.query_row(question, [], |row| row.get(0)).expect("an answer")
}
