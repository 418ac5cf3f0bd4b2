//! The calls of the driver, as WebDAV requests.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Method, Response};
use sitta_tree::{Entry, Fingerprint, Kind, Meta, RelPath, SideTraits, Time};

use super::upload::vouched;
use super::{Webdav, method};
use crate::http::range::Told;
use crate::remote::{Progress, Protocol};
use crate::web::Web;
use crate::{ByteStream, Capabilities, Error, ErrorKind, Fetched, Result};

/// How often a move that somebody else's lock stands in the way of is tried.
const TRIES: u32 = 8;
/// Up to this many bytes a strong ETag is enough; a check afterwards costs nothing beside more than that.
const SMALL: u64 = 1 << 20;

#[async_trait]
impl Protocol for Webdav {
    fn location(&self) -> &Arc<str> {
        &self.site.location
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            traits: SideTraits {
                mtime_precision: if self.server.keeps_times { 1_000_000_000 } else { 0 },
                modes: false,
                owners: false,
                xattrs: false,
                symlinks: false,
                dirs: true,
                folds_names: false,
                stable_ids: false,
            },
            rename: true,
            atomic_preconditions: self.server.atomic,
            hard_links: false,
            writable: true,
            lists_meta: true,
            verifies: false,
            concurrency: self.in_flight,
            batch: 256,
            batches: 2,
        }
    }

    fn requests(&self) -> u64 {
        self.site.web.requests()
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        let _held = self.replacing.list(dir).await;
        self.entries(dir).await
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        let _held = self.replacing.look(path).await;
        self.look(path).await
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        let _held = self.replacing.look(path).await;
        let part = self.site.get(path, range.start, range.end).await;
        let part = match part {
            Ok(part) => part,
            Err(error) => return Err(self.why_unread(path, error).await),
        };
        Ok(self.site.bytes(part, path))
    }

    async fn fetch(&self, path: &RelPath, version: &Fingerprint, offset: u64) -> Result<Fetched> {
        let _held = self.replacing.look(path).await;
        let part = match self.site.get(path, offset, u64::MAX).await {
            Ok(part) => part,
            Err(error) => return Err(self.why_unread(path, error).await),
        };
        let (same, strong) = part.is_of(version);
        if !same {
            return Err(self.site.error(ErrorKind::Changed, path, "it is another version than was seen"));
        }
        let mtime = Told::new(part.headers()).mtime.unwrap_or_default();
        let pinned = strong && version.size.saturating_sub(offset) <= SMALL;
        let meta = Some(Meta { mtime, ..Meta::default() });
        Ok(Fetched { bytes: self.site.bytes(part, path), meta, pinned })
    }

    async fn create(&self, path: &RelPath, bytes: ByteStream, size: u64, meta: &Meta, _: &Progress) -> Result<()> {
        let (body, taken) = Web::body(vouched(bytes).await?);
        let mut request = self.site.request(&Method::PUT, self.site.url(path, false));
        request = request.header(CONTENT_LENGTH, size).body(body);
        if self.server.keeps_times && meta.mtime != Time::default() {
            request = request.header("x-oc-mtime", meta.mtime.secs);
        }
        let answer = match self.site.web.send_taken(request, path, &taken).await {
            Ok(answer) => answer,
            Err(error) => {
                self.clear_away(path).await;
                return Err(error);
            }
        };
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(self.why_not(&answer, path, false).await),
        }
    }

    async fn make_dir(&self, path: &RelPath, _: &Meta) -> Result<()> {
        self.must_be_listed(path)?;
        let answer = self.change("MKCOL", path, true).await?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(self.why_not(&answer, path, true).await),
        }
    }

    async fn rename(&self, from: &RelPath, to: &RelPath, replace: bool) -> Result<()> {
        self.must_be_listed(to)?;
        let (from_dir, to_dir) = (from.parent().unwrap_or_default(), to.parent().unwrap_or_default());
        if from_dir != to_dir {
            // nginx would make it.
            match self.look(&to_dir).await? {
                Some(above) if above.kind == Kind::Dir => {}
                Some(_) => {
                    return Err(self.error(ErrorKind::NotADirectory, to, "what is above it is no directory"));
                }
                None => return Err(self.error(ErrorKind::NotFound, to, "no such directory")),
            }
        }
        let _held = if replace { Some(self.replacing.replace(to).await) } else { None };
        // Overwriting takes whatever stands there: of a directory, all it holds.
        let overwrite = replace
            && match self.look(to).await? {
                Some(there) if there.kind != Kind::File => {
                    return Err(self.error(ErrorKind::Changed, to, "it is no file"));
                }
                there => there.is_some(),
            };
        let answer = self.move_to(from, to, overwrite, false).await?;
        let answer = match answer.status().as_u16() {
            // Of a directory, some servers want it said that it is one.
            301 | 302 | 307 | 308 | 400 | 404 | 409 if self.is_dir(from).await? => {
                self.move_to(from, to, overwrite, true).await?
            }
            _ => answer,
        };
        match answer.status().as_u16() {
            207 => Err(self.error(ErrorKind::Other, to, "the server moved only a part of it")),
            412 => Err(self.error(ErrorKind::Changed, to, "something stands there already")),
            _ if answer.status().is_success() => Ok(()),
            // rclone says so of what is missing, too.
            400 | 403 | 404 | 405 | 409 | 500 if self.look(from).await?.is_none() => {
                Err(self.error(ErrorKind::NotFound, from, "nothing stands there"))
            }
            _ => Err(self.why_not(&answer, to, !replace).await),
        }
    }

    async fn remove_file(&self, path: &RelPath) -> Result<()> {
        let answer = self.change("DELETE", path, false).await?;
        if answer.status().is_success() && answer.status().as_u16() != 207 {
            return Ok(());
        }
        match self.look(path).await? {
            None => Err(self.error(ErrorKind::NotFound, path, "nothing stands there")),
            Some(there) if there.kind == Kind::Dir => Err(self.error(ErrorKind::IsADirectory, path, "a directory")),
            Some(_) => Err(self.site.refusal(&answer, path)),
        }
    }

    async fn remove_dir(&self, path: &RelPath) -> Result<()> {
        if !self.entries(path).await?.is_empty() {
            return Err(self.error(ErrorKind::NotEmpty, path, "the directory is not empty"));
        }
        let answer = self.change("DELETE", path, true).await?;
        match answer.status().as_u16() {
            207 => Err(self.error(ErrorKind::NotEmpty, path, "the server removed only a part of it")),
            _ if answer.status().is_success() => Ok(()),
            _ => Err(self.site.refusal(&answer, path)),
        }
    }

    async fn set_meta(&self, path: &RelPath, kind: Kind, meta: &Meta) -> Result<()> {
        if !self.server.keeps_times || kind == Kind::Dir {
            return Ok(());
        }
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:propertyupdate xmlns:D=\"DAV:\"><D:set><D:prop>\
             <D:lastmodified>{}</D:lastmodified></D:prop></D:set></D:propertyupdate>",
            meta.mtime.secs
        );
        let request = self.site.request(&method("PROPPATCH"), self.site.url(path, false));
        let request = request.header("content-type", "application/xml").body(body);
        let answer = self.site.web.send(request, path).await?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(self.site.refusal(&answer, path)),
        }
    }

    async fn create_root(&self) -> Result<()> {
        let root = RelPath::root();
        if self.is_dir(&root).await? {
            return Ok(());
        }
        self.make_way().await?;
        match self.look(&root).await? {
            Some(there) if there.kind == Kind::Dir => Ok(()),
            Some(_) => Err(self.error(ErrorKind::NotADirectory, &root, "it is no directory")),
            None => Err(self.error(ErrorKind::Other, &root, "the server did not make it")),
        }
    }
}

