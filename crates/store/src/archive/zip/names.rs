//! What a zip file's names and attributes mean.

use std::borrow::Cow;

use sitta_tree::Kind;

use super::records::Record;

/// The upper half of code page 437, which names are in that do not say otherwise.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// The name as bytes of ours. A name that is valid UTF-8 is taken as such, whatever its flag says: many tools forget
/// the flag. Else it is in code page 437, unless the flag says UTF-8 falsely or the archive was made on Unix: then the
/// bytes are kept as they are. Tools on DOS and Windows that write `\` mean `/`; on Unix `\` is a letter.
pub(super) fn name<'r>(record: &Record<'r>) -> Cow<'r, [u8]> {
    let raw = record.unicode_name.unwrap_or(record.name);
    let known = record.says_utf8() || is_unix(record) || std::str::from_utf8(raw).is_ok();
    let name = if known { Cow::Borrowed(raw) } else { Cow::Owned(from_cp437(raw)) };
    if !is_unix(record) && name.contains(&b'\\') {
        return Cow::Owned(name.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect());
    }
    name
}

fn from_cp437(raw: &[u8]) -> Vec<u8> {
    let upper: Vec<char> = CP437.chars().collect();
    let letter = |byte: &u8| match byte.checked_sub(128) {
        Some(at) => upper.get(usize::from(at)).copied().unwrap_or('\u{fffd}'),
        None => char::from(*byte),
    };
    raw.iter().map(letter).collect::<String>().into_bytes()
}

fn is_unix(record: &Record<'_>) -> bool {
    matches!(record.system, 3 | 19)
}

/// What the member is (none: a device, fifo or socket), and its permission bits; 0 where they are not told.
pub(super) fn kind(record: &Record<'_>, name: &[u8]) -> (Option<Kind>, u32) {
    let mode = if is_unix(record) { record.attributes >> 16 } else { 0 };
    const DOS_DIRECTORY: u32 = 0x10;
    let dir = name.ends_with(b"/") || (record.attributes & DOS_DIRECTORY != 0 && record.size == 0);
    let kind = match mode & 0o170_000 {
        0o040_000 => Some(Kind::Dir),
        0o120_000 if !dir => Some(Kind::Symlink),
        0 | 0o100_000 => Some(if dir { Kind::Dir } else { Kind::File }),
        _ if dir => Some(Kind::Dir),
        _ => None,
    };
    (kind, mode & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_page_437_is_whole() {
        assert_eq!(CP437.chars().count(), 128);
        assert_eq!(from_cp437(b"\x80a\x81\xff"), "Çaü\u{a0}".as_bytes());
    }
}
