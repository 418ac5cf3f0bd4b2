//! From what the user wrote to a store.

mod access;
mod aws;
mod inside;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

use sitta_ops::archive::Format;
use sitta_store::sitta::trust::KnownServer;
use sitta_store::{Access, Error, ErrorKind, Location, LocationError, Scheme, Store};
use sitta_tree::{Entry, Kind, Printable, RelPath};

pub use self::access::certificates;
pub use self::inside::Inside;
use crate::config::Config;
use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::hints;
use crate::render::failure;

/// So often a password that was asked for may be wrong.
const TRIES: u32 = 3;

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
pub async fn open(context: &Context, text: &OsStr) -> Outcome<Opened> {
    open_place(context, resolve(context, text)?).await
}

/// Opens a store of the config by its name.
pub async fn open_named(context: &Context, name: &str) -> Outcome<Opened> {
    open_place(context, named(context, name, "", format!("{name}:"))?).await
}

/// What a location names.
#[derive(Debug, Clone)]
pub enum Named {
    /// The store's root: a folder, or nothing.
    Folder,
    /// One thing in a folder, which is the store's root.
    Entry(RelPath, Box<Entry>),
}

/// Opens a location that may be a folder or one file.
pub async fn open_entry(context: &Context, text: &OsStr) -> Outcome<(Opened, Named)> {
    let place = resolve(context, text)?;
    let split = match &place.location {
        // What is not there is opened as a folder: reading it then says so.
        Location::Local(path) if fs::metadata(path).map_or(true, |meta| meta.is_dir()) => None,
        Location::Local(_) => place.location.split_file(),
        _ if text.as_bytes().ends_with(b"/") => None,
        location => location.split_file(),
    };
    let Some((dir, name)) = split else {
        return Ok((open_place(context, place).await?, Named::Folder));
    };
    let opened = open_place(context, Place { location: dir, ..place.clone() }).await?;
    let unreadable = |error| failure::looking(&place.label, &Error { path: None, ..error });
    let found = opened.store.stat(&name).await.map_err(unreadable)?;
    let is_local = matches!(place.location, Location::Local(_));
    match found {
        Some(entry) if entry.kind == Kind::File || is_local => Ok((opened, Named::Entry(name, Box::new(entry)))),
        // A link may lead to a folder; and what is not there is told best as a folder that is missing.
        _ => Ok((open_place(context, place).await?, Named::Folder)),
    }
}

/// Where a new file goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its folder.
    pub opened: Opened,
    /// Its name there, if one was written.
    pub name: Option<String>,
}

/// Opens the folder that an archive goes to: the location itself, or, if it ends in an archive's name, what is above.
pub async fn open_target(context: &Context, text: &OsStr) -> Outcome<Target> {
    let place = resolve(context, text)?;
    let split = match text.as_bytes().ends_with(b"/") {
        true => None,
        false => place.location.split_file(),
    };
    let folder = |opened| Ok(Target { opened, name: None });
    let Some((dir, file)) = split else { return folder(open_place(context, place).await?) };
    let name = String::from_utf8_lossy(file.as_bytes()).into_owned();
    let at = place.label.trim_end_matches('/').rfind(['/', ':']).map_or(0, |at| at + 1);
    let label = match &place.label[..at] {
        "" => ".",
        "/" => "/",
        above => above.strip_suffix('/').unwrap_or(above),
    };
    let above = Place { location: dir, label: label.to_owned(), named: place.named.clone() };
    if Format::of(&name).is_some() {
        return Ok(Target { opened: open_place(context, above).await?, name: Some(name) });
    }
    let opened = open_place(context, above).await?;
    match opened.store.stat(&file).await {
        Ok(Some(entry)) if entry.kind == Kind::Dir => folder(open_place(context, place).await?),
        Ok(Some(entry)) if entry.kind == Kind::Symlink => folder(open_place(context, place).await?),
        Ok(_) => Err(unknown_ending(&name)),
        Err(error) if error.kind == ErrorKind::NotFound => Err(unknown_ending(&name)),
        Err(error) => Err(failure::looking(&opened.label, &error)),
    }
}

/// An archive whose name does not tell what it shall be.
pub fn unknown_ending(name: &str) -> Failure {
    let known: Vec<&str> = Format::ENDINGS.iter().map(|(ending, _)| *ending).collect();
    Failure::usage(format!("what '{name}' shall be is not told by its ending"))
        .note(format!("known are {}", known.join(", ")))
        .hint(format!("write {name}.tar.zst, or {name}/ for a folder"))
}

