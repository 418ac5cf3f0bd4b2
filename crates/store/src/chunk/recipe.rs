//! How a new version is put together from pieces of an old one and the bytes that this one lacks.

use std::collections::HashMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use sitta_tree::ContentHash;

use super::walk::{Known, Walk};
use crate::{ByteStream, Error, ErrorKind, Source};

/// So many pieces are asked for at a time.
const AHEAD: usize = 4;

/// Where the bytes of a piece are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In the new version, at the place of the piece itself.
    New,
    /// In the old version, from this byte on.
    Old(u64),
}

/// So many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where they are.
    pub origin: Origin,
    /// How many.
    pub len: u64,
}

/// The pieces of a new version, from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// They.
    pub pieces: Vec<Piece>,
    /// The hash that all bytes together must have.
    pub content: ContentHash,
}

impl Recipe {
    /// Of a version elsewhere, with an old one here.
    pub(crate) fn to_here(known: &Known<'_>, walk: &Walk, content: ContentHash) -> Self {
        let mut recipe = Self { pieces: Vec::new(), content };
        for stretch in walk.stretches() {
            let old = stretch.known.as_ref().filter(|chunks| !chunks.is_empty());
            recipe.push(old.map_or(Origin::New, |chunks| Origin::Old(known.start(chunks.start))), stretch.len);
        }
        recipe
    }

    /// Of the version here, with an old one elsewhere.
    pub(crate) fn from_here(known: &Known<'_>, walk: &Walk) -> Self {
        let (chunks, mut places, mut at) = (known.tree().chunks(), HashMap::new(), 0);
        for stretch in walk.stretches() {
            let mut start = at;
            for chunk in &chunks[stretch.known.clone().unwrap_or_default()] {
                places.entry(chunk.hash).or_insert(start);
                start += chunk.len;
            }
            at += stretch.len;
        }
        let mut recipe = Self { pieces: Vec::new(), content: known.tree().content() };
        for chunk in chunks {
            recipe.push(places.get(&chunk.hash).map_or(Origin::New, |place| Origin::Old(*place)), chunk.len);
        }
        recipe
    }

    fn push(&mut self, origin: Origin, len: u64) {
        match (self.pieces.last_mut(), origin) {
            (Some(last @ Piece { origin: Origin::New, .. }), Origin::New) => last.len += len,
            (Some(Piece { origin: Origin::Old(from), len: before }), Origin::Old(at)) if *from + *before == at => {
                *before += len;
            }
            _ => self.pieces.push(Piece { origin, len }),
        }
    }

    /// How many bytes the new version has, and how many of them the old one lacks.
    pub fn sizes(&self) -> (u64, u64) {
        let sum = |pieces: &mut dyn Iterator<Item = &Piece>| pieces.map(|piece| piece.len).sum();
        let lacking = sum(&mut self.pieces.iter().filter(|piece| piece.origin == Origin::New));
        (sum(&mut self.pieces.iter()), lacking)
    }

    /// Whether it saves enough to be worth its while: an eighth.
    pub fn saves(&self) -> bool {
        let (size, lacking) = self.sizes();
        lacking <= size - size / 8
    }
}

/// The new version's bytes. Fails with [`ErrorKind::Corrupt`] before it ends if they are not those that were meant: either
/// version became another one meanwhile.
pub(crate) fn assembled(recipe: Recipe, new: Source, old: Source) -> ByteStream {
    let Recipe { pieces, content } = recipe;
    let place = |at: &mut u64, piece: Piece| {
        let start = match piece.origin {
            Origin::New => *at,
            Origin::Old(start) => start,
        };
        *at += piece.len;
        std::future::ready(Some((piece.origin, start..start + piece.len)))
    };
    let parts = stream::iter(pieces).scan(0, place).map(move |(origin, range)| {
        let source = if origin == Origin::New { new.clone() } else { old.clone() };
        async move { source.part(range).await }
    });
    let bytes = parts.buffered(AHEAD).try_flatten().boxed();
    let state = Some((bytes, blake3::Hasher::new()));
    let checked = stream::unfold(state, move |state| async move {
        let (mut bytes, mut hasher) = state?;
        match bytes.next().await {
            Some(Ok(piece)) => {
                hasher.update(&piece);
                Some((Ok(piece), Some((bytes, hasher))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None if hasher.finalize().as_bytes() == &content.0 => None,
            None => Some((Err(other_bytes()), None)),
        }
    });
    checked.boxed()
}

fn other_bytes() -> Error {
    Error::new(ErrorKind::Corrupt, &"".into(), None, "put together from pieces, it is not what was meant")
}
