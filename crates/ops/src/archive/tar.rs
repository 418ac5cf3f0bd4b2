//! Writing tar: the ustar format of POSIX.1-1988, and its pax headers (POSIX.1-2001) for what does not fit into it: long
//! names, fractions of seconds, large numbers, extended attributes (`SCHILY.xattr.`, as star and GNU tar write them).
//!
//! Long names that are not UTF-8 cannot stand in a pax header; they go into the extra members that GNU tar has for
//! them (`L` and `K`), which take any bytes.

use sitta_store::Xattrs;
use sitta_tree::{Meta, Time};

/// Everything in a tar stands in blocks of so many bytes.
pub(super) const BLOCK: usize = 512;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Sort {
    File = b'0',
    HardLink = b'1',
    Symlink = b'2',
    Dir = b'5',
    /// More about the next member, as pax has it.
    Pax = b'x',
    /// The next member's name, as GNU has it.
    LongName = b'L',
    /// The next member's link target, as GNU has it.
    LongLink = b'K',
}

/// One member's header.
#[derive(Debug)]
pub(super) struct Header<'m> {
    pub sort: Sort,
    /// Directories end in a `/`.
    pub name: &'m [u8],
    /// Where a link leads.
    pub link: &'m [u8],
    pub size: u64,
    pub meta: &'m Meta,
    pub xattrs: &'m Xattrs,
}

/// The largest number of seven and of eleven octal digits.
const MAX_7: u64 = 0o7_777_777;
const MAX_11: u64 = 0o77_777_777_777;

impl Header<'_> {
    /// Writes it, with what has to come before it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut pax = Vec::new();
        let mut named = split(self.name);
        if named.is_none() {
            match std::str::from_utf8(self.name) {
                Ok(_) => record(&mut pax, b"path", self.name),
                Err(_) => extra(out, Sort::LongName, self.name),
            }
            named = Some((&[], &self.name[..100]));
        }
        if self.link.len() > 100 {
            match std::str::from_utf8(self.link) {
                Ok(_) => record(&mut pax, b"linkpath", self.link),
                Err(_) => extra(out, Sort::LongLink, self.link),
            }
        }
        if let Some(time) = exact(self.meta.mtime) {
            record(&mut pax, b"mtime", time.as_bytes());
        }
        for (key, value, most) in [
            (&b"size"[..], self.size, MAX_11),
            (b"uid", self.meta.uid.into(), MAX_7),
            (b"gid", self.meta.gid.into(), MAX_7),
        ] {
            if value > most {
                record(&mut pax, key, value.to_string().as_bytes());
            }
        }
        for (name, value) in self.xattrs {
            record(&mut pax, &[b"SCHILY.xattr.", &name[..]].concat(), value);
        }
        if !pax.is_empty() {
            extra(out, Sort::Pax, &pax);
        }
        let (prefix, name) = named.unwrap_or_default();
        block(out, self, prefix, name);
    }
}

/// The two zero blocks that end an archive.
pub(super) fn end(out: &mut Vec<u8>) {
    out.resize(out.len() + 2 * BLOCK, 0);
}

/// Fills up the last block of a member of `size` bytes.
pub(super) fn pad(out: &mut Vec<u8>, size: u64) {
    let rest = (size % BLOCK as u64) as usize;
    if rest > 0 {
        out.resize(out.len() + BLOCK - rest, 0);
    }
}

/// A name as the two fields of the header hold it, if they can.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 {
        return Some((&[], name));
    }
    // The part behind the slash must not be empty: a directory's own slash is none to split at.
    let from = name.len().saturating_sub(101);
    let slash = (from..name.len() - 1).find(|at| name[*at] == b'/')?;
    (slash <= 155 && slash > 0).then(|| (&name[..slash], &name[slash + 1..]))
}

/// The time as pax has it, where the header's own field cannot hold it.
fn exact(time: Time) -> Option<String> {
    let fits = u64::try_from(time.secs).is_ok_and(|secs| secs <= MAX_11);
    match (fits, time.nanos) {
        (true, 0) => None,
        (_, 0) => Some(time.secs.to_string()),
        (_, nanos) if time.secs >= 0 => Some(format!("{}.{nanos:09}", time.secs)),
        // Before 1970 a decimal fraction counts down from zero.
        (_, nanos) => {
            let (secs, nanos) = (-(time.secs + 1), 1_000_000_000 - nanos);
            Some(format!("-{secs}.{nanos:09}"))
        }
    }
}

/// `30 mtime=1350244992.023960108\n`: the length counts itself.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// A member that says more about the next one.
fn extra(out: &mut Vec<u8>, sort: Sort, content: &[u8]) {
    let name: &[u8] = if sort == Sort::Pax { b"@PaxHeader" } else { b"././@LongLink" };
    // GNU's names end in a zero byte.
    let size = content.len() + usize::from(sort != Sort::Pax);
    let meta = Meta { mode: 0o644, ..Meta::default() };
    let none = Xattrs::new();
    block(out, &Header { sort, name, link: b"", size: size as u64, meta: &meta, xattrs: &none }, b"", name);
    out.extend_from_slice(content);
    out.resize(out.len() + size - content.len(), 0);
    pad(out, size as u64);
}

