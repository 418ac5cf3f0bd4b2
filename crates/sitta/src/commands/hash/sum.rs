//! Checksums, and the lines in which b3sum, sha256sum and md5sum keep them.

use crate::args::Algo;

fn digits(algo: Algo) -> usize {
    match algo {
        Algo::Blake3 | Algo::Sha256 => 64,
        Algo::Md5 => 32,
        Algo::Crc32 => 8,
    }
}

/// `HASH  NAME`, without the end of the line; `\HASH  NAME` with the name escaped if it would break the line.
pub fn line(hash: &str, name: &[u8]) -> Vec<u8> {
    let (escaped, name) = escape(name);
    let mut line = if escaped { b"\\".to_vec() } else { Vec::new() };
    line.extend_from_slice(hash.as_bytes());
    line.extend_from_slice(b"  ");
    line.extend_from_slice(&name);
    line
}

/// A name as coreutils write it; whether anything had to be escaped.
pub fn escape(name: &[u8]) -> (bool, Vec<u8>) {
    let mut out = Vec::with_capacity(name.len());
    for byte in name {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte => out.push(*byte),
        }
    }
    (out.len() > name.len(), out)
}

fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            byte => *byte,
        });
    }
    Some(out)
}

/// One file that a list of checksums names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Lower case.
    pub hash: String,
    pub name: Vec<u8>,
    /// The checksum that the line itself names.
    pub algo: Option<Algo>,
}

impl Listed {
    /// Understands a line: `HASH  NAME`, `HASH *NAME`, or `SHA256 (NAME) = HASH`.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (escaped, line) = match line.strip_prefix(b"\\") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (algo, hash, name) = Self::tagged(line).or_else(|| Self::plain(line))?;
        let hash = std::str::from_utf8(hash).ok()?.to_ascii_lowercase();
        let fits = |algo| hash.len() == digits(algo);
        let known = algo.map_or(matches!(hash.len(), 64 | 32 | 8), fits);
        if !known || !hash.bytes().all(|b| b.is_ascii_hexdigit()) || name.is_empty() {
            return None;
        }
        let name = if escaped { unescape(name)? } else { name.to_vec() };
        Some(Self { hash, name, algo })
    }

    fn plain(line: &[u8]) -> Option<(Option<Algo>, &[u8], &[u8])> {
        let end = line.iter().position(|b| *b == b' ')?;
        let name = line[end..].strip_prefix(b"  ").or_else(|| line[end..].strip_prefix(b" *"))?;
        Some((None, &line[..end], name))
    }

    fn tagged(line: &[u8]) -> Option<(Option<Algo>, &[u8], &[u8])> {
        let tags = [("BLAKE3", Algo::Blake3), ("SHA256", Algo::Sha256), ("MD5", Algo::Md5), ("CRC32", Algo::Crc32)];
        let (algo, rest) = tags
            .iter()
            .find_map(|(tag, algo)| Some((*algo, line.strip_prefix(tag.as_bytes())?.strip_prefix(b" (")?)))?;
        let end = rest.windows(4).rposition(|part| part == b") = ")?;
        Some((Some(algo), &rest[end + 4..], &rest[..end]))
    }

    /// Which checksums it may be: what the line says, else what was asked for, else what its length allows.
    pub fn algos(&self, asked: Option<Algo>, hint: Option<Algo>) -> Vec<Algo> {
        let fits = |algo: &Algo| digits(*algo) == self.hash.len();
        match self.algo.or(asked).or(hint.filter(fits)) {
            Some(algo) => [algo].into_iter().filter(fits).collect(),
            None => [Algo::Blake3, Algo::Sha256, Algo::Md5, Algo::Crc32].into_iter().filter(fits).collect(),
        }
    }
}

/// What the name of a list says of its checksums: `SHA256SUMS`, `photos.md5`.
pub fn hint(file: &str) -> Option<Algo> {
    let file = file.to_ascii_lowercase();
    [("sha256", Algo::Sha256), ("md5", Algo::Md5), ("crc32", Algo::Crc32), ("b3", Algo::Blake3)]
        .into_iter()
        .find_map(|(part, algo)| file.contains(part).then_some(algo))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        let hash = "d41d8cd98f00b204e9800998ecf8427e";
        for name in [&b"a b"[..], b"a\\b", b"new\nline\r", b" x", b"\xff", b"(a) = b"] {
            let listed = Listed::parse(&line(hash, name)).expect("a line");
            assert_eq!((listed.hash.as_str(), &*listed.name), (hash, name));
        }
        assert_eq!(line("00", b"a\nb"), b"\\00  a\\nb");
    }

    #[test]
    fn other_forms_are_understood() {
        let tagged = Listed::parse(b"CRC32 (a) b) = CBF43926").expect("a line");
        assert_eq!(
            (tagged.hash.as_str(), &*tagged.name, tagged.algo),
            ("cbf43926", &b"a) b"[..], Some(Algo::Crc32))
        );
        assert_eq!(Listed::parse(b"cbf43926 *a\r").map(|l| l.name), Some(b"a".to_vec()));
        for wrong in [&b""[..], b"# comment", b"cbf43926 a", b"xbf43926  a", b"cbf4  a", b"\\cbf43926  a\\x"] {
            assert_eq!(Listed::parse(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn the_checksum_is_known_by_name_or_length() {
        let listed = |n| Listed { hash: "a".repeat(n), name: Vec::new(), algo: None };
        assert_eq!(listed(64).algos(None, hint("SHA256SUMS")), [Algo::Sha256]);
        assert_eq!(listed(64).algos(None, hint("x.md5")), [Algo::Blake3, Algo::Sha256]);
        assert_eq!(listed(32).algos(None, None), [Algo::Md5]);
        assert_eq!(listed(32).algos(Some(Algo::Sha256), None), []);
    }
}
