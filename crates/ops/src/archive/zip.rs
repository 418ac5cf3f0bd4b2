//! Writing zip, as PKWARE's APPNOTE.TXT 6.3.10 describes it, with the extra fields of Info-ZIP for Unix: times in UTC
//! (`UT`), owners (`ux`), modes and links in the external attributes. Times that need more than a second's precision
//! or do not fit into 32 bits stand in the NTFS field too.

use sitta_tree::{Kind, Meta, Time};

const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END64: u32 = 0x0606_4b50;
const LOCATOR64: u32 = 0x0706_4b50;
const END: u32 = 0x0605_4b50;

/// The size and the CRC stand behind the bytes.
const STREAMED: u16 = 1 << 3;
const UTF8: u16 = 1 << 11;
const MADE_ON_UNIX: u16 = 3 << 8;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// From this size on, a member whose compressed size is not known yet gets fields of 64 bits for both.
const MAYBE_LARGE: u64 = 4_000_000_000;

/// The longest name that can be told.
pub(super) const LONGEST_NAME: usize = u16::MAX as usize;

/// What the directory tells of a member.
#[derive(Debug, Clone)]
pub(super) struct Record {
    name: Box<[u8]>,
    kind: Kind,
    meta: Meta,
    /// Owners are known.
    owned: bool,
    streamed: bool,
    deflated: bool,
    crc32: u32,
    size: u64,
    compressed: u64,
    offset: u64,
}

impl Record {
    /// A member; directories' names end in a `/`. `size` must be right, the rest is found out later.
    pub fn new(name: &[u8], kind: Kind, meta: Meta, owned: bool, size: u64) -> Self {
        let (streamed, deflated) = (false, false);
        Self {
            name: name.into(),
            kind,
            meta,
            owned,
            streamed,
            deflated,
            crc32: 0,
            size,
            compressed: size,
            offset: 0,
        }
    }

    /// What is told once all bytes are there.
    pub fn filled(&mut self, crc32: u32, compressed: u64, deflated: bool) {
        (self.crc32, self.compressed, self.deflated) = (crc32, compressed, deflated);
    }

    /// Its bytes come in parts: what they are is told behind them.
    pub fn streamed(&mut self) {
        (self.streamed, self.deflated) = (true, true);
    }

    fn may_be_large(&self) -> bool {
        match self.streamed {
            true => self.size >= MAYBE_LARGE,
            false => self.size.max(self.compressed) >= u64::from(u32::MAX),
        }
    }

    fn needs(&self) -> u16 {
        if self.may_be_large() { 45 } else { 20 }
    }

    fn flags(&self) -> u16 {
        let utf8 = if std::str::from_utf8(&self.name).is_ok() { UTF8 } else { 0 };
        utf8 | if self.streamed { STREAMED } else { 0 }
    }

    fn method(&self) -> u16 {
        if self.deflated { DEFLATED } else { STORED }
    }

    /// What stands right before the bytes.
    pub fn write_local(&self, out: &mut Vec<u8>) {
        let large = self.may_be_large();
        let (crc32, sizes) = match self.streamed {
            true => (0, (0, 0)),
            false => (self.crc32, (self.compressed, self.size)),
        };
        let mut extra = self.common_extra();
        if large {
            field(&mut extra, 1, &[sizes.1.to_le_bytes(), sizes.0.to_le_bytes()].concat());
        }
        let told = |size: u64| if large { u32::MAX } else { size as u32 };
        let (date, clock) = dos(self.meta.mtime);
        u32s(out, &[LOCAL]);
        u16s(out, &[self.needs(), self.flags(), self.method(), clock, date]);
        u32s(out, &[crc32, told(sizes.0), told(sizes.1)]);
        u16s(out, &[self.name.len() as u16, extra.len() as u16]);
        out.extend_from_slice(&self.name);
        out.extend_from_slice(&extra);
    }

    /// What stands behind the bytes of a streamed one.
    fn write_descriptor(&self, out: &mut Vec<u8>) {
        u32s(out, &[DESCRIPTOR, self.crc32]);
        match self.may_be_large() {
            true => u64s(out, &[self.compressed, self.size]),
            false => u32s(out, &[self.compressed as u32, self.size as u32]),
        }
    }

