//! Parts of files (RFC 9110, section 14), and what an answer says of the version that it is of.

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures::stream::StreamExt;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED,
};
use reqwest::{Response, StatusCode};
use sitta_tree::{Fingerprint, Time};

use crate::ByteStream;

/// An answer that holds the bytes of a file from some point on.
#[derive(Debug)]
pub(crate) struct Part {
    answer: Response,
    /// What was asked for.
    from: u64,
    to: u64,
    /// Where the answer begins; none if it holds nothing of the file.
    begins: Option<u64>,
    /// The size of the whole file, where it was told.
    pub total: Option<u64>,
}

/// The header that asks for a range; none if all is asked for.
pub(crate) fn span(from: u64, to: u64) -> Option<String> {
    match (from, to) {
        (0, u64::MAX) => None,
        (from, u64::MAX) => Some(format!("bytes={from}-")),
        // What is empty is asked for all the same: the file must be there.
        (from, to) => Some(format!("bytes={from}-{}", to.saturating_sub(1).max(from))),
    }
}

impl Part {
    /// Reads the headers of an answer to a request for the bytes from `from` to before `to`.
    pub fn new(answer: Response, from: u64, to: u64) -> Result<Self, String> {
        let headers = answer.headers();
        let told = text(headers, &CONTENT_RANGE).and_then(content_range);
        let (begins, total) = match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let (begins, total) = told.ok_or("the server sends a part and does not say which")?;
                let begins = begins.filter(|begins| *begins <= from).ok_or("the server sends another part")?;
                (Some(begins), total)
            }
            StatusCode::RANGE_NOT_SATISFIABLE => (None, told.and_then(|(_, total)| total)),
            _ => (Some(0), length(headers)),
        };
        Ok(Self { answer, from, to, begins, total })
    }

    /// The answer's headers.
    pub fn headers(&self) -> &HeaderMap {
        self.answer.headers()
    }

    /// What of the body is asked for: how much is to be skipped, and how much taken behind that.
    pub(super) fn cut(self) -> (Option<Response>, u64, u64) {
        let skip = self.from - self.begins.unwrap_or(self.from).min(self.from);
        let take = self.to.saturating_sub(self.from);
        (self.begins.is_some().then_some(self.answer).filter(|_| take > 0), skip, take)
    }

    /// Whether the answer is of this version, as far as it says so; and whether a strong ETag (RFC 9110, 8.8.3) does.
    pub fn is_of(&self, version: &Fingerprint) -> (bool, bool) {
        let told = Told::new(self.headers());
        let same_size = self.total.is_none_or(|total| total == version.size);
        let same_time = told.mtime.is_none_or(|mtime| version.mtime == Time::default() || mtime == version.mtime);
        let same_tag = told.change == 0 || version.change == 0 || told.change == version.change;
        let strong = told.strong && version.change != 0 && told.change == version.change;
        (same_size && same_time && same_tag, strong)
    }
}

/// What headers say of a version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    /// When it was last modified.
    pub mtime: Option<Time>,
    /// A digest of the ETag; 0 without one.
    pub change: u64,
    /// Whether the ETag says that each byte is the same.
    pub strong: bool,
}

impl Told {
    pub fn new(headers: &HeaderMap) -> Self {
        let tag = text(headers, &ETAG).unwrap_or_default();
        Self {
            mtime: text(headers, &LAST_MODIFIED).and_then(http_time),
            change: tag_digest(tag),
            strong: tag.trim().starts_with('"'),
        }
    }
}

/// A digest of an ETag: the same for its weak and its strong form, because servers (Apache) call the tag of what was
/// written a moment ago weak, and the same tag strong later. 0 for none.
pub(crate) fn tag_digest(tag: &str) -> u64 {
    let tag = tag.trim();
    let opaque = tag.strip_prefix("W/").unwrap_or(tag);
    if opaque.trim_matches('"').is_empty() {
        return 0;
    }
    let hash = blake3::hash(opaque.as_bytes());
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("32 bytes hold 8")).max(1)
}

/// A date as HTTP writes it (RFC 9110, 5.6.7).
pub(crate) fn http_time(text: &str) -> Option<Time> {
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(Time::new(i64::try_from(since.as_secs()).ok()?, 0))
}

/// A header's text.
pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).map(HeaderValue::to_str)?.ok()
}

