//! WebDAV (RFC 4918).
//!
//! What servers differ in, and how it is met (nginx 1.22, Apache 2.4 and rclone 1.75, tried out):
//!
//! - **Times.** Most keep none of those they are given; see [`server`]. Listings tell when a file arrived, which still
//!   tells versions apart.
//! - **Replacing.** A move that overwrites deletes first and moves then, as the RFC wants it (9.9.4); only nginx replaces
//!   in one step. So for a moment others may find nothing at the path. Whoever goes through the same store waits.
//! - **Removing.** DELETE takes a directory with all it holds, so it is looked into first. What somebody puts there
//!   between the look and the removal is lost.
//! - **Hidden names.** nginx lists no names that begin with a dot. It is given none: they would seem to be missing.
//! - **Missing directories.** nginx makes them when something is moved there, so they are looked for first.

mod multistatus;
mod protocol;
mod replacing;
mod server;
mod upload;

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use sitta_tree::{Entry, Kind, RelPath};

use self::multistatus::{Broken, Told};
use self::replacing::Replacing;
use self::server::Server;
use crate::http::site::{Follow, Site, decoded};
use crate::remote::RemoteStore;
use crate::{Access, ErrorKind, OWN_DIR, Remote, Result, Store, TEMP_PREFIX};

/// How many calls in flight suit a server, unless told otherwise.
const IN_FLIGHT: usize = 16;

/// The longest name that disks hold, in bytes.
const LONGEST_NAME: usize = 255;

/// A collection of a WebDAV server.
#[derive(Debug)]
struct Webdav {
    site: Site,
    server: Server,
    replacing: Replacing,
    in_flight: usize,
}

/// Connects. Asks the server what it is, which costs two requests and changes nothing.
pub async fn open(remote: &Remote, access: &Access) -> Result<Arc<dyn Store>> {
    let site = Site::new(remote, access, Follow::SameServer)?;
    let root = RelPath::root();
    let url = site.url(&root, true);
    let answer = site.web.send(site.request(&Method::OPTIONS, url.clone()), &root).await?;
    if matches!(answer.status().as_u16(), 401 | 403) {
        return Err(site.refusal(&answer, &root));
    }
    let server = Server::of(answer.headers(), url.path());
    drop(answer);
    let in_flight = access.transfers.unwrap_or(IN_FLIGHT).max(1);
    let webdav = Webdav { site, server, replacing: Replacing::default(), in_flight };
    // A root that is missing is no failure yet; a server that does not know the question is.
    webdav.look(&root).await?;
    Ok(Arc::new(RemoteStore::new(webdav)))
}

fn method(name: &'static str) -> Method {
    Method::from_bytes(name.as_bytes()).expect("a method's name")
}

impl Webdav {
    /// What a PROPFIND tells; none if nothing stands there.
    async fn propfind(&self, path: &RelPath, dir: bool, depth: &'static str) -> Result<Option<Vec<Told>>> {
        let url = self.site.url(path, dir);
        let (answer, _) = self
            .site
            .send(&method("PROPFIND"), url, path, true, |request| {
                request.header("depth", depth).header("content-type", "application/xml").body(multistatus::ASK)
            })
            .await?;
        match answer.status() {
            StatusCode::MULTI_STATUS => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED | StatusCode::OK => {
                let what = "the server does not speak WebDAV here";
                return Err(self.site.error(ErrorKind::Unsupported, path, what));
            }
            _ => return Err(self.site.refusal(&answer, path)),
        }
        match multistatus::read(self.site.web.bytes(answer, path)).await {
            Ok(all) => Ok(Some(all)),
            Err(Broken::Lost(error)) => Err(error),
            Err(Broken::Odd(what)) => Err(self.site.error(ErrorKind::Other, path, what)),
        }
    }