    fn write_central(&self, out: &mut Vec<u8>) {
        let mut large = Vec::new();
        let mut told = |value: u64, always: bool| match u32::try_from(value) {
            Ok(value) if value < u32::MAX && !always => value,
            _ => {
                large.extend_from_slice(&value.to_le_bytes());
                u32::MAX
            }
        };
        let size = told(self.size, self.may_be_large());
        let compressed = told(self.compressed, self.may_be_large());
        let offset = told(self.offset, false);
        let mut extra = self.common_extra();
        if !large.is_empty() {
            field(&mut extra, 1, &large);
        }
        if let Some(ticks) = ntfs(self.meta.mtime) {
            let times = [&[0; 4][..], &[1, 0, 24, 0], &ticks.to_le_bytes(), &[0; 16]].concat();
            field(&mut extra, 10, &times);
        }
        let needs = if large.is_empty() { self.needs() } else { 45 };
        let (date, clock) = dos(self.meta.mtime);
        u32s(out, &[CENTRAL]);
        u16s(out, &[MADE_ON_UNIX | 63, needs, self.flags(), self.method(), clock, date]);
        u32s(out, &[self.crc32, compressed, size]);
        u16s(out, &[self.name.len() as u16, extra.len() as u16, 0, 0, 0]);
        u32s(out, &[self.attributes(), offset]);
        out.extend_from_slice(&self.name);
        out.extend_from_slice(&extra);
    }

    /// The mode above, what DOS knows below.
    fn attributes(&self) -> u32 {
        let (kind, dos) = match self.kind {
            Kind::Dir => (0o040_000, 0x10),
            Kind::Symlink => (0o120_000, 0),
            Kind::File | Kind::Unknown => (0o100_000, 0),
        };
        (kind | self.meta.mode & 0o7777) << 16 | dos
    }

    fn common_extra(&self) -> Vec<u8> {
        let mut extra = Vec::new();
        if let Ok(secs) = i32::try_from(self.meta.mtime.secs) {
            let [a, b, c, d] = secs.to_le_bytes();
            field(&mut extra, 0x5455, &[1, a, b, c, d]);
        }
        if self.owned {
            let ids = [&[1, 4][..], &self.meta.uid.to_le_bytes(), &[4], &self.meta.gid.to_le_bytes()].concat();
            field(&mut extra, 0x7875, &ids);
        }
        extra
    }
}

/// The directory, which ends a zip: gathered while its members are written.
#[derive(Debug, Default)]
pub(super) struct Directory {
    at: u64,
    central: Vec<u8>,
    members: u64,
    open: Option<(Record, crc32fast::Hasher)>,
}

impl Directory {
    /// So many bytes were written.
    pub fn wrote(&mut self, bytes: usize) {
        self.at += bytes as u64;
    }

    /// A member whose local header stands `ahead` bytes behind what was written so far.
    pub fn add(&mut self, mut record: Record, ahead: usize) {
        record.offset = self.at + ahead as u64;
        record.write_central(&mut self.central);
        self.members += 1;
    }

    /// A member whose bytes come in parts begins here.
    pub fn begin(&mut self, mut record: Record) {
        (record.offset, record.compressed) = (self.at, 0);
        self.open = Some((record, crc32fast::Hasher::new()));
    }

    /// A part of it, compressed to so many bytes.
    pub fn part(&mut self, crc32: &crc32fast::Hasher, compressed: usize) {
        if let Some((record, sum)) = &mut self.open {
            sum.combine(crc32);
            record.compressed += compressed as u64;
        }
    }

    /// Its end: what stands behind its bytes.
    pub fn end_of_member(&mut self, out: &mut Vec<u8>) {
        if let Some((mut record, sum)) = self.open.take() {
            record.crc32 = sum.finalize();
            record.write_descriptor(out);
            record.write_central(&mut self.central);
            self.members += 1;
        }
    }

    /// The end of the archive.
    pub fn finish(self) -> Vec<u8> {
        let (at, size) = (self.at, self.central.len() as u64);
        let mut out = self.central;
        let large = self.members >= u64::from(u16::MAX) || at.max(size) >= u64::from(u32::MAX);
        if large {
            u32s(&mut out, &[END64]);
            u64s(&mut out, &[44]);
            u16s(&mut out, &[MADE_ON_UNIX | 63, 45]);
            u32s(&mut out, &[0, 0]);
            u64s(&mut out, &[self.members, self.members, size, at]);
            u32s(&mut out, &[LOCATOR64, 0]);
            u64s(&mut out, &[at + size]);
            u32s(&mut out, &[1]);
        }
        let short = |value: u64| if large { u32::MAX } else { value as u32 };
        let members = if large { u16::MAX } else { self.members as u16 };
        u32s(&mut out, &[END]);
        u16s(&mut out, &[0, 0, members, members]);
        u32s(&mut out, &[short(size), short(at)]);
        u16s(&mut out, &[0]);
        out
    }
}

