//! What the program knows of where it was started: the one place that reads the environment.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use jiff::tz::TimeZone;
use sitta_store::{Access, Location};
use tokio::sync::Mutex;

use crate::args::{ColorChoice, GlobalArgs};
use crate::config::{Config, Place};
use crate::exit::{Failure, Outcome};
use crate::output::{Console, Out};
use crate::render::style::Style;

/// The options that every command has, and what the environment adds.
#[derive(Debug)]
pub struct Context {
    /// One JSON object a line instead of words.
    pub json: bool,
    /// Nothing but errors.
    pub quiet: bool,
    /// Each step too.
    pub verbose: bool,
    /// Whether to show progress.
    pub progress: bool,
    /// Whether standard output is a terminal.
    pub out_is_terminal: bool,
    /// How to colour standard output.
    pub out_style: Style,
    /// Standard error.
    pub console: Arc<Console>,
    /// The config's file, and whether it was named by the user.
    pub config_file: PathBuf,
    config_named: bool,
    /// A copy of that file which is read instead: the config that the daemon has taken up.
    config_copy: Option<PathBuf>,
    config: OnceLock<Config>,
    state_dir: Option<PathBuf>,
    /// Where what can be made again is kept.
    pub cache_dir: Option<PathBuf>,
    /// The user's own folder.
    pub home: Option<PathBuf>,
    /// Certificates to trust (`--ca`).
    pub ca: Option<PathBuf>,
    /// Somebody sits there who can be asked for a password.
    pub can_ask: bool,
    /// What is downloaded from another sitta comes by UDP.
    pub udp: bool,
    /// What it took to get into the places that were opened so far, so that nothing is asked for or run twice.
    pub accesses: Mutex<HashMap<String, Access>>,
}

impl Context {
    /// The same, with the config as it is now, and no password remembered.
    pub fn reload(&self) -> Outcome<Self> {
        let context = self.unread();
        context.config()?;
        Ok(context)
    }

    /// The same, but nobody is asked for anything: the screen is taken.
    pub fn unasked(&self) -> Self {
        Self { can_ask: false, ..self.unread() }
    }

    /// The same, but what is downloaded from another sitta comes by UDP.
    pub fn by_udp(&self) -> Self {
        Self { udp: true, ..self.unread() }
    }

    fn unread(&self) -> Self {
        Self {
            console: self.console.clone(),
            config_file: self.config_file.clone(),
            config_copy: self.config_copy.clone(),
            config: OnceLock::new(),
            state_dir: self.state_dir.clone(),
            cache_dir: self.cache_dir.clone(),
            home: self.home.clone(),
            ca: self.ca.clone(),
            accesses: Mutex::default(),
            ..*self
        }
    }

    /// The same, with a config that is read from this copy of its file.
    pub fn with_copy(&self, copy: &Path) -> Outcome<Self> {
        let context = Self { config_copy: Some(copy.to_owned()), ..self.unread() };
        context.config()?;
        Ok(context)
    }

    /// The same, with a config that is not in its file yet.
    pub fn with_text(&self, text: &str) -> Outcome<Self> {
        let config = Config::parse(&self.config_file, text)?;
        Ok(Self { config: OnceLock::from(config), ..self.unread() })
    }

