//! The records of a zip file, as PKWARE's APPNOTE 6.3.10 lays them out: fields are little-endian.

use sitta_tree::Time;

pub(super) const END_LEN: usize = 22;
const END: &[u8] = b"PK\x05\x06";
pub(super) const END64_LEN: usize = 56;
const END64: &[u8] = b"PK\x06\x06";
pub(super) const LOCATOR64_LEN: usize = 20;
const LOCATOR64: &[u8] = b"PK\x06\x07";
const MEMBER: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
pub(super) const LOCAL_LEN: usize = 30;

/// Reads little-endian fields one after the other; none where the bytes end.
#[derive(Clone, Copy)]
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// Goes past a signature, if it stands there.
    fn after(bytes: &'b [u8], signature: &[u8]) -> Option<Self> {
        bytes.strip_prefix(signature).map(Self)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
    }
}

/// The end of central directory record, the plain one or zip64's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// The number of this disk, and of the one where the directory begins: both 0 unless the archive is split.
    pub disks: (u32, u32),
    /// How many members there are; modulo 65,536 in the plain record of archives that ought to be zip64.
    pub members: u64,
    /// The directory's size.
    pub size: u64,
    /// Where it begins, counted from the archive's first byte.
    pub offset: u64,
}

impl End {
    /// Finds the record in the file's last bytes: the last one whose comment reaches exactly to the end or else, with
    /// bytes appended to the archive, the last one with all of its comment. Also tells where it stands.
    pub fn find(tail: &[u8]) -> Option<(usize, Self)> {
        let mut loose = None;
        for at in (0..=tail.len().checked_sub(END_LEN)?).rev() {
            let Some((end, comment)) = Self::parse(&tail[at..]) else { continue };
            let rest = tail.len() - at - END_LEN;
            if comment == rest {
                return Some((at, end));
            }
            if comment < rest && loose.is_none() {
                loose = Some((at, end));
            }
        }
        loose
    }

    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut fields = Fields::after(bytes, END)?;
        let disks = (fields.u16()?.into(), fields.u16()?.into());
        let _on_this_disk = fields.u16()?;
        let members = fields.u16()?.into();
        let (size, offset) = (fields.u32()?.into(), fields.u32()?.into());
        Some((Self { disks, members, size, offset }, fields.u16()?.into()))
    }

    /// Zip64's record.
    pub fn parse64(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::after(bytes, END64)?;
        let (_size, _made_by, _needs) = (fields.u64()?, fields.u16()?, fields.u16()?);
        let disks = (fields.u32()?, fields.u32()?);
        let _on_this_disk = fields.u64()?;
        Some(Self { disks, members: fields.u64()?, size: fields.u64()?, offset: fields.u64()? })
    }
}

/// Where zip64's locator says that zip64's end record stands.
pub(super) fn locator64(bytes: &[u8]) -> Option<u64> {
    let mut fields = Fields::after(bytes, LOCATOR64)?;
    let _disk = fields.u32()?;
    fields.u64()
}

/// A member, as the central directory tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record<'b> {
    /// What system its attributes are of: 3 and 19 are Unix.
    pub system: u8,
    pub flags: u16,
    pub method: u16,
    pub modified: Time,
    pub crc32: u32,
    pub compressed: u64,
    pub size: u64,
    pub attributes: u32,
    pub offset: u64,
    pub name: &'b [u8],
    /// The name in UTF-8, where an extra field tells it and it belongs to `name`.
    pub unicode_name: Option<&'b [u8]>,
    pub disk: u32,
}

/// What stands at the beginning of some bytes of the directory.
pub(super) enum Parsed<'b> {
    /// A member, and its record's length.
    Record(Record<'b>, usize),
    /// The beginning of one.
    Partly,
    /// Something else.
    Else,
}

