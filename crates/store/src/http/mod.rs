//! Web servers, for reading: one file, or a directory with its index page.
//!
//! Index pages round sizes and tell times by the minute, so what a page lists is asked for with a HEAD each: size, time
//! and ETag come from there. A name that begins with a dot, or that is configured so, may be left out by the server, and
//! a directory that has an `index.html` shows that instead: it is reported as one that cannot be listed.

mod index;
pub(crate) mod range;
mod scan;
pub(crate) mod site;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use reqwest::{Method, Response};
use sitta_tree::{Entry, Fingerprint, Kind, Meta, RelPath, SideTraits, Tree, Unknown};

use self::index::Listed;
pub use self::site::{decoded, encoded};

use self::range::{Told, is_plain, length, text};
use self::site::{Follow, Site};
use crate::{
    Access, ByteStream, Capabilities, Error, ErrorKind, Fetched, OWN_DIR, Remote, Result, ScanOptions, Store,
    TEMP_PREFIX,
};

/// How many requests in flight suit a server, unless told otherwise.
const IN_FLIGHT: usize = 16;
/// The longest index page that is read: some hundred thousand names.
const LONGEST_PAGE: usize = 64 << 20;
/// Up to this many bytes a strong ETag is enough; a check afterwards costs nothing beside more than that.
const SMALL: u64 = 1 << 20;

/// A directory of a web server.
#[derive(Debug)]
struct Http {
    site: Site,
    in_flight: usize,
}

/// Opens a place on a web server. Sends nothing: whether it is a directory or holds the one file that was meant is seen
/// when it is used.
pub async fn open(remote: &Remote, access: &Access) -> Result<Arc<dyn Store>> {
    let site = Site::new(remote, access, Follow::Anywhere)?;
    Ok(Arc::new(Http { site, in_flight: access.transfers.unwrap_or(IN_FLIGHT).max(1) }))
}

impl Http {
    /// What stands at a path other than the root.
    async fn look(&self, path: &RelPath) -> Result<Option<Entry>> {
        let url = self.site.url(path, false);
        let plain = |request: reqwest::RequestBuilder| request.header(ACCEPT_ENCODING, "identity");
        let (answer, _) = self.site.send(&Method::HEAD, url, path, false, plain).await?;
        match answer.status().as_u16() {
            300..=399 => Ok(Some(Entry::new(Kind::Dir))),
            404 | 410 => Ok(None),
            // Refused to HEAD, not to GET perhaps: a URL that was signed for GET.
            400 | 403 | 405 | 501 => self.look_by_get(path).await,
            200..=299 => match length(answer.headers()) {
                Some(size) => self.file(&answer, size, path).map(Some),
                None => self.look_by_get(path).await,
            },
            _ => Err(self.site.refusal(&answer, path)),
        }
    }

    /// The same with the first byte of a GET.
    async fn look_by_get(&self, path: &RelPath) -> Result<Option<Entry>> {
        let part = match self.site.get(path, 0, 1).await {
            Ok(part) => part,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind == ErrorKind::IsADirectory => return Ok(Some(Entry::new(Kind::Dir))),
            Err(error) => return Err(error),
        };
        let Some(size) = part.total else {
            return Err(self.site.error(ErrorKind::Unsupported, path, "the server does not tell its size"));
        };
        Ok(Some(entry(&Told::new(part.headers()), size)))
    }

    fn file(&self, answer: &Response, size: u64, path: &RelPath) -> Result<Entry> {
        if !is_plain(answer.headers(), path.name()) {
            let what = "the server sends it compressed, though it was asked not to";
            return Err(self.site.error(ErrorKind::Unsupported, path, what));
        }
        Ok(entry(&Told::new(answer.headers()), size))
    }

