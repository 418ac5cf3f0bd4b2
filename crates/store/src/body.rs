//! The bytes of a write on their way to the server: counted, hashed, stopped when cancelled; and what became of them
//! where the server's client would bury it.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::stream::StreamExt;
use sitta_tree::ContentHash;

use crate::{ByteStream, Error, Flow, Result};

#[derive(Debug, Default)]
struct Told {
    hasher: blake3::Hasher,
    failed: Option<Error>,
    ended: bool,
}

/// What is known of a stream that somebody else consumes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body {
    told: Arc<Mutex<Told>>,
}

impl Body {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The same stream, watched. `cancelled` is the error to stop with.
    pub fn watch(&self, stream: ByteStream, flow: &Arc<Flow>, cancelled: Error) -> ByteStream {
        let state = Some((stream, self.clone(), flow.clone(), cancelled));
        let watched = futures::stream::unfold(state, |state| async move {
            let (mut stream, body, flow, cancelled) = state?;
            let piece: Option<Result<Bytes>> =
                if flow.is_cancelled() { Some(Err(cancelled.clone())) } else { stream.next().await };
            match piece {
                Some(Ok(bytes)) => {
                    flow.add_bytes(bytes.len() as u64);
                    body.told().hasher.update(&bytes);
                    Some((Ok(bytes), Some((stream, body, flow, cancelled))))
                }
                Some(Err(error)) => {
                    body.told().failed = Some(error.clone());
                    Some((Err(error), None))
                }
                None => {
                    body.told().ended = true;
                    None
                }
            }
        });
        watched.boxed()
    }

    /// What went wrong with the bytes themselves, if anything did.
    pub fn failed(&self) -> Option<Error> {
        self.told().failed.clone()
    }

    /// The hash of all bytes, once the last was taken.
    pub fn content(&self) -> Option<ContentHash> {
        let told = self.told();
        told.ended.then(|| ContentHash(*told.hasher.finalize().as_bytes()))
    }

    /// Whether the stream was taken to its end: only then has the source vouched for the bytes.
    pub fn ended(&self) -> bool {
        self.told().ended
    }
}
