//! `--include`, `--exclude` and `--filter-from`, in the order in which they were written: the last rule that matches
//! decides.

use std::path::PathBuf;

use clap::error::Error;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

/// One of these options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleArg {
    /// `--include GLOB`
    Include(String),
    /// `--exclude GLOB`
    Exclude(String),
    /// `--filter-from FILE`
    From(PathBuf),
    /// A line as in such a file: what a job's `filter` holds.
    Line(String),
}

/// All of these options.
#[derive(Debug, Clone, Default)]
pub struct RuleArgs(pub Vec<RuleArg>);

impl Args for RuleArgs {
    fn augment_args(command: Command) -> Command {
        let option = |name: &'static str, value: &'static str, help: &'static str| {
            Arg::new(name).long(name).value_name(value).help(help).action(ArgAction::Append).help_heading("Filters")
        };
        command
            .arg(option("exclude", "GLOB", "Leave out what matches; the last rule that matches decides"))
            .arg(option("include", "GLOB", "Take it after all; as the first rule: take nothing else"))
            .arg(
                option("filter-from", "FILE", "Read rules from a file: one pattern a line, as in .gitignore")
                    .value_parser(value_parser!(PathBuf)),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RuleArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut rules: Vec<(usize, RuleArg)> = Vec::new();
        let texts = |name| matches.get_many::<String>(name).into_iter().flatten().cloned();
        let places = |name| matches.indices_of(name).into_iter().flatten();
        rules.extend(places("include").zip(texts("include").map(RuleArg::Include)));
        rules.extend(places("exclude").zip(texts("exclude").map(RuleArg::Exclude)));
        let files = matches.get_many::<PathBuf>("filter-from").into_iter().flatten().cloned();
        rules.extend(places("filter-from").zip(files.map(RuleArg::From)));
        rules.sort_by_key(|(place, _)| *place);
        Ok(Self(rules.into_iter().map(|(_, rule)| rule).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
