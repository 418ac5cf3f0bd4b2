//! What one place in a tree holds.

use std::fmt;

/// A point in time: seconds since 1970-01-01 UTC (negative before) and nanoseconds, 0 to 999,999,999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time {
    /// Whole seconds, rounded down.
    pub secs: i64,
    /// The rest, in nanoseconds.
    pub nanos: u32,
}

impl Time {
    /// The time `secs` and `nanos` after 1970 began.
    pub const fn new(secs: i64, nanos: u32) -> Self {
        Self { secs, nanos }
    }

    /// Nanoseconds since 1970.
    pub fn as_nanos(self) -> i128 {
        i128::from(self.secs) * 1_000_000_000 + i128::from(self.nanos)
    }

    /// Whether both are the same moment for clocks that tick every `precision` nanoseconds: equal once both are
    /// rounded down to it. A store that rounds up is off by one tick, which is accepted too.
    pub fn same_within(self, other: Self, precision: u64) -> bool {
        if self == other {
            return true;
        }
        precision > 1 && (self.as_nanos() - other.as_nanos()).unsigned_abs() < u128::from(precision)
    }
}

/// What kind of thing an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link; its target is kept as raw bytes.
    Symlink,
    /// Something that is there but cannot be told or handled: never treated as absent.
    Unknown,
}

/// Why an entry is [`Kind::Unknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Unknown {
    /// It could not be read: permissions or an I/O error.
    Unreadable,
    /// A fifo, socket or device: seen, never opened.
    Special,
    /// Its name or value cannot be represented.
    Unrepresentable,
}

/// A BLAKE3 hash of a file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a file's metadata says, as far as its store keeps it; a field that the store does not keep is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meta {
    /// When the content was last modified.
    pub mtime: Time,
    /// Permission bits: the lower twelve of POSIX `st_mode`.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// A digest of the extended attributes; 0 when there are none or they were not asked for.
    pub xattrs: u64,
}

impl Meta {
    /// With what is 0, and so was not told, as `told` has it.
    #[must_use]
    pub fn or(self, told: &Self) -> Self {
        let untold_owner = (self.uid, self.gid) == (0, 0);
        Self {
            mtime: if self.mtime == Time::default() { told.mtime } else { self.mtime },
            mode: if self.mode == 0 { told.mode } else { self.mode },
            uid: if untold_owner { told.uid } else { self.uid },
            gid: if untold_owner { told.gid } else { self.gid },
            xattrs: if self.xattrs == 0 { told.xattrs } else { self.xattrs },
        }
    }
}

/// What a store tells of one version of one entry, to recognise that version again. Compared **only with an earlier
/// fingerprint of the same store**, so clock skew and precision cancel out.
///
/// Two equal fingerprints mean the same version; different ones mean "look closer".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fingerprint {
    /// Size in bytes.
    pub size: u64,
    /// Modification time as the store tells it.
    pub mtime: Time,
    /// What stays with the file when it is renamed, where [`crate::SideTraits::stable_ids`] holds: the inode. Else 0.
    pub id: u64,
    /// What changes with each new version, where the store has it: ctime in nanoseconds, a digest of the ETag or
    /// version id. Else 0.
    pub change: u64,
}

impl Fingerprint {
    /// Whether both tell of the same version. A time that was not told (0) is left out where [`Fingerprint::change`] is
    /// told: listings of object stores tell a version without its time.
    pub fn same_version(&self, other: &Self) -> bool {
        let untold = self.mtime == Time::default() || other.mtime == Time::default();
        let same_time = self.mtime == other.mtime || (untold && self.change != 0);
        same_time && self.size == other.size && self.id == other.id && self.change == other.change
    }

    /// Whether both tell of the same bytes, though the entry may have been renamed or had its metadata changed
    /// meanwhile (which moves `change`).
    pub fn same_file(&self, other: &Self) -> bool {
        self.id != 0 && self.id == other.id && self.size == other.size && self.mtime == other.mtime
    }
}

/// One entry on its own, as `stat` and `list` tell it. In a [`crate::Tree`] the same facts are kept as a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// File, directory, link or unknown.
    pub kind: Kind,
    /// Size in bytes; 0 for what is not a file.
    pub size: u64,
    /// Metadata.
    pub meta: Meta,
    /// See [`Fingerprint::id`].
    pub id: u64,
    /// See [`Fingerprint::change`].
    pub change: u64,
    /// Whether a file has more than one name (hard links).
    pub linked: bool,
    /// A symbolic link's target; empty for others.
    pub target: Box<[u8]>,
    /// Why it is unknown, when it is.
    pub unknown: Option<Unknown>,
    /// The hash of the bytes, when known.
    pub content: Option<ContentHash>,
}

impl Entry {
    /// An entry of `kind` with nothing else known of it.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            size: 0,
            meta: Meta::default(),
            id: 0,
            change: 0,
            linked: false,
            target: Box::default(),
            unknown: None,
            content: None,
        }
    }

    /// An entry that is there but unknown, for `why`.
    pub fn unknown(why: Unknown) -> Self {
        Self { unknown: Some(why), ..Self::new(Kind::Unknown) }
    }

    /// This version's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint { size: self.size, mtime: self.meta.mtime, id: self.id, change: self.change }
    }
}
