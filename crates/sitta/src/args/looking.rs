//! The arguments of the verbs that look.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::render::units::parse_size;

/// `sitta ls`
#[derive(Debug, Args)]
pub struct LsArgs {
    /// What to list; several folders are merged into one listing [default: .]
    #[arg(value_name = "LOCATION")]
    pub locations: Vec<OsString>,
    /// Show sizes and times; of several folders they are always shown, and which ones hold it
    #[arg(long, short, help_heading = "What is shown")]
    pub long: bool,
    /// List the folders inside too
    #[arg(long, short = 'R', help_heading = "What is shown")]
    pub recursive: bool,
    #[command(flatten)]
    pub selection: Selection,
}

/// `sitta find`
#[derive(Debug, Args)]
pub struct FindArgs {
    /// Where to look [default: .]
    #[arg(value_name = "LOCATION")]
    pub locations: Vec<OsString>,
    /// End each path with a NUL byte, for `xargs -0`
    #[arg(long, short = '0', help_heading = "What is shown")]
    pub null: bool,
    #[command(flatten)]
    pub selection: Selection,
}

/// What a listing is narrowed to, and its order.
#[derive(Debug, Args)]
pub struct Selection {
    /// Only files whose names end so, for example jpg,png
    #[arg(long, value_name = "EXT", value_delimiter = ',', help_heading = "Filters")]
    pub ext: Vec<OsString>,
    /// Only what matches, for example 'IMG_*'; with ! in front, what does not
    #[arg(long, value_name = "GLOB", help_heading = "Filters")]
    pub glob: Vec<String>,
    /// Only files changed since: 2d, 2026-01-31, 2026-01-31T12:30
    #[arg(long, value_name = "TIME", help_heading = "Filters")]
    pub since: Option<String>,
    /// Only files changed before
    #[arg(long, value_name = "TIME", help_heading = "Filters")]
    pub until: Option<String>,
    /// Only files of at least this size, for example 10MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Filters")]
    pub min_size: Option<u64>,
    /// Only files of at most this size
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Filters")]
    pub max_size: Option<u64>,
    /// Only files in which this text stands
    #[arg(long, value_name = "TEXT", help_heading = "Filters")]
    pub contains: Option<OsString>,
    /// In this order: by name, the largest first, the newest first
    #[arg(long, value_enum, value_name = "ORDER", default_value = "name", help_heading = "What is shown")]
    pub sort: Sort,
}

/// The order of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// By name
    Name,
    /// The largest first
    Size,
    /// The newest first
    Time,
}

/// `sitta hash`
#[derive(Debug, Args)]
pub struct HashArgs {
    /// Files, or folders with all files in them; - is standard input [default: .; with --check: where the names in FILE start from]
    #[arg(value_name = "LOCATION")]
    pub locations: Vec<OsString>,
    /// Which checksum
    #[arg(long, short, value_enum, value_name = "ALGO", help_heading = "Checksums")]
    pub algo: Option<Algo>,
    /// Show sizes and times too, as a table
    #[arg(long, short, conflicts_with = "check", help_heading = "What is shown")]
    pub long: bool,
    /// Verify the files that FILE lists; - is standard input
    #[arg(long, short, value_name = "FILE", help_heading = "Checksums")]
    pub check: Option<PathBuf>,
}

/// A checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Algo {
    /// As b3sum prints it (default)
    Blake3,
    /// As sha256sum prints it
    Sha256,
    /// As md5sum prints it
    Md5,
    /// As zip files have it
    Crc32,
}

impl Algo {
    /// What it stands for.
    pub fn sum(self) -> sitta_store::sum::Algo {
        use sitta_store::sum::Algo as Sum;
        match self {
            Self::Blake3 => Sum::Blake3,
            Self::Sha256 => Sum::Sha256,
            Self::Md5 => Sum::Md5,
            Self::Crc32 => Sum::Crc32,
        }
    }
}

/// `sitta du`
#[derive(Debug, Args)]
pub struct DuArgs {
    /// What to add up [default: .]
    #[arg(value_name = "LOCATION")]
    pub locations: Vec<OsString>,
    /// Show folders down to this depth; 0 is the total only
    #[arg(long, short, value_name = "N", default_value_t = 1, help_heading = "What is shown")]
    pub depth: usize,
    /// In this order: by name, the largest first
    #[arg(long, value_enum, value_name = "ORDER", default_value = "name", help_heading = "What is shown")]
    pub sort: DuSort,
}

/// The order of `sitta du`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DuSort {
    /// By name
    Name,
    /// The largest first
    Size,
}

/// `sitta shell`
#[derive(Debug, Args)]
pub struct ShellArgs {
    /// Where it begins; nothing above it can be reached
    #[arg(value_name = "LOCATION")]
    pub location: OsString,
}

/// `sitta cat`
#[derive(Debug, Args)]
pub struct CatArgs {
    /// The files, printed one after the other
    #[arg(value_name = "LOCATION", required = true)]
    pub locations: Vec<OsString>,
}
