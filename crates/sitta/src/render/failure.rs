//! Why a run did not come about, and what to do about it.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sitta_ops::{Held, RunError};
use sitta_store::ErrorKind;
use sitta_tree::Side;

use super::units::{count, counted, duration};
use crate::exit::{Exit, Failure};
use crate::hints;

/// The two sides as the user wrote them, and as the stores call themselves.
#[derive(Debug, Clone)]
pub struct Sides {
    pub labels: [String; 2],
    pub locations: [String; 2],
    /// Either side may be changed.
    pub two_way: bool,
}

impl Sides {
    /// What the user calls a side.
    pub fn label(&self, side: Side) -> &str {
        &self.labels[side as usize]
    }
}

/// A run that was not begun.
pub fn run_error(error: &RunError, verb: &str, sides: &Sides) -> Failure {
    match error {
        RunError::Nested { outer, .. } if verb == "archive" => {
            Failure::usage(format!("the archive would go into {outer}, which is what is packed"))
                .note("the next one would hold it, and so on; no archive was made")
                .hint("name a destination outside of the source")
        }
        RunError::Nested { inner, outer } if inner == outer => Failure::usage(format!(
            "{inner} is {}",
            if sides.two_way { "named twice" } else { "both source and destination" }
        ))
        .note("nothing was changed")
        .hint(if sides.two_way { "name two different folders" } else { "choose another destination" }),
        RunError::Nested { inner, outer } => Failure::usage(format!("{inner} lies inside {outer}"))
            .note("a folder cannot go into itself; nothing was changed")
            .hint("choose a destination outside of the source, and a source outside of the destination"),
        RunError::PairBusy { pid, since } => {
            Failure::failed(format!("another sitta works on these two since {}", local(since)))
                .note(format!("it is process {pid}; nothing was changed by this one"))
                .hint(format!("wait until it is done, or end it with `kill {pid}`: nothing is lost"))
        }
        RunError::Held(held) => self::held(held, sides, false),
        RunError::Interrupted => Failure::new(Exit::Interrupted, "interrupted").note("nothing was changed"),
        RunError::Store(error) => store_error(error, verb, sides),
        RunError::State { .. } => state(error),
        RunError::Cycle { way } => {
            let (from, to) = (&way[0], &way[way.len() - 1]);
            let through = way[1..way.len() - 1].join(", ");
            Failure::usage(format!("{from} and {to} are kept in step already, through {through}"))
                .note("two ways between the same folders would bring back what was deleted; nothing was changed")
                .hint(format!(
                    "if one of those is no longer in use, forget it: sitta sync --forget {from} {}",
                    way[1]
                ))
        }
        RunError::Unsettled { path, why } => {
            Failure::failed(format!("the conflict at {path} cannot be settled yet"))
                .note((*why).to_owned())
                .hint("run `sitta sync` on both folders, then settle it")
        }
        RunError::TooLarge(error) => {
            Failure::failed(error.to_string()).hint("take the folders inside one after the other")
        }
    }
}

/// What is remembered could not be used.
pub fn state(error: &RunError) -> Failure {
    let failure = match error {
        RunError::State { path, message } => {
            Failure::failed(format!("what is remembered of earlier runs could not be used: {}", path.display()))
                .note(message.clone())
        }
        error => Failure::failed(error.to_string()),
    };
    failure.hint("see that there is room and that you may write there, or set XDG_STATE_HOME to another folder")
}

