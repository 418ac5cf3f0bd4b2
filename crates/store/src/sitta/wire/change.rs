//! Changes, and what must hold for them.

use serde::{Deserialize, Serialize};

use super::{Odd, Text, WireMeta, WireXattrs, tag, untag};
use crate::{Displaced, Precondition};

/// What must stand at a path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireExpect {
    /// Anything or nothing.
    #[default]
    Anything,
    /// Nothing.
    Absent,
    /// This version.
    Version(String),
}

impl From<&Precondition> for WireExpect {
    fn from(expect: &Precondition) -> Self {
        match expect {
            Precondition::None => Self::Anything,
            Precondition::Absent => Self::Absent,
            Precondition::Version(version) => Self::Version(tag(version)),
        }
    }
}

impl WireExpect {
    /// The precondition that was told.
    pub fn precondition(&self) -> Result<Precondition, Odd> {
        Ok(match self {
            Self::Anything => Precondition::None,
            Self::Absent => Precondition::Absent,
            Self::Version(text) => {
                Precondition::Version(untag(text).ok_or_else(|| Odd(format!("'{text}' is no version")))?)
            }
        })
    }
}

/// Where what is displaced goes; nothing: it is gone.
pub fn displaced(to: Option<&Text>) -> Result<Displaced, Odd> {
    to.map_or(Ok(Displaced::Discard), |to| Ok(Displaced::MoveTo(to.path()?)))
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireWhat {
    /// A file of so many bytes, which follow; none: all that is left of them, of the last change only.
    File(Option<u64>),
    /// A file of so many bytes, which the server keeps for a while if it is cut off. It comes alone.
    Resumable {
        /// Its size.
        size: u64,
        /// What only these bytes are called, for whoever goes on with them.
        id: String,
        /// So many bytes are there already; the others follow.
        from: u64,
    },
    /// A file that is put together from pieces of the version that stands at the path and from bytes that follow.
    Pieces {
        /// Its size.
        size: u64,
        /// That version; see [`tag`].
        of: String,
        /// The BLAKE3 hash that it must have, in hexadecimal.
        content: String,
    },
    /// A copy of a file of the same share; no bytes follow.
    Copy {
        /// Where it is.
        from: Text,
        /// The version that is meant; see [`tag`].
        of: String,
    },
    /// A symbolic link with this target.
    Symlink(Text),
    /// A directory.
    Dir,
    /// Another name for the file at this path.
    Link(Text),
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum WireChange {
    /// Writes something.
    Write {
        /// Where.
        path: Text,
        /// What.
        what: WireWhat,
        /// With this metadata.
        #[serde(default)]
        meta: WireMeta,
        /// What must stand there.
        #[serde(default)]
        expect: WireExpect,
        /// Where that goes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        displaced: Option<Text>,
        /// The name of a temporary beside it.
        temp: String,
        /// With these extended attributes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        xattrs: Option<WireXattrs>,
    },
    /// Removes something.
    Remove {
        /// Where.
        path: Text,
        /// What must stand there.
        #[serde(default)]
        expect: WireExpect,
        /// Where it goes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        displaced: Option<Text>,
    },
    /// Renames something.
    Rename {
        /// From here.
        from: Text,
        /// To there.
        to: Text,
        /// What must stand at the old path.
        #[serde(default)]
        expect: WireExpect,
    },
    /// Gives something metadata.
    SetMeta {
        /// What.
        path: Text,
        /// Which.
        meta: WireMeta,
        /// What must stand there.
        #[serde(default)]
        expect: WireExpect,
        /// With these extended attributes in the place of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        xattrs: Option<WireXattrs>,
    },
}
