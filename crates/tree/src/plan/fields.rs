//! Which fields of an entry's metadata.

use super::SideTraits;

/// A set of metadata fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MetaFields(u8);

impl MetaFields {
    /// No field.
    pub const NONE: Self = Self(0);
    /// The modification time.
    pub const MTIME: Self = Self(1);
    /// The permission bits.
    pub const MODE: Self = Self(2);
    /// Owner and group.
    pub const OWNER: Self = Self(4);
    /// The extended attributes.
    pub const XATTRS: Self = Self(8);
    /// Every single field, for going through them.
    pub const EACH: [Self; 4] = [Self::MTIME, Self::MODE, Self::OWNER, Self::XATTRS];

    /// Whether no field is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `fields` are in the set.
    pub fn has(self, fields: Self) -> bool {
        self.0 & fields.0 == fields.0
    }

    /// The set with `fields` as well.
    #[must_use]
    pub fn with(self, fields: Self) -> Self {
        Self(self.0 | fields.0)
    }

    /// The set without `fields`.
    #[must_use]
    pub fn without(self, fields: Self) -> Self {
        Self(self.0 & !fields.0)
    }

    /// Those fields that are also in `kept`.
    #[inline]
    pub(super) fn kept(self, kept: Self) -> Self {
        Self(self.0 & kept.0)
    }

    /// What both sides keep: nothing else can agree.
    pub(super) fn kept_by_both(left: &SideTraits, right: &SideTraits) -> Self {
        let both =
            |kept: fn(&SideTraits) -> bool, field| if kept(left) && kept(right) { field } else { Self::NONE };
        both(|t| t.mtime_precision > 0, Self::MTIME)
            .with(both(|t| t.modes, Self::MODE))
            .with(both(|t| t.owners, Self::OWNER))
            .with(both(|t| t.xattrs, Self::XATTRS))
    }
}
