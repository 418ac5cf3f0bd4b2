//! Names as they go over the wire. What SMB forbids in a name is carried as characters of Unicode's private-use area, as
//! macOS, Linux and Samba's own modules do; what cannot be carried exactly is refused, never renamed.

use sitta_tree::RelPath;

/// The longest name, in UTF-16 units ([MS-FSCC] 2.1.5.2).
const LONGEST: usize = 255;

/// Why a name cannot be on an SMB share.
pub(super) type Refusal = &'static str;

/// One name as the server is to hold it.
fn wire_name(name: &[u8]) -> Result<String, Refusal> {
    let name = std::str::from_utf8(name).map_err(|_| "SMB shares hold no names that are not UTF-8")?;
    if name.chars().any(is_stand_in) {
        return Err("it holds characters that stand for others on SMB shares");
    }
    let wire = smb2::encode_name(name).into_owned();
    match wire.encode_utf16().count() > LONGEST {
        true => Err("SMB shares hold no names longer than 255 characters"),
        false => Ok(wire),
    }
}

/// Characters that stand for those that SMB forbids: [`smb2::name`] has the table.
fn is_stand_in(c: char) -> bool {
    ('\u{f001}'..='\u{f029}').contains(&c)
}

/// A whole path below the share: `\` between names, none in front.
pub(super) fn wire_path(path: &RelPath) -> Result<String, Refusal> {
    let mut wire = String::with_capacity(path.as_bytes().len());
    for name in path.parts() {
        if !wire.is_empty() {
            wire.push('\\');
        }
        wire.push_str(&wire_name(name)?);
    }
    Ok(wire)
}

/// Whether something new may get this name: Windows keeps some for devices, and servers show such files under another
/// name.
pub(super) fn check_new(path: &RelPath) -> Result<(), Refusal> {
    let name = path.name();
    let stem = name.split(|b| *b == b'.').next().unwrap_or_default().trim_ascii_end().to_ascii_uppercase();
    let device = match &*stem {
        b"CON" | b"PRN" | b"AUX" | b"NUL" => true,
        [b'C', b'O', b'M', n] | [b'L', b'P', b'T', n] => (b'1'..=b'9').contains(n),
        _ => false,
    };
    if device { Err("Windows keeps this name for a device") } else { Ok(()) }
}

/// A name that the server lists: ours for it, or, if going back would not lead to the same file, one that shows it.
pub(super) fn local_name(wire: &[u16]) -> Result<Box<[u8]>, Box<[u8]>> {
    let Ok(text) = String::from_utf16(wire) else {
        return Err(not_unicode(wire));
    };
    let local = smb2::decode_name(&text).into_owned();
    match smb2::encode_name(&local) == text {
        true => Ok(local.into_bytes().into()),
        false => Err(text.into_bytes().into()),
    }
}

/// Unpaired surrogates as three bytes each, which is not UTF-8: no other name looks like it.
fn not_unicode(wire: &[u16]) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(wire.len() * 3);
    for unit in char::decode_utf16(wire.iter().copied()) {
        match unit {
            Ok(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(lone) => {
                let unit = lone.unpaired_surrogate();
                bytes.extend([
                    0xe0 | (unit >> 12) as u8,
                    0x80 | (unit >> 6 & 0x3f) as u8,
                    0x80 | (unit & 0x3f) as u8,
                ]);
            }
        }
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn names_go_there_and_back() {
        for name in ["a", "a:b?*\"<>|\\c", "trailing ", "trailing.", "...", "new\nline", "\u{1f426}", " x"] {
            let wire = wire_name(name.as_bytes()).expect("it can be carried");
            assert!(!wire.contains([':', '?', '*', '"', '<', '>', '|', '\\', '\n']), "{wire:?}");
            assert_eq!(local_name(&units(&wire)).expect("it comes back"), name.as_bytes().into());
        }
        assert_eq!(wire_path(&RelPath::new("a/b:c/d.").unwrap()), Ok("a\\b\u{f022}c\\d\u{f029}".into()));
        assert_eq!(wire_path(&RelPath::root()), Ok(String::new()));
    }

    #[test]
    fn what_would_come_back_as_another_name_is_refused() {
        assert!(wire_name(b"half \xc3").is_err());
        assert!(wire_name("a\u{f022}b".as_bytes()).is_err());
        assert!(wire_name(&[b'n'; 256]).is_err() && wire_name(&[b'n'; 255]).is_ok());
        assert!(wire_name("\u{1f426}".repeat(128).as_bytes()).is_err(), "it counts in UTF-16");
        for name in ["CON", "aux.txt", "Com1.tar.gz", "nul "] {
            assert!(check_new(&RelPath::new(name).unwrap()).is_err(), "{name}");
        }
        for name in ["console", "com0", "aux1", "x/CON.d/y"] {
            assert!(check_new(&RelPath::new(name).unwrap()).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_a_server_lists_is_ours_only_if_it_leads_back() {
        for odd in ["mid\u{f028}dle", "back\\slash", "colon:", "dot."] {
            assert_eq!(local_name(&units(odd)).expect_err("it would not lead back"), odd.as_bytes().into());
        }
        let lone = local_name(&[0x61, 0xd800, 0x62]).expect_err("no Unicode");
        assert!(std::str::from_utf8(&lone).is_err() && lone.starts_with(b"a") && lone.ends_with(b"b"));
    }
}
