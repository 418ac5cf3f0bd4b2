//! The chunks of files, worked out once for each version.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::available_parallelism;
use std::time::Duration;

use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, StreamExt};
use sitta_store::chunk::{ChunkTree, Sizes, TreeBuilder};
use sitta_store::{Error, ErrorKind, Source};
use sitta_tree::{Fingerprint, RelPath};
use tokio::sync::Semaphore;

use crate::Share;
use crate::recent::{Key, Recent, is_settled, key};

/// So many nodes are remembered: some 40 MB.
const NODES: usize = 1 << 20;

/// So many files wait to be read at most, so that nobody can make the server read for days.
const WAITING: usize = 64;

type Making = Shared<BoxFuture<'static, Result<Arc<ChunkTree>, Error>>>;

/// The chunk trees of a server.
#[derive(Debug, Clone)]
pub(crate) struct Chunks {
    state: Arc<Mutex<State>>,
    /// As many files are read at a time as there are processors, whoever asks.
    slots: Arc<Semaphore>,
}

#[derive(Debug)]
struct State {
    known: Recent<Arc<ChunkTree>>,
    /// What is being made: it is finished though nobody may wait for it any more.
    making: HashMap<Key, Making>,
}

impl Default for Chunks {
    fn default() -> Self {
        let state = State { known: Recent::new(NODES), making: HashMap::new() };
        let slots = Semaphore::new(available_parallelism().map_or(2, usize::from));
        Self { state: Arc::new(Mutex::new(state)), slots: Arc::new(slots) }
    }
}

impl Chunks {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The chunks of this version of a file; none if working them out takes longer than `patience`, after which it goes
    /// on. [`ErrorKind::Changed`] if it is another version by now, or becomes one meanwhile.
    pub async fn of(
        &self,
        share: &Share,
        path: &RelPath,
        version: &Fingerprint,
        patience: Duration,
    ) -> Result<Option<Arc<ChunkTree>>, Error> {
        let key = key(&share.name, path, version, "chunks");
        let making = {
            let mut state = self.state();
            if let Some(known) = state.known.get(&key) {
                return Ok(Some(known));
            }
            match state.making.get(&key) {
                Some(making) => making.clone(),
                None if state.making.len() >= WAITING => {
                    let what = "too many files are being looked into";
                    return Err(Error::new(ErrorKind::Busy, &share.store.location().into(), path.clone(), what));
                }
                None => {
                    let store = share.store.clone();
                    let source = Source::Stored { store, path: path.clone(), version: *version };
                    let making = self.clone().make(key, source, *version).boxed().shared();
                    tokio::spawn(making.clone());
                    state.making.insert(key, making.clone());
                    making
                }
            }
        };
        match tokio::time::timeout(patience, making).await {
            Ok(made) => made.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn make(self, key: Key, source: Source, version: Fingerprint) -> Result<Arc<ChunkTree>, Error> {
        let _slot = self.slots.acquire().await.expect("never closed");
        let made = chunks(&source, version.size).await.map(Arc::new);
        let mut state = self.state();
        state.making.remove(&key);
        if let Ok(tree) = &made
            && is_settled(&version)
        {
            state.known.insert(key, tree.len().max(1), tree.clone());
        }
        made
    }
}

async fn chunks(source: &Source, size: u64) -> Result<ChunkTree, Error> {
    let mut builder = TreeBuilder::new(Sizes::of(size));
    let mut bytes = source.open(0).await?.bytes;
    while let Some(piece) = bytes.next().await {
        builder.push(&piece?);
    }
    Ok(builder.finish())
}
