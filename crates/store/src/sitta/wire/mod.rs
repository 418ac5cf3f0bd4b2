//! What a sitta and its server say to each other, as JSON.
//!
//! A name or path is a string where it is UTF-8, and else an object with its bytes in hexadecimal.

mod change;
mod chunks;
mod outcome;
mod share;
mod tree;
mod xattrs;

use serde::{Deserialize, Serialize};
use sitta_tree::{ContentHash, Entry, Fingerprint, Kind, Meta, RelPath, Time, Unknown};

pub use self::change::{WireChange, WireExpect, WireWhat, displaced};
pub(crate) use self::chunks::told;
pub use self::chunks::{CHUNKS, Nodes};
pub use self::outcome::{Outcome, Refusal, kind_name};
pub use self::share::WireShare;
pub use self::tree::{TreeLine, WireProblem};
pub use self::xattrs::WireXattrs;

/// Bytes that are text, mostly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// They are UTF-8.
    Plain(String),
    /// They are not.
    Raw {
        /// The bytes, two hexadecimal digits each.
        hex: String,
    },
}

/// Something that was said makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Odd(pub String);

impl Text {
    /// Says these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Plain(text.to_owned()),
            Err(_) => Self::Raw { hex: hex(bytes) },
        }
    }

    /// The bytes that were said.
    pub fn bytes(&self) -> Result<Vec<u8>, Odd> {
        match self {
            Self::Plain(text) => Ok(text.as_bytes().to_vec()),
            Self::Raw { hex } => unhex(hex).ok_or_else(|| Odd("not hexadecimal".into())),
        }
    }

    /// The path that was said.
    pub fn path(&self) -> Result<RelPath, Odd> {
        RelPath::new(self.bytes()?).map_err(|error| Odd(error.to_string()))
    }
}

impl From<&RelPath> for Text {
    fn from(path: &RelPath) -> Self {
        Self::new(path.as_bytes())
    }
}

/// Two hexadecimal digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(|pair| if pair.len() == 2 { byte(pair) } else { None }).collect()
}

/// A version of an entry in one word; the server's own business, but a sitta client reads it.
/// `size-seconds.nanoseconds-id-change`, in hexadecimal but for the seconds.
pub fn tag(version: &Fingerprint) -> String {
    let Fingerprint { size, mtime, id, change } = version;
    format!("{size:x}-{}.{:x}-{id:x}-{change:x}", mtime.secs, mtime.nanos)
}

/// The version that a word of [`tag`] stands for.
pub fn untag(text: &str) -> Option<Fingerprint> {
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let (size, rest) = text.split_once('-')?;
    let (rest, change) = rest.rsplit_once('-')?;
    let (time, id) = rest.rsplit_once('-')?;
    let (secs, nanos) = time.split_once('.')?;
    let nanos = u32::from_str_radix(nanos, 16).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    let mtime = Time::new(secs.parse().ok()?, nanos);
    Some(Fingerprint { size: number(size)?, mtime, id: number(id)?, change: number(change)? })
}

/// A point in time: seconds since 1970 and nanoseconds.
pub type Moment = (i64, u32);

/// An entry's metadata; what is 0 is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WireMeta {
    /// When it was last modified.
    pub mtime: Moment,
    /// Permission bits.
    #[serde(default)]
    pub mode: u32,
    /// Numeric owner.
    #[serde(default)]
    pub uid: u32,
    /// Numeric group.
    #[serde(default)]
    pub gid: u32,
    /// A digest of the extended attributes; told where they were asked for.
    #[serde(default, skip_serializing_if = "is_none")]
    pub xattrs: u64,
}

impl From<&Meta> for WireMeta {
    fn from(meta: &Meta) -> Self {
        let Meta { mtime, mode, uid, gid, xattrs } = *meta;
        Self { mtime: (mtime.secs, mtime.nanos), mode, uid, gid, xattrs }
    }
}

impl From<&WireMeta> for Meta {
    fn from(wire: &WireMeta) -> Self {
        let mtime = Time::new(wire.mtime.0, wire.mtime.1.min(999_999_999));
        Self { mtime, mode: wire.mode & 0o7777, uid: wire.uid, gid: wire.gid, xattrs: wire.xattrs }
    }
}