/// What sort of place a location is.
#[derive(Debug, Clone, Copy)]
pub struct Nature {
    /// It is not on this machine.
    pub is_remote: bool,
    /// It is inside an archive.
    pub is_inside: bool,
}

/// What sort of place a location is.
pub fn nature(context: &Context, text: &OsStr) -> Outcome<Nature> {
    fn is_remote(location: &Location) -> bool {
        match location {
            Location::Local(_) => false,
            Location::Inside { archive, .. } => is_remote(archive),
            Location::Remote(_) | Location::Named { .. } => true,
        }
    }
    let location = resolve(context, text)?.location;
    Ok(Nature { is_remote: is_remote(&location), is_inside: matches!(location, Location::Inside { .. }) })
}

/// A file of this machine: its folder as a store, and its name there.
pub fn open_local(path: &Path) -> Outcome<(Arc<dyn Store>, RelPath)> {
    let shown = Printable(path.as_os_str().as_bytes()).to_string();
    // What is not there is opened too: reading it then says so.
    let is_dir = fs::metadata(path).is_ok_and(|meta| meta.is_dir());
    let split = Location::Local(path.to_owned()).split_file().filter(|_| !is_dir);
    let (dir, name) = match split {
        Some((Location::Local(dir), name)) => (dir, name),
        _ => {
            let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let name = RelPath::new(path.file_name().map(OsStr::as_bytes).unwrap_or_default());
            (dir.to_owned(), name.map_err(|error| Failure::failed(format!("'{shown}' {error}")))?)
        }
    };
    let store = sitta_store::local::LocalStore::open(dir).map(|store| Arc::new(store) as Arc<dyn Store>);
    let store = store.map_err(|error| failure::looking(&shown, &error))?;
    Ok((store, name))
}

/// No name that is typed holds a NUL byte.
const HERE: &[u8] = b"\0";

/// A path of this machine as a location, wherever locations start from.
pub fn here(context: &Context, path: &Path) -> OsString {
    match (&context.inside, std::path::absolute(path)) {
        (Some(_), Ok(path)) => OsString::from_vec([HERE, path.as_os_str().as_bytes()].concat()),
        _ => path.into(),
    }
}

/// Where a location is, and what it is called.
#[derive(Debug, Clone)]
struct Place {
    location: Location,
    label: String,
    /// The name of the store in the config, if it is in one.
    named: Option<String>,
}

async fn open_place(context: &Context, place: Place) -> Outcome<Opened> {
    let opened = |store: Arc<dyn Store>| {
        if let Some(inside) = &context.inside {
            inside.keep(&place.location, context.downloads, &store);
        }
        let name = place.named.clone().filter(|_| !place.label.contains('!')).unwrap_or(place.label.clone());
        Ok(Opened { store, label: place.label.clone(), name })
    };
    if let Some(store) = context.inside.as_ref().and_then(|i| i.opened(&place.location, context.downloads)) {
        return opened(store);
    }
    let mut access = access_to(context, &place).await?;
    access.downloads = context.downloads;
    let mut asked = 0;
    loop {
        if asked == 0 && context.can_ask && access::asks_first(&place.location, &access) {
            access = ask(context, &place, access).await?;
            asked = 1;
        }
        let met = access.web.known.as_ref().and_then(KnownServer::fingerprint);
        let error = match sitta_store::open(&place.location, &access).await {
            Ok(store) => {
                if let (None, Some(known)) = (met, &access.web.known) {
                    introduce(context, known);
                }
                return opened(store);
            }
            Err(error) => error,
        };
        let may_ask = asked > 0 || access::asks_then(&place.location, &access);
        if error.kind != ErrorKind::Auth || !context.can_ask || !may_ask || asked == TRIES {
            return Err(failure::opening(&place.label, &error));
        }
        if asked > 0 {
            context.console.line("that was not it");
        }
        access = ask(context, &place, access).await?;
        asked += 1;
    }
}

/// A server that was met for the first time, and that nobody vouches for, is told of: it is taken for the right one from
/// now on.
fn introduce(context: &Context, server: &KnownServer) {
    if let Some(fingerprint) = server.fingerprint() {
        let head = context.console.style.head("New");
        context.say(format_args!("{head}{} shows {fingerprint}; it is known by that from now on", server.server));
    }
}