fn field(extra: &mut Vec<u8>, id: u16, content: &[u8]) {
    u16s(extra, &[id, content.len() as u16]);
    extra.extend_from_slice(content);
}

fn u16s(out: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

fn u32s(out: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

fn u64s(out: &mut Vec<u8>, values: &[u64]) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

/// Date and time as DOS has them, in UTC: the nearest that there is, from 1980 to 2107.
fn dos(time: Time) -> (u16, u16) {
    let civil = sitta_tree::Civil::at(time.secs.clamp(315_532_800, 4_354_819_198), 0);
    let ((year, month, day), (hour, minute, second)) = (civil.date(), civil.time());
    (((year - 1980) << 9 | month << 5 | day) as u16, (hour << 11 | minute << 5 | (second / 2)) as u16)
}

/// Ticks of 100 ns since 1601, where the other fields cannot tell the time.
fn ntfs(time: Time) -> Option<u64> {
    if time.nanos == 0 && i32::try_from(time.secs).is_ok() {
        return None;
    }
    let secs = u64::try_from(time.secs.checked_add(11_644_473_600)?).ok()?;
    secs.checked_mul(10_000_000)?.checked_add(u64::from(time.nanos / 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_the_nearest_that_there_are() {
        assert_eq!(dos(Time::new(1_795_263_281, 0)), (46 << 9 | 11 << 5 | 21, 12 << 11 | 14 << 5 | 20));
        assert_eq!(dos(Time::new(-1, 0)), (1 << 5 | 1, 0));
        assert_eq!(dos(Time::new(i64::MAX, 0)), (127 << 9 | 12 << 5 | 31, 23 << 11 | 59 << 5 | 29));
        assert_eq!(ntfs(Time::new(0, 100)), Some(116_444_736_000_000_001));
        assert_eq!(ntfs(Time::new(5, 0)), None);
        assert_eq!(ntfs(Time::new(4_354_819_200, 0)), Some((4_354_819_200 + 11_644_473_600) * 10_000_000));
        assert_eq!(ntfs(Time::new(i64::MIN, 1)), None);
    }

    #[test]
    fn what_is_large_has_fields_of_64_bits() {
        let mut record = Record::new(b"big", Kind::File, Meta::default(), false, 9 << 30);
        record.streamed();
        let (mut local, mut directory) = (Vec::new(), Directory::default());
        record.write_local(&mut local);
        assert_eq!(local[18..26], [0xff; 8], "the sizes are told elsewhere");
        directory.wrote(5 << 30);
        directory.begin(record);
        directory.wrote(local.len());
        directory.part(&crc32fast::Hasher::new(), 7 << 30);
        directory.wrote(7 << 30);
        let mut behind = Vec::new();
        directory.end_of_member(&mut behind);
        assert_eq!(behind[8..], [(7_u64 << 30).to_le_bytes(), (9_u64 << 30).to_le_bytes()].concat());
        let end = directory.finish();
        let field = [
            &[1, 0, 24, 0][..],
            &(9_u64 << 30).to_le_bytes(),
            &(7_u64 << 30).to_le_bytes(),
            &(5_u64 << 30).to_le_bytes(),
        ];
        assert!(end.windows(28).any(|window| window == field.concat()), "size, compressed size, offset");
        assert!(end.windows(4).any(|window| window == END64.to_le_bytes()));
    }

    #[test]
    fn more_members_than_16_bits_can_count() {
        let mut directory = Directory::default();
        for _ in 0..70_000 {
            directory.add(Record::new(b"f", Kind::File, Meta::default(), false, 0), 0);
        }
        let end = directory.finish();
        let at = end.len() - 22 - 20 - 56;
        assert_eq!(end[at..at + 4], END64.to_le_bytes());
        assert_eq!(end[at + 24..at + 32], 70_000_u64.to_le_bytes());
    }
}
