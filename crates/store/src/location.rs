//! Where a tree is: what a user writes to name a place.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use sitta_tree::{Printable, RelPath};

/// A place, as it was named. Displays and debugs without any password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder or file of this machine.
    Local(PathBuf),
    /// A server.
    Remote(Remote),
    /// `NAME:path`: a path in a store that the config names.
    Named {
        /// The store's name.
        name: String,
        /// The path in it, without a leading slash.
        path: String,
    },
    /// `LOCATION!/inner`: inside a zip or tar.
    Inside {
        /// The archive.
        archive: Box<Location>,
        /// The path in it.
        inner: String,
    },
}

/// A place on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// The user, when the URL names one.
    pub user: Option<String>,
    /// The password, when the URL holds one.
    pub password: Option<Password>,
    /// The host's name or address (an IPv6 one without brackets); for S3 the bucket.
    pub host: String,
    /// The port, when the URL names one.
    pub port: Option<u16>,
    /// The path without its leading slash: decoded, but as written for S3, whose keys may hold anything, and for HTTP,
    /// where it goes to the server as it is.
    pub path: String,
    /// What follows `?` in an HTTP URL. May hold a signature: not displayed.
    pub query: Option<Password>,
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `s3://bucket/prefix`
    S3,
    /// `smb://[user@]host[:port]/share/path`
    Smb,
    /// `sftp://[user@]host[:port]/path`
    Sftp,
    /// `webdav://…`, plain
    Webdav,
    /// `webdavs://…`, over TLS
    Webdavs,
    /// `http://…`, read-only
    Http,
    /// `https://…`, read-only
    Https,
    /// `sitta://host[:port]/share/path`
    Sitta,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::S3, Self::Smb, Self::Sftp, Self::Webdav, Self::Webdavs, Self::Http, Self::Https, Self::Sitta];

    /// The name before `://`.
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Smb => "smb",
            Self::Sftp => "sftp",
            Self::Webdav => "webdav",
            Self::Webdavs => "webdavs",
            Self::Http => "http",
            Self::Https => "https",
            Self::Sitta => "sitta",
        }
    }

    /// Whether the path goes to the server as it was written.
    fn keeps_path(self) -> bool {
        matches!(self, Self::S3 | Self::Http | Self::Https)
    }
}

/// Something that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to be handed to a server and to nobody else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}

/// Why a text names no place. Never repeats the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Nothing at all.
    #[error("an empty location")]
    Empty,
    /// A scheme that is none of ours.
    #[error("unknown scheme '{0}://'; known: file, s3, smb, sftp, webdav, webdavs, http, https, sitta")]
    Scheme(String),
    /// A URL without the host, bucket or share that it needs.
    #[error("{0}:// needs {1}")]
    Missing(&'static str, &'static str),
    /// A port that is not a number from 1 to 65535.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// `%` without two hexadecimal digits behind it, or bytes that are not UTF-8.
    #[error("a malformed % escape, or not UTF-8")]
    Escape,
    /// `file://` with a host that is not this machine.
    #[error("file:// reaches this machine only: write file:///path")]
    FileHost,
}

const ARCHIVES: [&str; 12] = [
    ".zip", ".jar", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar.xz", ".txz", ".tar.bz2", ".tbz2",
    ".tar.lz4",
];