/// What it takes to get in, found out once for all places that are got into in the same way.
async fn access_to(context: &Context, place: &Place) -> Outcome<Access> {
    let key = access::key(&place.location, place.named.as_deref());
    let mut known = context.accesses.lock().await;
    if let Some(access) = known.get(&key) {
        return Ok(access.clone());
    }
    let store = match &place.named {
        Some(name) => context.config()?.store.get(name).map(|store| (name.as_str(), store)),
        None => None,
    };
    let access = access::gather(context, &place.location, store).await?;
    known.insert(key, access.clone());
    Ok(access)
}

/// The same access with a password that the user was asked for.
async fn ask(context: &Context, place: &Place, access: Access) -> Outcome<Access> {
    // One question at a time, and no progress line in between.
    let mut known = context.accesses.lock().await;
    let password = access::ask(&place.location, &access)?;
    let access = Access { password: Some(password), ..access };
    known.insert(access::key(&place.location, place.named.as_deref()), access.clone());
    Ok(access)
}

/// The location that a text names.
pub fn location(text: &OsStr) -> Outcome<Location> {
    Location::parse(text).map_err(|error| malformed(text, &error))
}

fn resolve(context: &Context, text: &OsStr) -> Outcome<Place> {
    if let Some(inside) = &context.inside {
        let Some(path) = text.as_bytes().strip_prefix(HERE) else { return inside.place(text) };
        let label = context.shorten(&Printable(path).to_string());
        return Ok(Place { location: Location::Local(OsStr::from_bytes(path).into()), label, named: None });
    }
    let location = location(text)?;
    let label = match &location {
        Location::Local(_) => context.shorten(&Printable(text.as_bytes()).to_string()),
        location => location.to_string(),
    };
    resolve_names(context, location, label)
}

/// The place with the name of a store replaced by where that is.
fn resolve_names(context: &Context, location: Location, label: String) -> Outcome<Place> {
    match location {
        Location::Named { name, path } => named(context, &name, &path, label),
        Location::Inside { archive, inner } => {
            let outside = resolve_names(context, *archive, label)?;
            let location = Location::Inside { archive: Box::new(outside.location), inner };
            Ok(Place { location, ..outside })
        }
        location => Ok(Place { location, label, named: None }),
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
fn named(context: &Context, name: &str, below: &str, label: String) -> Outcome<Place> {
    let config: &Config = context.config()?;
    let Some(store) = config.store.get(name) else {
        let file = context.shorten(&context.config_file.display().to_string());
        let failure = Failure::usage(format!("there is no store named '{name}'"))
            .note(format!("it would be [store.{name}] in {file}"));
        return Err(match hints::nearest(name, config.store.keys().map(String::as_str)) {
            Some(nearest) => failure.hint(format!("did you mean {nearest}:{below} ?")),
            None => failure.hint(format!("add it there; a file of that name is written ./{name}:{below}")),
        });
    };
    if below.split('/').any(|part| part == "..") {
        return Err(Failure::usage(format!("'{label}' leaves the store '{name}'"))
            .note("what stands behind the colon is a path inside the store")
            .hint(format!("write {name}: for the whole store, or name another folder by its path")));
    }
    let web = matches!(&store.url.location, Location::Remote(remote) if is_web(remote.scheme));
    let below = if web { escape(below) } else { below.to_owned() };
    Ok(Place { location: store.url.location.join(&below), label, named: Some(name.to_owned()) })
}

/// Whether a URL's path goes to the server as it was written.
fn is_web(scheme: Scheme) -> bool {
    matches!(scheme, Scheme::Http | Scheme::Https)
}

/// A path inside a named store is written with its names as they are; in a URL they are escaped.
fn escape(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte);
    path.bytes().fold(String::with_capacity(path.len()), |mut escaped, byte| {
        match byte {
            byte if plain(byte) => escaped.push(char::from(byte)),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
        escaped
    })
}

/// The scheme of a location, as stores print it.
pub fn scheme(location: &str) -> Option<Scheme> {
    let name = location.split_once("://")?.0;
    Scheme::ALL.into_iter().find(|scheme| scheme.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_urls_are_escaped() {
        assert_eq!(escape("a b/ü%20#?.txt"), "a%20b/%C3%BC%2520%23%3F.txt");
        assert_eq!(escape("x/y-z_1.tar.gz"), "x/y-z_1.tar.gz");
    }

    #[test]
    fn schemes_are_told_from_what_stores_print() {
        assert_eq!(scheme("sftp://me@host/x"), Some(Scheme::Sftp));
        assert_eq!(scheme("/mnt/sftp://x"), None);
        assert_eq!(scheme("/home"), None);
    }
}
