//! What an archive may be, told from the ending of its name.

use std::ops::RangeInclusive;

/// What an archive may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A tar, compressed by gzip.
    TarGzip,
    /// A tar, compressed by zstd.
    TarZstd,
    /// A zip.
    Zip,
}

impl Format {
    /// Endings of names, and what they mean.
    pub const ENDINGS: [(&'static str, Self); 5] = [
        (".tar.zst", Self::TarZstd),
        (".tzst", Self::TarZstd),
        (".tar.gz", Self::TarGzip),
        (".tgz", Self::TarGzip),
        (".zip", Self::Zip),
    ];

    /// What a name's ending says; none if it is no known one, or nothing stands before it.
    pub fn of(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let known = |ending: &str| lower.strip_suffix(ending).is_some_and(|rest| !rest.is_empty());
        Self::ENDINGS.iter().find(|(ending, _)| known(ending)).map(|(_, format)| *format)
    }

    /// The levels that there are, from fast to small.
    pub fn levels(self) -> RangeInclusive<i32> {
        match self {
            Self::TarGzip | Self::Zip => 1..=12,
            Self::TarZstd => 1..=19,
        }
    }

    /// The level where nobody says one. That of gzip and zip makes no larger files than `gzip -6`.
    pub fn usual_level(self) -> i32 {
        match self {
            Self::TarGzip | Self::Zip => 5,
            Self::TarZstd => 3,
        }
    }

    /// Whether it keeps hard links and extended attributes.
    pub(super) fn is_tar(self) -> bool {
        self != Self::Zip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings() {
        for (name, format) in [
            ("a.tgz", Some(Format::TarGzip)),
            ("{date}.TAR.GZ", Some(Format::TarGzip)),
            ("a.b.tar.zst", Some(Format::TarZstd)),
            ("x.zip", Some(Format::Zip)),
            (".zip", None),
            ("a.tar", None),
            ("a.7z", None),
            ("zip", None),
        ] {
            assert_eq!(Format::of(name), format, "{name}");
        }
    }
}