/// What kind of thing stands somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireKind {
    /// A file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// It could not be read.
    Unreadable,
    /// A fifo, socket or device.
    Special,
    /// It cannot be told.
    Unrepresentable,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireEntry {
    /// What it is.
    pub kind: WireKind,
    /// Its version; see [`tag`].
    pub version: String,
    /// Metadata.
    pub meta: WireMeta,
    /// Whether a file has more names than this one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub linked: bool,
    /// Where a symbolic link points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Text>,
    /// The BLAKE3 hash of its bytes in hexadecimal, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_none(digest: &u64) -> bool {
    *digest == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_false(value: &bool) -> bool {
    !value
}

impl From<&Entry> for WireEntry {
    fn from(entry: &Entry) -> Self {
        let kind = match (entry.kind, entry.unknown) {
            (Kind::File, _) => WireKind::File,
            (Kind::Dir, _) => WireKind::Dir,
            (Kind::Symlink, _) => WireKind::Symlink,
            (Kind::Unknown, Some(Unknown::Special)) => WireKind::Special,
            (Kind::Unknown, Some(Unknown::Unrepresentable)) => WireKind::Unrepresentable,
            (Kind::Unknown, _) => WireKind::Unreadable,
        };
        Self {
            kind,
            version: tag(&entry.fingerprint()),
            meta: (&entry.meta).into(),
            linked: entry.linked,
            target: (entry.kind == Kind::Symlink).then(|| Text::new(&entry.target)),
            content: entry.content.map(|content| content.to_string()),
        }
    }
}

impl WireEntry {
    /// The entry that was told.
    pub fn entry(&self) -> Result<Entry, Odd> {
        let version = untag(&self.version).ok_or_else(|| Odd(format!("'{}' is no version", self.version)))?;
        let (kind, unknown) = match self.kind {
            WireKind::File => (Kind::File, None),
            WireKind::Dir => (Kind::Dir, None),
            WireKind::Symlink => (Kind::Symlink, None),
            WireKind::Unreadable => (Kind::Unknown, Some(Unknown::Unreadable)),
            WireKind::Special => (Kind::Unknown, Some(Unknown::Special)),
            WireKind::Unrepresentable => (Kind::Unknown, Some(Unknown::Unrepresentable)),
        };
        let target = self.target.as_ref().map(Text::bytes).transpose()?.unwrap_or_default();
        Ok(Entry {
            size: version.size,
            meta: (&self.meta).into(),
            id: version.id,
            change: version.change,
            linked: self.linked,
            target: target.into(),
            unknown,
            content: self.content.as_deref().and_then(content),
            ..Entry::new(kind)
        })
    }
}

/// The hash that 64 hexadecimal digits stand for.
pub fn content(text: &str) -> Option<ContentHash> {
    unhex(text)?.try_into().ok().map(ContentHash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_back_as_they_went() {
        let versions = [
            Fingerprint::default(),
            Fingerprint { size: u64::MAX, mtime: Time::new(-5, 999_999_999), id: 7, change: u64::MAX },
            Fingerprint { size: 1, mtime: Time::new(1_700_000_000, 1), id: u64::MAX, change: 0 },
        ];
        for version in versions {
            assert_eq!(untag(&tag(&version)), Some(version), "{}", tag(&version));
        }
        for odd in ["", "1-2-3", "1-2.3-4", "x-1.0-0-0", "1-1.ffffffff-0-0"] {
            assert_eq!(untag(odd), None, "{odd}");
        }
    }

    #[test]
    fn any_name_can_be_said() {
        for name in [&b"a b"[..], "\u{e9}".as_bytes(), b"\xff\n", b""] {
            let said = serde_json::to_string(&Text::new(name)).unwrap();
            assert_eq!(serde_json::from_str::<Text>(&said).unwrap().bytes().unwrap(), name, "{said}");
        }
        assert!(serde_json::from_str::<Text>("{\"hex\":\"f\"}").unwrap().bytes().is_err());
        assert!(Text::Plain("../a".into()).path().is_err());
    }
}
