//! The arguments of the verbs that move files.

use std::ffi::OsString;

use clap::Args;
use sitta_ops::MaxDelete;
use sitta_ops::trash::TrashKeep;

use super::RuleArgs;
use super::trash::parse_keep;
use crate::render::units::parse_size;

/// `sitta copy`
#[derive(Debug, Args)]
pub struct CopyArgs {
    #[command(flatten)]
    pub way: OneWayArgs,
    /// Replace a file at the destination only if the source's is newer
    #[arg(long, conflicts_with = "no_overwrite", help_heading = "What is copied")]
    pub update: bool,
    /// Leave every file at the destination as it is
    #[arg(long, help_heading = "What is copied")]
    pub no_overwrite: bool,
}

/// `sitta mirror`
#[derive(Debug, Args)]
pub struct MirrorArgs {
    #[command(flatten)]
    pub way: OneWayArgs,
}

/// What the verbs that go one way have in common.
#[derive(Debug, Args)]
pub struct OneWayArgs {
    /// Where from: the contents of this folder
    #[arg(value_name = "SRC")]
    pub source: OsString,
    /// Where to: they go into this folder
    #[arg(value_name = "DST")]
    pub destination: OsString,
    #[command(flatten)]
    pub moving: MovingArgs,
    /// Keep hard links among the files
    #[arg(long, help_heading = "What is copied")]
    pub hard_links: bool,
}

/// What the verbs that move files have in common.
#[derive(Debug, Args)]
pub struct MovingArgs {
    /// Change nothing; print what would be done
    #[arg(long, short = 'n', help_heading = "What is copied")]
    pub dry_run: bool,
    /// Compare files by content, not by size and time
    #[arg(long, help_heading = "What is copied")]
    pub checksum: bool,
    /// Keep extended attributes
    #[arg(long, help_heading = "What is copied")]
    pub xattrs: bool,
    #[command(flatten)]
    pub rules: RuleArgs,
    /// Read back what was written and compare it with what was sent, where the store does not do so itself
    #[arg(long, help_heading = "Safety")]
    pub verify: bool,
    /// Keep what is replaced or deleted in .sitta/trash where it was, or in DIR there [values: on, off, DIR]
    #[arg(long, value_name = "DIR|off", num_args = 0..=1, default_missing_value = "on", help_heading = "Safety")]
    pub trash: Option<OsString>,
    /// Remove from the trash what was replaced or deleted so long ago, for example 30d [default: forever; of a sync 30d]
    #[arg(long, value_name = "TIME|forever", value_parser = parse_keep, help_heading = "Safety")]
    pub trash_keep: Option<TrashKeep>,
    /// Delete at most N files, or P% of them [default: the larger of 50 and 20%]
    #[arg(long, value_name = "N|P%", value_parser = parse_max_delete, help_heading = "Safety")]
    pub max_delete: Option<MaxDelete>,
    /// Go on though a folder that held files is empty, missing or another one now
    #[arg(long, help_heading = "Safety")]
    pub force_empty: bool,
    /// Move N files at a time [default: what suits both sides]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Speed")]
    pub transfers: Option<u16>,
    /// Send at most so many bytes a second, for example 10MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_rate, help_heading = "Speed")]
    pub limit_rate: Option<u64>,
}

impl Default for MovingArgs {
    /// As of a copy without options, but what is written is read back.
    fn default() -> Self {
        Self {
            dry_run: false,
            checksum: false,
            xattrs: false,
            rules: RuleArgs::default(),
            verify: true,
            trash: None,
            trash_keep: None,
            max_delete: None,
            force_empty: false,
            transfers: None,
            limit_rate: None,
        }
    }
}

/// `100`, `30%`
pub fn parse_max_delete(text: &str) -> Result<MaxDelete, String> {
    let wrong = || "write a number, for example 100, or a share of all files, for example 30%".to_owned();
    match text.strip_suffix('%') {
        Some(share) => match share.trim().parse() {
            Ok(share @ 0..=100) => Ok(MaxDelete::Percent(share)),
            _ => Err(wrong()),
        },
        None => text.parse().map(MaxDelete::Count).map_err(|_| wrong()),
    }
}

/// `10MiB`, `10MiB/s`
pub fn parse_rate(text: &str) -> Result<u64, String> {
    match parse_size(text.trim_end_matches("/s"))? {
        0 => Err("at a rate of 0 nothing ever arrives".to_owned()),
        rate => Ok(rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_on_deletes_are_numbers_or_shares() {
        assert_eq!(parse_max_delete("0"), Ok(MaxDelete::Count(0)));
        assert_eq!(parse_max_delete("100%"), Ok(MaxDelete::Percent(100)));
        for text in ["101%", "-1", "all", "%", ""] {
            assert!(parse_max_delete(text).is_err(), "{text}");
        }
        assert_eq!(parse_rate("10MiB/s"), Ok(10 << 20));
        assert!(parse_rate("0").is_err());
    }
}