/// What `Content-Length` says: of a HEAD too, whose answer has no body.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, &CONTENT_LENGTH)?.trim().parse().ok()
}

/// Where a part begins, and the whole size; `bytes 5-9/100`, `bytes */100`, `bytes 5-9/*`.
fn content_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let begins = range.split_once('-').and_then(|(begins, _)| begins.trim().parse().ok());
    Some((begins, total.trim().parse().ok()))
}

/// Whether the body is the file's own bytes. Some servers call a file that is compressed by its name (`.tar.gz`)
/// encoded, and send it as it is.
pub(crate) fn is_plain(headers: &HeaderMap, name: &[u8]) -> bool {
    let encoding = text(headers, &CONTENT_ENCODING).unwrap_or_default().trim().to_ascii_lowercase();
    let endings: &[&[u8]] = match encoding.trim_start_matches("x-") {
        "" | "identity" => return true,
        "gzip" => &[b".gz", b".tgz", b".svgz", b".z"],
        "compress" => &[b".z"],
        "bzip2" => &[b".bz2", b".tbz2", b".tbz"],
        "xz" => &[b".xz", b".txz"],
        "zstd" => &[b".zst", b".tzst"],
        "br" => &[b".br"],
        _ => &[],
    };
    let name = name.to_ascii_lowercase();
    endings.iter().any(|ending| name.ends_with(ending))
}

/// The `take` bytes behind the first `skip` of a stream.
pub(super) fn window(stream: ByteStream, skip: u64, take: u64) -> ByteStream {
    let state = Some((stream, skip, take));
    let cut = futures::stream::unfold(state, |state| async move {
        let (mut stream, mut skip, mut take) = state?;
        while take > 0 {
            let mut piece: Bytes = match stream.next().await? {
                Ok(piece) => piece,
                Err(error) => return Some((Err(error), None)),
            };
            let skipped = piece.split_to(piece.len().min(usize::try_from(skip).unwrap_or(usize::MAX)));
            skip -= skipped.len() as u64;
            piece.truncate(usize::try_from(take).unwrap_or(usize::MAX));
            take -= piece.len() as u64;
            if !piece.is_empty() {
                return Some((Ok(piece), Some((stream, skip, take))));
            }
        }
        None
    });
    cut.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_never_trusted() {
        assert_eq!(content_range("bytes 5-9/100"), Some((Some(5), Some(100))));
        assert_eq!(content_range("bytes */100"), Some((None, Some(100))));
        assert_eq!(content_range("bytes 5-9/*"), Some((Some(5), None)));
        for odd in ["", "bytes", "bytes 5", "items 5-9/10", "bytes -/-"] {
            assert!(content_range(odd).is_none_or(|told| told == (None, None)), "{odd}");
        }
        assert_eq!(http_time("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Time::new(784_111_777, 0)));
        assert_eq!(http_time("yesterday"), None);
        assert_eq!(tag_digest("W/\"a\""), tag_digest("\"a\""));
        assert_ne!(tag_digest("\"a\""), tag_digest("\"b\""));
        assert_eq!(tag_digest("\"\""), 0);
    }

    #[test]
    fn compressed_files_are_files_and_compressed_answers_are_not() {
        let headers =
            |encoding: &'static str| HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(encoding))]);
        assert!(is_plain(&HeaderMap::new(), b"f") && is_plain(&headers("identity"), b"f"));
        assert!(is_plain(&headers("x-gzip"), b"a.tar.GZ") && is_plain(&headers("gzip"), b"a.tgz"));
        assert!(!is_plain(&headers("gzip"), b"a.txt") && !is_plain(&headers("br"), b"a.gz"));
        assert!(!is_plain(&headers("gzip, br"), b"a.gz"));
    }

    #[tokio::test]
    async fn a_window_of_a_stream() {
        for (skip, take, wanted) in [(0, 10, "abcdefghij"), (2, 3, "cde"), (3, 4, "defg"), (9, 5, "j"), (12, 5, "")]
        {
            let pieces = ["abc", "", "def", "ghij"].map(|piece| Ok(Bytes::from(piece)));
            let got: Vec<_> = window(futures::stream::iter(pieces).boxed(), skip, take).collect().await;
            let got: Vec<u8> = got.into_iter().flat_map(|piece| piece.expect("no error")).collect();
            assert_eq!(got, wanted.as_bytes(), "{skip} {take}");
        }
    }
}
