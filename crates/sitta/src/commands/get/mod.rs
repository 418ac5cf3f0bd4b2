//! `sitta get`: a file from anywhere to this machine, verified; or what is in a folder, as `sitta copy` brings it.

mod download;
mod lanes;
mod pace;
mod partial;
mod shelf;
mod tell;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sitta_store::local::LocalStore;
use sitta_store::{Downloads, Flow, Location, Scheme, Store};
use sitta_tree::{ContentHash, Entry, Existing, Kind, Policy, Printable, RelPath};

use self::download::Wanted;
use self::pace::Lane;
use self::shelf::Shelf;
use super::typed::{self, Typed};
use super::{block_on, moving};
use crate::args::{GetArgs, MovingArgs, OneWayArgs, Transport};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::{self, Named, Opened, open_entry, scheme};
use crate::render::failure;
use crate::signals::stop_on_signals;

/// The tick of file systems that keep times least exactly.
const COARSEST: u64 = 2_000_000_000;

/// Where the file goes.
#[derive(Debug)]
struct Target {
    store: LocalStore,
    name: RelPath,
    path: PathBuf,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Nothing was there before.
    Copied,
    /// Another version was there.
    Updated,
    /// The same file was there.
    Unchanged,
    /// Another version was there, and stays.
    Kept,
}

/// A file that is here now.
#[derive(Debug)]
struct Got {
    what: What,
    path: PathBuf,
    entry: Entry,
    hash: ContentHash,
    /// So many bytes came over.
    received: u64,
    /// So many were here from an attempt before.
    resumed_from: u64,
    /// They were in the cache.
    cached: bool,
    /// By which way they came from another sitta, if any did.
    lane: Option<Lane>,
    requests: u64,
    took: Duration,
}

/// Gets one file; none if the location is a folder.
pub fn file(context: &Context, args: &GetArgs) -> Outcome<Option<Exit>> {
    let by_udp = args.transport == Transport::Udp;
    let context = &context.downloading(if by_udp { Downloads::Udp } else { Downloads::Apart });
    let destination = destination(args)?;
    let flow = Arc::new(Flow::default());
    let started = Instant::now();
    let got = block_on(async {
        let (opened, named) = open_entry(context, &args.location).await?;
        speaks_udp(args, &opened)?;
        match named {
            Named::Folder => folder_is_there(&opened).await.map(|()| None),
            Named::Entry(path, entry) => {
                let _stopping = stop_on_signals(&flow, &context.console);
                let target = Target::new(destination, &path)?;
                get(context, args, &opened, (&path, &entry), &target, &flow).await.map(Some)
            }
        }
    });
    let told = got.and_then(|got| got.map(|got| tell::tell(context, &got)).transpose());
    // What is typed in a shell is written down there.
    if context.inside.is_none() && !matches!(told, Ok(None)) {
        let exit = told.as_ref().map_or_else(|failure| failure.exit, |_| Exit::Done);
        let place = open::location(&args.location).map_or_else(|_| String::new(), |place| place.to_string());
        typed::note(context, &Typed::new(&place, "get", exit, started.elapsed()));
    }
    told
}

/// Only another sitta can be told to send by UDP.
fn speaks_udp(args: &GetArgs, opened: &Opened) -> Outcome<()> {
    match args.transport == Transport::Udp && scheme(opened.store.location()) != Some(Scheme::Sitta) {
        true => Err(Failure::usage(format!("{} cannot be had by UDP", opened.label))
            .note("UDP is spoken between two sittas only; nothing was downloaded")
            .hint("leave out --transport, or write --transport tcp")),
        false => Ok(()),
    }
}

/// Copies what is in a folder.
pub fn folder(context: &Context, args: GetArgs) -> Outcome {
    let existing = existing(&args);
    let destination = open::here(context, Path::new(args.destination.as_deref().unwrap_or(OsStr::new("."))));
    let moving = MovingArgs::default();
    let way = OneWayArgs { source: args.location, destination, moving, hard_links: false };
    let by_udp = (args.transport == Transport::Udp).then(|| context.downloading(Downloads::Udp));
    let context = by_udp.as_ref().unwrap_or(context);
    moving::run(context, way, "copy", Policy::Copy { existing }, &moving::Around::new(context, false))
}

fn existing(args: &GetArgs) -> Existing {
    match (args.update, args.no_overwrite) {
        (true, _) => Existing::IfNewer,
        (_, true) => Existing::Keep,
        _ => Existing::Replace,
    }
}

async fn folder_is_there(opened: &Opened) -> Outcome<()> {
    match opened.store.stat(&RelPath::root()).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Failure::failed(format!("{} is not there", opened.label))
            .note("nothing was downloaded")
            .hint("check how it is written; `sitta ls` of the folder above shows what it holds")),
        Err(error) => Err(failure::looking(&opened.label, &error)),
    }
}

/// The path that was given, which must be one of this machine.
fn destination(args: &GetArgs) -> Outcome<PathBuf> {
    let Some(text) = &args.destination else { return Ok(".".into()) };
    match Location::parse(text) {
        Ok(Location::Local(path)) => Ok(path),
        Ok(place) => Err(Failure::usage(format!("{place} is not on this machine"))
            .note("`sitta get` brings files here")
            .hint("`sitta copy SRC DST` goes from any place to any other")),
        Err(error) => Err(Failure::usage("the destination cannot be understood").note(error.to_string())),
    }
}

