//! What the program knows of where it was started: the one place that reads the environment.

use std::env;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use jiff::tz::TimeZone;

use crate::args::{ColorChoice, GlobalArgs};
use crate::config::Config;
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
    config: OnceLock<Config>,
    state_dir: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl Context {
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
            config: OnceLock::new(),
            state_dir: xdg("XDG_STATE_HOME", ".local/state"),
            home,
        }
    }

    /// The config; read when first asked for.
    pub fn config(&self) -> Outcome<&Config> {
        if self.config.get().is_none() {
            let config = Config::load(&self.config_file, self.config_named)?;
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

/// The value of a variable that the config names.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}
