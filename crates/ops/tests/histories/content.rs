//! Bytes that say which write they come from.

/// The bytes of the `n`th write. Most are of one size, so that sizes do not give an edit away.
pub fn bytes(n: u64) -> Vec<u8> {
    let mut bytes = format!("{n:07}").into_bytes();
    let more = match n % 100 {
        0..60 => 0,
        60..80 => n % 4,
        80..97 => 9_000,
        _ => 300_000,
    };
    bytes.resize(bytes.len() + more as usize, b'.');
    bytes
}

/// Which write they come from; none for no bytes at all.
///
/// # Panics
/// If they are not those of one whole write.
pub fn written(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    let number = bytes.get(..7).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let n = number.filter(|n| self::bytes(*n) == bytes);
    Some(n.unwrap_or_else(|| panic!("torn: {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]))))
}

/// The same, but none if they are not those of one whole write.
pub fn if_whole(bytes: &[u8]) -> Option<u64> {
    let n = bytes.get(..7).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())?;
    (self::bytes(n) == bytes).then_some(n)
}
