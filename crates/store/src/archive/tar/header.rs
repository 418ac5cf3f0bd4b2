//! What a member's headers say together: its own, and those before it that extend it.

use sitta_tree::{Meta, Time};
use tokio_tar::Header;

use crate::{Xattrs, xattrs};

/// What the headers before a member say of it: POSIX pax records and GNU long names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    mtime: Option<Time>,
    uid: Option<u32>,
    gid: Option<u32>,
    /// A sparse file in one of GNU's three ways to tell that in pax records; with its size, if told.
    pub sparse: bool,
    pub real_size: Option<u64>,
    /// Sorted by name; only such as stores of ours keep.
    pub xattrs: Xattrs,
}

impl Extended {
    /// Takes over pax records. None if they are malformed.
    pub fn pax(&mut self, mut bytes: &[u8]) -> Option<()> {
        // GNU tar pads nothing, others pad with NULs.
        while let Some(digits) = bytes.iter().position(|byte| *byte == b' ') {
            let len: usize = std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()?;
            let (record, rest) = bytes.split_at_checked(len)?;
            let record = record.get(digits + 1..)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            self.record(&record[..equals], &record[equals + 1..])?;
            bytes = rest;
        }
        bytes.iter().all(|byte| *byte == 0).then_some(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let text = std::str::from_utf8(value);
        let number = || text.ok().and_then(|text| text.parse::<u64>().ok());
        match key {
            // An empty value takes back what was said.
            b"path" => self.path = Some(value.to_vec()).filter(|value| !value.is_empty()),
            b"linkpath" => self.link = Some(value.to_vec()).filter(|value| !value.is_empty()),
            b"size" => self.size = Some(number()?),
            b"mtime" => self.mtime = Some(decimal(text.ok()?)?),
            b"uid" => self.uid = number().and_then(|id| id.try_into().ok()),
            b"gid" => self.gid = number().and_then(|id| id.try_into().ok()),
            b"GNU.sparse.name" => self.path = Some(value.to_vec()),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.real_size = Some(number()?),
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.").filter(|name| xattrs::is_ours(name)) {
                    self.attribute(name, value);
                }
            }
        }
        self.sparse |= key.starts_with(b"GNU.sparse.");
        Some(())
    }

    fn attribute(&mut self, name: &[u8], value: &[u8]) {
        match self.xattrs.binary_search_by(|(known, _)| known[..].cmp(name)) {
            Ok(at) => self.xattrs[at].1 = value.to_vec(),
            Err(at) => self.xattrs.insert(at, (name.to_vec(), value.to_vec())),
        }
    }

    /// The metadata, with what only the header tells.
    pub fn meta(&self, header: &Header) -> Meta {
        let id = |id: std::io::Result<u64>| id.ok().and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
        // Times before 1970 are negative numbers in base 256.
        let mtime = || header.mtime().ok().map(|secs| Time::new(secs as i64, 0));
        Meta {
            mtime: self.mtime.or_else(mtime).unwrap_or_default(),
            mode: header.mode().unwrap_or(0) & 0o7777,
            uid: self.uid.unwrap_or_else(|| id(header.uid())),
            gid: self.gid.unwrap_or_else(|| id(header.gid())),
            xattrs: 0,
        }
    }
}

/// Seconds with decimals, perhaps negative.
fn decimal(text: &str) -> Option<Time> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (secs, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let secs: i64 = secs.parse().ok().filter(|secs| *secs >= 0)?;
    let nanos: u32 = format!("{:0<9.9}", fraction).parse().ok()?;
    Some(match (negative, nanos) {
        (false, _) => Time::new(secs, nanos),
        (true, 0) => Time::new(-secs, 0),
        (true, _) => Time::new(-secs - 1, 1_000_000_000 - nanos),
    })
}

/// Whether the header's sum is what it says: of its bytes taken as unsigned, or as signed by old tars, with blanks in
/// the place of the sum.
pub(super) fn is_sound(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let place = 148..156;
    let summed = |at: usize| if place.contains(&at) { b' ' } else { bytes[at] };
    let unsigned: i64 = (0..bytes.len()).map(|at| i64::from(summed(at))).sum();
    let signed: i64 = (0..bytes.len()).map(|at| i64::from(summed(at) as i8)).sum();
    header.cksum().is_ok_and(|told| [unsigned, signed].contains(&told.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_decimals() {
        assert_eq!(decimal("12.5"), Some(Time::new(12, 500_000_000)));
        assert_eq!(decimal("1700000000.1234567891"), Some(Time::new(1_700_000_000, 123_456_789)));
        assert_eq!(decimal("-1.25"), Some(Time::new(-2, 750_000_000)));
        assert_eq!(decimal("-3"), Some(Time::new(-3, 0)));
        for odd in ["", "-", "1.x", "--1", "1.-1", "é"] {
            assert_eq!(decimal(odd), None, "{odd}");
        }
    }

    #[test]
    fn pax_records() {
        let mut extended = Extended::default();
        assert_eq!(extended.pax(b"12 path=a b\n20 mtime=1.000000001\n10 path=\n"), None, "the last is too long");
        let mut extended = Extended::default();
        extended.pax(b"12 path=a b\n21 mtime=1.000000001\n").unwrap();
        assert_eq!(extended.path.as_deref(), Some(&b"a b"[..]));
        assert_eq!(extended.mtime, Some(Time::new(1, 1)));
        for odd in ["6 a=\n", "x a=b\n", "3 =", "99999999999999999999 a=b\n", "6 size\n", "9 size=x\n", "0 "] {
            assert_eq!(Extended::default().pax(odd.as_bytes()), None, "{odd}");
        }
    }
}
