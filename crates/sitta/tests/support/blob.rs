//! File contents that tell whether they are whole.

use super::Rng;

/// Content that is told by a number and a size, and that any part of it betrays as a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob {
    id: u32,
    size: u32,
}

impl Blob {
    const HEAD: usize = 16;

    /// The content of that number with about that size.
    pub fn new(id: u32, size: usize) -> Self {
        Self { id, size: size.max(Self::HEAD) as u32 }
    }

    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = b"BLOB\0\0\0\0".to_vec();
        bytes.extend_from_slice(&self.id.to_le_bytes());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        bytes.extend(Rng::seeded(u64::from(self.id)).bytes(self.size as usize - Self::HEAD));
        bytes
    }

    /// Which content these bytes are; none if they are not a whole one.
    pub fn recognise(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(8..Self::HEAD)?;
        let id = u32::from_le_bytes(head[..4].try_into().ok()?);
        let size = u32::from_le_bytes(head[4..].try_into().ok()?);
        let blob = Self { id, size };
        (size as usize == bytes.len() && blob.bytes() == bytes).then_some(blob)
    }
}
