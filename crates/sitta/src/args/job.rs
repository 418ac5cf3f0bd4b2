//! The arguments of the verbs that deal with jobs.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `sitta run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Names of [job.NAME] in the config
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
    /// Change nothing; print what would be done
    #[arg(long, short = 'n', help_heading = "How")]
    pub dry_run: bool,
    /// Why it runs: for the daemon
    #[arg(long, value_enum, hide = true, default_value = "hand")]
    pub cause: Cause,
    /// Read the config from this copy of it: for the daemon
    #[arg(long, hide = true)]
    pub copy: Option<PathBuf>,
    /// End when this process does: for the daemon and the tui
    #[arg(long, hide = true)]
    pub parent: Option<u32>,
    /// Tell again and again how much has flowed: for the tui
    #[arg(long, hide = true, requires = "json")]
    pub pulse: bool,
}

/// Why a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cause {
    /// Somebody said so
    Hand,
    /// It was time
    Schedule,
    /// It was time before
    CatchUp,
    /// It goes on until stopped
    Watch,
}

/// `sitta jobs`
#[derive(Debug, Args)]
pub struct JobsArgs {
    /// Only these
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
}

/// `sitta history`
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Only runs of this job
    #[arg(value_name = "JOB", conflicts_with = "run")]
    pub job: Option<String>,
    /// One run, with all that is known of it; the beginning of its id will do
    #[arg(long, value_name = "ID", help_heading = "Which runs")]
    pub run: Option<String>,
    /// What was done on the server of this machine instead: who, when, what, from where
    #[arg(long, conflicts_with_all = ["job", "run"], help_heading = "Which runs")]
    pub audit: bool,
    /// What was typed in `sitta shell`, and downloaded, instead: who, when, where, what
    #[arg(long, conflicts_with_all = ["job", "run", "audit"], help_heading = "Which runs")]
    pub commands: bool,
    /// The newest N only
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Which runs")]
    pub limit: u32,
}

/// `sitta daemon`
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// Run what is due now, and end; for cron
    #[arg(long, conflicts_with = "metrics", help_heading = "How")]
    pub once: bool,
    /// Serve metrics for Prometheus at this address, for example 127.0.0.1:9474
    #[arg(long, value_name = "ADDR:PORT", help_heading = "How")]
    pub metrics: Option<SocketAddr>,
}

/// `sitta schedule`
#[derive(Debug, Args)]
pub struct ScheduleArgs {
    #[command(subcommand)]
    pub verb: ScheduleVerb,
}

/// What to do about starting the daemon.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ScheduleVerb {
    /// Set it up, and start it
    Install(KeeperArgs),
    /// Print what would be set up, and where
    Show(KeeperArgs),
    /// Stop it, and take it away
    Remove(KeeperArgs),
}

/// Who starts the daemon.
#[derive(Debug, Clone, Copy, Args)]
pub struct KeeperArgs {
    /// Who starts it [default: what this machine has]
    #[arg(long, value_enum, value_name = "KIND")]
    pub kind: Option<Keeper>,
}

/// Who starts the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Keeper {
    /// systemd, for this user
    SystemdUser,
    /// systemd, for the machine; needs root
    SystemdSystem,
    /// launchd, on macOS, for this user
    Launchd,
    /// Task Scheduler, on Windows
    TaskScheduler,
    /// cron, for this user
    Cron,
}
