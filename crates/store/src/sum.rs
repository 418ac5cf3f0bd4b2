//! Checksums of files.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use futures::StreamExt;
use md5::Digest as _;
use sitta_tree::RelPath;

use crate::sitta::wire::hex;
use crate::{ByteStream, Result, Store};

/// A sort of checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algo {
    /// As b3sum prints it.
    Blake3,
    /// As sha256sum prints it.
    Sha256,
    /// As md5sum prints it.
    Md5,
    /// As zip files have it.
    Crc32,
}

impl Algo {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Blake3, Self::Sha256, Self::Md5, Self::Crc32];

    /// The stable name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blake3 => "blake3",
            Self::Sha256 => "sha256",
            Self::Md5 => "md5",
            Self::Crc32 => "crc32",
        }
    }
}

/// A name that no checksum has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write blake3, sha256, md5 or crc32")]
pub struct NoAlgo;

impl FromStr for Algo {
    type Err = NoAlgo;

    fn from_str(name: &str) -> Result<Self, NoAlgo> {
        Self::ALL.into_iter().find(|algo| algo.name() == name).ok_or(NoAlgo)
    }
}

/// A checksum being made.
pub enum Hasher {
    /// [`Algo::Blake3`]
    Blake3(Box<blake3::Hasher>),
    /// [`Algo::Sha256`]
    Sha256(sha2::Sha256),
    /// [`Algo::Md5`]
    Md5(md5::Md5),
    /// [`Algo::Crc32`]
    Crc32(crc32fast::Hasher),
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

impl Hasher {
    /// Of no bytes yet.
    pub fn new(algo: Algo) -> Self {
        match algo {
            Algo::Blake3 => Self::Blake3(Box::default()),
            Algo::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algo::Md5 => Self::Md5(md5::Md5::new()),
            Algo::Crc32 => Self::Crc32(crc32fast::Hasher::new()),
        }
    }

    /// Of these bytes too.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Crc32(hasher) => hasher.update(bytes),
        }
    }

    /// In hexadecimal.
    pub fn finish(self) -> String {
        match self {
            Self::Blake3(hasher) => hasher.finalize().to_hex().to_string(),
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::Md5(hasher) => hex(&hasher.finalize()),
            Self::Crc32(hasher) => format!("{:08x}", hasher.finalize()),
        }
    }
}

/// The checksum of all bytes of a stream.
///
/// # Errors
/// If the stream fails.
pub async fn of_bytes(mut bytes: ByteStream, algo: Algo) -> Result<String> {
    let mut hasher = Hasher::new(algo);
    while let Some(piece) = bytes.next().await {
        hasher.update(&piece?);
    }
    Ok(hasher.finish())
}

/// The checksum of what a file holds while it is read.
///
/// # Errors
/// If it cannot be read.
pub async fn of_file(store: &Arc<dyn Store>, path: &RelPath, algo: Algo) -> Result<String> {
    of_bytes(store.read(path, 0..u64::MAX).await?, algo).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(algo: Algo, bytes: &[u8]) -> String {
        let mut hasher = Hasher::new(algo);
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn checksums_are_those_of_the_standards() {
        assert_eq!(hash(Algo::Crc32, b"123456789"), "cbf43926");
        assert_eq!(hash(Algo::Md5, b"abc"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(hash(Algo::Sha256, b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash(Algo::Blake3, b""), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    }

    #[test]
    fn names_are_understood() {
        for algo in Algo::ALL {
            assert_eq!(algo.name().parse(), Ok(algo));
        }
        for odd in ["", "SHA256", "sha1", "blake3 "] {
            assert_eq!(odd.parse::<Algo>(), Err(NoAlgo), "{odd}");
        }
    }
}
