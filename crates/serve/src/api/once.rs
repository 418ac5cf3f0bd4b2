//! Bytes that a client sends: they come once, perhaps with extended attributes.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sitta_store::{ByteStream, Error, ErrorKind, Maker, Source, Xattrs};

/// What was sent did not arrive, or cannot come again.
pub(super) fn broken(what: &'static str) -> Error {
    Error::new(ErrorKind::Unreachable, &"".into(), None, what)
}

/// A source of bytes on their way in; `size` is what was announced.
pub(super) fn once(bytes: ByteStream, size: Option<u64>) -> Source {
    Source::Made(Arc::new(Once { bytes: Mutex::new(Some(bytes)), size }))
}

struct Once {
    bytes: Mutex<Option<ByteStream>>,
    size: Option<u64>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("size", &self.size).finish_non_exhaustive()
    }
}

#[async_trait]
impl Maker for Once {
    async fn make(&self) -> sitta_store::Result<ByteStream> {
        let bytes = self.bytes.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        bytes.ok_or_else(|| broken("the bytes came once, and have to be sent again"))
    }

    fn at_most(&self) -> u64 {
        self.size.unwrap_or(u64::MAX)
    }
}

/// The bytes of a file, with the extended attributes that it shall get.
#[derive(Debug)]
pub(super) struct Dressed {
    pub source: Source,
    pub xattrs: Xattrs,
}

#[async_trait]
impl Maker for Dressed {
    async fn make(&self) -> sitta_store::Result<ByteStream> {
        Ok(self.source.open(0).await?.bytes)
    }

    async fn xattrs(&self) -> sitta_store::Result<Xattrs> {
        Ok(self.xattrs.clone())
    }

    fn at_most(&self) -> u64 {
        self.source.at_most()
    }
}
