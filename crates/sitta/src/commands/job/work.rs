//! What a job does, in the words of the command line.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::archive_name;
use crate::args::{
    ArchiveArgs, ConflictPolicy, CopyArgs, MirrorArgs, MovingArgs, OneWayArgs, RuleArg, RuleArgs, SyncArgs,
    parse_keep, parse_max_delete, parse_rate,
};
use crate::commands::moving::Around;
use crate::commands::{archive, copy, mirror, sync};
use crate::config::{Job, Limit, OnConflict, Place, Verb};
use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::render::units::parse_duration;

/// Does a job's work, as its verb would.
pub fn work(context: &Context, name: &str, job: &Job, dry_run: bool, around: &Around) -> Outcome {
    match job.verb {
        Verb::Copy => {
            let args = CopyArgs {
                way: one_way(context, job, dry_run),
                update: job.update,
                no_overwrite: job.no_overwrite,
            };
            copy::run(context, args, around)
        }
        Verb::Mirror => mirror::run(context, MirrorArgs { way: one_way(context, job, dry_run) }, around),
        Verb::Sync => sync::run(context, both_ways(context, job, dry_run), around),
        Verb::Archive => archive::run(context, &dated(context, name, job, dry_run), around),
        Verb::Backup => Err(cannot(name, job.verb)),
    }
}

fn cannot(name: &str, verb: Verb) -> Failure {
    Failure::usage(format!("[job.{name}] cannot be run: jobs do no {} yet", verb.name()))
        .note("nothing was done")
        .hint("copy, mirror, sync and archive can be run")
}

/// Whether a job's sides are left and right.
pub fn is_two_way(job: &Job) -> bool {
    job.verb == Verb::Sync
}

fn one_way(context: &Context, job: &Job, dry_run: bool) -> OneWayArgs {
    OneWayArgs {
        source: job.from.0.first().map(|place| context.place_of_config(place)).unwrap_or_default(),
        destination: job.to.as_ref().map(|place| context.place_of_config(place)).unwrap_or_default(),
        moving: moving(job, dry_run),
        hard_links: job.hard_links,
    }
}

fn dated(context: &Context, name: &str, job: &Job, dry_run: bool) -> ArchiveArgs {
    let moving = moving(job, dry_run);
    ArchiveArgs {
        source: job.from.0.first().map(|place| context.place_of_config(place)).unwrap_or_default(),
        destination: job.to.as_ref().map(|place| context.place_of_config(place)).unwrap_or_default(),
        dry_run,
        level: job.level,
        job: Some(name.to_owned()),
        rules: moving.rules,
        max_age: job.max_age.as_ref().and_then(|age| parse_duration(&age.0).ok()),
        no_overwrite: job.no_overwrite,
        no_verify: job.no_verify,
        force_empty: moving.force_empty,
        keep: job.keep.as_ref().and_then(|keep| keep.rules()).into_iter().collect(),
        limit_rate: moving.limit_rate,
    }
}

fn both_ways(context: &Context, job: &Job, dry_run: bool) -> SyncArgs {
    let policy = match job.policy {
        None | Some(OnConflict::KeepBoth) => ConflictPolicy::KeepBoth,
        Some(OnConflict::Newest) => ConflictPolicy::Newest,
        Some(OnConflict::Left) => ConflictPolicy::Left,
        Some(OnConflict::Right) => ConflictPolicy::Right,
    };
    SyncArgs {
        locations: job.from.0.iter().chain(&job.to).map(|place| context.place_of_config(place)).collect(),
        watch: job.watch && !dry_run,
        poll: job.poll.as_ref().and_then(|poll| parse_duration(&poll.0).ok()),
        policy,
        forget: false,
        moving: moving(job, dry_run),
    }
}

/// Where a job reads and writes: what to call each place, and how it is written. Of an archive, the folder it goes to.
pub fn places(context: &Context, job: &Job) -> Vec<(String, OsString)> {
    let folder = |label: &str, place: &Place| {
        let named = archive_name::written(&place.location, place.written.expose().as_bytes());
        match named {
            Ok(Some(name)) if job.verb == Verb::Archive => {
                let whole = context.place_of_config(place).into_vec();
                let kept = whole.len().saturating_sub(name.len());
                let label = label.strip_suffix(name.as_str()).unwrap_or(label).to_owned();
                (label, OsString::from_vec(whole[..kept].to_vec()))
            }
            _ => (label.to_owned(), context.place_of_config(place)),
        }
    };
    let from = job.from.0.iter().map(|place| (place.text(), context.place_of_config(place)));
    let to = job.to.iter().map(|place| folder(&place.text(), place));
    from.chain(to).map(|(label, written)| (context.shorten(&label), written)).collect()
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