fn block(out: &mut Vec<u8>, header: &Header<'_>, prefix: &[u8], name: &[u8]) {
    let start = out.len();
    out.resize(start + BLOCK, 0);
    let block = &mut out[start..];
    let secs = u64::try_from(header.meta.mtime.secs).unwrap_or(0);
    let link = &header.link[..header.link.len().min(100)];
    block[..name.len()].copy_from_slice(name);
    octal(&mut block[100..108], u64::from(header.meta.mode & 0o7777), MAX_7);
    octal(&mut block[108..116], header.meta.uid.into(), MAX_7);
    octal(&mut block[116..124], header.meta.gid.into(), MAX_7);
    octal(&mut block[124..136], header.size, MAX_11);
    octal(&mut block[136..148], secs, MAX_11);
    block[148..156].fill(b' ');
    block[156] = header.sort as u8;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[345..345 + prefix.len()].copy_from_slice(prefix);
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut block[148..155], sum, MAX_7);
}

/// Octal digits and a zero byte. What is too large stands in a pax header, and here as large as can be.
fn octal(field: &mut [u8], value: u64, most: u64) {
    let digits = field.len() - 1;
    let text = format!("{:0digits$o}", value.min(most));
    field[..digits].copy_from_slice(text.as_bytes());
    field[digits] = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(header: &Header<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        header.write(&mut out);
        assert_eq!(out.len() % BLOCK, 0);
        out
    }

    fn file<'m>(name: &'m [u8], size: u64, meta: &'m Meta, xattrs: &'m Xattrs) -> Header<'m> {
        Header { sort: Sort::File, name, link: b"", size, meta, xattrs }
    }

    #[test]
    fn a_plain_file_is_one_block() {
        let meta =
            Meta { mtime: Time::new(1_600_000_000, 0), mode: 0o4755, uid: 1000, gid: 100, ..Meta::default() };
        let out = written(&file(b"dir/f", 42, &meta, &Xattrs::new()));
        assert_eq!(out.len(), BLOCK);
        assert_eq!(&out[..6], b"dir/f\0");
        assert_eq!(&out[100..136], b"0004755\x000001750\x000000144\x0000000000052\0");
        assert_eq!(&out[136..148], b"13727410000\0");
        let sum: u64 =
            out.iter().enumerate().map(|(n, b)| if (148..156).contains(&n) { 32 } else { u64::from(*b) }).sum();
        assert_eq!(&out[148..156], format!("{sum:06o}\0 ").as_bytes());
    }

    #[test]
    fn what_does_not_fit_stands_in_a_pax_header() {
        let meta = Meta { mtime: Time::new(-2, 500_000_000), uid: 3_000_000, ..Meta::default() };
        let xattrs = vec![(b"user.x".to_vec(), b"\0\n=".to_vec())];
        let out = written(&file(b"f", 9 << 30, &meta, &xattrs));
        let text = String::from_utf8_lossy(&out[BLOCK..2 * BLOCK]).into_owned();
        let expected = "22 mtime=-1.500000000\n19 size=9663676416\n15 uid=3000000\n27 SCHILY.xattr.user.x=\0\n=\n";
        assert_eq!(text.trim_end_matches('\0'), expected);
        assert_eq!(out[156], b'x');
        assert_eq!((out[2 * BLOCK + 156], &out[2 * BLOCK + 124..2 * BLOCK + 136]), (b'0', &b"77777777777\0"[..]));
    }

    #[test]
    fn lengths_count_themselves() {
        for len in 0..2000 {
            let mut out = Vec::new();
            record(&mut out, b"k", &vec![b'v'; len]);
            let told: usize = String::from_utf8_lossy(&out).split(' ').next().unwrap().parse().unwrap();
            assert_eq!(told, out.len());
        }
    }

    #[test]
    fn names_are_split_where_that_is_possible() {
        let long = [vec![b'd'; 120], b"/".to_vec(), vec![b'f'; 90]].concat();
        assert_eq!(split(&long).map(|(prefix, name)| (prefix.len(), name.len())), Some((120, 90)));
        assert_eq!(split(&[b'f'; 101]), None);
        assert_eq!(split(&[vec![b'd'; 120], b"/".to_vec()].concat()), None, "its own slash");
        assert_eq!(split(&[vec![b'd'; 156], b"/f".to_vec()].concat()), None);
        let meta = Meta::default();
        let raw = [vec![0xff; 200], b"/f".to_vec()].concat();
        let out = written(&file(&raw, 0, &meta, &Xattrs::new()));
        assert_eq!((out[156], out.len()), (b'L', 3 * BLOCK), "any bytes");
        let out = written(&file(&[b'u'; 300], 0, &meta, &Xattrs::new()));
        assert_eq!((out[156], out.len()), (b'x', 3 * BLOCK));
    }
}
