//! What a server tells of a file, in the three forms that it comes in: on opening, on closing, in listings.

use sitta_tree::{Entry, Fingerprint, Kind, Meta, Time, Unknown};
use smb2::ReparseTag;
use smb2::msg::close::CloseResponse;
use smb2::msg::create::CreateResponse;
use smb2::types::flags::FileAttributes;

use super::names::local_name;

/// From 1601 to 1970, in ticks of 100 ns.
const TO_1970: i128 = 116_444_736_000_000_000;

/// A time in ticks since 1601, rounded down; none if it lies outside what they can count.
pub(super) fn ticks(time: Time) -> Option<u64> {
    u64::try_from(time.as_nanos().div_euclid(100) + TO_1970).ok()
}

fn time(ticks: u64) -> Time {
    let since = i128::from(ticks) - TO_1970;
    let secs = i64::try_from(since.div_euclid(10_000_000)).unwrap_or_default();
    Time::new(secs, u32::try_from(since.rem_euclid(10_000_000) * 100).unwrap_or_default())
}

/// Nanoseconds since 1601, wrapping: only ever compared for equality.
fn change(ticks: u64) -> u64 {
    ticks.wrapping_mul(100)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// What every form tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub size: u64,
    written: u64,
    changed: u64,
    attributes: u32,
}

impl Facts {
    pub fn of_opened(opened: &CreateResponse) -> Self {
        Self {
            size: opened.end_of_file,
            written: opened.last_write_time.0,
            changed: opened.change_time.0,
            attributes: opened.file_attributes,
        }
    }

    pub fn of_closed(closed: &CloseResponse) -> Self {
        Self {
            size: closed.end_of_file,
            written: closed.last_write_time.0,
            changed: closed.change_time.0,
            attributes: closed.file_attributes,
        }
    }

    /// Whether both tell of the same version.
    pub fn same_version(&self, other: &Self) -> bool {
        (self.size, self.written, self.changed) == (other.size, other.written, other.changed)
    }

    /// Whether this is the version that is meant, as far as can be told without its id.
    pub fn is(&self, version: &Fingerprint) -> bool {
        let same_time = version.mtime == Time::default() || version.mtime == time(self.written);
        let same_change = version.change == 0 || version.change == change(self.changed);
        self.size == version.size && same_time && same_change
    }

    pub fn meta(&self) -> Meta {
        Meta { mtime: time(self.written), ..Meta::default() }
    }

    pub fn is_reparse_point(&self) -> bool {
        self.attributes & FileAttributes::REPARSE_POINT != 0
    }

    pub fn entry(&self, id: u64, tag: Option<ReparseTag>) -> Entry {
        if self.is_reparse_point() && !tag.is_some_and(is_plain) {
            return Entry { id, ..Entry::unknown(Unknown::Special) };
        }
        let dir = self.attributes & FileAttributes::DIRECTORY != 0;
        Entry {
            size: if dir { 0 } else { self.size },
            meta: self.meta(),
            id,
            change: change(self.changed),
            ..Entry::new(if dir { Kind::Dir } else { Kind::File })
        }
    }
}

/// Reparse points that read and write as ordinary files: those of storage filters. All others are links or devices.
fn is_plain(tag: ReparseTag) -> bool {
    tag.is_cloud() || matches!(tag, ReparseTag::DEDUP | ReparseTag::WOF | ReparseTag::STORAGE_SYNC)
}

/// The part of a directory's entry before its name ([MS-FSCC] 2.4.22, FileIdBothDirectoryInformation).
const BEFORE_NAME: usize = 104;

/// The entries of one answer to a directory's query, without `.` and `..`; none if they are not well-formed.
pub(super) fn listed(mut buffer: &[u8], ids: bool) -> Option<Vec<(Box<[u8]>, Entry)>> {
    let mut entries = Vec::with_capacity(buffer.len() / 128);
    while !buffer.is_empty() {
        let next = u32_at(buffer, 0)? as usize;
        let len = u32_at(buffer, 60)? as usize;
        let units = buffer.get(BEFORE_NAME..BEFORE_NAME.checked_add(len)?)?;
        let wire: Vec<u16> = units.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let facts = Facts {
            written: u64_at(buffer, 24)?,
            changed: u64_at(buffer, 32)?,
            size: u64_at(buffer, 40)?,
            attributes: u32_at(buffer, 56)?,
        };
        let id = if ids { u64_at(buffer, 96)? } else { 0 };
        // Where extended attributes are counted stands the tag of a reparse point instead.
        let tag = u32_at(buffer, 64).map(ReparseTag);
        match wire[..] {
            [0x2e] | [0x2e, 0x2e] => {}
            _ => entries.push(match local_name(&wire) {
                Ok(name) => (name, facts.entry(id, tag)),
                Err(shown) => (shown, Entry::unknown(Unknown::Unrepresentable)),
            }),
        }
        if next == 0 {
            break;
        }
        // An offset that leads nowhere or back would be read for ever.
        buffer = buffer.get(next.max(BEFORE_NAME)..)?;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        for (secs, nanos) in [(0, 0), (1_600_000_000, 123_456_700), (-1, 999_999_900), (1 << 33, 100)] {
            let at = Time::new(secs, nanos);
            assert_eq!(time(ticks(at).expect("SMB can count it")), at);
        }
        assert_eq!(ticks(Time::new(0, 99)), ticks(Time::new(0, 0)), "rounded down");
        assert_eq!(ticks(Time::new(-12_000_000_000, 0)), None, "before 1601");
        assert!(time(u64::MAX).secs > 0);
    }

    fn entry(name: &str, next: u32, attributes: u32, tag: u32) -> Vec<u8> {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut bytes = vec![0; BEFORE_NAME];
        bytes[0..4].copy_from_slice(&next.to_le_bytes());
        bytes[40] = 7;
        bytes[56..60].copy_from_slice(&attributes.to_le_bytes());
        bytes[60..64].copy_from_slice(&(name.len() as u32).to_le_bytes());
        bytes[64..68].copy_from_slice(&tag.to_le_bytes());
        bytes[96] = 9;
        bytes.extend(name);
        bytes
    }

    #[test]
    fn listings_are_read() {
        let mut buffer = entry(".", 112, 0x10, 0);
        buffer.resize(112, 0);
        buffer.extend(entry("junction", 120, 0x410, 0xa000_0003));
        buffer.extend(entry("deduped", 0, 0x420, 0x8000_0013));
        let listed = listed(&buffer, true).expect("well-formed");
        let kinds: Vec<_> =
            listed.iter().map(|(name, entry)| (&**name, entry.kind, entry.size, entry.id)).collect();
        assert_eq!(kinds, [(&b"junction"[..], Kind::Unknown, 0, 9), (b"deduped", Kind::File, 7, 9)]);
    }

    #[test]
    fn hostile_listings_end() {
        let whole = entry("name", 0, 0, 0);
        for len in 1..whole.len() {
            assert_eq!(listed(&whole[..len], true), None, "cut at {len}");
        }
        assert_eq!(listed(&[], true), Some(Vec::new()));
        let mut looping = entry("name", 1, 0, 0);
        looping.extend([0; 300]);
        let _ = listed(&looping, true);
        let mut long = entry("name", 0, 0, 0);
        long[60..64].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(listed(&long, true), None);
    }
}
