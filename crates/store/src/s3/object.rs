//! What the headers of an answer tell of an object.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use md5::{Digest, Md5};
use sitta_tree::{Entry, Kind, Meta, Time};

/// The user metadata in which rclone keeps the modification time: seconds since 1970 with up to nine decimals.
const MTIME: &str = "x-amz-meta-mtime";
/// The user metadata in which rclone keeps the permissions: `st_mode` in octal.
const MODE: &str = "x-amz-meta-mode";
/// The permissions of what has none told.
pub(super) const DEFAULT_MODE: u32 = 0o644;
/// What a copy that replaces metadata has to tell again.
const KEPT: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::EXPIRES,
];

/// An object, as HEAD or GET tell it.
#[derive(Debug, Clone)]
pub(super) struct Object {
    /// Without its quotes.
    pub etag: Option<String>,
    pub size: u64,
    /// When the server got it.
    modified: Time,
    /// The modification time that it was told to keep.
    pub mtime: Option<Time>,
    mode: Option<u32>,
    headers: HeaderMap,
}

impl Object {
    /// From an answer's headers; `size` is the whole object's.
    pub fn new(headers: &HeaderMap, size: u64) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let modified = text("last-modified").and_then(|text| httpdate::parse_http_date(text).ok());
        Self {
            etag: text("etag").map(|etag| bare(etag).to_owned()).filter(|etag| !etag.is_empty()),
            size,
            modified: modified.map(time_of).unwrap_or_default(),
            mtime: text(MTIME).and_then(parse_time),
            mode: text(MODE).and_then(parse_mode),
            headers: headers.clone(),
        }
    }

    /// As `stat` tells it.
    pub fn entry(&self) -> Entry {
        let meta = Meta {
            mtime: self.mtime.unwrap_or(self.modified),
            mode: self.mode.unwrap_or(DEFAULT_MODE),
            ..Meta::default()
        };
        let change = version(self.etag.as_deref(), self.modified, self.size);
        Entry { size: self.size, meta, change, ..Entry::new(Kind::File) }
    }

    /// What it was told to keep; 0 where it was not.
    pub fn told(&self) -> Meta {
        Meta { mtime: self.mtime.unwrap_or(self.modified), mode: self.mode.unwrap_or_default(), ..Meta::default() }
    }

    /// The headers that a copy of it with this metadata needs.
    pub fn headers_with(&self, meta: &Meta) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in KEPT {
            headers.extend(self.headers.get(&name).map(|value| (name, value.clone())));
        }
        let own = self.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-amz-meta-"));
        headers.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        headers.extend(meta_headers(meta, true));
        headers.extend(self.placing());
        headers
    }

    /// What every copy of it needs, so that it is kept in the same way.
    pub fn placing(&self) -> HeaderMap {
        let class = HeaderName::from_static("x-amz-storage-class");
        let mut headers = HeaderMap::new();
        headers.extend(self.headers.get(&class).map(|value| (class, value.clone())));
        headers
    }
}

/// The headers that tell the metadata. A mode of 0 was not told, unless `literal`.
pub(super) fn meta_headers(meta: &Meta, literal: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = |text: String| HeaderValue::try_from(text).expect("digits");
    headers.insert(HeaderName::from_static(MTIME), value(show_time(meta.mtime)));
    if meta.mode != 0 || literal {
        headers.insert(HeaderName::from_static(MODE), value(format!("{:o}", 0o100_000 | meta.mode)));
    }
    headers
}

/// What tells a version from others: a digest of the ETag, or, of a server that has none, of time and size.
pub(super) fn version(etag: Option<&str>, modified: Time, size: u64) -> u64 {
    let hash = match etag {
        Some(etag) => blake3::hash(etag.as_bytes()),
        None => blake3::hash(format!("{}/{size}", modified.secs).as_bytes()),
    };
    let first: [u8; 8] = hash.as_bytes()[..8].try_into().expect("eight bytes");
    u64::from_le_bytes(first).max(1)
}

/// An ETag without quotes and the mark of a weak one.
pub(super) fn bare(etag: &str) -> &str {
    etag.trim().trim_start_matches("W/").trim_matches('"')
}

/// An MD5, in the two ways that S3 writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum(pub [u8; 16]);

impl Sum {
    pub fn of<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> Self {
        let mut md5 = Md5::new();
        pieces.into_iter().for_each(|piece| md5.update(piece));
        Self(md5.finalize().into())
    }

    /// As Content-MD5 wants it.
    pub fn base64(self) -> String {
        base64::engine::general_purpose::STANDARD.encode(self.0)
    }

