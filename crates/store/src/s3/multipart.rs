//! Large objects, in parts: several on their way at a time, nothing visible before the last word.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::StreamExt;
use http::{HeaderMap, HeaderName, Method, header};
use sitta_tree::{Meta, RelPath};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::client::{Call, Client};
use super::object::{Sum, bare, meta_headers};
use super::write::{TYPE, new_meta};
use super::{Limits, S3Store, xml};
use crate::body::Body;
use crate::{ByteStream, ErrorKind, Flow, Precondition, Result, Source, Write, Written};

/// Parts of one file on their way.
const IN_FLIGHT: usize = 4;
/// The longest answer to what begins and ends an upload.
const LONGEST_ANSWER: usize = 64 << 10;

/// An upload that was begun: it ends by [`Upload::complete`], or is undone.
#[derive(Debug)]
pub(super) struct Upload {
    client: Arc<Client>,
    path: RelPath,
    key: String,
    id: String,
    open: bool,
}

/// A part that the server has.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub number: usize,
    pub etag: String,
    pub sum: Option<Sum>,
}

impl Upload {
    pub async fn begin(client: &Arc<Client>, path: &RelPath, key: &str, headers: HeaderMap) -> Result<Self> {
        let call = Call::object(Method::POST, path, key).query("uploads", "").headers(headers);
        let answer = client.persist(&call).await?;
        let body = client.web().whole(answer, path, LONGEST_ANSWER).await?;
        let [id] = xml::texts(&body, ["UploadId"]);
        let none = || client.error(ErrorKind::Unsupported, path, "the server begins no upload in parts");
        let id = id.filter(|id| !id.is_empty()).ok_or_else(none)?;
        Ok(Self { client: client.clone(), path: path.clone(), key: key.to_owned(), id, open: true })
    }

    /// A request for one part.
    pub fn part(&self, number: usize) -> Call {
        Call::object(Method::PUT, &self.path, &self.key)
            .query("partNumber", &number.to_string())
            .query("uploadId", &self.id)
    }

    /// What makes one object of the parts.
    pub fn completion(&self, parts: &mut [Part]) -> Call {
        parts.sort_by_key(|part| part.number);
        let mut body = String::from("<CompleteMultipartUpload>");
        for part in parts {
            let etag = xml::escape(&part.etag).unwrap_or_default();
            body.push_str(&format!("<Part><PartNumber>{}</PartNumber><ETag>\"{etag}\"</ETag></Part>", part.number));
        }
        body.push_str("</CompleteMultipartUpload>");
        Call::object(Method::POST, &self.path, &self.key)
            .query("uploadId", &self.id)
            .header(header::CONTENT_TYPE, "application/xml")
            .body(vec![body.into()])
    }

    /// Reads the answer to that: a failure may come with a status of success. Gives the object's ETag.
    pub async fn complete(&mut self, answer: reqwest::Response) -> Result<Option<String>> {
        let body = self.client.web().whole(answer, &self.path, LONGEST_ANSWER).await?;
        if let Some(error) = self.client.failure_inside(&body, &self.path) {
            return Err(error);
        }
        self.open = false;
        let [etag] = xml::texts(&body, ["ETag"]);
        Ok(etag.map(|etag| bare(&etag).to_owned()).filter(|etag| !etag.is_empty()))
    }

    fn abort_call(&self) -> Call {
        Call::object(Method::DELETE, &self.path, &self.key).query("uploadId", &self.id)
    }

    /// Undoes it. What cannot be undone now is left to the bucket's own rules.
    pub async fn abort(mut self) {
        self.open = false;
        let _ = self.client.persist(&self.abort_call()).await;
    }
}

/// Whoever waited for the upload does not any more.
impl Drop for Upload {
    fn drop(&mut self) {
        if self.open
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (client, abort) = (self.client.clone(), self.abort_call());
            runtime.spawn(async move {
                let _ = client.persist(&abort).await;
            });
        }
    }
}

/// The size of all parts but the last: as many as are allowed suffice.
fn part_size(limits: &Limits, size: u64) -> u64 {
    limits.part.max(size.div_ceil(limits.parts).next_multiple_of(1 << 20))
}

/// Cuts a stream into parts.
struct Parts {
    /// May be asked again after its end.
    bytes: ByteStream,
    left_over: Option<Bytes>,
}

impl Parts {
    /// The next `size` bytes, or what is left; empty at the end.
    async fn next(&mut self, size: u64) -> Result<Vec<Bytes>> {
        let (mut pieces, mut missing) = (Vec::new(), size);
        while missing > 0 {
            let piece = match self.left_over.take() {
                Some(piece) => Some(Ok(piece)),
                None => self.bytes.next().await,
            };
            let Some(piece) = piece else { break };
            let mut piece = piece?;
            if piece.len() as u64 > missing {
                self.left_over = Some(piece.split_off(missing as usize));
            }
            missing -= piece.len() as u64;
            pieces.push(piece);
        }
        Ok(pieces)
    }
}

impl S3Store {
    pub(super) async fn write_parts(
        &self,
        write: &Write,
        key: &str,
        source: &Source,
        flow: &Arc<Flow>,
    ) -> Result<Written> {
        // What is wrong from the start is told before gigabytes are sent.
        if write.expect != Precondition::None {
            self.look(write).await?;
        }
        let opened = self.open_source(write, source, flow).await?;
        self.send_in_parts(write, key, opened, source.at_most()).await
    }