    /// Looks around.
    pub fn new(global: &GlobalArgs) -> Self {
        let home = dir("HOME");
        let xdg =
            |name, below: &str| dir(name).or_else(|| Some(home.as_ref()?.join(below))).map(|d| d.join("sitta"));
        let capable = |terminal: bool| {
            let plain = env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
                || env::var_os("TERM").is_none_or(|term| term == "dumb");
            Style {
                color: match global.color {
                    ColorChoice::Always => true,
                    ColorChoice::Never => false,
                    ColorChoice::Auto => terminal && !plain,
                },
            }
        };
        let (out_is_terminal, err_is_terminal) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
        let config_named = global.config.is_some();
        let config_file =
            global.config.clone().or_else(|| Some(xdg("XDG_CONFIG_HOME", ".config")?.join("config.toml")));
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            progress: err_is_terminal && !dumb && !global.quiet && !global.json && !global.no_progress,
            out_is_terminal,
            out_style: capable(out_is_terminal),
            console: Arc::new(Console::new(capable(err_is_terminal))),
            config_file: config_file.unwrap_or_default(),
            config_named,
            config_copy: None,
            config: OnceLock::new(),
            state_dir: xdg("XDG_STATE_HOME", ".local/state"),
            cache_dir: xdg("XDG_CACHE_HOME", ".cache"),
            home,
            ca: global.ca.clone(),
            udp: false,
            can_ask: std::io::stdin().is_terminal() && err_is_terminal && !global.json,
            accesses: Mutex::default(),
        }
    }

    /// A file that the config names: `~/` is the user's own folder, and what is relative starts from the config's.
    pub fn file_of_config(&self, file: &str) -> PathBuf {
        match (file.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.config_file.parent().unwrap_or(Path::new("")).join(file),
        }
    }

    /// A place that the config names, with its password, if one stands there. A folder of this machine starts from the
    /// config's, for nobody knows from where a daemon was started; `~/` is the user's own.
    pub fn place_of_config(&self, place: &Place) -> OsString {
        fn is_local(location: &Location) -> bool {
            match location {
                Location::Local(_) => true,
                Location::Inside { archive, .. } => is_local(archive),
                Location::Remote(_) | Location::Named { .. } => false,
            }
        }
        let text = place.written.expose();
        match is_local(&place.location) && !text.starts_with("file:") {
            true => self.file_of_config(text).into(),
            false => text.into(),
        }
    }

    /// The copy of the config's file that is read instead of it.
    pub fn config_copy(&self) -> Option<&Path> {
        self.config_copy.as_deref()
    }

    /// The config; read when first asked for.
    pub fn config(&self) -> Outcome<&Config> {
        if self.config.get().is_none() {
            let config = match &self.config_copy {
                Some(copy) => Config::load_copy(&self.config_file, copy, self.config_named)?,
                None => Config::load(&self.config_file, self.config_named)?,
            };
            let _ = self.config.set(config);
        }
        Ok(self.config.get().expect("just set"))
    }

    /// Where state is kept.
    pub fn state_dir(&self) -> Outcome<&PathBuf> {
        self.state_dir.as_ref().ok_or_else(|| {
            Failure::usage("there is no place to remember what was done: neither HOME nor XDG_STATE_HOME is set")
                .hint("set XDG_STATE_HOME to a folder that stays")
        })
    }

    /// Says something to people: programs, and whoever wants it quiet, are spared.
    pub fn say(&self, line: impl fmt::Display) {
        if !self.quiet && !self.json {
            self.console.line(line);
        }
    }

    /// Standard output, buffered.
    pub fn out(&self) -> Out {
        Out::new()
    }

    /// The local time zone.
    pub fn zone(&self) -> TimeZone {
        TimeZone::system()
    }

    /// `~/Documents` for a path in the user's home.
    pub fn shorten(&self, path: &str) -> String {
        let home = self.home.as_ref().and_then(|home| home.to_str()).filter(|home| home.len() > 1);
        match home.and_then(|home| path.strip_prefix(home)) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("~{rest}"),
            _ => path.to_owned(),
        }
    }
}

/// A folder named by the environment; empty and relative ones do not count, as the XDG rules say.
fn dir(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute())
}

/// The name of the user who runs this program.
pub fn user_name() -> Option<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let account = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    account.or_else(|| variable("LOGNAME")).or_else(|| variable("USER")).filter(|name| !name.is_empty())
}

/// The name of this machine, as it may stand in a file's name.
pub fn host_name() -> String {
    let uname = rustix::system::uname();
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    uname.nodename().to_string_lossy().chars().map(plain).collect()
}

/// The value of a variable that the config or a convention names.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}
