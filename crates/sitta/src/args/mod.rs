//! The command line as it was written. What it means is resolved by the commands.

mod archive;
mod general;
mod get;
mod help;
mod job;
mod looking;
mod moving;
mod rules;
mod serve;
mod sync;
mod trash;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub use archive::{ArchiveArgs, UnpackArgs};
pub use general::{CompletionsArgs, ConfigArgs, ConfigVerb};
pub use get::{CacheArgs, CacheVerb, GetArgs, Transport};
pub use job::{Cause, DaemonArgs, HistoryArgs, JobsArgs, Keeper, RunArgs, ScheduleArgs, ScheduleVerb};
pub use looking::{Algo, CatArgs, DuArgs, DuSort, FindArgs, HashArgs, LsArgs, Selection, ShellArgs, Sort};
pub use moving::{CopyArgs, MirrorArgs, MovingArgs, OneWayArgs, parse_max_delete, parse_rate};
pub use rules::{RuleArg, RuleArgs};
pub use serve::{
    ScopeArgs, ServeArgs, ShareAddArgs, ShareArgs, ShareVerb, UserAddArgs, UserArgs, UserTokenArgs, UserVerb,
};
pub use sync::{ConflictPolicy, ConflictsArgs, ConflictsVerb, Keep, ResolveArgs, SyncArgs};
pub use trash::{TrashArgs, TrashEmptyArgs, TrashListArgs, TrashRestoreArgs, TrashVerb, WhichTrash, parse_keep};

use crate::exit::{Failure, Outcome};

/// Keeps folders safe and in step.
#[derive(Debug, Parser)]
#[command(name = "sitta", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// The options that every command has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct GlobalArgs {
    /// Read this config instead of ~/.config/sitta/config.toml
    #[arg(long, global = true, value_name = "FILE", display_order = 900)]
    pub config: Option<PathBuf>,
    /// Trust the certificates in this file too, in PEM form
    #[arg(long, global = true, value_name = "FILE", display_order = 901)]
    pub ca: Option<PathBuf>,
    /// Print JSON, one object a line, to standard output
    #[arg(long, global = true, display_order = 901)]
    pub json: bool,
    /// Print nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 902)]
    pub quiet: bool,
    /// Print each step too
    #[arg(short, long, global = true, display_order = 903)]
    pub verbose: bool,
    /// Show no progress, also on a terminal
    #[arg(long, global = true, display_order = 904)]
    pub no_progress: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", display_order = 905)]
    pub color: ColorChoice,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On terminals that can, unless NO_COLOR is set
    Auto,
    /// Also into files and pipes
    Always,
    /// Never
    Never,
}

/// What to do. The order is that of the groups in `sitta` alone: see `help::GROUPS`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Copy what is new or changed; never delete
    Copy(CopyArgs),
    /// Make a folder the same as another, deleting what is not in it
    Mirror(MirrorArgs),
    /// Keep folders in step, both ways; with --watch, until stopped
    Sync(SyncArgs),
    /// Pack a folder or a file into one dated archive, and keep so many
    Archive(ArchiveArgs),
    /// Unpack an archive into a folder
    Unpack(UnpackArgs),
    /// List and settle what both sides of a sync had changed
    Conflicts(ConflictsArgs),
    /// List, bring back or remove old versions that were kept
    Trash(TrashArgs),
    /// List what folders hold, several merged into one listing
    Ls(LsArgs),
    /// Print the paths of everything below folders that fits
    Find(FindArgs),
    /// Print or verify checksums of files, as b3sum and sha256sum do
    Hash(HashArgs),
    /// Add up the sizes of folders
    Du(DuArgs),
    /// Download a file and show its size, time and hash; or a folder
    Get(GetArgs),
    /// Print files to standard output
    Cat(CatArgs),
    /// Show or clear what was downloaded and is kept for the next time
    Cache(CacheArgs),
    /// Look around in a place at a prompt of its own, and get and put files
    Shell(ShellArgs),
    /// Run jobs of the config, one after the other
    Run(RunArgs),
    /// List the jobs of the config: how each ended last, and when it runs next
    Jobs(JobsArgs),
    /// List what was run, and how it ended
    History(HistoryArgs),
    /// Run jobs when they are due, and watched syncs all the time
    Daemon(DaemonArgs),
    /// Let this machine start the daemon by itself
    Schedule(ScheduleArgs),
    /// Show the jobs on a screen of their own; run them and watch, look into places
    Tui,
    /// Share folders with other sittas, browsers, scripts and WebDAV clients
    Serve(ServeArgs),
    /// Say what the server shares
    Share(ShareArgs),
    /// Say who may log in to the server
    User(UserArgs),
    /// Ask what to do, and write a job for it into the config
    Init,
    /// Look at the config
    Config(ConfigArgs),
    /// Print a script that completes commands in a shell
    Completions(CompletionsArgs),
    /// Print the manual page, in roff
    Man,
}

