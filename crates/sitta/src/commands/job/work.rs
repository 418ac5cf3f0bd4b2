//! What a job does, in the words of the command line.

use std::ffi::OsString;

use crate::args::{
    ConflictPolicy, CopyArgs, MirrorArgs, MovingArgs, OneWayArgs, RuleArg, RuleArgs, SyncArgs, parse_keep,
    parse_max_delete, parse_rate,
};
use crate::commands::moving::Around;
use crate::commands::{copy, mirror, sync};
use crate::config::{Job, Limit, OnConflict, Place, Verb};
use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::render::units::parse_duration;

/// Does a job's work, as its verb would.
pub fn work(context: &Context, name: &str, job: &Job, dry_run: bool, around: &Around) -> Outcome {
    match job.verb {
        Verb::Copy => {
            let args = CopyArgs { way: one_way(job, dry_run), update: job.update, no_overwrite: job.no_overwrite };
            copy::run(context, args, around)
        }
        Verb::Mirror => mirror::run(context, MirrorArgs { way: one_way(job, dry_run) }, around),
        Verb::Sync => sync::run(context, both_ways(job, dry_run), around),
        Verb::Archive | Verb::Backup => Err(cannot(name, job.verb)),
    }
}

fn cannot(name: &str, verb: Verb) -> Failure {
    Failure::usage(format!("[job.{name}] cannot be run: this version has no {}", verb.name()))
        .note("nothing was done")
        .hint("copy, mirror and sync can be run")
}

/// Whether a job's sides are left and right.
pub fn is_two_way(job: &Job) -> bool {
    job.verb == Verb::Sync
}

fn one_way(job: &Job, dry_run: bool) -> OneWayArgs {
    OneWayArgs {
        source: job.from.0.first().map(written).unwrap_or_default(),
        destination: job.to.as_ref().map(written).unwrap_or_default(),
        moving: moving(job, dry_run),
        hard_links: job.hard_links,
    }
}

fn both_ways(job: &Job, dry_run: bool) -> SyncArgs {
    let policy = match job.policy {
        None | Some(OnConflict::KeepBoth) => ConflictPolicy::KeepBoth,
        Some(OnConflict::Newest) => ConflictPolicy::Newest,
        Some(OnConflict::Left) => ConflictPolicy::Left,
        Some(OnConflict::Right) => ConflictPolicy::Right,
    };
    SyncArgs {
        locations: job.from.0.iter().chain(&job.to).map(written).collect(),
        watch: job.watch && !dry_run,
        poll: job.poll.as_ref().and_then(|poll| parse_duration(&poll.0).ok()),
        policy,
        forget: false,
        moving: moving(job, dry_run),
    }
}

/// With its password, if one stands there.
fn written(place: &Place) -> OsString {
    place.written.expose().into()
}

fn moving(job: &Job, dry_run: bool) -> MovingArgs {
    // All of these were checked when the config was read.
    MovingArgs {
        dry_run,
        checksum: job.checksum,
        xattrs: job.xattrs,
        rules: RuleArgs(job.filter.iter().map(|rule| RuleArg::Line(rule.get_ref().clone())).collect()),
        verify: job.verify,
        trash: job.trash.as_ref().map(|trash| OsString::from(&trash.0)),
        trash_keep: job.trash_keep.as_ref().and_then(|keep| parse_keep(&keep.0).ok()),
        max_delete: job.max_delete.as_ref().and_then(|limit| match limit {
            Limit::Count(count) => parse_max_delete(&count.to_string()).ok(),
            Limit::Share(share) => parse_max_delete(share).ok(),
        }),
        // What lets a guard through is said once, by somebody who looks.
        force_empty: false,
        transfers: job.transfers,
        limit_rate: job.limit_rate.as_ref().and_then(|rate| parse_rate(&rate.0).ok()),
    }
}
