//! Bytes from a store into a file beside its target, and then, all at once, into its place.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::StreamExt;
use sitta_store::{Error, ErrorKind, Fetched, Flow, Precondition, Store};
use sitta_tree::{Entry, Kind, Meta, RelPath, Summary, Time};

use super::lanes::Lanes;
use super::pace::Lane;
use super::partial::Partial;
use super::shelf::Shelf;
use super::{Got, Target, What};
use crate::args::Transport;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::hints;
use crate::open::Opened;
use crate::render::course::Course;
use crate::render::progress::Progress;
use crate::render::units;

/// Pieces that may wait to be written.
const WAITING: usize = 32;

/// A file that is to come here.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    /// As it was written.
    pub location: &'w OsStr,
    pub opened: &'w Opened,
    pub path: &'w RelPath,
    pub entry: &'w Entry,
    pub transport: Transport,
}

/// Brings the file here and puts it in its place.
pub async fn download(
    context: &Context,
    wanted: &Wanted<'_>,
    shelf: &Shelf<'_>,
    (target, old): (&Target, Option<&Entry>),
    flow: &Arc<Flow>,
    got: &mut Got,
) -> Outcome<()> {
    let Wanted { opened, path, entry, .. } = *wanted;
    let version = entry.fingerprint();
    let here = |error: io::Error| unwritable(&target.label(), &error);
    let mut partial = Partial::open(target.store.path(), opened.store.location(), path, &version).map_err(here)?;
    let mut told = None;
    got.cached = shelf.take(&mut partial).map_err(here)?;
    if !got.cached {
        got.resumed_from = partial.len;
        (partial, told) = receive(context, wanted, partial, target, flow, got).await?;
    }
    got.hash = partial.hash();
    if partial.len != version.size || entry.content.is_some_and(|content| content != got.hash) {
        partial.remove();
        return Err(Failure::failed(format!("what came of {} is not what it holds", opened.label))
            .note(format!("{} of {} bytes, with the hash {}", partial.len, version.size, got.hash))
            .hint("run again; if it stays so, the file is damaged where it is"));
    }
    let meta = told.map_or(entry.meta, |told| entry.meta.or(&told));
    let placed = place(&partial, target, old, &meta).await;
    if placed.is_err() {
        partial.remove();
    }
    if placed? {
        got.what = What::Unchanged;
    }
    if !got.cached {
        shelf.put(&mut partial);
    }
    Ok(())
}

/// Lets the bytes come that are missing.
async fn receive(
    context: &Context,
    wanted: &Wanted<'_>,
    partial: Partial,
    target: &Target,
    flow: &Arc<Flow>,
    got: &mut Got,
) -> Outcome<(Partial, Option<Meta>)> {
    let version = wanted.entry.fingerprint();
    let lane = if wanted.transport == Transport::Udp { Lane::Udp } else { Lane::Tcp };
    let lanes = Lanes::new(lane, wanted.opened.store.clone(), wanted.path, version);
    let rest = version.size - partial.len;
    let progress = context.progress.then(|| show(context, wanted.path, rest, flow));
    let choosing = async {
        match wanted.transport {
            Transport::Auto => lanes.choose(context, wanted.location, rest).await,
            Transport::Tcp | Transport::Udp => std::future::pending().await,
        }
    };
    let (partial, result) = tokio::select! {
        filled = fill(partial, &lanes, flow) => filled,
        () = choosing => unreachable!("it ends with the download"),
    };
    drop(progress);
    (got.lane, got.requests) = (lanes.is_sitta().then(|| lanes.lane()), lanes.requests());
    got.received = partial.len - got.resumed_from;
    let trouble = match result {
        Ok(told) => return Ok((partial, told)),
        Err(trouble) => trouble,
    };
    let kept = match &trouble {
        // Of a version that is no more nothing can be made.
        Trouble::Read(error) if error.kind == ErrorKind::Changed => {
            partial.remove();
            None
        }
        _ => partial.keep().then_some(partial.len),
    };
    Err(match trouble {
        Trouble::Read(error) => failed(&wanted.opened.label, &error, kept),
        Trouble::Write(error) => kept_note(unwritable(&target.label(), &error), kept),
    })
}

fn show(context: &Context, path: &RelPath, bytes: u64, flow: &Arc<Flow>) -> Progress {
    let course = Course {
        plan: Some(Summary { new: 1, bytes, ..Summary::default() }),
        sending_since: Some(Instant::now()),
        moving: Some(path.clone()),
        receiving: true,
        ..Course::default()
    };
    Progress::start(Arc::new(Mutex::new(course)), flow.clone(), context.console.clone())
}

enum Trouble {
    Read(Error),
    Write(io::Error),
}

