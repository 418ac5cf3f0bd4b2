//! Looking at single objects, and reading them.

use std::ops::Range;

use futures::stream::{self, StreamExt};
use http::{HeaderMap, Method, header};
use reqwest::Response;
use sitta_tree::{Entry, Fingerprint, Kind, RelPath};

use super::S3Store;
use super::client::Call;
use super::list::Holds;
use super::object::Object;
use crate::{ByteStream, ErrorKind, Fetched, Precondition, Result};

/// What stands at a path.
#[derive(Debug, Clone)]
pub(super) enum Stands {
    Nothing,
    File(Box<Object>),
    /// A directory, and what it holds.
    Dir(Holds),
}

impl Stands {
    pub fn entry(&self) -> Option<Entry> {
        match self {
            Self::Nothing => None,
            Self::File(object) => Some(object.entry()),
            Self::Dir(_) => Some(Entry::new(Kind::Dir)),
        }
    }
}

impl S3Store {
    /// HEAD: the object of exactly this path.
    pub(super) async fn head(&self, path: &RelPath) -> Result<Option<Object>> {
        let key = self.key(path)?;
        let answer = self.client.send_any(Call::object(Method::HEAD, path, &key)).await?;
        match answer.status().as_u16() {
            200..=299 => Ok(Some(Object::new(answer.headers(), length(answer.headers())))),
            404 => Ok(None),
            500..=599 => Err(self.client.failure(answer, path).await),
            // HEAD has no words: the same question as a GET does.
            _ => {
                let get = Call::object(Method::GET, path, &key).header(header::RANGE, "bytes=0-0");
                match self.client.send(get).await {
                    Err(error) => Err(error),
                    Ok(_) => Err(self.client.failure(answer, path).await),
                }
            }
        }
    }

    /// What stands at the path: one request for a file, two for anything else.
    pub(super) async fn stands(&self, path: &RelPath) -> Result<Stands> {
        if let Some(object) = self.head(path).await? {
            return Ok(Stands::File(Box::new(object)));
        }
        Ok(match self.holds(path).await? {
            Holds::Nothing => Stands::Nothing,
            holds => Stands::Dir(holds),
        })
    }

    /// What stands at the path of a change, if it is what was expected.
    pub(super) async fn expected(&self, path: &RelPath, expect: &Precondition) -> Result<Stands> {
        let stands = self.stands(path).await?;
        match expect.admits(stands.entry().as_ref()) {
            true => Ok(stands),
            false => Err(self.error(ErrorKind::Changed, path, "it is not what was expected")),
        }
    }

    /// As `expected`, and a file must stand there.
    pub(super) async fn expected_file(&self, path: &RelPath, expect: &Precondition) -> Result<Object> {
        match self.expected(path, expect).await? {
            Stands::File(object) => Ok(*object),
            Stands::Nothing => Err(self.error(ErrorKind::NotFound, path, "nothing stands there")),
            Stands::Dir(_) => {
                Err(self.error(ErrorKind::Unsupported, path, "S3 keeps no directories, only what they hold"))
            }
        }
    }

    pub(super) async fn read_range(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        if range.is_empty() {
            self.must_be_file(path).await?;
            return Ok(stream::empty().boxed());
        }
        match self.get(path, &range).await? {
            Some(answer) => Ok(self.window(answer, path, &range)),
            None => Ok(stream::empty().boxed()),
        }
    }

    pub(super) async fn fetch_version(
        &self,
        path: &RelPath,
        version: &Fingerprint,
        offset: u64,
    ) -> Result<Fetched> {
        let range = offset..u64::MAX;
        // There is nothing to get behind the end, and no version is told with it.
        let (object, bytes) = match self.get(path, &range).await? {
            Some(answer) => {
                (Object::new(answer.headers(), whole_length(&answer)), self.window(answer, path, &range))
            }
            None => (self.must_be_file(path).await?, stream::empty().boxed()),
        };
        let entry = object.entry();
        let meant =
            Fingerprint { change: if version.change == 0 { entry.change } else { version.change }, ..*version };
        if !entry.fingerprint().same_version(&meant) {
            return Err(self.error(ErrorKind::Changed, path, "it is another version by now"));
        }
        Ok(Fetched { bytes, meta: Some(object.told()), pinned: true })
    }

    async fn must_be_file(&self, path: &RelPath) -> Result<Object> {
        match self.head(path).await? {
            Some(object) => Ok(object),
            None => Err(self.no_file(path).await),
        }
    }

    /// Why there is no object at the path.
    async fn no_file(&self, path: &RelPath) -> crate::Error {
        match self.holds(path).await {
            Ok(Holds::Nothing) => self.error(ErrorKind::NotFound, path, "nothing stands there"),
            Ok(_) => self.error(ErrorKind::IsADirectory, path, "it is a directory"),
            Err(error) => error,
        }
    }

    /// GET; none where the range begins behind the end.
    async fn get(&self, path: &RelPath, range: &Range<u64>) -> Result<Option<Response>> {
        let mut call = Call::object(Method::GET, path, &self.key(path)?);
        if *range != (0..u64::MAX) {
            let last = if range.end == u64::MAX { String::new() } else { (range.end - 1).to_string() };
            call = call.header(header::RANGE, &format!("bytes={}-{last}", range.start));
        }
        let answer = self.client.send_any(call).await?;
        match answer.status().as_u16() {
            200..=299 => Ok(Some(answer)),
            416 => Ok(None),
            404 => Err(self.no_file(path).await),
            _ => Err(self.client.failure(answer, path).await),
        }
    }

    /// The bytes that were asked for, though the server may have sent all there are.
    fn window(&self, answer: Response, path: &RelPath, range: &Range<u64>) -> ByteStream {
        // Not all that send a part say so by the status.
        let whole = !answer.headers().contains_key(header::CONTENT_RANGE);
        let bytes = self.client.web().bytes(answer, path);
        if !whole || *range == (0..u64::MAX) {
            return bytes;
        }
        let (mut skip, mut left) = (range.start, range.end - range.start);
        let cut = bytes.map(move |piece| {
            piece.map(|mut piece| {
                let skipped = skip.min(piece.len() as u64);
                skip -= skipped;
                let mut piece = piece.split_off(skipped as usize);
                piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                left -= piece.len() as u64;
                piece
            })
        });
        cut.boxed()
    }
}

fn length(headers: &HeaderMap) -> u64 {
    headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or_default()
}

/// The size of the whole object that an answer holds a part of.
fn whole_length(answer: &Response) -> u64 {
    let range = answer.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let total = range.and_then(|range| range.rsplit_once('/')?.1.parse().ok());
    total.unwrap_or_else(|| length(answer.headers()))
}