    /// Writes what is made while it is sent: whole if it turns out to be small, in parts else.
    pub(super) async fn write_made(
        &self,
        write: &Write,
        key: &str,
        source: &Source,
        flow: &Arc<Flow>,
    ) -> Result<Written> {
        let target = self.look(write).await?;
        let permit = self.memory(self.limits.whole).await;
        let (bytes, body, meta) = self.open_source(write, source, flow).await?;
        let mut bytes = Parts { bytes: bytes.fuse().boxed(), left_over: None };
        let first = bytes.next(self.limits.whole).await?;
        if let Some(content) = body.content() {
            return self.put(write, key, &target, (first, meta, content)).await;
        }
        drop(permit);
        let first = first.into_iter().chain(bytes.left_over.take()).map(Ok);
        let bytes = futures::stream::iter(first).chain(bytes.bytes).boxed();
        self.send_in_parts(write, key, (bytes, body, meta), source.at_most()).await
    }

    async fn send_in_parts(
        &self,
        write: &Write,
        key: &str,
        (bytes, body, meta): (ByteStream, Body, Meta),
        at_most: u64,
    ) -> Result<Written> {
        let meta = new_meta(&write.meta.or(&meta));
        let mut headers = meta_headers(&meta, false);
        headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(TYPE));
        let mut upload = Upload::begin(&self.client, &write.path, key, headers).await?;
        let sent = async {
            let (mut parts, size) = self.send_parts(&upload, bytes, part_size(&self.limits, at_most)).await?;
            let unread = || self.error(ErrorKind::Other, &write.path, "its bytes were not read to the end");
            let content = body.content().ok_or_else(unread)?;
            // Right before it becomes visible.
            let target = self.look(write).await?;
            let answer = self.replace(write, &target, upload.completion(&mut parts)).await?;
            Ok((parts, size, content, answer))
        };
        let completed = match sent.await {
            Ok((parts, size, content, answer)) => {
                upload.complete(answer).await.map(|etag| (parts, size, content, etag))
            }
            Err(error) => Err(error),
        };
        let (parts, size, content, etag) = match completed {
            Ok(completed) => completed,
            Err(error) => {
                upload.abort().await;
                return Err(error);
            }
        };
        if let Some(etag) = &etag
            && contradicts(&parts, etag)
        {
            return Err(self.error(ErrorKind::Corrupt, &write.path, "the server holds other bytes than were sent"));
        }
        // Not every server tells of an object made of parts what it has answered to their completion.
        let entry = self.written_entry(&write.path, &HeaderMap::new(), None, None, size, meta).await?;
        Ok(Written { entry, content: Some(content) })
    }

    /// Sends parts of `size` bytes; also tells how many bytes they were all in all.
    async fn send_parts(&self, upload: &Upload, bytes: ByteStream, size: u64) -> Result<(Vec<Part>, u64)> {
        let mut bytes = Parts { bytes: bytes.fuse().boxed(), left_over: None };
        let (mut sending, mut parts, mut sent) = (JoinSet::new(), Vec::new(), 0);
        let stopped = |_| self.error(ErrorKind::Other, &upload.path, "the upload was stopped");
        for number in 1.. {
            while sending.len() >= IN_FLIGHT
                && let Some(part) = sending.join_next().await
            {
                parts.push(part.map_err(stopped)??);
            }
            let permit = self.memory(size).await;
            let pieces = bytes.next(size).await?;
            if pieces.is_empty() {
                break;
            }
            sent += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
            sending.spawn(send_part(self.client.clone(), upload.part(number), number, pieces, permit));
        }
        while let Some(part) = sending.join_next().await {
            parts.push(part.map_err(stopped)??);
        }
        Ok((parts, sent))
    }
}

async fn send_part(
    client: Arc<Client>,
    call: Call,
    number: usize,
    pieces: Vec<Bytes>,
    _permit: Option<OwnedSemaphorePermit>,
) -> Result<Part> {
    let sum = Sum::of(pieces.iter().map(|piece| &**piece));
    let call = call.header(HeaderName::from_static("content-md5"), &sum.base64()).body(pieces);
    let answer = client.persist(&call).await?;
    let etag = answer.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(bare);
    let Some(etag) = etag else {
        return Err(client.error(ErrorKind::Unsupported, call.path(), "the server tells no ETag of a part"));
    };
    if sum.contradicts(answer.headers(), etag) {
        return Err(client.error(ErrorKind::Corrupt, call.path(), "the server holds other bytes than were sent"));
    }
    Ok(Part { number, etag: etag.to_owned(), sum: Some(sum) })
}

/// Whether an ETag is of other parts: it is the MD5 of their MD5s, and how many they were.
fn contradicts(parts: &[Part], etag: &str) -> bool {
    let Some((sum, count)) = etag.split_once('-') else { return false };
    let sums: Option<Vec<_>> = parts.iter().map(|part| part.sum).collect();
    let plain = sum.len() == 32 && parts.iter().all(|part| part.sum.is_some_and(|sum| sum.hex() == part.etag));
    let Some(sums) = sums.filter(|_| plain && count == parts.len().to_string()) else { return false };
    !sum.eq_ignore_ascii_case(&Sum::of(sums.iter().map(|sum| &sum.0[..])).hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_with_the_object() {
        let size = |size| part_size(&Limits::S3, size);
        assert_eq!((size(9 << 20), size(5 << 30)), (8 << 20, 8 << 20));
        assert!(size(5 << 40) * 10_000 >= 5 << 40 && size(5 << 40) < 600 << 20);
    }

    #[tokio::test]
    async fn streams_are_cut_anywhere() {
        let pieces = [&b"abc"[..], b"defgh", b"", b"i"].map(|piece| Ok(Bytes::from(piece)));
        let mut parts = Parts { bytes: futures::stream::iter(pieces).fuse().boxed(), left_over: None };
        for wanted in [&b"ab"[..], b"cd", b"ef", b"gh", b"i", b""] {
            assert_eq!(parts.next(2).await.unwrap().concat(), wanted);
        }
    }
}
