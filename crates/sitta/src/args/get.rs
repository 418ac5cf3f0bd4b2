//! The arguments of `sitta get` and `sitta cache`.

use std::ffi::OsString;

use clap::{Args, Subcommand, ValueEnum};

/// `sitta get`
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The file; of a folder, all that is in it
    #[arg(value_name = "LOCATION")]
    pub location: OsString,
    /// A folder of this machine, or the file's new path [default: .]
    #[arg(value_name = "DEST")]
    pub destination: Option<OsString>,
    /// Replace a file that is there only if this one is newer
    #[arg(long, conflicts_with = "no_overwrite", help_heading = "What is replaced")]
    pub update: bool,
    /// Replace nothing
    #[arg(long, help_heading = "What is replaced")]
    pub no_overwrite: bool,
    /// Neither take it from the cache nor keep it there
    #[arg(long, help_heading = "Speed")]
    pub no_cache: bool,
    /// How it comes here
    #[arg(long, value_enum, value_name = "HOW", default_value = "auto", help_heading = "Speed")]
    pub transport: Transport,
}

/// How bytes come from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// Over TCP; where that is slow, by UDP if that is faster
    Auto,
    /// Over TCP, from another sitta over several connections
    Tcp,
    /// Over UDP, from another sitta
    Udp,
}

/// `sitta cache`
#[derive(Debug, Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    pub verb: CacheVerb,
}

/// What to do with the cache of downloads.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum CacheVerb {
    /// List its files, the last used one first, and how full it is
    Show,
    /// Remove all of them
    Clear,
}
