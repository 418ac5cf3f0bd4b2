//! Changes that the server makes without the bytes passing here: copies, and what is built of them.

use futures::stream::{self, StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use sitta_tree::{Entry, Meta, RelPath};

use super::S3Store;
use super::client::{Call, encode_into};
use super::list::Holds;
use super::multipart::{Part, Upload};
use super::object::{Object, bare};
use super::read::Stands;
use super::write::kept;
use super::xml;
use crate::{Displaced, ErrorKind, Precondition, Result, Written};

const LONGEST_ANSWER: usize = 64 << 10;
/// The most that one request may copy a part of.
const COPIED_PART: u64 = 1 << 30;
const IN_FLIGHT: usize = 4;
const SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
const SOURCE_RANGE: HeaderName = HeaderName::from_static("x-amz-copy-source-range");
const SOURCE_MATCH: HeaderName = HeaderName::from_static("x-amz-copy-source-if-match");
const DIRECTIVE: HeaderName = HeaderName::from_static("x-amz-metadata-directive");

impl S3Store {
    /// Copies the version `object` of `from` to `to`, with other metadata if that is given. What `to` tells afterwards.
    async fn copy(&self, from: &RelPath, object: &Object, to: &RelPath, meta: Option<&Meta>) -> Result<Entry> {
        // A time that the object was not told is when it was made: of the copy that would be now.
        let own = kept(&object.entry().meta);
        let changed = meta.copied().or_else(|| object.mtime.is_none().then_some(own));
        let meta = changed.unwrap_or(own);
        let named = |error: crate::Error| crate::Error { path: Some(from.clone()), ..error };
        let copied = async {
            match object.size > self.limits.copy {
                true => self.copy_parts(from, object, to, &object.headers_with(&meta)).await,
                false => self.copy_whole(from, object, to, changed.as_ref()).await,
            }
        };
        let etag = self.behind_the_first(to, copied).await.map_err(named)?;
        let entry = self.written_entry(to, &HeaderMap::new(), etag, None, object.size, meta).await?;
        Ok(Entry { meta, ..entry })
    }

    /// What every request that copies needs.
    fn source(&self, from: &RelPath, object: &Object) -> Result<HeaderMap> {
        let mut source = String::from("/");
        encode_into(&mut source, self.client.bucket_name(), false);
        source.push('/');
        encode_into(&mut source, &self.key(from)?, true);
        let mut headers = HeaderMap::new();
        headers.extend(HeaderValue::try_from(source).ok().map(|source| (SOURCE, source)));
        let etag = object.etag.as_ref().and_then(|etag| HeaderValue::try_from(format!("\"{etag}\"")).ok());
        headers.extend(etag.map(|etag| (SOURCE_MATCH, etag)));
        Ok(headers)
    }

    async fn copy_whole(
        &self,
        from: &RelPath,
        object: &Object,
        to: &RelPath,
        meta: Option<&Meta>,
    ) -> Result<Option<String>> {
        let call = Call::object(Method::PUT, to, &self.key(to)?).headers(self.source(from, object)?);
        let call = match meta {
            Some(meta) => call.header(DIRECTIVE, "REPLACE").headers(object.headers_with(meta)),
            None => call.headers(object.placing()),
        };
        let answer = self.client.send(call).await?;
        let body = self.client.web().whole(answer, to, LONGEST_ANSWER).await?;
        if let Some(error) = self.client.failure_inside(&body, to) {
            return Err(error);
        }
        let [etag] = xml::texts(&body, ["ETag"]);
        Ok(etag.map(|etag| bare(&etag).to_owned()).filter(|etag| !etag.is_empty()))
    }

    async fn copy_parts(
        &self,
        from: &RelPath,
        object: &Object,
        to: &RelPath,
        headers: &HeaderMap,
    ) -> Result<Option<String>> {
        let size = COPIED_PART.min(self.limits.copy);
        let mut upload = Upload::begin(&self.client, to, &self.key(to)?, headers.clone()).await?;
        let source = self.source(from, object)?;
        let copied = {
            let copy = |number: u64| {
                let (begin, end) = (number * size, ((number + 1) * size).min(object.size));
                let call = upload
                    .part(number as usize + 1)
                    .headers(source.clone())
                    .header(SOURCE_RANGE, &format!("bytes={begin}-{}", end - 1));
                self.copy_part(to, call, number as usize + 1)
            };
            stream::iter(0..object.size.div_ceil(size)).map(copy).buffered(IN_FLIGHT).try_collect::<Vec<_>>().await
        };
        let completed = match copied {
            Ok(mut parts) => match self.client.send(upload.completion(&mut parts)).await {
                Ok(answer) => upload.complete(answer).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match completed {
            // What it tells afterwards is asked for: some servers answer with another ETag than they keep.
            Ok(_) => Ok(None),
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    async fn copy_part(&self, to: &RelPath, call: Call, number: usize) -> Result<Part> {
        let answer = self.client.persist(&call).await?;
        let body = self.client.web().whole(answer, to, LONGEST_ANSWER).await?;
        if let Some(error) = self.client.failure_inside(&body, to) {
            return Err(error);
        }
        let [etag] = xml::texts(&body, ["ETag"]);
        let none = || self.error(ErrorKind::Unsupported, to, "the server tells no ETag of a part");
        Ok(Part { number, etag: bare(&etag.ok_or_else(none)?).to_owned(), sum: None })
    }

    /// Copies a version to where nothing may stand.
    async fn copy_to_free(&self, from: &RelPath, object: &Object, to: &RelPath) -> Result<Entry> {
        match self.head(to).await {
            Ok(None) => self.copy(from, object, to, None).await,
            Ok(Some(_)) => {
                let what = format!("something stands at {to} already");
                Err(self.error(ErrorKind::Changed, from, what))
            }
            Err(error) => Err(crate::Error { path: Some(from.clone()), ..error }),
        }
    }

    /// Copies the version that a change displaces to where it is found afterwards.
    pub(super) async fn keep_copy(&self, path: &RelPath, object: &Object, trash: &RelPath) -> Result<()> {
        self.copy_to_free(path, object, trash).await.map(drop)
    }

    pub(super) async fn rename_object(
        &self,
        from: &RelPath,
        to: &RelPath,
        expect: &Precondition,
    ) -> Result<Written> {
        let object = self.expected_file(from, expect).await?;
        self.key(to)?;
        if from == to {
            return Ok(Written { entry: object.entry(), content: None });
        }
        let entry = self.copy_to_free(from, &object, to).await?;
        self.delete_version(from, Some(&object)).await?;
        Ok(Written { entry, content: None })
    }

    pub(super) async fn set_object_meta(
        &self,
        path: &RelPath,
        meta: &Meta,
        expect: &Precondition,
    ) -> Result<Written> {
        let object = self.expected_file(path, expect).await?;
        let entry = self.copy(path, &object, path, Some(&kept(meta))).await?;
        Ok(Written { entry, content: None })
    }

    pub(super) async fn remove_one(
        &self,
        path: &RelPath,
        expect: &Precondition,
        displaced: &Displaced,
    ) -> Result<()> {
        match self.expected(path, expect).await? {
            Stands::Nothing => Err(self.error(ErrorKind::NotFound, path, "nothing stands there")),
            Stands::Dir(Holds::More) => Err(self.error(ErrorKind::NotEmpty, path, "the directory is not empty")),
            Stands::Dir(_) => self.remove_marker(path).await,
            Stands::File(object) => {
                if let Displaced::MoveTo(trash) = displaced {
                    self.keep_copy(path, &object, trash).await?;
                }
                self.delete_version(path, Some(&*object).filter(|_| *expect != Precondition::None)).await
            }
        }
    }

    /// Deletes an object; only this version of it, where the server can be asked for that.
    async fn delete_version(&self, path: &RelPath, object: Option<&Object>) -> Result<()> {
        let call = Call::object(Method::DELETE, path, &self.key(path)?);
        self.ahead.removed(path);
        let condition = object.filter(|_| self.conditions.are_enforced()).and_then(|object| self.matching(object));
        let Some((_, etag)) = condition else { return self.client.send(call).await.map(drop) };
        let answer = self.client.send_any(call.clone().header(header::IF_MATCH, &etag)).await?;
        match answer.status().as_u16() {
            200..=299 => Ok(()),
            409 | 412 => Err(self.error(ErrorKind::Changed, path, "somebody else has changed it meanwhile")),
            // Fewer servers know conditions on this than on writes.
            400 | 501 => self.client.send(call).await.map(drop),
            _ => Err(self.client.failure(answer, path).await),
        }
    }

    /// Removes the object that keeps an empty directory.
    pub(super) async fn remove_marker(&self, dir: &RelPath) -> Result<()> {
        self.client.send(Call::object(Method::DELETE, dir, &self.below(dir)?)).await.map(drop)
    }
}
