//! The arguments of the server and its accounts.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `sitta serve`
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Share LOCATION as NAME; with :ro behind it, for reading only; may be given again [default: those of the config]
    #[arg(long, value_name = "NAME=LOCATION[:ro]", help_heading = "What")]
    pub share: Vec<OsString>,
    /// Listen at this address, by TCP and UDP; may be given again [default: 127.0.0.1:7474 and [::1]:7474]
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Where")]
    pub listen: Vec<SocketAddr>,
    /// Show this certificate (PEM, with those above it) instead of one of its own making; renewed in
    /// its place, it is shown within a minute
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "Where")]
    pub tls_certificate: Option<PathBuf>,
    /// The private key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate", help_heading = "Where")]
    pub tls_key: Option<PathBuf>,
}

/// `sitta share`
#[derive(Debug, Args)]
pub struct ShareArgs {
    #[command(subcommand)]
    pub verb: ShareVerb,
}

/// What to do with the shares of the config.
#[derive(Debug, Subcommand)]
pub enum ShareVerb {
    /// Add a share to the config
    Add(ShareAddArgs),
    /// List the shares of the config
    List,
    /// Remove a share from the config; what it holds stays
    Remove {
        /// The share's name
        name: String,
    },
}

/// `sitta share add`
#[derive(Debug, Args)]
pub struct ShareAddArgs {
    /// What it is called
    pub name: String,
    /// What is shared: a folder, or any other place
    pub location: String,
    /// For reading only
    #[arg(long, help_heading = "How")]
    pub read_only: bool,
    /// Show symbolic links as what they point to, wherever that is; what lies behind them can be read only
    #[arg(long, help_heading = "How")]
    pub follow_links: bool,
}

/// `sitta user`
#[derive(Debug, Args)]
pub struct UserArgs {
    #[command(subcommand)]
    pub verb: UserVerb,
}

/// What to do with the server's accounts.
#[derive(Debug, Subcommand)]
pub enum UserVerb {
    /// Add a user, or give one another password
    Add(UserAddArgs),
    /// Make a token for a script; it is printed once
    Token(UserTokenArgs),
    /// List users and tokens
    List,
    /// Remove users or tokens
    Remove(UserRemoveArgs),
}

/// What an account opens.
#[derive(Debug, Clone, Args)]
pub struct ScopeArgs {
    /// Only these shares [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "What it opens")]
    pub share: Vec<String>,
    /// For reading only
    #[arg(long, help_heading = "What it opens")]
    pub read_only: bool,
}

/// `sitta user add`
#[derive(Debug, Args)]
pub struct UserAddArgs {
    /// The user's name
    pub name: String,
    /// Read the password from this file; without it, it is asked for
    #[arg(long, value_name = "FILE", help_heading = "How")]
    pub password_file: Option<PathBuf>,
    #[command(flatten)]
    pub scope: ScopeArgs,
}

/// `sitta user token`
#[derive(Debug, Args)]
pub struct UserTokenArgs {
    /// What the token is for
    pub name: String,
    /// It ends after so long, for example 30d [default: never]
    #[arg(long, value_name = "TIME", help_heading = "How")]
    pub expires: Option<String>,
    #[command(flatten)]
    pub scope: ScopeArgs,
}

/// `sitta user remove`
#[derive(Debug, Args)]
pub struct UserRemoveArgs {
    /// Names of users or tokens
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
}