/// Takes the bytes that are still missing. Reading goes on while a thread writes and hashes.
async fn fill(
    mut partial: Partial,
    lanes: &Arc<Lanes>,
    flow: &Arc<Flow>,
) -> (Partial, Result<Option<Meta>, Trouble>) {
    if lanes.size() == partial.len && partial.len > 0 {
        let checked = lanes.check().await;
        return (partial, checked.map(|()| None).map_err(Trouble::Read));
    }
    let Fetched { mut bytes, meta, .. } = match lanes.open(partial.len).await {
        Ok(fetched) => fetched,
        Err(error) => return (partial, Err(Trouble::Read(error))),
    };
    let (pieces, mut waiting) = tokio::sync::mpsc::channel::<Bytes>(WAITING);
    let counted = flow.clone();
    let writing = tokio::task::spawn_blocking(move || {
        let result = partial.receive(&mut waiting, &counted);
        (partial, result)
    });
    let mut read = Ok(meta);
    while let Some(piece) = bytes.next().await {
        match piece {
            _ if flow.is_cancelled() => {
                read = Err(Error::new(ErrorKind::Cancelled, &"".into(), None, "interrupted"));
                break;
            }
            // The writer is gone only if it failed, and says why then.
            Ok(piece) => {
                if pieces.send(piece).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                read = Err(error);
                break;
            }
        }
    }
    drop(pieces);
    let (partial, written) = writing.await.expect("writing does not panic");
    match (read, written) {
        (_, Err(error)) => (partial, Err(Trouble::Write(error))),
        (Err(error), Ok(())) => (partial, Err(Trouble::Read(error))),
        (Ok(meta), Ok(())) => (partial, Ok(meta)),
    }
}

/// Puts the file in its place, if what stands there is still what was seen. Whether its bytes stood there already.
async fn place(partial: &Partial, target: &Target, old: Option<&Entry>, meta: &Meta) -> Outcome<bool> {
    let here = |error: io::Error| unwritable(&target.label(), &error);
    let mode = (meta.mode != 0).then_some(meta.mode & 0o777);
    partial.finish(system_time(meta.mtime), mode).map_err(here)?;
    let now = target.now().await?;
    let unchanged = match (&now, old) {
        (Some(now), Some(old)) => now.fingerprint().same_version(&old.fingerprint()),
        (None, None) => true,
        _ => false,
    };
    let meanwhile = || {
        Failure::failed(format!("{} was changed by somebody else meanwhile", target.label()))
            .note("it was left as it is")
            .hint("look at it, and run again")
    };
    if !unchanged {
        return Err(meanwhile());
    }
    let mut same = false;
    if let Some(old) = old {
        if old.kind == Kind::File && old.size == partial.len {
            let store: Arc<dyn Store> = Arc::new(target.store.clone());
            let hash = sitta_ops::hash(&store, &target.name, old.fingerprint(), &Flow::default()).await;
            same = hash.is_ok_and(|hash| hash == partial.hash());
        }
        fs::rename(&partial.path, &target.path).map_err(here)?;
    } else {
        let name = partial.path.file_name().map(std::os::unix::ffi::OsStrExt::as_bytes).unwrap_or_default();
        let temp = RelPath::new(name).expect("a name of ours");
        match target.store.rename(&temp, &target.name, Precondition::None).await {
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::Changed => return Err(meanwhile()),
            Err(error) => return Err(unwritable(&target.label(), &error.source)),
        }
    }
    sync_dir(target.store.path()).map_err(here)?;
    Ok(same)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn system_time(time: Time) -> Option<SystemTime> {
    let since = Duration::new(time.secs.unsigned_abs(), 0);
    match time {
        Time { secs: 0, nanos: 0 } => None,
        Time { secs: ..0, nanos } => {
            SystemTime::UNIX_EPOCH.checked_sub(since)?.checked_add(Duration::new(0, nanos))
        }
        Time { nanos, .. } => SystemTime::UNIX_EPOCH.checked_add(since + Duration::new(0, nanos)),
    }
}

fn unwritable(label: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::failed(format!("{label} could not be written"))
        .note(error.to_string())
        .hint("see that there is room and that you may write there, and run again")
}

/// A file that could not be read; and what there is of it, if that stays.
pub fn failed(label: &str, error: &Error, kept: Option<u64>) -> Failure {
    let failure = match error.kind {
        ErrorKind::Cancelled => Failure::new(Exit::Interrupted, format!("interrupted: {label} is not all here")),
        ErrorKind::Changed => Failure::failed(format!("{label} changed while it was being downloaded"))
            .note(error.source.to_string())
            .hint("run again"),
        _ => {
            let failure = Failure::failed(format!("{label} could not be read")).note(error.source.to_string());
            match hints::store(error.kind, &error.location) {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        }
    };
    kept_note(failure, kept)
}

fn kept_note(failure: Failure, kept: Option<u64>) -> Failure {
    match kept {
        Some(bytes) => {
            failure.note(format!("the first {} stay; the same command goes on there", units::size(bytes)))
        }
        None => failure.note("nothing of it was kept"),
    }
}
