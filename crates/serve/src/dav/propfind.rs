//! Looking at properties (RFC 4918, 9.1): of one entry, or of a directory and what it holds.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use sitta_store::http::encoded;
use sitta_tree::{Entry, Kind, RelPath};

use super::headers::{Depth, depth};
use super::locks::Lock;
use super::properties::Property;
use super::refused::{Refused, XML};
use super::xml::{DAV, Name};
use super::{Ask, href, live, look, nothing, small, xml};
use crate::api::access::Caller;
use crate::{App, Share};

/// So many entries are made into text at a time.
const PIECE: usize = 256;

pub(super) const HEAD: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n";
pub(super) const TAIL: &str = "</D:multistatus>\n";

/// What is asked for.
#[derive(Debug, Clone)]
enum Wanted {
    /// All of it, and these.
    All(Vec<Name>),
    /// What there is.
    Names,
    /// These.
    These(Vec<Name>),
}

impl Wanted {
    fn read(bytes: &[u8]) -> Result<Self, Refused> {
        if bytes.is_empty() {
            return Ok(Self::All(Vec::new()));
        }
        let find = xml::parse(bytes).map_err(Refused::odd)?;
        let names = |of: &str| {
            let names = find.child(of).into_iter().flat_map(xml::Element::elements);
            names.map(|element| element.name.clone()).collect()
        };
        let one = ["allprop", "propname", "prop"].map(|of| find.child(of).is_some());
        match one {
            [true, false, false] if find.name.is("propfind") => Ok(Self::All(names("include"))),
            [false, true, false] if find.name.is("propfind") => Ok(Self::Names),
            [false, false, true] if find.name.is("propfind") => Ok(Self::These(names("prop"))),
            _ => Err(Refused::odd("ask for allprop, propname or prop")),
        }
    }
}

/// One entry, and all that is known of it.
struct Known<'a> {
    href: String,
    entry: &'a Entry,
    locks: Vec<Lock>,
    dead: &'a [Property],
}

impl Known<'_> {
    fn live(&self, name: &Name) -> Option<String> {
        live::value(name, self.entry, &self.locks)
    }

    /// Adds a property, as an element; whether there is one.
    fn tell(&self, out: &mut String, name: &Name) -> bool {
        if let Some((_, element)) = self.dead.iter().find(|(known, _)| known == name) {
            out.push_str(element);
            return true;
        }
        let Some(value) = self.live(name) else { return false };
        let local = &name.local;
        match name.namespace.as_str() {
            DAV => _ = write!(out, "<D:{local}>{value}</D:{local}>"),
            namespace => _ = write!(out, "<{local} xmlns=\"{}\">{value}</{local}>", xml::escaped(namespace)),
        }
        true
    }

    fn write(&self, out: &mut String, wanted: &Wanted) {
        let (mut found, mut missing) = (String::new(), String::new());
        let told = live::TOLD.iter().map(|local| Name::new(DAV, local));
        match wanted {
            Wanted::Names => {
                told.filter(|name| self.live(name).is_some()).for_each(|name| name.write_empty(&mut found));
                self.dead.iter().for_each(|(name, _)| name.write_empty(&mut found));
            }
            Wanted::All(more) => {
                self.dead.iter().for_each(|(_, element)| found.push_str(element));
                let told: Vec<Name> = told.collect();
                let more =
                    more.iter().filter(|name| !told.contains(name) && self.dead.iter().all(|(n, _)| n != *name));
                for name in told.iter().chain(more) {
                    self.tell(&mut found, name);
                }
            }
            Wanted::These(names) => {
                for name in names {
                    if !self.tell(&mut found, name) {
                        name.write_empty(&mut missing);
                    }
                }
            }
        }
        let _ = write!(out, "<D:response><D:href>{}</D:href>", self.href);
        if missing.is_empty() || !found.is_empty() {
            propstat(out, &found, StatusCode::OK);
        }
        if !missing.is_empty() {
            propstat(out, &missing, StatusCode::NOT_FOUND);
        }
        out.push_str("</D:response>\n");
    }
}

/// Properties and what became of them.
pub(super) fn propstat(out: &mut String, properties: &str, status: StatusCode) {
    let _ =
        write!(out, "<D:propstat><D:prop>{properties}</D:prop><D:status>HTTP/1.1 {status}</D:status></D:propstat>");
}