    /// What stands at a path.
    async fn look(&self, path: &RelPath) -> Result<Option<Entry>> {
        match self.propfind(path, path.is_root(), "0").await {
            Ok(None) => Ok(None),
            Ok(Some(all)) => {
                let own = self.own_path(path);
                match all.into_iter().find(|told| told.path == own) {
                    Some(told) => Ok(Some(told.entry)),
                    None => Err(self.elsewhere(path)),
                }
            }
            // Apache's answer for a name that no disk holds.
            Err(error) if error.kind == ErrorKind::Denied && path.name().len() > LONGEST_NAME => Ok(None),
            // Apache's answer for what would lie below a file.
            Err(error) if error.kind == ErrorKind::Other && path.depth() > 1 => {
                match Box::pin(self.look(&path.parent().unwrap_or_default())).await? {
                    Some(above) if above.kind == Kind::Dir => Err(error),
                    _ => Ok(None),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The path that the server's answers about `path` name.
    fn own_path(&self, path: &RelPath) -> Vec<u8> {
        decoded(self.site.url(path, true).path().trim_end_matches('/'))
    }

    fn elsewhere(&self, path: &RelPath) -> crate::Error {
        let what =
            "the server answers about other paths than it is asked for; does a proxy in front of it change them?";
        self.site.error(ErrorKind::Unsupported, path, what)
    }

    /// A directory's entries. References that lead out of it come as the names that they would be, which no path takes.
    async fn entries(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        let all = match self.propfind(dir, true, "1").await {
            Ok(Some(all)) => all,
            Ok(None) => return Err(self.no_directory(dir).await),
            Err(error) if error.kind == ErrorKind::Other => {
                return Err(match self.look(dir).await? {
                    Some(entry) if entry.kind == Kind::Dir => error,
                    _ => self.no_directory(dir).await,
                });
            }
            Err(error) => return Err(error),
        };
        let own = self.own_path(dir);
        let mut entries = Vec::with_capacity(all.len());
        let mut itself = false;
        for Told { path, entry } in all {
            if path == own {
                if entry.kind == Kind::File {
                    return Err(self.site.error(ErrorKind::NotADirectory, dir, "it is no directory"));
                }
                itself = true;
                continue;
            }
            let name = path.strip_prefix(&*own).and_then(|rest| rest.strip_prefix(b"/"));
            entries.push((name.unwrap_or(&path).into(), entry));
        }
        if itself { Ok(entries) } else { Err(self.elsewhere(dir)) }
    }

    /// Why there is no directory to be listed.
    async fn no_directory(&self, dir: &RelPath) -> crate::Error {
        match self.look(dir).await {
            Ok(Some(_)) => self.site.error(ErrorKind::NotADirectory, dir, "it is no directory"),
            Ok(None) => self.site.error(ErrorKind::NotFound, dir, "no such directory"),
            Err(error) => error,
        }
    }

    /// A request that changes something and sends no bytes; its status, whatever it is.
    async fn change(&self, name: &'static str, path: &RelPath, dir: bool) -> Result<reqwest::Response> {
        let request = self.site.request(&method(name), self.site.url(path, dir));
        self.site.web.send(request, path).await
    }

    /// Fails for names that the server would hold and never list. What is ours is found by its name, without a listing.
    fn must_be_listed(&self, path: &RelPath) -> Result<()> {
        let ours = path.name().starts_with(TEMP_PREFIX.as_bytes())
            || path.parts().next().is_some_and(|part| part == OWN_DIR.as_bytes());
        if self.server.hides_dots && path.name().starts_with(b".") && !ours {
            let what = "this server (nginx) does not list names that begin with a dot: it would seem to be missing";
            return Err(self.site.error(ErrorKind::Unsupported, path, what));
        }
        Ok(())
    }

    /// Why something could not be made at `path`, which servers tell in many ways.
    async fn why_not(&self, answer: &reqwest::Response, path: &RelPath, new: bool) -> crate::Error {
        let said = self.site.refusal(answer, path);
        if matches!(answer.status().as_u16(), 401 | 413 | 423 | 429 | 503 | 507) {
            return said;
        }
        match self.look(&path.parent().unwrap_or_default()).await {
            Ok(None) => return self.site.error(ErrorKind::NotFound, path, "no such directory"),
            Ok(Some(above)) if above.kind == Kind::File => {
                return self.site.error(ErrorKind::NotADirectory, path, "what is above it is no directory");
            }
            _ => {}
        }
        match self.look(path).await {
            Ok(Some(_)) if new => self.site.error(ErrorKind::Changed, path, "something stands there already"),
            _ if matches!(answer.status().as_u16(), 414 | 431) || path.name().len() > LONGEST_NAME => {
                self.site.error(ErrorKind::Unsupported, path, "the server cannot hold this name")
            }
            _ => said,
        }
    }
}