impl Target {
    /// A folder takes the file under its own name; anything else is its new path.
    fn new(destination: PathBuf, source: &RelPath) -> Outcome<Self> {
        let is_dir = destination.is_dir() || destination.as_os_str().as_bytes().ends_with(b"/");
        let (dir, name) = match destination.file_name().filter(|_| !is_dir) {
            Some(name) => (destination.parent().unwrap_or(Path::new("")).to_owned(), name.as_bytes().to_vec()),
            None => (destination, source.name().to_vec()),
        };
        let dir = if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir };
        let shown = Printable(dir.as_os_str().as_bytes()).to_string();
        if !dir.is_dir() {
            return Err(Failure::failed(format!("the folder {shown} is not there"))
                .note("nothing was downloaded")
                .hint(format!("mkdir -p {shown}")));
        }
        let wrong = |error: &dyn std::fmt::Display| Failure::failed(format!("'{}' {error}", Printable(&name)));
        let path = dir.join(OsStr::from_bytes(&name));
        let store = LocalStore::open(&dir).map_err(|error| failure::looking(&shown, &error))?;
        let name = RelPath::new(&name).map_err(|error| wrong(&error))?;
        Ok(Self { store, name, path })
    }

    fn label(&self) -> String {
        Printable(self.path.as_os_str().as_bytes()).to_string()
    }

    /// What stands there.
    async fn now(&self) -> Outcome<Option<Entry>> {
        self.store.stat(&self.name).await.map_err(|error| failure::looking(&self.label(), &error))
    }
}

async fn get(
    context: &Context,
    args: &GetArgs,
    opened: &Opened,
    (path, entry): (&RelPath, &Entry),
    target: &Target,
    flow: &Arc<Flow>,
) -> Outcome<Got> {
    let started = Instant::now();
    if entry.kind != Kind::File {
        return Err(Failure::failed(format!("{} is no file", opened.label)).note("nothing was downloaded"));
    }
    let source = opened.store.as_local().map(|store| store.path().join(OsStr::from_bytes(path.as_bytes())));
    if source.is_some_and(|source| source.canonicalize().ok() == target.path.canonicalize().ok()) {
        return Err(Failure::usage(format!("{} is both source and destination", target.label()))
            .hint("choose another destination"));
    }
    let old = target.now().await?;
    let what = match &old {
        None => What::Copied,
        Some(old) => decide(args, entry, old, target)?,
    };
    let mut got = Got {
        what,
        path: target.path.clone(),
        entry: entry.clone(),
        hash: ContentHash([0; 32]),
        received: 0,
        resumed_from: 0,
        cached: false,
        lane: None,
        requests: 0,
        took: Duration::ZERO,
    };
    if matches!(what, What::Copied | What::Updated) {
        let (location, transport) = (&*args.location, args.transport);
        let wanted = Wanted { location, opened, path, entry, transport };
        let shelf = match args.no_cache {
            true => Shelf::none(context),
            false => Shelf::new(context, &*opened.store, path, entry)?,
        };
        download::download(context, &wanted, &shelf, (target, old.as_ref()), flow, &mut got).await?;
    }
    // What landed is read back: the hash is that of the file that is here now.
    let here: Arc<dyn Store> = Arc::new(target.store.clone());
    got.entry = target.now().await?.unwrap_or(got.entry);
    let hash = sitta_ops::hash(&here, &target.name, got.entry.fingerprint(), flow).await;
    let hash = hash.map_err(|error| download::failed(&target.label(), &error, None))?;
    let fits = (got.received == 0 && !got.cached) || hash == got.hash;
    if !fits {
        return Err(Failure::failed(format!("{} does not hold what was downloaded", target.label()))
            .note(format!("it was {}, and is {hash} when it is read back", got.hash))
            .hint("check the disk it is on, and run again"));
    }
    (got.hash, got.took) = (hash, started.elapsed());
    got.requests = got.requests.max(opened.store.requests());
    Ok(got)
}

/// What becomes of the version that is there.
fn decide(args: &GetArgs, new: &Entry, old: &Entry, target: &Target) -> Outcome<What> {
    match old.kind {
        Kind::Dir => {
            return Err(Failure::failed(format!("{} is a folder", target.label()))
                .note("nothing was downloaded")
                .hint("name the file's new path as DEST"));
        }
        Kind::Unknown => {
            return Err(Failure::failed(format!("{} is no file", target.label())).note("nothing was downloaded"));
        }
        Kind::File | Kind::Symlink => {}
    }
    let timed = new.meta.mtime != sitta_tree::Time::default();
    let same_time = timed && new.meta.mtime.same_within(old.meta.mtime, COARSEST);
    if old.kind == Kind::File && old.size == new.size && same_time {
        return Ok(What::Unchanged);
    }
    Ok(match existing(args) {
        Existing::Keep => What::Kept,
        Existing::IfNewer if same_time || new.meta.mtime <= old.meta.mtime => What::Kept,
        Existing::IfNewer | Existing::Replace => What::Updated,
    })
}