impl Webdav {
    async fn move_to(&self, from: &RelPath, to: &RelPath, overwrite: bool, dir: bool) -> Result<Response> {
        let to = self.site.url(to, dir);
        let mut tries = 0;
        loop {
            let request = self.site.request(&method("MOVE"), self.site.url(from, dir));
            let request = request.header("destination", to.as_str());
            let request = request.header("overwrite", if overwrite { "T" } else { "F" });
            let answer = self.site.web.send(request, from).await?;
            tries += 1;
            if answer.status().as_u16() != 423 || tries == TRIES {
                return Ok(answer);
            }
            // Another change of the same path is under way.
            tokio::time::sleep(Duration::from_millis(5 << tries)).await;
        }
    }

    /// Removes what an upload that broke off left: some servers (rclone) make a file of it, a moment later.
    async fn clear_away(&self, path: &RelPath) {
        for pause in [0, 50, 150, 400] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            match self.look(path).await {
                Ok(None) => {}
                Ok(Some(_)) => _ = self.change("DELETE", path, false).await,
                Err(_) => return,
            }
        }
    }

    async fn is_dir(&self, path: &RelPath) -> Result<bool> {
        Ok(self.look(path).await?.is_some_and(|there| there.kind == Kind::Dir))
    }

    /// Why a file could not be read.
    async fn why_unread(&self, path: &RelPath, error: Error) -> Error {
        if matches!(error.kind, ErrorKind::Auth | ErrorKind::Unreachable | ErrorKind::Untrusted) {
            return error;
        }
        match self.look(path).await {
            Ok(None) => self.error(ErrorKind::NotFound, path, "nothing stands there"),
            Ok(Some(there)) if there.kind == Kind::Dir => {
                self.error(ErrorKind::IsADirectory, path, "it is a directory")
            }
            _ => error,
        }
    }

    /// Makes the root with the directories above it: upwards until one can be made or is there, and down again.
    async fn make_way(&self) -> Result<()> {
        let (way, root) = (self.site.way(), RelPath::root());
        let (mut at, mut deepest) = (way.len(), 0);
        while at > deepest {
            let url = way[at - 1].clone();
            let answer = self.site.web.send(self.site.request(&method("MKCOL"), url), &root).await?;
            match answer.status().as_u16() {
                // Made, or there: on to the next below.
                200..=299 | 301 | 405 => (deepest, at) = (at, way.len()),
                _ if at == deepest + 1 => return Err(self.site.refusal(&answer, &root)),
                _ => at -= 1,
            }
        }
        Ok(())
    }
}
