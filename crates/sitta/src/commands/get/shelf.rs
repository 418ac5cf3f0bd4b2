//! What the cache of downloads has of one version of one file, and takes of it. A cache that fails is told of, and costs
//! no download.

use std::io;

use sitta_ops::cache::{About, Cache, CacheError, Key};
use sitta_store::Store;
use sitta_tree::{Entry, RelPath};

use super::partial::Partial;
use crate::commands::cache;
use crate::context::Context;
use crate::exit::Outcome;

/// The place of one version in the cache, if there is one.
#[derive(Debug)]
pub struct Shelf<'s> {
    context: &'s Context,
    place: Option<(Cache, Key, About)>,
}

impl<'s> Shelf<'s> {
    /// The place of a file; none without a cache, for files of this machine, and where versions cannot be told apart.
    pub fn new(context: &'s Context, store: &dyn Store, path: &RelPath, entry: &Entry) -> Outcome<Self> {
        let version = entry.fingerprint();
        let mut shelf = Self::none(context);
        if store.as_local().is_some() || !Key::is_certain(&version) {
            return Ok(shelf);
        }
        let Some(opened) = cache::open(context)? else { return Ok(shelf) };
        let key = Key::new(store.location(), path, &version);
        let about = About {
            location: store.location().to_owned(),
            path: path.clone(),
            size: version.size,
            hash: sitta_tree::ContentHash([0; 32]),
        };
        shelf.place = shelf.told(opened).map(|cache| (cache, key, about));
        Ok(shelf)
    }

    /// No place.
    pub fn none(context: &'s Context) -> Self {
        Self { context, place: None }
    }

    /// Fills the partial with what is kept; false, and the partial is as if nothing had come, if that is nothing, or not
    /// what it was.
    pub fn take(&self, partial: &mut Partial) -> io::Result<bool> {
        let Some((cache, key, _)) = &self.place else { return Ok(false) };
        let Some(Some((mut file, hash))) = self.told(cache.find(key)) else { return Ok(false) };
        partial.take(&mut file)?;
        if partial.hash() == hash {
            return Ok(true);
        }
        partial.clear()?;
        self.told(cache.forget(key));
        self.context.say(format_args!("what the cache held is damaged: it is downloaded again"));
        Ok(false)
    }

    /// Keeps what was downloaded.
    pub fn put(&self, partial: &mut Partial) {
        if let Some((cache, key, about)) = &self.place {
            let about = About { hash: partial.hash(), ..about.clone() };
            self.told(cache.add(key, &about, partial.file()));
        }
    }

    fn told<T>(&self, result: Result<T, CacheError>) -> Option<T> {
        result.map_err(|error| self.context.say(format_args!("{error}; it goes on without it"))).ok()
    }
}
