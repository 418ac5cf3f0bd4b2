//! The arguments of `sitta archive` and `sitta unpack`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use sitta_tree::retention::Keep;

use super::moving::parse_rate;
use super::{MovingArgs, RuleArgs};
use crate::render::units::parse_duration;

/// `sitta archive`
#[derive(Debug, Args)]
pub struct ArchiveArgs {
    /// What is packed: the contents of this folder, or one file
    #[arg(value_name = "SRC")]
    pub source: OsString,
    /// Where the archive goes: a folder, or a name in one, ending in .tar.zst, .tar.gz, .tgz or .zip; with {date}, {time},
    /// {host} or {job} in it where these shall stand
    #[arg(value_name = "DST")]
    pub destination: OsString,
    /// Make no archive; print which would be made, and which would go
    #[arg(long, short = 'n', help_heading = "What is packed")]
    pub dry_run: bool,
    /// How much is done to make it small [default: 3 for zst, of 19; 5 for gz and zip, of 12]
    #[arg(long, value_name = "N", help_heading = "What is packed")]
    pub level: Option<i32>,
    /// What {job} stands for [default: the name of what is packed]
    #[arg(long, value_name = "NAME", help_heading = "What is packed")]
    pub job: Option<String>,
    #[command(flatten)]
    pub rules: RuleArgs,
    /// Pack nothing if the newest file is older, for example 24h
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Safety")]
    pub max_age: Option<Duration>,
    /// Leave an archive of the same name as it is
    #[arg(long, help_heading = "Safety")]
    pub no_overwrite: bool,
    /// Do not read back what was sent
    #[arg(long, help_heading = "Safety")]
    pub no_verify: bool,
    /// Make an archive though there is nothing to pack
    #[arg(long, help_heading = "Safety")]
    pub force_empty: bool,
    /// Remove older archives of this name, but keep these: last=N, within=TIME, hourly=N, daily=N, weekly=N, monthly=N,
    /// yearly=N; several with commas between [default: all]
    #[arg(long, value_name = "RULES", value_parser = parse_keep, help_heading = "Old archives")]
    pub keep: Vec<Keep>,
    /// Send at most so many bytes a second, for example 10MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_rate, help_heading = "Speed")]
    pub limit_rate: Option<u64>,
}

/// `sitta unpack`
#[derive(Debug, Args)]
pub struct UnpackArgs {
    /// The archive: a zip, tar, tar.gz, tar.zst or tar.bz2, wherever it is; ARCHIVE!/folder for a part of it
    #[arg(value_name = "ARCHIVE")]
    pub archive: OsString,
    /// Where to: what is in it goes into this folder
    #[arg(value_name = "DST")]
    pub destination: OsString,
    #[command(flatten)]
    pub moving: MovingArgs,
    /// Replace a file at the destination only if the archive's is newer
    #[arg(long, conflicts_with = "no_overwrite", help_heading = "What is copied")]
    pub update: bool,
    /// Leave every file at the destination as it is
    #[arg(long, help_heading = "What is copied")]
    pub no_overwrite: bool,
}

fn parse_keep(text: &str) -> Result<Keep, String> {
    text.parse().map_err(|error: sitta_tree::retention::KeepError| error.to_string())
}
