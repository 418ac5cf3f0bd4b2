//! `sitta schedule`: the machine starts the daemon by itself.

mod cron;
mod files;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use self::files::Facts;
use crate::args::{Keeper, ScheduleArgs, ScheduleVerb};
use crate::config::{Config, Secret};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::render::json;

/// Where systemd runs.
const SYSTEMD: &str = "/run/systemd/system";

pub fn run(context: &Context, args: &ScheduleArgs) -> Outcome {
    let (ScheduleVerb::Install(kind) | ScheduleVerb::Show(kind) | ScheduleVerb::Remove(kind)) = args.verb;
    let keeper = kind.kind.unwrap_or_else(usual);
    let facts = facts(context)?;
    match args.verb {
        ScheduleVerb::Show(_) => show(context, keeper, &facts),
        ScheduleVerb::Install(_) => install(context, keeper, &facts),
        ScheduleVerb::Remove(_) => remove(context, keeper, &facts),
    }
}

/// What this machine has.
fn usual() -> Keeper {
    match (cfg!(target_os = "macos"), Path::new(SYSTEMD).exists()) {
        (true, _) => Keeper::Launchd,
        (false, true) if rustix::process::geteuid().is_root() => Keeper::SystemdSystem,
        (false, true) => Keeper::SystemdUser,
        (false, false) => Keeper::Cron,
    }
}

/// What the files have to say.
fn facts(context: &Context) -> Outcome<Facts> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed("the program's own file cannot be found").note(error.to_string()))?;
    let state = context.state_dir()?;
    let usual = context.home.as_ref().map(|home| home.join(".local/state/sitta"));
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| {
            Failure::failed(format!("{} is not UTF-8, and cannot be named to others", path.display()))
        })
    };
    let config = std::path::absolute(&context.config_file).unwrap_or_else(|_| context.config_file.clone());
    Ok(Facts {
        program: text(&program)?,
        config: text(&config)?,
        state_home: match state.parent() {
            Some(parent) if usual.as_ref() != Some(state) => Some(text(parent)?),
            _ => None,
        },
        home: context.home.as_deref().map(text).transpose()?,
    })
}

/// Where the file goes; none for what is no file of ours.
fn place(context: &Context, keeper: Keeper) -> Outcome<Option<PathBuf>> {
    let home = |below: &str| {
        let home = context.home.as_ref().ok_or_else(|| Failure::usage("HOME is not set"))?;
        Ok(Some(home.join(below)))
    };
    match keeper {
        Keeper::SystemdUser => home(".config/systemd/user/sitta.service"),
        Keeper::SystemdSystem => Ok(Some(PathBuf::from("/etc/systemd/system/sitta.service"))),
        Keeper::Launchd => home("Library/LaunchAgents/io.sitta.daemon.plist"),
        Keeper::TaskScheduler | Keeper::Cron => Ok(None),
    }
}

fn show(context: &Context, keeper: Keeper, facts: &Facts) -> Outcome {
    let text = files::text(keeper, facts);
    let place = match (place(context, keeper)?, keeper) {
        (Some(place), _) => place.display().to_string(),
        (None, Keeper::Cron) => "the crontab of this user".to_owned(),
        (None, _) => "a file, for `schtasks /Create /TN Sitta /XML FILE`".to_owned(),
    };
    let mut out = context.out();
    if context.json {
        let fields = [("place", place.into()), ("text", text.into())];
        out.line(json::plain_report("schedule", &fields))?;
    } else {
        out.bytes(text.as_bytes())?;
    }
    out.flush()?;
    if !context.json && !context.quiet {
        let head = context.console.style.head("Goes into");
        let place = match self::place(context, keeper)? {
            Some(place) => context.shorten(&place.display().to_string()),
            None if keeper == Keeper::Cron => "the crontab of this user".to_owned(),
            None => "a file, for `schtasks /Create /TN Sitta /XML FILE`".to_owned(),
        };
        context.console.line(format!("{head}{place}"));
    }
    Ok(Exit::Done)
}

fn install(context: &Context, keeper: Keeper, facts: &Facts) -> Outcome {
    fits_here(keeper)?;
    // A daemon that cannot read its config would end at once.
    warn_of_secrets(context, context.config()?);
    if let Some(place) = place(context, keeper)? {
        write(&place, &files::text(keeper, facts))?;
        for command in begin(keeper, &place) {
            tell(&command)?;
        }
        return done(context, "Installed", &place.display().to_string());
    }
    cron::install(&files::text(keeper, facts))?;
    done(context, "Installed", "in the crontab of this user")
}

