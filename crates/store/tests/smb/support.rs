//! Stores on a Samba of the test's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::TryStreamExt;
use sitta_store::web::WebOptions;
use sitta_store::{
    Access, Displaced, Flow, Location, Password, Precondition, Result, Source, Store, What, Write, Written, smb,
};
use sitta_testbed::samba::{PASSWORD, Samba, USER};
use sitta_tree::{Meta, RelPath, Time};

pub fn path(text: impl AsRef<[u8]>) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

pub fn access(timeout: Duration) -> Access {
    Access {
        user: Some(USER.into()),
        password: Some(Password::new(PASSWORD)),
        web: WebOptions { timeout, ..WebOptions::default() },
        ..Access::default()
    }
}

/// The store at a URL, without the retries that stand before it otherwise.
pub async fn open_with(url: &str, access: &Access) -> Result<Arc<dyn Store>> {
    match Location::parse(url).expect("a location") {
        Location::Remote(remote) => smb::open(&remote, access).await,
        other => panic!("{other:?} is no server"),
    }
}

pub async fn open(samba: &Samba) -> Arc<dyn Store> {
    open_with(&samba.url(), &access(Duration::from_secs(30))).await.expect("opened")
}

pub fn new(at: impl AsRef<[u8]>, what: What) -> Write {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    Write {
        path: path(at),
        what,
        meta: Meta { mtime: Time::new(1_600_000_000, 123_456_700), ..Meta::default() },
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: format!(".sitta-tmp-{}", COUNT.fetch_add(1, Ordering::Relaxed)).into(),
    }
}

pub fn bytes(content: impl Into<Bytes>) -> What {
    What::File(Source::Bytes(content.into()))
}

pub async fn put(store: &Arc<dyn Store>, at: impl AsRef<[u8]>, content: impl Into<Bytes>) -> Result<Written> {
    store.write(new(at, bytes(content)), &Arc::<Flow>::default()).await
}

pub async fn get(store: &Arc<dyn Store>, at: impl AsRef<[u8]>) -> Result<Vec<u8>> {
    let stream = store.read(&path(at), 0..u64::MAX).await?;
    let pieces: Vec<Bytes> = stream.try_collect().await?;
    Ok(pieces.concat())
}