impl<'b> Record<'b> {
    pub fn parse(bytes: &'b [u8]) -> Parsed<'b> {
        if !bytes.starts_with(&MEMBER[..bytes.len().min(MEMBER.len())]) {
            return Parsed::Else;
        }
        match Self::fields(bytes) {
            Some((record, len)) => Parsed::Record(record, len),
            None => Parsed::Partly,
        }
    }

    fn fields(bytes: &'b [u8]) -> Option<(Self, usize)> {
        let mut fields = Fields::after(bytes, MEMBER)?;
        let made_by = fields.u16()?;
        let _needs = fields.u16()?;
        let (flags, method) = (fields.u16()?, fields.u16()?);
        let (dos_time, dos_date) = (fields.u16()?, fields.u16()?);
        let (crc32, compressed, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (name_len, extra_len, comment_len) = (fields.u16()?, fields.u16()?, fields.u16()?);
        let disk = fields.u16()?;
        let _internal = fields.u16()?;
        let attributes = fields.u32()?;
        let offset = fields.u32()?;
        let name = fields.take(name_len.into())?;
        let extra = fields.take(extra_len.into())?;
        fields.take(comment_len.into())?;
        let mut record = Self {
            system: made_by.to_be_bytes()[0],
            flags,
            method,
            modified: dos_moment(dos_date, dos_time),
            crc32,
            compressed: compressed.into(),
            size: size.into(),
            attributes,
            offset: offset.into(),
            name,
            unicode_name: None,
            disk: disk.into(),
        };
        record.extend(extra);
        Some((record, bytes.len() - fields.0.len()))
    }

    /// Takes over what the extra fields tell better.
    fn extend(&mut self, extra: &'b [u8]) {
        let mut fields = Fields(extra);
        let mut precision = u64::MAX;
        while let (Some(tag), Some(len)) = (fields.u16(), fields.u16()) {
            let Some(body) = fields.take(len.into()) else { break };
            let mut body = Fields(body);
            match tag {
                0x0001 => self.zip64(&mut body),
                // NTFS: reserved, then tagged attributes, of which the first has three times in 100 ns since 1601.
                0x000a if precision > 100 => {
                    let tick = body.u32().and(body.u16()).filter(|tag| *tag == 1).and(body.u16()).and(body.u64());
                    if let Some(tick) = tick.filter(|tick| *tick != 0) {
                        (self.modified, precision) = (ntfs_moment(tick), 100);
                    }
                }
                // The extended timestamp: which times follow, then the modification time in seconds since 1970.
                0x5455 if precision > 1_000_000_000 => {
                    let told = body.take(1).is_some_and(|flags| flags[0] & 1 == 1);
                    if let Some(secs) = body.u32().filter(|_| told) {
                        (self.modified, precision) = (Time::new((secs as i32).into(), 0), 1_000_000_000);
                    }
                }
                // Info-ZIP's Unicode path: a version, the CRC of the name it stands for, and the name.
                0x7075 => {
                    let version = body.take(1).map(|version| version[0]);
                    if version == Some(1) && body.u32() == Some(crc32fast::hash(self.name)) {
                        self.unicode_name = std::str::from_utf8(body.0).ok().map(str::as_bytes);
                    }
                }
                _ => {}
            }
        }
    }

    /// Zip64's fields stand there only for those that do not fit into the record, in this order.
    fn zip64(&mut self, body: &mut Fields<'_>) {
        for field in [&mut self.size, &mut self.compressed, &mut self.offset] {
            if *field == u64::from(u32::MAX) {
                let Some(value) = body.u64() else { return };
                *field = value;
            }
        }
        if self.disk == u32::from(u16::MAX) {
            self.disk = body.u32().unwrap_or(self.disk);
        }
    }

    /// With traditional, strong or AES encryption, or with an encrypted directory.
    pub fn is_encrypted(&self) -> bool {
        self.flags & (1 | 1 << 6 | 1 << 13) != 0 || self.method == 99
    }

    /// The name is in UTF-8, says whoever made the archive.
    pub fn says_utf8(&self) -> bool {
        self.flags & 1 << 11 != 0
    }
}

/// A local header: its method, and its length with the name and the extra fields. None for something else.
pub(super) fn local_header(bytes: &[u8]) -> Option<(u16, usize)> {
    let mut fields = Fields::after(bytes, LOCAL)?;
    let (_needs, _flags, method) = (fields.u16()?, fields.u16()?, fields.u16()?);
    let _time_crc_sizes = fields.take(16)?;
    let (name_len, extra_len) = (fields.u16()?, fields.u16()?);
    Some((method, LOCAL_LEN + usize::from(name_len) + usize::from(extra_len)))
}

/// A time of DOS, in steps of 2 s; it is of no time zone, so UTC is assumed. Of an impossible one, nothing is known.
fn dos_moment(date: u16, time: u16) -> Time {
    let (year, month, day) = (1980 + (date >> 9) as i16, (date >> 5 & 15) as i8, (date & 31) as i8);
    let (hour, minute, second) = ((time >> 11) as i8, (time >> 5 & 63) as i8, (time & 31) as i8 * 2);
    let moment = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0);
    let moment = moment.and_then(|moment| moment.to_zoned(jiff::tz::TimeZone::UTC));
    moment.map_or(Time::default(), |moment| Time::new(moment.timestamp().as_second(), 0))
}

fn ntfs_moment(tick: u64) -> Time {
    const SECONDS_1601_TO_1970: i64 = 11_644_473_600;
    Time::new((tick / 10_000_000) as i64 - SECONDS_1601_TO_1970, (tick % 10_000_000) as u32 * 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        // 2026-11-21 12:14:40
        assert_eq!(dos_moment(46 << 9 | 11 << 5 | 21, 12 << 11 | 14 << 5 | 20), Time::new(1_795_263_280, 0));
        assert_eq!(dos_moment(0, 0), Time::default(), "there is no month 0");
        assert_eq!(dos_moment(u16::MAX, u16::MAX), Time::default());
        assert_eq!(ntfs_moment(116_444_736_000_000_001), Time::new(0, 100));
        assert_eq!(ntfs_moment(0), Time::new(-11_644_473_600, 0));
    }

    #[test]
    fn the_end_is_found_behind_a_comment_that_looks_like_one() {
        let mut tail = b"data".to_vec();
        tail.extend(*b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x2e\0\0\0\x04\0\0\0\x03\0abc");
        let (at, end) = End::find(&tail).unwrap();
        assert_eq!((at, end.members, end.size, end.offset), (4, 1, 46, 4));
        tail.extend(*b"appended");
        assert_eq!(End::find(&tail).unwrap().0, 4);
        assert_eq!(End::find(b"PK\x05\x06"), None);
    }
}
