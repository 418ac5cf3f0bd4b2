//! The arguments of the verbs that set things up.

use clap::{Args, Subcommand};
use clap_complete::Shell;

/// `sitta config`
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub verb: ConfigVerb,
}

/// What to do with the config.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigVerb {
    /// Say whether the config is right, and where the passwords come from
    Check(CheckArgs),
    /// Print the config as it is understood, without passwords
    Show,
    /// Print the JSON schema of the config, for editors
    Schema,
}

/// `sitta config check`
#[derive(Debug, Clone, Copy, Args)]
pub struct CheckArgs {
    /// Go to each store as well, log in and look; nothing is written
    #[arg(long)]
    pub connect: bool,
}

/// `sitta completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}
