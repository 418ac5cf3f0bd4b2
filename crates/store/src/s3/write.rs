//! Writing objects: small ones whole, and what becomes of the old version.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::stream::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use reqwest::Response;
use sitta_tree::{ContentHash, Entry, Kind, Meta, RelPath, Time};
use tokio::sync::OwnedSemaphorePermit;

use super::client::Call;
use super::list::Holds;
use super::object::{DEFAULT_MODE, Object, Sum, bare, meta_headers, time_of, version};
use super::read::Stands;
use super::{S3Store, UNIT};
use crate::body::Body;
use crate::{ByteStream, Displaced, Error, ErrorKind, Fetched, Flow, Precondition, Result, Source, Write, Written};

/// The server's answer holds where a condition may stand in the request.
pub(super) const TYPE: &str = "application/octet-stream";

/// What was seen at the target of a write, as far as anybody looked.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub stands: Option<Stands>,
    /// What the server shall make sure of.
    pub condition: Option<(HeaderName, String)>,
}

impl S3Store {
    pub(super) async fn write_file(&self, write: &Write, source: &Source, flow: &Arc<Flow>) -> Result<Written> {
        let key = self.key(&write.path)?;
        if source.size() > self.limits.whole {
            return self.write_parts(write, &key, source, flow).await;
        }
        let _permit = self.memory(source.size()).await;
        // The source is read while the target is looked at; all of it, before anything is sent.
        let (target, read) = tokio::join!(self.look(write), self.read_source(write, source, flow));
        let (pieces, meta, content) = read?;
        let target = target?;
        let meta = new_meta(&write.meta.or(&meta));
        let sum = Sum::of(pieces.iter().map(|piece| &**piece));
        let put = Call::object(Method::PUT, &write.path, &key)
            .header(header::CONTENT_TYPE, TYPE)
            .header(HeaderName::from_static("content-md5"), &sum.base64())
            .headers(meta_headers(&meta, false))
            .body(pieces);
        let answer = self.replace(write, &target, put).await?;
        let entry = self.written_entry(&write.path, answer.headers(), None, Some(sum), source.size(), meta).await?;
        Ok(Written { entry, content: Some(content) })
    }

    /// Permission to hold so many bytes.
    pub(super) async fn memory(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = bytes.div_ceil(UNIT).clamp(1, super::MEMORY as u64) as u32;
        self.memory.clone().acquire_many_owned(units).await.ok()
    }

    /// The bytes of a write, watched; with the metadata that came with them.
    pub(super) async fn open_source(
        &self,
        write: &Write,
        source: &Source,
        flow: &Arc<Flow>,
    ) -> Result<(ByteStream, Body, Meta)> {
        let Fetched { bytes, meta, .. } = source.open(0).await?;
        let (body, cancelled) = (Body::default(), self.error(ErrorKind::Cancelled, &write.path, "cancelled"));
        Ok((body.watch(bytes, 0, flow, cancelled), body, meta.unwrap_or_default()))
    }

    async fn read_source(
        &self,
        write: &Write,
        source: &Source,
        flow: &Arc<Flow>,
    ) -> Result<(Vec<Bytes>, Meta, ContentHash)> {
        let (mut bytes, body, meta) = self.open_source(write, source, flow).await?;
        let mut pieces = Vec::new();
        while let Some(piece) = bytes.next().await {
            pieces.push(piece?);
        }
        let unread = || self.error(ErrorKind::Other, &write.path, "its bytes were not read to the end");
        Ok((pieces, meta, body.content().ok_or_else(unread)?))
    }

    /// Looks at the target of a write as far as the server will not do it.
    pub(super) async fn look(&self, write: &Write) -> Result<Target> {
        match &write.expect {
            Precondition::None if write.displaced == Displaced::Discard => {
                Ok(Target { stands: None, condition: None })
            }
            Precondition::None => Ok(Target { stands: Some(self.stands(&write.path).await?), condition: None }),
            Precondition::Absent => {
                let condition = self.conditions.may_be_sent().then(|| (header::IF_NONE_MATCH, "*".to_owned()));
                if self.enforces().await {
                    return Ok(Target { stands: None, condition });
                }
                match self.head(&write.path).await? {
                    None => Ok(Target { stands: None, condition }),
                    Some(_) => Err(self.error(ErrorKind::Changed, &write.path, "something stands there already")),
                }
            }
            Precondition::Version(_) => {
                let stands = self.expected(&write.path, &write.expect).await?;
                let condition = match &stands {
                    Stands::File(object) => self.matching(object),
                    _ => self.conditions.may_be_sent().then(|| (header::IF_NONE_MATCH, "*".to_owned())),
                };
                Ok(Target { stands: Some(stands), condition })
            }
        }
    }

