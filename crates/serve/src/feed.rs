//! Telling of changes: one watch a share, however many listen, and none while nobody does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sitta_store::sitta::feed::News;
use sitta_store::sitta::wire::Text;
use sitta_store::watch::{Look, Missed, Watch};
use sitta_store::{Error, Store};
use tokio::sync::broadcast;

/// News that wait for one listener; who is slower misses some, and is told so.
const WAITING: usize = 4096;

/// What is heard within so long is told together: long enough to join what belongs together, too short to be felt.
const QUIET: Duration = Duration::from_millis(2);
const AT_MOST: Duration = Duration::from_millis(20);

/// Those who listen to one share.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    sender: Mutex<Option<broadcast::Sender<News>>>,
}

impl Hub {
    /// All that happens from now on; none if the store cannot tell.
    pub async fn listen(&self, store: &Arc<dyn Store>) -> Result<Option<broadcast::Receiver<News>>, Error> {
        if let Some(listening) = self.join() {
            return Ok(Some(listening));
        }
        let Some(watch) = store.watch().await? else { return Ok(None) };
        let (sender, receiver) = broadcast::channel(WAITING);
        let mut slot = self.sender.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Somebody else may have begun meanwhile; then there are two watches for a while.
        *slot = Some(sender.clone());
        drop(slot);
        tokio::spawn(tell(watch, sender));
        Ok(Some(receiver))
    }

    fn join(&self) -> Option<broadcast::Receiver<News>> {
        let slot = self.sender.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // Where nobody listens, the watch is about to end.
        slot.as_ref().filter(|sender| sender.receiver_count() > 0).map(broadcast::Sender::subscribe)
    }
}

async fn tell(watch: Watch, sender: broadcast::Sender<News>) {
    loop {
        tokio::select! {
            () = watch.settled(QUIET, AT_MOST) => {}
            () = sender.closed() => return,
        }
        let heard = watch.take();
        for (path, look) in heard.changed {
            let _ = sender.send(News::Changed { path: Text::from(&path), below: look == Look::Below });
        }
        if let Some(missed) = heard.missed {
            let _ = sender.send(News::Missed);
            // All listeners come again, and with the first of them a new watch.
            if missed == Missed::Gone {
                return;
            }
        }
    }
}
