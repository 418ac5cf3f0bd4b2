//! The arguments of `sitta get`.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

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
    /// How it comes here
    #[arg(long, value_enum, value_name = "HOW", default_value = "auto", help_heading = "Speed")]
    pub transport: Transport,
}

/// How bytes come from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// As suits the server
    Auto,
    /// Over TCP
    Tcp,
    /// Over UDP, from another sitta
    Udp,
}
