//! Writing what is made while it is sent: how much it is shows only at its end.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use sitta_tree::ContentHash;

use super::tools::*;
use crate::{ByteStream, Error, ErrorKind, Flow, Maker, Result, Source, What, Write};

/// Gives these bytes in pieces of an odd size, and then fails if it shall.
#[derive(Debug)]
struct Odd {
    content: Bytes,
    fails: bool,
    /// Cancelled once half of it was given.
    stops: Option<Arc<Flow>>,
}

#[async_trait]
impl Maker for Odd {
    async fn make(&self) -> Result<ByteStream> {
        let pieces: Vec<Bytes> = self.content.chunks(65_537).map(Bytes::copy_from_slice).collect();
        let (half, stops) = (pieces.len() / 2, self.stops.clone());
        let pieces = stream::iter(pieces.into_iter().enumerate()).map(move |(nth, piece)| {
            if let Some(flow) = stops.as_ref().filter(|_| nth == half) {
                flow.cancel();
            }
            Ok(piece)
        });
        let end = self.fails.then(|| Err(Error::new(ErrorKind::Denied, &"made".into(), path("part"), "no more")));
        Ok(pieces.chain(stream::iter(end)).boxed())
    }

    fn at_most(&self) -> u64 {
        self.content.len() as u64
    }
}

fn odd(content: impl Into<Bytes>) -> Odd {
    Odd { content: content.into(), fails: false, stops: None }
}

fn made(maker: Odd) -> What {
    What::File(Source::Made(Arc::new(maker)))
}

pub(super) async fn of_any_size(store: Subject) {
    // The last two need more than one part on any object store.
    for size in [0, 1, 70_000, (8 << 20) + 1, (17 << 20) + 3] {
        let content = pattern(size);
        let (at, flow) = (format!("f{size}"), flow());
        let written = store.write(new(&at, made(odd(content.clone()))), &flow).await.expect("written");
        assert_eq!((written.entry.size, flow.bytes()), (size as u64, size as u64));
        assert_eq!(written.content, Some(ContentHash(*blake3::hash(&content).as_bytes())), "what was sent is told");
        assert_eq!(stat(&store, &at).await, Some(written.entry));
        assert!(get(&store, &at).await.unwrap() == content, "the same {size} bytes");
    }
}

pub(super) async fn replaces(store: Subject) {
    put(&store, "f", "old").await;
    let at_absent = write(&store, new("f", made(odd("new")))).await;
    assert_eq!(refused(at_absent, "f"), ErrorKind::Changed);
    assert_eq!(get(&store, "f").await.unwrap(), b"old");
    let over = Write { expect: version(&store, "f").await, ..new("f", made(odd("new one"))) };
    write(&store, over).await.unwrap();
    assert_eq!(get(&store, "f").await.unwrap(), b"new one");
    assert_eq!(paths(&store).await, ["f"]);
}

pub(super) async fn that_fails_half_way(store: Subject) {
    put(&store, "f", "old").await;
    for size in [0, 10, 9 << 20] {
        let over = Write {
            expect: version(&store, "f").await,
            ..new("f", made(Odd { fails: true, ..odd(pattern(size)) }))
        };
        let failed = write(&store, over).await.expect_err("it could not be made");
        assert_eq!((failed.kind, failed.path), (ErrorKind::Denied, Some(path("part"))), "{size} bytes");
        assert_eq!(get(&store, "f").await.unwrap(), b"old");
        assert_eq!(paths(&store).await, ["f"]);
    }
}

pub(super) async fn cancelled_half_way(store: Subject) {
    put(&store, "f", "old").await;
    let flow = flow();
    let stopped = Odd { stops: Some(flow.clone()), ..odd(pattern(8 << 20)) };
    let over = Write { expect: version(&store, "f").await, ..new("f", made(stopped)) };
    let failed = store.write(over, &flow).await.expect_err("it was cancelled");
    assert_eq!(failed.kind, ErrorKind::Cancelled);
    assert_eq!(get(&store, "f").await.unwrap(), b"old");
    assert_eq!(paths(&store).await, ["f"]);
}
