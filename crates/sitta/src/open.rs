//! From what the user wrote to a store.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sitta_store::{Access, ErrorKind, Location, LocationError, Scheme, Store};
use sitta_tree::{Printable, RelPath};

use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::hints;
use crate::render::failure;

/// A store, and what the user calls it.
#[derive(Debug, Clone)]
pub struct Opened {
    pub store: Arc<dyn Store>,
    /// As it was written, safe to print, without passwords, with `~` for the user's home.
    pub label: String,
    /// The name of a store of the config, or the label.
    pub name: String,
}

/// Opens the folder at a location.
pub fn open(context: &Context, text: &OsStr) -> Outcome<Opened> {
    open_place(resolve(context, text)?)
}

/// Opens a location that may be a folder or one file: the path below the store is the root for a folder.
pub fn open_entry(context: &Context, text: &OsStr) -> Outcome<(Opened, RelPath)> {
    let mut place = resolve(context, text)?;
    let mut name = RelPath::root();
    if let Location::Local(path) = &place.location
        && let Some((dir, file)) = split_file(path)
    {
        name = RelPath::new(file.as_os_str().as_bytes())
            .map_err(|error| Failure::usage(format!("{} {error}", place.label)))?;
        place.location = Location::Local(dir);
    }
    Ok((open_place(place)?, name))
}

/// A file of this machine: its folder as a store, and its name there.
pub fn open_local(path: &Path) -> Outcome<(Arc<dyn Store>, RelPath)> {
    let shown = Printable(path.as_os_str().as_bytes()).to_string();
    // What is not there is opened too: reading it then says so.
    let (dir, name) = split_file(path).unwrap_or_else(|| {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        (dir.to_owned(), path.file_name().map(Into::into).unwrap_or_default())
    });
    let name =
        RelPath::new(name.as_os_str().as_bytes()).map_err(|error| Failure::failed(format!("'{shown}' {error}")))?;
    let store = sitta_store::local::LocalStore::open(dir).map(|store| Arc::new(store) as Arc<dyn Store>);
    let store = store.map_err(|error| failure::looking(&shown, &error))?;
    Ok((store, name))
}

/// The folder and the name of a path that is a file. A link is followed, as `cat` does: whoever names one means what
/// it points to.
fn split_file(path: &Path) -> Option<(PathBuf, PathBuf)> {
    if fs::metadata(path).map_or(true, |meta| meta.is_dir()) {
        return None;
    }
    let is_link = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
    let path = if is_link { fs::canonicalize(path).ok()? } else { path.to_owned() };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some((dir.to_owned(), path.file_name()?.into()))
}

fn open_place(place: Place) -> Outcome<Opened> {
    let opened = futures::executor::block_on(sitta_store::open(&place.location, &Access::default()));
    let store = opened.map_err(|error| match error.kind {
        ErrorKind::Unsupported => Failure::usage(format!("{} cannot be opened by this version", place.label))
            .note(error.source.to_string())
            .hint("mount it, and name the folder that it is mounted at"),
        _ => failure::looking(&place.label, &error),
    })?;
    Ok(Opened { store, label: place.label, name: place.name })
}

/// Where a location is, and what it is called.
#[derive(Debug)]
struct Place {
    location: Location,
    label: String,
    name: String,
}

fn resolve(context: &Context, text: &OsStr) -> Outcome<Place> {
    let location = Location::parse(text).map_err(|error| malformed(text, &error))?;
    let label = match &location {
        Location::Local(_) => context.shorten(&Printable(text.as_bytes()).to_string()),
        location => location.to_string(),
    };
    match location {
        Location::Named { name, path } => named(context, name, &path, label),
        location => Ok(Place { location, name: label.clone(), label }),
    }
}

/// A text that is no location. The text may hold a password: it is not repeated.
fn malformed(text: &OsStr, error: &LocationError) -> Failure {
    let failure = Failure::usage("a location cannot be understood").note(error.to_string());
    match error {
        LocationError::Empty => failure.hint("write . for the current folder"),
        LocationError::Scheme(scheme) => {
            let known = Scheme::ALL.map(Scheme::name).into_iter().chain(["file"]);
            match hints::nearest(scheme, known) {
                Some(nearest) => failure.hint(format!("did you mean {nearest}:// ?")),
                None => failure.hint("a folder of this machine is written as its path"),
            }
        }
        LocationError::FileHost => failure.hint("mount the folder of the other machine, and name where"),
        _ if text.to_str().is_some_and(|text| text.contains("://")) => {
            failure.hint("for example smb://user@host/share/folder, s3://bucket/folder")
        }
        _ => failure,
    }
}

/// A store of the config.
fn named(context: &Context, name: String, below: &str, label: String) -> Outcome<Place> {
    let config = context.config()?;
    let Some(store) = config.store.get(&name) else {
        let file = context.shorten(&context.config_file.display().to_string());
        let failure = Failure::usage(format!("there is no store named '{name}'"))
            .note(format!("it would be [store.{name}] in {file}"));
        return Err(match hints::nearest(&name, config.store.keys().map(String::as_str)) {
            Some(nearest) => failure.hint(format!("did you mean {nearest}:{below} ?")),
            None => failure.hint(format!("add it there; a file of that name is written ./{name}:{below}")),
        });
    };
    if below.split('/').any(|part| part == "..") {
        return Err(Failure::usage(format!("'{label}' leaves the store '{name}'"))
            .note("what stands behind the colon is a path inside the store")
            .hint(format!("write {name}: for the whole store, or name another folder by its path")));
    }
    Ok(Place { location: store.url.location.join(below), label, name })
}
