//! What a sitta and its server say to each other, as JSON.
//!
//! A name or path is a string where it is UTF-8, and else an object with its bytes in hexadecimal.

use serde::{Deserialize, Serialize};
use sitta_tree::{
    ContentHash, Entry, Fingerprint, Kind, Meta, Problem, ProblemKind, RelPath, SideTraits, Time, Unknown,
};

use crate::{Capabilities, Displaced, Error, ErrorKind, Precondition};

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

fn unhex(text: &str) -> Option<Vec<u8>> {
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
}

impl From<&Meta> for WireMeta {
    fn from(meta: &Meta) -> Self {
        let Meta { mtime, mode, uid, gid, .. } = *meta;
        Self { mtime: (mtime.secs, mtime.nanos), mode, uid, gid }
    }
}

impl From<&WireMeta> for Meta {
    fn from(wire: &WireMeta) -> Self {
        let mtime = Time::new(wire.mtime.0, wire.mtime.1.min(999_999_999));
        Self { mtime, mode: wire.mode & 0o7777, uid: wire.uid, gid: wire.gid, xattrs: 0 }
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

/// What a share can do, for whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireShare {
    /// Its name.
    pub name: String,
    /// Whoever asks may write to it.
    pub writable: bool,
    /// The tick of its times in nanoseconds; 0 when it keeps none.
    pub mtime_precision: u64,
    /// It keeps permission bits.
    pub modes: bool,
    /// It keeps owners.
    pub owners: bool,
    /// It keeps symbolic links.
    pub symlinks: bool,
    /// It keeps empty directories.
    pub dirs: bool,
    /// Several spellings are one name to it.
    pub folds_names: bool,
    /// A file's id stays when it is renamed.
    pub stable_ids: bool,
    /// It renames without a transfer.
    pub rename: bool,
    /// It enforces preconditions in the same step as a change.
    pub atomic_preconditions: bool,
    /// It keeps hard links.
    pub hard_links: bool,
    /// Its listings tell metadata.
    pub lists_meta: bool,
    /// It tells of changes while they happen.
    pub watch: bool,
    /// What tells its root from another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

impl WireShare {
    /// Tells of a store.
    pub fn new(name: &str, capabilities: &Capabilities, writable: bool, watch: bool) -> Self {
        let Capabilities { traits, rename, atomic_preconditions, hard_links, lists_meta, .. } = *capabilities;
        Self {
            name: name.to_owned(),
            writable: writable && capabilities.writable,
            mtime_precision: traits.mtime_precision,
            modes: traits.modes,
            owners: traits.owners,
            symlinks: traits.symlinks,
            dirs: traits.dirs,
            folds_names: traits.folds_names,
            stable_ids: traits.stable_ids,
            rename,
            atomic_preconditions,
            hard_links,
            lists_meta,
            watch,
            identity: None,
        }
    }

    /// What it keeps, for decisions. Extended attributes are not sent.
    pub fn traits(&self) -> SideTraits {
        SideTraits {
            mtime_precision: self.mtime_precision,
            modes: self.modes,
            owners: self.owners,
            xattrs: false,
            symlinks: self.symlinks,
            dirs: self.dirs,
            folds_names: self.folds_names,
            stable_ids: self.stable_ids,
        }
    }
}

/// One line of a whole tree: directories come before what they hold, and what they hold right behind them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeLine {
    /// An entry.
    Entry {
        /// How many directories it lies below; 0 for what stands in the root. The root itself has no name.
        depth: u16,
        /// Its name.
        name: Text,
        /// A directory of which not all could be listed.
        #[serde(default, skip_serializing_if = "is_false")]
        incomplete: bool,
        /// What it is.
        is: WireEntry,
    },
    /// What could not be seen.
    Problem(WireProblem),
    /// Where somebody's temporary stands.
    Temp(Text),
    /// The last line, with how many entries there were; without it the listing was cut off.
    End(u64),
}

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireProblem {
    /// Where.
    pub path: Text,
    /// What sort; see [`ProblemKind::name`].
    pub kind: String,
    /// For a person.
    pub message: String,
}

impl From<&Problem> for WireProblem {
    fn from(problem: &Problem) -> Self {
        Self {
            path: (&problem.path).into(),
            kind: problem.kind.name().to_owned(),
            message: problem.message.clone(),
        }
    }
}

impl WireProblem {
    /// The problem that was told.
    pub fn problem(&self) -> Result<Problem, Odd> {
        let kind = ProblemKind::ALL.into_iter().find(|kind| kind.name() == self.kind);
        Ok(Problem::new(self.path.path()?, kind.unwrap_or(ProblemKind::Other), self.message.clone()))
    }
}

/// What must stand at a path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireExpect {
    /// Anything or nothing.
    #[default]
    Anything,
    /// Nothing.
    Absent,
    /// This version.
    Version(String),
}

