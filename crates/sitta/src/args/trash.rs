//! The arguments of `sitta trash`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Subcommand};
use sitta_ops::trash::{TRASH_DIR, TrashKeep};

use crate::render::units::parse_duration;

/// `sitta trash`
#[derive(Debug, Args)]
pub struct TrashArgs {
    #[command(subcommand)]
    pub verb: TrashVerb,
}

/// What to do with the trash.
#[derive(Debug, Subcommand)]
pub enum TrashVerb {
    /// List the old versions that are kept, the last run's first
    List(TrashListArgs),
    /// Bring old versions back
    Restore(TrashRestoreArgs),
    /// Remove old versions for good
    Empty(TrashEmptyArgs),
}

/// Which trash.
#[derive(Debug, Args)]
pub struct WhichTrash {
    /// The folder whose trash it is
    #[arg(value_name = "LOCATION")]
    pub location: OsString,
    /// Where the trash is in LOCATION
    #[arg(long, value_name = "DIR", default_value = TRASH_DIR, help_heading = "Which versions")]
    pub trash: OsString,
}

/// `sitta trash list`
#[derive(Debug, Args)]
pub struct TrashListArgs {
    #[command(flatten)]
    pub of: WhichTrash,
    /// Only versions of these files, and of what is in these folders
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,
    /// Only what was replaced or deleted since: 2d, 2026-01-31, 2026-01-31T12:30
    #[arg(long, value_name = "TIME", help_heading = "Which versions")]
    pub since: Option<String>,
    /// Only what this run replaced or deleted; the beginning of its name will do
    #[arg(long, value_name = "RUN", help_heading = "Which versions")]
    pub run: Option<String>,
}

/// `sitta trash restore`
#[derive(Debug, Args)]
pub struct TrashRestoreArgs {
    #[command(flatten)]
    pub of: WhichTrash,
    /// Files as they were last, folders as the last run left them in the trash; . is everything
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<OsString>,
    /// The versions that this run replaced or deleted; the beginning of its name will do
    #[arg(long, value_name = "RUN", help_heading = "Which versions")]
    pub run: Option<String>,
    /// Bring it back under this path in LOCATION
    #[arg(long, value_name = "PATH", help_heading = "Where to")]
    pub to: Option<OsString>,
    /// Let what stands there now go to the trash
    #[arg(long, help_heading = "Where to")]
    pub force: bool,
}

/// `sitta trash empty`
#[derive(Debug, Args)]
pub struct TrashEmptyArgs {
    #[command(flatten)]
    pub of: WhichTrash,
    /// Only what was replaced or deleted so long ago, for example 30d
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Which versions")]
    pub older_than: Option<Duration>,
    /// Remove nothing; print what would be gone
    #[arg(long, short = 'n', help_heading = "Safety")]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short, help_heading = "Safety")]
    pub yes: bool,
}

/// `30d`, `forever`
pub fn parse_keep(text: &str) -> Result<TrashKeep, String> {
    match text.trim() {
        "forever" => Ok(TrashKeep::Forever),
        text => parse_duration(text)
            .map(TrashKeep::Within)
            .map_err(|_| format!("'{text}' is not a length of time; write for example 12h, 30d, 8w, or forever")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_are_kept_so_long_or_for_ever() {
        assert_eq!(parse_keep("forever"), Ok(TrashKeep::Forever));
        assert_eq!(parse_keep("30d"), Ok(TrashKeep::Within(Duration::from_secs(30 * 86_400))));
        assert!(parse_keep("never").unwrap_err().contains("or forever"));
    }
}