/// A guard held something back.
pub fn held(held: &Held, sides: &Sides, dry_run: bool) -> Failure {
    let other = |side: Side| match side {
        Side::Left => sides.label(Side::Right),
        Side::Right => sides.label(Side::Left),
    };
    let unchanged = |side| format!("nothing was changed on {}", other(side));
    match held {
        Held::Deletes { side, planned, limit, of } => {
            let limit = if *limit == 1 { "1 is".to_owned() } else { format!("{} are", count(*limit)) };
            let there = counted(*of, "file", "files");
            let place = if sides.two_way { format!(" on {}", sides.label(*side)) } else { String::new() };
            let what = format!("{} of {there}{place} would be deleted, but at most {limit} allowed", count(*planned));
            let (state, look) = match dry_run {
                true => ("a run would delete none of them, and do everything else", ""),
                false => ("none was deleted; everything else was done", "look at them with --dry-run; "),
            };
            Failure::new(Exit::Held, what)
                .note(state)
                .hint(format!("{look}to let them go, add --max-delete {planned} once"))
        }
        Held::Emptied { side, held } => {
            let what = format!(
                "{} is empty, but held {} at the last run",
                sides.label(*side),
                counted(*held, "file", "files")
            );
            Failure::new(Exit::Held, what)
                .note(unchanged(*side))
                .hint(match sides.two_way {
                    true => {
                        "mount the disk and run again; to empty the other side too, add --force-empty once; to fill this \
                         one again, `sitta sync --forget` both first"
                    }
                    false => "mount the disk and run again; if it is really meant to be empty, add --force-empty once",
                })
        }
        Held::Missing { side } => Failure::new(Exit::Held, format!("{} is not there", sides.label(*side)))
            .note(unchanged(*side))
            .hint(match side {
                _ if sides.two_way => "check how it is written, or mount the disk, and run again; to fill it anew, `sitta sync --forget` both first",
                Side::Left => "check how it is written, or mount the disk, and run again",
                Side::Right => "mount the disk and run again; if it is really gone, add --force-empty once",
            }),
        Held::Empty => Failure::new(Exit::Held, format!("{} holds nothing to pack", sides.label(Side::Left)))
            .note("no archive was made, and none was removed")
            .hint("mount the disk, or check the filters; if an empty archive is wanted, add --force-empty"),
        Held::Stale { newest: None, .. } => {
            Failure::new(Exit::Held, format!("how old {} is cannot be told", sides.label(Side::Left)))
                .note("the place tells no times; no archive was made, and none was removed")
                .hint("leave out --max-age to pack it all the same")
        }
        Held::Stale { age, max_age, .. } => {
            let what = format!("the newest file of {} is {} old", sides.label(Side::Left), duration(*age));
            Failure::new(Exit::Held, what)
                .note(format!("at most {} are allowed; no archive was made, and none was removed", duration(*max_age)))
                .hint("see why nothing new comes in; to pack it all the same, leave out --max-age or make it longer")
        }
        Held::Exists { name } => {
            Failure::new(Exit::Held, format!("{name} is in {} already", sides.label(Side::Right)))
                .note("it was left as it is; no archive was made, and none was removed")
                .hint("leave out --no-overwrite to replace it, or put {time} into the name")
        }
        Held::Replaced { side } => {
            let what =
                format!("{} is another folder than at the last run, and lacks most of it", sides.label(*side));
            Failure::new(Exit::Held, what)
                .note(unchanged(*side))
                .hint("mount the right disk and run again; if this is the right one, add --force-empty once")
        }
    }
}

fn store_error(error: &sitta_store::Error, verb: &str, sides: &Sides) -> Failure {
    let right = *error.location == *sides.locations[1];
    let label = sides.label(if right { Side::Right } else { Side::Left });
    let path =
        error.path.as_ref().filter(|path| !path.is_root()).map(|path| format!("{path} in ")).unwrap_or_default();
    let failure = Failure::failed(format!("{path}{label} could not be {}", if right { "used" } else { "read" }))
        .note(error.source.to_string())
        .note("nothing was changed");
    let parts = label.trim_end_matches('/').rsplit_once('/').unwrap_or((".", label));
    match hints::store(error.kind, &error.location) {
        _ if error.kind == ErrorKind::NotADirectory && !right => failure
            .hint(format!("for one file: sitta {verb} {} {} --include /{}", parts.0, sides.labels[1], parts.1)),
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// A store that could not be looked at.
pub fn looking(label: &str, error: &sitta_store::Error) -> Failure {
    let path =
        error.path.as_ref().filter(|path| !path.is_root()).map(|path| format!("{path} in ")).unwrap_or_default();
    let failure = Failure::failed(format!("{path}{label} could not be read")).note(error.source.to_string());
    hinted(failure, error)
}

/// A store that could not be gone to.
pub fn opening(label: &str, error: &sitta_store::Error) -> Failure {
    if error.kind == ErrorKind::Unsupported {
        let failure = Failure::usage(format!("{label} cannot be opened by this version"));
        return failure.note(error.source.to_string());
    }
    let failure = Failure::failed(format!("{label} could not be opened")).note(error.source.to_string());
    hinted(failure, error)
}

fn hinted(failure: Failure, error: &sitta_store::Error) -> Failure {
    let failure = Failure { kind: Some(error.kind), ..failure };
    match hints::store(error.kind, &error.location) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn local(utc: &str) -> String {
    let at = utc.parse::<Timestamp>();
    at.map_or_else(
        |_| utc.to_owned(),
        |at| at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}
