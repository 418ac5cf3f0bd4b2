//! Whether the server enforces conditional writes: some ignore the conditions without a word.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use http::{Method, header};
use sitta_tree::RelPath;
use tokio::sync::OnceCell;

use super::S3Store;
use super::client::Call;
use crate::{OWN_DIR, Result};

/// Writes of new files that a HEAD each is cheaper for than finding out.
const WITHOUT: u32 = 2;

/// What is known.
#[derive(Debug)]
pub(super) struct Conditions {
    enforced: OnceCell<bool>,
    /// A request with a condition was refused as something that the server cannot do.
    refused: AtomicBool,
    new_files: AtomicU32,
}

impl Conditions {
    pub fn new(configured: Option<bool>) -> Self {
        let enforced = OnceCell::new_with(configured);
        Self { enforced, refused: AtomicBool::new(false), new_files: AtomicU32::new(0) }
    }

    /// Whether conditions are worth sending.
    pub fn may_be_sent(&self) -> bool {
        self.enforced.get() != Some(&false) && !self.refused.load(Relaxed)
    }

    /// Whether they are known to be enforced.
    pub fn are_enforced(&self) -> bool {
        self.enforced.get() == Some(&true) && !self.refused.load(Relaxed)
    }

    /// From now on they are not sent.
    pub fn refuse(&self) {
        self.refused.store(true, Relaxed);
    }
}

impl S3Store {
    /// Whether "nothing stands there" may be left to the server. Finds out when that has begun to matter; 3 requests.
    pub(super) async fn enforces(&self) -> bool {
        let early = self.conditions.new_files.fetch_add(1, Relaxed) < WITHOUT;
        if !early && self.conditions.enforced.get().is_none() {
            // Who cannot find out relies on nothing.
            self.conditions.enforced.get_or_init(|| async { self.try_out().await.unwrap_or(false) }).await;
        }
        self.conditions.are_enforced()
    }

    /// Writes the same new object twice.
    async fn try_out(&self) -> Result<bool> {
        let random = RandomState::new().build_hasher().finish();
        let path = RelPath::new(format!("{OWN_DIR}/probe-{random:016x}")).expect("a valid path");
        let key = self.key(&path)?;
        let put = Call::object(Method::PUT, &path, &key).header(header::IF_NONE_MATCH, "*");
        if !self.client.send_any(put.clone()).await?.status().is_success() {
            return Ok(false);
        }
        let second = self.client.send_any(put).await;
        // A leftover harms nobody: it stands in our own directory.
        let _ = self.client.send(Call::object(Method::DELETE, &path, &key)).await;
        Ok(matches!(second?.status().as_u16(), 409 | 412))
    }
}
