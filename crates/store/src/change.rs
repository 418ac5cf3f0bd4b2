//! The changes that a store makes, each with what must stand there before and what becomes of that.

use std::sync::Arc;

use sitta_tree::{ContentHash, Entry, Fingerprint, Meta, RelPath};

use crate::{Result, Source, Store, Xattrs};

/// What must stand at a path for a change to happen. Otherwise the call fails with [`crate::ErrorKind::Changed`] and
/// nothing is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// No condition.
    None,
    /// Nothing stands there.
    Absent,
    /// This version stands there. [`Fingerprint::change`] is not compared when it is 0.
    Version(Fingerprint),
}

/// What becomes of the version that a change displaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Displaced {
    /// It is gone.
    Discard,
    /// It is found at this path of the same store afterwards; directories on the way are made.
    MoveTo(RelPath),
}

/// One thing to write.
#[derive(Debug, Clone)]
pub struct Write {
    /// Where.
    pub path: RelPath,
    /// What.
    pub what: What,
    /// The metadata it gets, as far as the store keeps it.
    pub meta: Meta,
    /// What must stand there before.
    pub expect: Precondition,
    /// What becomes of what stood there.
    pub displaced: Displaced,
    /// The name, beside the target, of the temporary file that a store may need. Unique to this write; whoever calls
    /// has noted it, so that it can be removed after a crash. See [`TEMP_PREFIX`].
    pub temp: Box<str>,
}

/// What a [`Write`] writes.
#[derive(Debug, Clone)]
pub enum What {
    /// A file with these bytes.
    File(Source),
    /// A symbolic link with this target.
    Symlink(Box<[u8]>),
    /// A new, empty directory. Writes behind it in the same batch may go into it.
    Dir,
    /// Another name for the file at this path.
    Link(RelPath),
}

/// One change of any sort, for [`Store::apply`].
#[derive(Debug, Clone)]
pub enum Change {
    /// [`Store::write`].
    Write(Write),
    /// [`Store::remove`].
    Remove {
        /// Where.
        path: RelPath,
        /// What must stand there before.
        expect: Precondition,
        /// What becomes of it.
        displaced: Displaced,
    },
    /// [`Store::rename`].
    Rename {
        /// The old path.
        from: RelPath,
        /// The new path.
        to: RelPath,
        /// What must stand at the old path before.
        expect: Precondition,
    },
    /// [`Store::set_meta`].
    SetMeta {
        /// Where.
        path: RelPath,
        /// The new metadata.
        meta: Meta,
        /// What must stand there before.
        expect: Precondition,
        /// The extended attributes it shall get, where the store keeps any.
        xattrs: Option<XattrsOf>,
    },
}

/// Where an entry's new extended attributes come from.
#[derive(Debug, Clone)]
pub enum XattrsOf {
    /// An entry of another store, which keeps them too.
    Entry(Arc<dyn Store>, RelPath),
    /// These.
    These(Xattrs),
}

impl XattrsOf {
    /// The attributes.
    ///
    /// # Errors
    /// If those of the other store cannot be read.
    pub async fn get(&self) -> Result<Xattrs> {
        match self {
            Self::Entry(store, path) => store.xattrs(path).await,
            Self::These(pairs) => Ok(pairs.clone()),
        }
    }
}

impl Change {
    /// The path that it is named by; of a rename the old one.
    pub fn path(&self) -> &RelPath {
        match self {
            Self::Write(write) => &write.path,
            Self::Remove { path, .. } | Self::SetMeta { path, .. } | Self::Rename { from: path, .. } => path,
        }
    }

    /// Whether an earlier change may decide what this one meets: at its own place, above it, or below.
    pub(crate) fn leans_on(&self, earlier: &Self) -> bool {
        fn places(change: &Change) -> impl Iterator<Item = &RelPath> {
            let to = if let Change::Rename { to, .. } = change { Some(to) } else { None };
            std::iter::once(change.path()).chain(to)
        }
        let meet = |one: &RelPath, other: &RelPath| one.is_within(other) || other.is_within(one);
        places(self).any(|place| places(earlier).any(|other| meet(place, other)))
    }
}

/// What a successful change left at the path.
#[derive(Debug, Clone)]
pub struct Written {
    /// What `stat` would tell right after.
    pub entry: Entry,
    /// The hash of the bytes as they were written, when they passed through.
    pub content: Option<ContentHash>,
}