/// What was asked for.
#[derive(Debug)]
pub enum Asked {
    /// Do this.
    Verb(GlobalArgs, Box<Verb>),
    /// Print this text; help, say.
    Text(String),
}

/// The whole command line: for completions and the manual.
pub fn command() -> clap::Command {
    help::decorate(Cli::command())
}

/// Understands the arguments, the program's name first.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Outcome<Asked> {
    let arguments: Vec<OsString> = arguments.collect();
    let cli = command().try_get_matches_from(&arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    match cli {
        Ok(Cli { global, verb: Some(verb) }) => Ok(Asked::Verb(global, Box::new(verb))),
        Ok(Cli { verb: None, .. }) => Ok(Asked::Text(help::overview())),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Asked::Text(error.render().to_string())),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Ok(Asked::Text(error.render().to_string())),
            _ => Err(wrong_usage(&error, &arguments)),
        },
    }
}

/// The parser's complaint in the program's own form: what, then a hint.
fn wrong_usage(error: &clap::Error, arguments: &[OsString]) -> Failure {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let mut lines =
        text.lines().take_while(|line| !line.starts_with("Usage:")).filter(|line| !line.trim().is_empty());
    let mut failure = Failure::usage(lines.next().unwrap_or("these arguments make no sense").trim_end_matches(':'));
    for line in lines {
        let line = line.trim();
        if line.starts_with("For more information") {
            continue;
        }
        match line.strip_prefix("tip: ") {
            // Options are never meant as values here.
            Some(tip) if tip.starts_with("to pass") => {}
            Some(tip) if failure.hint.is_none() => failure.hint = Some(tip.to_owned()),
            Some(_) => {}
            None => failure.notes.push(line.trim_matches(['[', ']']).to_owned()),
        }
    }
    if failure.hint.is_none() {
        let cli = Cli::command();
        let verb = arguments.iter().skip(1).find_map(|word| cli.find_subcommand(word));
        failure.hint = Some(match verb {
            Some(verb) => format!("`sitta {} --help` shows how it is used", verb.get_name()),
            None => "`sitta` alone shows all commands".to_owned(),
        });
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(line: &str) -> Failure {
        parse(line.split(' ').map(OsString::from)).expect_err("wrong usage")
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn wrong_usage_comes_with_a_hint() {
        let wrong = failure("sitta mirror a b --chekcsum");
        assert_eq!(wrong.what, "unexpected argument '--chekcsum' found");
        assert_eq!(wrong.hint.as_deref(), Some("a similar argument exists: '--checksum'"));
        let missing = failure("sitta mirror a");
        assert_eq!(missing.notes, ["<DST>"]);
        assert_eq!(missing.hint.as_deref(), Some("`sitta mirror --help` shows how it is used"));
        assert!(failure("sitta miror a b").hint.is_some_and(|hint| hint.contains("'mirror'")));
    }
}