    /// The condition that this version stands there.
    pub(super) fn matching(&self, object: &Object) -> Option<(HeaderName, String)> {
        let etag = object.etag.as_ref().filter(|_| self.conditions.may_be_sent())?;
        Some((header::IF_MATCH, format!("\"{etag}\"")))
    }

    /// Sends what puts the new version in place of the old, which is displaced first.
    pub(super) async fn replace(&self, write: &Write, target: &Target, call: Call) -> Result<Response> {
        let old = match &target.stands {
            Some(Stands::File(object)) => Some(object),
            Some(Stands::Dir(Holds::More)) => {
                return Err(self.error(ErrorKind::NotEmpty, &write.path, "the directory is not empty"));
            }
            Some(Stands::Dir(_)) => {
                self.remove_marker(&write.path).await?;
                None
            }
            _ => None,
        };
        let trash = match (&write.displaced, old) {
            (Displaced::MoveTo(trash), Some(old)) => {
                self.keep_copy(&write.path, old, trash).await?;
                Some((trash, old))
            }
            _ => None,
        };
        let placed = self.send_on(&write.path, call, target.condition.clone());
        let placed = self.behind_the_first(&write.path, placed).await;
        if let (Err(error), Some((trash, old))) = (&placed, trash) {
            self.take_back(&write.path, error, old, trash).await;
        }
        placed
    }

    /// Sends a call under a condition, or, to a server that cannot do that, without.
    async fn send_on(
        &self,
        path: &RelPath,
        call: Call,
        condition: Option<(HeaderName, String)>,
    ) -> Result<Response> {
        let Some((name, value)) = condition else { return self.client.send(call).await };
        let absent = name == header::IF_NONE_MATCH;
        let answer = self.client.send_any(call.clone().header(name, &value)).await?;
        match answer.status().as_u16() {
            200..=299 => Ok(answer),
            409 | 412 => Err(self.error(ErrorKind::Changed, path, "somebody else has changed it meanwhile")),
            501 => {
                self.conditions.refuse();
                if absent && self.head(path).await?.is_some() {
                    return Err(self.error(ErrorKind::Changed, path, "something stands there already"));
                }
                self.client.send(call).await
            }
            _ => Err(self.client.failure(answer, path).await),
        }
    }

    /// After a write that failed: the copy in the trash goes, if the old version still stands.
    async fn take_back(&self, path: &RelPath, error: &Error, old: &Object, trash: &RelPath) {
        let stands = match error.kind.is_transient() {
            // The write may have taken effect, with its answer lost.
            true => matches!(self.head(path).await, Ok(Some(now)) if now.entry() == old.entry()),
            false => true,
        };
        if stands && let Ok(key) = self.key(trash) {
            let _ = self.client.send(Call::object(Method::DELETE, trash, &key)).await;
        }
    }

    /// What `stat` will tell of what was written, from what was sent and what the server answered.
    pub(super) async fn written_entry(
        &self,
        path: &RelPath,
        headers: &HeaderMap,
        etag: Option<String>,
        sum: Option<Sum>,
        size: u64,
        meta: Meta,
    ) -> Result<Entry> {
        let in_header = || headers.get(header::ETAG).and_then(|value: &HeaderValue| value.to_str().ok());
        let etag = etag.or_else(|| in_header().map(|etag| bare(etag).to_owned())).filter(|etag| !etag.is_empty());
        let Some(etag) = etag else {
            let written = self.head(path).await?;
            let vanished = || self.error(ErrorKind::Changed, path, "it vanished right after it was written");
            return written.map(|object| object.entry()).ok_or_else(vanished);
        };
        if sum.is_some_and(|sum| sum.contradicts(headers, &etag)) {
            return Err(self.error(ErrorKind::Corrupt, path, "the server holds other bytes than were sent"));
        }
        let mode = if meta.mode == 0 { DEFAULT_MODE } else { meta.mode };
        let change = version(Some(&etag), Time::default(), size);
        Ok(Entry { size, change, meta: kept(&Meta { mode, ..meta }), ..Entry::new(Kind::File) })
    }
}

/// The part of the metadata that is kept here.
pub(super) fn kept(meta: &Meta) -> Meta {
    Meta { mtime: meta.mtime, mode: meta.mode & 0o7777, ..Meta::default() }
}

/// The metadata of a new object: what nobody told is the time now.
pub(super) fn new_meta(meta: &Meta) -> Meta {
    let told = meta.mtime != Time::default();
    kept(&Meta { mtime: if told { meta.mtime } else { time_of(SystemTime::now()) }, ..*meta })
}