    /// What a directory's index page lists, as it does.
    async fn page(&self, dir: &RelPath) -> Result<Vec<Listed>> {
        let url = self.site.url(dir, true);
        let plain = |request: reqwest::RequestBuilder| request.header(ACCEPT_ENCODING, "identity");
        let (answer, url) = self.site.send(&Method::GET, url, dir, true, plain).await?;
        if !answer.status().is_success() {
            let error = self.site.refusal(&answer, dir);
            let is_file = error.kind == ErrorKind::NotFound && !dir.is_root() && self.is_file(dir).await;
            return Err(match is_file {
                true => self.site.error(ErrorKind::NotADirectory, dir, "it is no directory"),
                false => error,
            });
        }
        let none = |what: &str| {
            let path = (!dir.is_root()).then(|| dir.clone());
            Error::new(ErrorKind::Unsupported, &self.site.location, path, what)
        };
        let kind = text(answer.headers(), &CONTENT_TYPE).unwrap_or_default();
        if !kind.contains("html") {
            return Err(none(&format!("it is not a directory listing, but {}", shown(kind))));
        }
        let page = self.site.web.whole(answer, dir, LONGEST_PAGE).await?;
        let listed = index::parse(&page, &url);
        listed.ok_or_else(|| none("it is not a directory listing, but another page"))
    }

    async fn is_file(&self, path: &RelPath) -> bool {
        matches!(self.look(path).await, Ok(Some(there)) if there.kind == Kind::File)
    }
}

fn entry(told: &Told, size: u64) -> Entry {
    let mut entry = Entry::new(Kind::File);
    entry.size = size;
    entry.meta.mtime = told.mtime.unwrap_or_default();
    entry.change = told.change;
    entry
}

fn shown(kind: &str) -> String {
    match kind.split(';').next().unwrap_or_default().trim() {
        "" => "something else".into(),
        kind => sitta_tree::Printable(kind.as_bytes()).to_string(),
    }
}

fn is_ours(dir: &RelPath, name: &[u8]) -> bool {
    name.starts_with(TEMP_PREFIX.as_bytes()) || (dir.is_root() && name == OWN_DIR.as_bytes())
}

#[async_trait]
impl Store for Http {
    fn location(&self) -> &str {
        &self.site.location
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            traits: SideTraits {
                mtime_precision: 1_000_000_000,
                modes: false,
                owners: false,
                xattrs: false,
                symlinks: false,
                dirs: true,
                folds_names: false,
                stable_ids: false,
            },
            rename: false,
            atomic_preconditions: false,
            hard_links: false,
            writable: false,
            lists_meta: true,
            verifies: false,
            concurrency: self.in_flight,
            batch: 1,
            batches: 1,
        }
    }

    async fn scan(&self, options: &ScanOptions) -> Result<Tree> {
        self.walk(options).await
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        let mut listed = self.page(dir).await?;
        listed.retain(|one| !is_ours(dir, &one.name));
        let looks = listed.into_iter().filter_map(|one| Some((dir.join(&one.name).ok()?, one))).map(
            |(path, one)| async move {
                if one.dir {
                    return Ok((one.name.into(), Entry::new(Kind::Dir)));
                }
                let entry = match self.look(&path).await {
                    Ok(Some(entry)) => entry,
                    Err(error) if matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Auth) => {
                        return Err(error);
                    }
                    // It is there, the page says so.
                    Ok(None) | Err(_) => Entry::unknown(Unknown::Unreadable),
                };
                Ok((one.name.into(), entry))
            },
        );
        let looked: Vec<_> = stream::iter(looks).buffer_unordered(self.in_flight).collect().await;
        looked.into_iter().collect()
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        if !path.is_root() {
            return self.look(path).await;
        }
        let (answer, _) = self.site.send(&Method::HEAD, self.site.url(path, true), path, true, |head| head).await?;
        match answer.status().as_u16() {
            404 | 410 => Ok(None),
            401 => Err(self.site.refusal(&answer, path)),
            // What may not be listed is there all the same.
            _ => Ok(Some(Entry::new(Kind::Dir))),
        }
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        let part = self.site.get(path, range.start, range.end).await?;
        Ok(self.site.bytes(part, path))
    }

    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        let part = self.site.get(path, offset, u64::MAX).await?;
        let told = Told::new(part.headers());
        let (same, strong) = part.is_of(version);
        if !same {
            return Err(self.site.error(ErrorKind::Changed, path, "it is another version than was seen"));
        }
        let meta = Some(Meta { mtime: told.mtime.unwrap_or_default(), ..Meta::default() });
        let pinned = strong && version.size.saturating_sub(offset) <= SMALL;
        Ok(Fetched { bytes: self.site.bytes(part, path), meta, pinned })
    }

    fn read_only_because(&self) -> &'static str {
        "web servers can only be read from; is it WebDAV? webdav(s)://"
    }

    fn requests(&self) -> u64 {
        self.site.web.requests()
    }
}
