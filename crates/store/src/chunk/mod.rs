//! Files in chunks whose borders follow from the content, so that two versions of a file share all chunks but those that
//! were changed, wherever the bytes have moved to; and trees of hashes over them, of which only what differs has to be
//! told.

mod cut;
mod recipe;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

pub use self::cut::{Cutter, Sizes};
pub(crate) use self::recipe::assembled;
pub use self::recipe::{Origin, Piece, Recipe};
pub use self::tree::{ChunkTree, Node, TreeBuilder};
pub(crate) use self::walk::{Known, Told, Walk};

/// Files up to this size are sent whole: a delta would save less than asking for it takes.
pub const WHOLE: u64 = 1 << 20;