impl From<&Precondition> for WireExpect {
    fn from(expect: &Precondition) -> Self {
        match expect {
            Precondition::None => Self::Anything,
            Precondition::Absent => Self::Absent,
            Precondition::Version(version) => Self::Version(tag(version)),
        }
    }
}

impl WireExpect {
    /// The precondition that was told.
    pub fn precondition(&self) -> Result<Precondition, Odd> {
        Ok(match self {
            Self::Anything => Precondition::None,
            Self::Absent => Precondition::Absent,
            Self::Version(text) => {
                Precondition::Version(untag(text).ok_or_else(|| Odd(format!("'{text}' is no version")))?)
            }
        })
    }
}

/// Where what is displaced goes; nothing: it is gone.
pub fn displaced(to: Option<&Text>) -> Result<Displaced, Odd> {
    to.map_or(Ok(Displaced::Discard), |to| Ok(Displaced::MoveTo(to.path()?)))
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireWhat {
    /// A file of so many bytes, which follow; none: all that is left of them, of the last change only.
    File(Option<u64>),
    /// A symbolic link with this target.
    Symlink(Text),
    /// A directory.
    Dir,
    /// Another name for the file at this path.
    Link(Text),
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum WireChange {
    /// Writes something.
    Write {
        /// Where.
        path: Text,
        /// What.
        what: WireWhat,
        /// With this metadata.
        #[serde(default)]
        meta: WireMeta,
        /// What must stand there.
        #[serde(default)]
        expect: WireExpect,
        /// Where that goes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        displaced: Option<Text>,
        /// The name of a temporary beside it.
        temp: String,
    },
    /// Removes something.
    Remove {
        /// Where.
        path: Text,
        /// What must stand there.
        #[serde(default)]
        expect: WireExpect,
        /// Where it goes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        displaced: Option<Text>,
    },
    /// Renames something.
    Rename {
        /// From here.
        from: Text,
        /// To there.
        to: Text,
        /// What must stand at the old path.
        #[serde(default)]
        expect: WireExpect,
    },
    /// Gives something metadata.
    SetMeta {
        /// What.
        path: Text,
        /// Which.
        meta: WireMeta,
        /// What must stand there.
        #[serde(default)]
        expect: WireExpect,
    },
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is done; what stands there now, if anything does.
    Done(Option<WireEntry>),
    /// It is not.
    Failed(Refusal),
}

/// Why something was not done (RFC 9457, `application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What sort; see [`kind_name`].
    pub kind: String,
    /// In a few words.
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// In the words of the place where it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Text>,
}

const KINDS: [(ErrorKind, &str); 16] = [
    (ErrorKind::NotFound, "not_found"),
    (ErrorKind::Denied, "denied"),
    (ErrorKind::ReadOnly, "read_only"),
    (ErrorKind::Changed, "changed"),
    (ErrorKind::NotADirectory, "not_a_directory"),
    (ErrorKind::IsADirectory, "is_a_directory"),
    (ErrorKind::NotEmpty, "not_empty"),
    (ErrorKind::Full, "full"),
    (ErrorKind::Busy, "busy"),
    (ErrorKind::Unsupported, "unsupported"),
    (ErrorKind::Corrupt, "corrupt"),
    (ErrorKind::Auth, "login"),
    (ErrorKind::Untrusted, "untrusted"),
    (ErrorKind::Unreachable, "unreachable"),
    (ErrorKind::Cancelled, "cancelled"),
    (ErrorKind::Other, "other"),
];

/// The name that an error goes by.
pub fn kind_name(kind: ErrorKind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("other", |(_, name)| name)
}

impl Refusal {
    /// The kind of error that was told.
    pub fn error_kind(&self) -> ErrorKind {
        KINDS.iter().find(|(_, name)| *name == self.kind).map_or(ErrorKind::Other, |(kind, _)| *kind)
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        Self {
            kind: kind_name(error.kind).to_owned(),
            title: error.source.to_string(),
            status: 0,
            detail: None,
            path: error.path.as_ref().map(Text::from),
        }
    }
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

    #[test]
    fn every_kind_of_error_keeps_its_name() {
        for (kind, name) in KINDS {
            let error = Error::new(kind, &"here".into(), None, "why");
            assert_eq!((kind_name(kind), Refusal::from(&error).error_kind()), (name, kind));
        }
    }
}