    /// As an ETag has it.
    pub fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether the ETag in an answer to a PUT is of other bytes. Encrypted objects have ETags that are no MD5.
    pub fn contradicts(self, headers: &HeaderMap, etag: &str) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let encrypted = text("x-amz-server-side-encryption").starts_with("aws:")
            || !text("x-amz-server-side-encryption-customer-algorithm").is_empty();
        let is_md5 = etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_md5 && !encrypted && !etag.eq_ignore_ascii_case(&self.hex())
    }
}

pub(super) fn time_of(time: SystemTime) -> Time {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => Time::new(since.as_secs() as i64, since.subsec_nanos()),
        Err(before) => {
            let nanos = -(before.duration().as_nanos() as i128);
            Time::new(nanos.div_euclid(1_000_000_000) as i64, nanos.rem_euclid(1_000_000_000) as u32)
        }
    }
}

/// Seconds since 1970 with the decimals that it takes.
fn show_time(time: Time) -> String {
    let nanos = time.as_nanos();
    let sign = if nanos < 0 { "-" } else { "" };
    let (secs, rest) = (nanos.unsigned_abs() / 1_000_000_000, nanos.unsigned_abs() % 1_000_000_000);
    match rest {
        0 => format!("{sign}{secs}"),
        _ => format!("{sign}{secs}.{}", format!("{rest:09}").trim_end_matches('0')),
    }
}

fn parse_time(text: &str) -> Option<Time> {
    let text = text.trim();
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (secs, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let digits_only = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if secs.is_empty() || !digits_only(secs) || !digits_only(decimals) {
        return None;
    }
    let nanos: i128 = format!("{:0<9.9}", decimals).parse().ok()?;
    let nanos = i128::from(secs.parse::<i64>().ok()?) * 1_000_000_000 + nanos;
    let nanos = if negative { -nanos } else { nanos };
    let secs = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
    Some(Time::new(secs, nanos.rem_euclid(1_000_000_000) as u32))
}

/// Octal, as rclone writes it, or decimal, as s3fs does; told apart by the file type in it.
fn parse_mode(text: &str) -> Option<u32> {
    let regular = |mode: &u32| mode & 0o170_000 == 0o100_000;
    let octal = u32::from_str_radix(text, 8).ok().filter(|mode| regular(mode) || mode & !0o7777 == 0);
    let mode = octal.or_else(|| text.parse().ok().filter(regular))?;
    Some(mode & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_rclone_writes_them() {
        for (text, secs, nanos) in [
            ("0", 0, 0),
            ("1600000000.5", 1_600_000_000, 500_000_000),
            ("1600000001.000000001", 1_600_000_001, 1),
            ("-1.5", -2, 500_000_000),
            ("-3", -3, 0),
        ] {
            assert_eq!(parse_time(text), Some(Time::new(secs, nanos)), "{text}");
            assert_eq!(show_time(Time::new(secs, nanos)), text);
        }
        assert_eq!(parse_time("1600000000.123456789123"), Some(Time::new(1_600_000_000, 123_456_789)));
        for odd in ["", "x", ".5", "1e9", "--1", "1.2.3", "99999999999999999999"] {
            assert_eq!(parse_time(odd), None, "{odd}");
        }
    }

    #[test]
    fn modes_of_rclone_and_s3fs() {
        for (text, mode) in
            [("100644", 0o644), ("104755", 0o4755), ("33188", 0o644), ("33152", 0o600), ("755", 0o755)]
        {
            assert_eq!(parse_mode(text), Some(mode), "{text}");
        }
        assert_eq!((parse_mode("40755"), parse_mode("x")), (None, None));
    }

    #[test]
    fn etags_and_sums() {
        assert_eq!((bare("\"abc-2\""), bare("W/\"x\""), bare("plain")), ("abc-2", "x", "plain"));
        let sum = Sum::of([&b"ab"[..], b"c"]);
        assert_eq!(
            (sum.hex(), sum.base64()),
            ("900150983cd24fb0d6963f7d28e17f72".into(), "kAFQmDzST7DWlj99KOF/cg==".into())
        );
        let plain = HeaderMap::new();
        assert!(!sum.contradicts(&plain, &sum.hex().to_uppercase()) && !sum.contradicts(&plain, "opaque"));
        assert!(sum.contradicts(&plain, "00000000000000000000000000000000"));
        let mut encrypted = HeaderMap::new();
        encrypted.insert("x-amz-server-side-encryption", HeaderValue::from_static("aws:kms"));
        assert!(!sum.contradicts(&encrypted, "00000000000000000000000000000000"));
    }
}
