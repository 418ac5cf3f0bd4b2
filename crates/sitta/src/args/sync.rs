//! The arguments of the verbs that go both ways.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::MovingArgs;
use crate::render::units::parse_duration;

/// `sitta sync`
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// The folders to keep in step; of more than two, the first is the hub that each of the others is kept in step with
    #[arg(value_name = "LOCATION", num_args = 2.., required = true)]
    pub locations: Vec<OsString>,
    /// Go on until stopped: take up changes as they happen
    #[arg(long, conflicts_with = "dry_run", help_heading = "Watching")]
    pub watch: bool,
    /// Look so often at a place that does not tell of changes [default: 10s; 1m on S3]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, requires = "watch", help_heading = "Watching")]
    pub poll: Option<Duration>,
    /// When both sides changed the same file: keep both (the older one as NAME.conflict-HASH), or the newest, the left
    /// or the right one wins (the other goes to the trash), or ask (without a terminal: leave both, exit code 5)
    #[arg(
        long,
        visible_alias = "on-conflict",
        value_enum,
        value_name = "POLICY",
        default_value = "keep-both",
        help_heading = "Conflicts"
    )]
    pub policy: ConflictPolicy,
    /// Forget what was agreed on, and do nothing else: the next sync deletes nothing, and compares everything
    #[arg(long, conflicts_with_all = ["watch", "dry_run"], help_heading = "Safety")]
    pub forget: bool,
    #[command(flatten)]
    pub moving: MovingArgs,
}

/// What becomes of a file that both sides changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConflictPolicy {
    /// Both versions stay, the older one as NAME.conflict-HASH
    KeepBoth,
    /// The newer one wins; the other goes to the trash
    Newest,
    /// The first folder's wins; the other goes to the trash
    Left,
    /// The other folder's wins; the first's goes to the trash
    Right,
    /// Ask on a terminal; else leave both as they are (exit code 5)
    Ask,
}

/// `sitta conflicts`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ConflictsArgs {
    /// The two folders that are kept in step
    #[arg(value_name = "LOCATION", num_args = 2, required = true)]
    pub locations: Vec<OsString>,
    #[command(subcommand)]
    pub verb: Option<ConflictsVerb>,
}

/// What `sitta conflicts` can do besides listing.
#[derive(Debug, Subcommand)]
pub enum ConflictsVerb {
    /// Settle conflicts: keep one version or both
    Resolve(ResolveArgs),
}

/// `sitta conflicts resolve`
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// The files in conflict, as `sitta conflicts` lists them, or by their path on this machine
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<OsString>,
    /// Whose version stays under its name; the other goes to the trash, or stays under a name of its own
    #[arg(long, value_enum, value_name = "WHICH")]
    pub keep: Keep,
    /// The two folders, where it is not clear which pair is meant
    #[arg(long, value_names = ["A", "B"], num_args = 2)]
    pub of: Option<Vec<OsString>>,
}

/// Which version stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Keep {
    /// The first folder's
    Left,
    /// The other folder's
    Right,
    /// Both, each under a name of its own
    Both,
}
