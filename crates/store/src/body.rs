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

    /// The same stream, watched, without its first `there` bytes: they are at the server already. `cancelled` is the
    /// error to stop with.
    pub fn watch(&self, stream: ByteStream, there: u64, flow: &Arc<Flow>, cancelled: Error) -> ByteStream {
        let state = Some((stream, self.clone(), there, flow.clone(), cancelled));
        let watched = futures::stream::unfold(state, |state| async move {
            let (mut stream, body, mut there, flow, cancelled) = state?;
            loop {
                let piece: Option<Result<Bytes>> =
                    if flow.is_cancelled() { Some(Err(cancelled.clone())) } else { stream.next().await };
                match piece {
                    Some(Ok(mut bytes)) => {
                        body.told().hasher.update(&bytes);
                        there -= bytes.split_to(bytes.len().min(usize::try_from(there).unwrap_or(usize::MAX))).len()
                            as u64;
                        if bytes.is_empty() {
                            continue;
                        }
                        flow.add_bytes(bytes.len() as u64);
                        return Some((Ok(bytes), Some((stream, body, there, flow, cancelled))));
                    }
                    Some(Err(error)) => {
                        body.told().failed = Some(error.clone());
                        return Some((Err(error), None));
                    }
                    None => {
                        body.told().ended = true;
                        return None;
                    }
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