impl Location {
    /// Reads what a user wrote. Anything that is no URL and no `NAME:path` is a local path; so is what begins with a
    /// single letter and a colon, or has a `/` before its first colon.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Self, LocationError> {
        let raw = text.as_ref();
        if raw.is_empty() {
            return Err(LocationError::Empty);
        }
        let Some(text) = raw.to_str() else { return Ok(Self::Local(raw.into())) };
        if let Some((outer, inner)) = text.rsplit_once("!/")
            && !outer.is_empty()
        {
            let archive = Self::parse(outer)?;
            let lower = outer.to_ascii_lowercase();
            // A folder whose name ends in '!' is nothing strange.
            let is_file = || Path::new(outer).is_file() && !Path::new(&format!("{outer}!")).is_dir();
            let is_called_so = ARCHIVES.iter().any(|ending| lower.ends_with(ending));
            if !matches!(archive, Self::Local(_)) || is_called_so || is_file() {
                return Ok(Self::Inside { archive: Box::new(archive), inner: inner.into() });
            }
        }
        if let Some((scheme, rest)) = split_scheme(text) {
            return Self::parse_url(&scheme, rest);
        }
        match text.split_once(':') {
            Some((name, path)) if is_store_name(name) => {
                Ok(Self::Named { name: name.into(), path: path.trim_matches('/').into() })
            }
            _ => Ok(Self::Local(raw.into())),
        }
    }

    fn parse_url(scheme: &str, rest: &str) -> Result<Self, LocationError> {
        if scheme == "file" {
            let path = rest.strip_prefix("localhost").unwrap_or(rest);
            if !path.starts_with('/') {
                return Err(LocationError::FileHost);
            }
            let bytes = unescape(path)?;
            return Ok(Self::Local(std::ffi::OsString::from_vec(bytes).into()));
        }
        let known = Scheme::ALL.into_iter().find(|known| known.name() == scheme);
        let scheme = known.ok_or_else(|| LocationError::Scheme(scheme.into()))?;
        Remote::parse(scheme, rest).map(Self::Remote)
    }

    /// The place `path` below this one.
    pub fn join(&self, path: &str) -> Self {
        let path = path.trim_matches('/');
        let below = |base: &str| match (base.trim_end_matches('/'), path) {
            (base, "") => base.to_owned(),
            ("", path) => path.to_owned(),
            (base, path) => format!("{base}/{path}"),
        };
        match self {
            _ if path.is_empty() => self.clone(),
            Self::Local(base) => Self::Local(base.join(path)),
            Self::Remote(remote) => Self::Remote(Remote { path: below(&remote.path), ..remote.clone() }),
            Self::Named { name, path } => Self::Named { name: name.clone(), path: below(path) },
            Self::Inside { archive, inner } => Self::Inside { archive: archive.clone(), inner: below(inner) },
        }
    }

    /// The place that holds this one, and its name there; none for what has nothing above it. Of a link on this machine
    /// it is the file that the link points to: whoever names one means that.
    pub fn split_file(&self) -> Option<(Self, RelPath)> {
        let named = |name: &[u8]| RelPath::new(name).ok().filter(|name| !name.is_root());
        match self {
            Self::Local(path) => {
                let is_link = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
                let path = if is_link { std::fs::canonicalize(path).ok()? } else { path.clone() };
                let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
                Some((Self::Local(dir.into()), named(path.file_name()?.as_bytes())?))
            }
            Self::Remote(remote) => {
                let path = remote.path.trim_end_matches('/');
                let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
                // A share is not a file of its server.
                let shared = matches!(remote.scheme, Scheme::Smb | Scheme::Sitta) && dir.is_empty();
                let web = matches!(remote.scheme, Scheme::Http | Scheme::Https);
                let name = if web { unescape(name).ok()? } else { name.as_bytes().into() };
                let name = named(&name).filter(|_| !shared)?;
                Some((Self::Remote(Remote { path: dir.to_owned(), ..remote.clone() }), name))
            }
            Self::Named { name, path } => {
                let (dir, file) = path.rsplit_once('/').unwrap_or(("", path));
                Some((Self::Named { name: name.clone(), path: dir.to_owned() }, named(file.as_bytes())?))
            }
            Self::Inside { archive, inner } => {
                let inner = inner.trim_end_matches('/');
                let (dir, file) = inner.rsplit_once('/').unwrap_or(("", inner));
                Some((Self::Inside { archive: archive.clone(), inner: dir.to_owned() }, named(file.as_bytes())?))
            }
        }
    }
}

/// The lower-case scheme and what follows `://`.
fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let mut chars = scheme.chars();
    let named =
        chars.next()?.is_ascii_alphabetic() && chars.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    named.then(|| (scheme.to_ascii_lowercase(), rest))
}

fn is_store_name(name: &str) -> bool {
    name.len() > 1 && name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c)) && !name.starts_with('.')
}

impl Remote {
    fn parse(scheme: Scheme, rest: &str) -> Result<Self, LocationError> {
        let web = matches!(scheme, Scheme::Http | Scheme::Https);
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) if web => (rest, Some(Password::new(query))),
            _ => (rest, None),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (user, password) = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
            Some((user, password)) => (Some(decode(user)?), Some(decode(password)?)),
            None => (None, None),
        };
        let (host, port) = split_port(place)?;
        let missing = match scheme {
            Scheme::S3 => "a bucket: s3://bucket/prefix",
            _ => "a host",
        };
        if host.is_empty() {
            return Err(LocationError::Missing(scheme.name(), missing));
        }
        let path = if scheme.keeps_path() { path.to_owned() } else { decode(path)? };
        if matches!(scheme, Scheme::Smb | Scheme::Sitta) && path.trim_matches('/').is_empty() {
            return Err(LocationError::Missing(scheme.name(), "a share behind the host"));
        }
        Ok(Self {
            scheme,
            user: user.filter(|user| !user.is_empty()),
            password: password.filter(|password| !password.is_empty()).map(Password),
            host: decode(host)?,
            port,
            path,
            query,
        })
    }
}

fn split_port(place: &str) -> Result<(&str, Option<u16>), LocationError> {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or(LocationError::Port)?)),
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = port.map(|port| port.parse().ok().filter(|port| *port != 0).ok_or(LocationError::Port));
    Ok((host, port.transpose()?))
}

fn decode(text: &str) -> Result<String, LocationError> {
    String::from_utf8(unescape(text)?).map_err(|_| LocationError::Escape)
}

fn unescape(text: &str) -> Result<Vec<u8>, LocationError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16)).ok_or(LocationError::Escape);
        let (high, low) = (digit()?, digit()?);
        bytes.push((high * 16 + low) as u8);
    }
    if bytes.contains(&0) { Err(LocationError::Escape) } else { Ok(bytes) }
}

/// Prints safely and without passwords.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", Printable(path.as_os_str().as_bytes())),
            Self::Remote(remote) => remote.fmt(f),
            Self::Named { name, path } => write!(f, "{name}:{}", Printable(path.as_bytes())),
            Self::Inside { archive, inner } => write!(f, "{archive}!/{}", Printable(inner.as_bytes())),
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.name())?;
        if let Some(user) = &self.user {
            write!(f, "{}@", Printable(user.as_bytes()))?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => write!(f, "{}", Printable(self.host.as_bytes()))?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "/{}", Printable(self.path.as_bytes()))?;
        if self.query.is_some() { f.write_str("?…") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
