//! Extended attributes, wherever they stand: which are ours to keep, and a digest to compare by.

use crate::Xattrs;

/// Whether an attribute is one that we compare and copy: others are the system's business.
pub(crate) fn is_ours(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || (rustix::process::geteuid().is_root() && name.starts_with(b"trusted."))
        || name.starts_with(b"system.posix_acl_")
}

/// 64 bits of BLAKE3 over names and values; 0 when there are none.
pub(crate) fn digest(pairs: &Xattrs) -> u64 {
    if pairs.is_empty() {
        return 0;
    }
    let mut hasher = blake3::Hasher::new();
    for (name, value) in pairs {
        for part in [name, value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    let bytes: [u8; 8] = hasher.finalize().as_bytes()[..8].try_into().expect("eight bytes");
    u64::from_le_bytes(bytes).max(1)
}