/// Tells what is asked for.
pub(super) async fn find(ask: Ask, body: Body) -> Result<Response, Refused> {
    let wanted = Wanted::read(&small(body).await?)?;
    let depth = depth(&ask.headers)?;
    let (share, path) = (ask.target.share.clone(), ask.target.path.clone());
    let entry = look(&share.store, &path).await?.ok_or_else(nothing)?;
    if entry.kind == Kind::Dir && depth == Depth::Infinity {
        return Err(Refused::Condition {
            status: StatusCode::FORBIDDEN,
            condition: "propfind-finite-depth",
            about: Vec::new(),
        });
    }
    let mut entries = vec![(path.clone(), entry.clone())];
    if entry.kind == Kind::Dir && depth == Depth::One {
        let mut listed = share.store.list(&path).await?;
        listed.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.extend(listed.into_iter().filter_map(|(name, entry)| Some((path.join(&name).ok()?, entry))));
        if let Some(noted) = &ask.noted {
            noted.note(ask.target.caller.did("list", &share.name, &path, ""));
        }
    }
    // What fails here can still be told: the first piece is made before the answer begins.
    let mut pieces = Pieces { app: ask.app, share, wanted, entries: entries.into_iter() };
    let first = pieces.next().await?.unwrap_or_default();
    let rest = stream::try_unfold(pieces, |mut pieces| async move {
        Ok::<_, Refused>(pieces.next().await?.map(|piece| (piece, pieces)))
    });
    let rest =
        rest.map(|piece| piece.map(Bytes::from).map_err(|_| std::io::Error::other("a listing that broke off")));
    let pieces = stream::iter([HEAD.to_owned(), first]).map(|piece| Ok(Bytes::from(piece)));
    Ok(multistatus(Body::from_stream(pieces.chain(rest).chain(stream::iter([Ok(Bytes::from(TAIL))])))))
}

pub(super) fn multistatus(body: Body) -> Response {
    (StatusCode::MULTI_STATUS, [(CONTENT_TYPE, XML)], body).into_response()
}

/// Entries of a share that are made into text piece by piece: a directory may hold many.
struct Pieces {
    app: Arc<App>,
    share: Arc<Share>,
    wanted: Wanted,
    entries: std::vec::IntoIter<(RelPath, Entry)>,
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<String>, Refused> {
        let some: Vec<_> = self.entries.by_ref().take(PIECE).collect();
        if some.is_empty() {
            return Ok(None);
        }
        let some = if self.share.store.capabilities().lists_meta { some } else { self.looked_at(some).await };
        let paths = some.iter().map(|(path, _)| path.clone()).collect();
        let dead = self.app.properties.of(&self.share.name, paths).await?;
        let mut piece = String::new();
        for (path, entry) in &some {
            let known = Known {
                href: href(&self.share.name, path, entry.kind),
                entry,
                locks: self.app.locks.covering(&self.share.name, path),
                dead: dead.get(path).map_or(&[], |dead| dead),
            };
            known.write(&mut piece, &self.wanted);
        }
        Ok(Some(piece))
    }

    /// The files again, with what listings do not tell of them: their `ETag` is to be that of the file itself.
    async fn looked_at(&self, some: Vec<(RelPath, Entry)>) -> Vec<(RelPath, Entry)> {
        let store = &self.share.store;
        let looked = stream::iter(some).map(|(path, entry)| async move {
            let told = if entry.kind == Kind::File { store.stat(&path).await.ok().flatten() } else { None };
            (path, told.unwrap_or(entry))
        });
        looked.buffered(store.capabilities().concurrency.max(1)).collect().await
    }
}

/// The shares that are open to the caller, as directories.
pub(super) async fn shares(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let wanted = Wanted::read(&small(body).await?)?;
    let mut hrefs = vec!["/dav/".to_owned()];
    if depth(headers)? != Depth::Zero {
        let open = app.shares.keys().filter(|name| caller.scope.opens(name));
        hrefs.extend(open.map(|name| format!("/dav/{}/", encoded(name.as_bytes()))));
    }
    let mut text = String::from(HEAD);
    for href in hrefs {
        Known { href, entry: &Entry::new(Kind::Dir), locks: Vec::new(), dead: &[] }.write(&mut text, &wanted);
    }
    text.push_str(TAIL);
    Ok(multistatus(Body::from(text)))
}