fn remove(context: &Context, keeper: Keeper, _: &Facts) -> Outcome {
    fits_here(keeper)?;
    let Some(place) = place(context, keeper)? else {
        return match cron::remove()? {
            true => done(context, "Removed", "from the crontab of this user"),
            false => done(context, "Done", "there was nothing to remove"),
        };
    };
    if !place.exists() {
        return done(context, "Done", "there was nothing to remove");
    }
    is_ours(&place)?;
    for command in end(keeper, &place) {
        tell(&command)?;
    }
    fs::remove_file(&place).map_err(|error| unwritable(&place, &error))?;
    if matches!(keeper, Keeper::SystemdUser | Keeper::SystemdSystem) {
        tell(&systemctl(keeper, &["daemon-reload"]))?;
    }
    done(context, "Removed", &place.display().to_string())
}

fn done(context: &Context, head: &str, what: &str) -> Outcome {
    if context.json {
        let mut out = context.out();
        out.line(json!({"event": "report", "verb": "schedule", "outcome": "success", "problems": [], "done": head.to_lowercase(), "place": what}))?;
        out.flush()?;
    } else if !context.quiet {
        context.console.line(format!("{}{}", context.console.style.head(head), context.shorten(what)));
    }
    Ok(Exit::Done)
}

fn fits_here(keeper: Keeper) -> Outcome<()> {
    let (is, name) = match keeper {
        Keeper::Launchd => (cfg!(target_os = "macos"), "launchd is of macOS"),
        Keeper::TaskScheduler => (cfg!(windows), "the Task Scheduler is of Windows"),
        Keeper::SystemdUser | Keeper::SystemdSystem => {
            (Path::new(SYSTEMD).exists(), "systemd does not run on this machine")
        }
        Keeper::Cron => (true, ""),
    };
    if is {
        return Ok(());
    }
    Err(Failure::failed(format!("{name}: nothing was changed"))
        .hint("`sitta schedule show` prints what would be set up; --kind cron is there on most machines"))
}

fn begin(keeper: Keeper, place: &Path) -> Vec<Vec<String>> {
    match keeper {
        Keeper::Launchd => vec![launchctl(&["bootstrap", &domain(), &place.to_string_lossy()])],
        _ => vec![systemctl(keeper, &["daemon-reload"]), systemctl(keeper, &["enable", "--now", "sitta.service"])],
    }
}

fn end(keeper: Keeper, _: &Path) -> Vec<Vec<String>> {
    match keeper {
        Keeper::Launchd => vec![launchctl(&["bootout", &format!("{}/io.sitta.daemon", domain())])],
        _ => vec![systemctl(keeper, &["disable", "--now", "sitta.service"])],
    }
}

fn domain() -> String {
    format!("gui/{}", rustix::process::getuid().as_raw())
}

fn launchctl(args: &[&str]) -> Vec<String> {
    [&["launchctl"], args].concat().into_iter().map(str::to_owned).collect()
}

fn systemctl(keeper: Keeper, args: &[&str]) -> Vec<String> {
    let user: &[&str] = if keeper == Keeper::SystemdUser { &["--user"] } else { &[] };
    [&["systemctl"], user, args].concat().into_iter().map(str::to_owned).collect()
}

/// Runs a command of the system that must succeed.
fn tell(command: &[String]) -> Outcome<()> {
    let shown = command.join(" ");
    let run = Command::new(&command[0]).args(&command[1..]).stdin(Stdio::null()).output();
    let output =
        run.map_err(|error| Failure::failed(format!("`{shown}` could not be run")).note(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::failed(format!("`{shown}` failed")).note(said).hint("run it by hand, and see"))
}

/// A file that somebody else wrote is left alone.
fn is_ours(place: &Path) -> Outcome<()> {
    match fs::read_to_string(place) {
        Ok(text) if text.contains(files::MARK) => Ok(()),
        Ok(_) => Err(Failure::failed(format!("{} was not written by sitta: nothing was changed", place.display()))
            .hint("move it away and run again")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unwritable(place, &error)),
    }
}

fn write(place: &Path, text: &str) -> Outcome<()> {
    is_ours(place)?;
    let temporary = place.with_extension("sitta-new");
    let dir = place.parent().unwrap_or(Path::new("/"));
    let written = fs::create_dir_all(dir).and_then(|()| fs::write(&temporary, text));
    written.and_then(|()| fs::rename(&temporary, place)).map_err(|error| unwritable(place, &error))
}

fn unwritable(place: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{} could not be written", place.display())).note(error.to_string())
}

/// What stands in this shell's environment does not stand in that of a service.
fn warn_of_secrets(context: &Context, config: &Config) {
    let stores = config
        .store
        .iter()
        .flat_map(|(name, store)| store.secrets().map(move |(_, secret)| (format!("[store.{name}]"), secret)));
    let people = config
        .notify
        .iter()
        .flat_map(|(name, notify)| notify.secrets().map(move |(_, secret)| (format!("[notify.{name}]"), secret)));
    for (table, secret) in stores.chain(people) {
        if let Secret::Env(name) = secret {
            context.console.warning(format!(
                "{table} takes a password from {name}, which the daemon's environment does not have: use {{ file = … }}"
            ));
        }
    }
}
