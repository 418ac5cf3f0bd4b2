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

    /// The paths that it touches, or needs: of a rename both, of a link also the file that it is to name.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &RelPath> {
        let also = match self {
            Self::Write(Write { what: What::Link(to), .. }) | Self::Rename { to, .. } => Some(to),
            _ => None,
        };
        std::iter::once(self.path()).chain(also)
    }

    /// Whether an earlier change may decide what this one meets: at its own paths, above them, or below.
    pub(crate) fn leans_on(&self, earlier: &Self) -> bool {
        let meet = |one: &RelPath, other: &RelPath| one.is_within(other) || other.is_within(one);
        self.paths().any(|path| earlier.paths().any(|other| meet(path, other)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leans_on_the_file_that_it_names() {
        let path = |text: &str| RelPath::new(text).expect("a valid path");
        let write = |at: &str, what| {
            let (path, temp) = (path(at), ".sitta-tmp-1".into());
            let (meta, expect, displaced) = (Meta::default(), Precondition::Absent, Displaced::Discard);
            Change::Write(Write { path, what, meta, expect, displaced, temp })
        };
        let (link, file) =
            (write("name", What::Link(path("d/f"))), write("d/f", What::File(Source::Bytes("x".into()))));
        assert!(link.leans_on(&file) && link.leans_on(&write("d", What::Dir)));
        assert!(!file.leans_on(&write("e", What::Dir)));
    }
}
