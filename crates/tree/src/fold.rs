//! Which names are one name to a store that folds them.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// The key under which a case-insensitive or normalising store finds a name: two names with one key are one name to it.
/// Case-folded and composed (NFC). Bytes that are not UTF-8 stay as they are.
pub fn fold_key(name: &[u8]) -> Cow<'_, [u8]> {
    if name.is_ascii() {
        return match name.iter().any(u8::is_ascii_uppercase) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => Cow::Borrowed(name),
        };
    }
    match std::str::from_utf8(name) {
        // Folding can take a composed character apart and decomposition can bring out one that folds: normalised
        // on both sides of it.
        Ok(text) => {
            let folded: String = caseless::default_case_fold_str(&text.nfd().collect::<String>());
            Cow::Owned(folded.nfc().collect::<String>().into_bytes())
        }
        Err(_) => Cow::Owned(name.to_ascii_lowercase()),
    }
}

/// Whether two spellings differ by their normalisation only, if at all: nobody typed another name.
pub(crate) fn same_composed(a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    match (std::str::from_utf8(a), std::str::from_utf8(b)) {
        (Ok(a), Ok(b)) => a.nfc().eq(b.nfc()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_for_what_is_one_name() {
        for (a, b) in
            [("README", "readme"), ("e\u{301}", "\u{e9}"), ("STRASSE", "stra\u{df}e"), ("E\u{301}", "\u{e9}")]
        {
            assert_eq!(fold_key(a.as_bytes()), fold_key(b.as_bytes()), "{a} {b}");
        }
        assert_ne!(fold_key(b"a"), fold_key(b"b"));
        assert_ne!(fold_key("e".as_bytes()), fold_key("\u{e9}".as_bytes()));
        assert!(matches!(fold_key(b"plain"), Cow::Borrowed(b"plain")));
        assert_eq!(&*fold_key(b"\xffA"), b"\xffa");
    }

    #[test]
    fn spelling_is_not_case() {
        assert!(same_composed("e\u{301}".as_bytes(), "\u{e9}".as_bytes()));
        assert!(!same_composed(b"A", b"a"));
    }
}
