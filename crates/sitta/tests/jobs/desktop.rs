//! Notifications on a desktop: a real message bus, and on it what a desktop has for them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use sitta_testbed::need;
use zbus::blocking::connection::Builder;
use zbus::zvariant::Value;

use super::support::*;
use super::world;

const JOB: &str =
    "[job.docs]\nverb = 'copy'\nfrom = 'SRC'\nto = 'DST'\nnotify = ['me']\n[notify.me]\nkind = 'desktop'\n";

/// A session's message bus; it ends when its input does.
struct Session {
    child: Child,
    address: String,
}

impl Session {
    fn start() -> Self {
        let mut command = Command::new(need("dbus-run-session"));
        command.args(["--", "sh", "-c", "echo \"$DBUS_SESSION_BUS_ADDRESS\"; cat >/dev/null"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a session");
        let mut address = String::new();
        let output = child.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut address).expect("an address");
        Self { child, address: address.trim().to_owned() }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// What a desktop does with notifications, as its specification has it: here they are only taken down.
struct Desktop(Sender<(String, String, u8)>);

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Desktop {
    #[expect(clippy::too_many_arguments, reason = "the specification's")]
    fn notify(
        &self,
        app: &str,
        _replaces: u32,
        _icon: &str,
        summary: &str,
        body: &str,
        _actions: Vec<String>,
        hints: HashMap<String, Value<'_>>,
        _timeout: i32,
    ) -> u32 {
        assert_eq!(app, "sitta");
        let urgency = hints.get("urgency").and_then(|value| u8::try_from(value).ok()).unwrap_or(1);
        self.0.send((summary.to_owned(), body.to_owned(), urgency)).expect("somebody listens");
        1
    }
}

#[test]
fn the_desktop_is_told_of_what_failed() {
    let session = Session::start();
    let (told, seen) = channel();
    let _desktop = Builder::address(session.address.as_str())
        .and_then(|bus| bus.name("org.freedesktop.Notifications"))
        .and_then(|bus| bus.serve_at("/org/freedesktop/Notifications", Desktop(told)))
        .and_then(Builder::build)
        .expect("a desktop");
    let world = world(&JOB.replace("SRC", "ROOT/no<where>"));
    let mut command = world.command();
    command.args(["run", "docs"]).env("DBUS_SESSION_BUS_ADDRESS", &session.address);
    finish(start(&mut command)).expect_code(4);
    let (summary, body, urgency) = seen.recv_timeout(Duration::from_secs(10)).expect("a notification");
    assert!(summary.starts_with("sitta: docs was held back on "), "{summary}");
    assert!(body.contains("no&lt;where&gt;") && body.lines().count() <= 6, "{body}");
    assert_eq!(urgency, 2, "it stays until it was seen");
    assert!(super::told::told(&world)["sent"].is_string());
}

#[test]
fn without_a_desktop_the_run_goes_on_and_says_so() {
    let world = world(&format!("{JOB}on = 'always'\n"));
    put(&world.src, "f", "x");
    let mut command = world.command();
    command.args(["run", "docs"]).env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/bus");
    let run = finish(start(&mut command));
    run.expect_code(0);
    let told = run.err();
    assert!(told.contains("the desktop could not be told"), "{told}");
    assert!(told.contains("run the daemon as a service of your user"), "{told}");
}
