//! The driver against a server in memory that can do no more than a [`Protocol`] asks for.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::BytesMut;
use futures::stream::StreamExt;
use sitta_tree::{Entry, Kind, Meta, RelPath, SideTraits};

use super::{Progress, Protocol, RemoteStore};
use crate::memory::{Fault, MemoryStore};
use crate::{
    ByteStream, Capabilities, Displaced, Error, ErrorKind, Flow, Precondition, Result, Source, Store, What, Write,
    conformance,
};

/// A memory store, as a server with plain calls.
#[derive(Debug)]
struct Plain {
    memory: MemoryStore,
    location: Arc<str>,
}

impl Plain {
    async fn put(&self, path: &RelPath, what: What, meta: &Meta) -> Result<()> {
        let write = Write {
            path: path.clone(),
            what,
            meta: *meta,
            expect: Precondition::Absent,
            displaced: Displaced::Discard,
            temp: "".into(),
        };
        self.memory.write(write, &Arc::<Flow>::default()).await.map(drop)
    }
}

#[async_trait]
impl Protocol for Plain {
    fn location(&self) -> &Arc<str> {
        &self.location
    }

    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }

    fn requests(&self) -> u64 {
        0
    }

    async fn list(&self, dir: &RelPath) -> Result<Vec<(Box<[u8]>, Entry)>> {
        self.memory.list_all(dir).await
    }

    async fn stat(&self, path: &RelPath) -> Result<Option<Entry>> {
        self.memory.stat(path).await
    }

    async fn read(&self, path: &RelPath, range: Range<u64>) -> Result<ByteStream> {
        self.memory.read(path, range).await
    }

    async fn create(
        &self,
        path: &RelPath,
        mut bytes: ByteStream,
        size: u64,
        meta: &Meta,
        _: &Progress,
    ) -> Result<()> {
        let mut all = BytesMut::new();
        while let Some(piece) = bytes.next().await {
            match piece {
                Ok(piece) => all.extend_from_slice(&piece),
                Err(error) => {
                    // What a server that was cut off has left.
                    self.put(path, What::File(Source::Bytes(all.freeze())), meta).await?;
                    return Err(error);
                }
            }
        }
        assert_eq!(all.len() as u64, size, "as many bytes as were promised");
        self.put(path, What::File(Source::Bytes(all.freeze())), meta).await
    }

    async fn symlink(&self, path: &RelPath, target: &[u8], meta: &Meta) -> Result<()> {
        self.put(path, What::Symlink(target.into()), meta).await
    }

    async fn make_dir(&self, path: &RelPath, meta: &Meta) -> Result<()> {
        self.put(path, What::Dir, meta).await
    }

    async fn rename(&self, from: &RelPath, to: &RelPath, replace: bool) -> Result<()> {
        if replace {
            let old = self.memory.stat(to).await?;
            assert!(old.is_none_or(|old| old.kind != Kind::Dir), "directories are not replaced");
            return self.memory.replace(from, to).await;
        }
        self.memory.rename(from, to, Precondition::None).await.map(drop)
    }

    async fn remove_file(&self, path: &RelPath) -> Result<()> {
        self.memory.remove(path, Precondition::None, Displaced::Discard).await
    }

    async fn remove_dir(&self, path: &RelPath) -> Result<()> {
        self.memory.remove(path, Precondition::None, Displaced::Discard).await
    }

    async fn set_meta(&self, path: &RelPath, _: Kind, meta: &Meta) -> Result<()> {
        self.memory.set_meta(path, meta, Precondition::None).await.map(drop)
    }

    async fn create_root(&self) -> Result<()> {
        Ok(())
    }

    fn error(&self, kind: ErrorKind, path: &RelPath, what: &'static str) -> Error {
        Error::new(kind, self.location(), path.clone(), what)
    }
}

async fn conforms(traits: SideTraits, atomic_preconditions: bool) {
    let capabilities = Capabilities { traits, atomic_preconditions, ..MemoryStore::CAPABILITIES };
    let make = || async move {
        let plain = Plain { memory: MemoryStore::with("plain:", capabilities), location: "plain:".into() };
        Arc::new(RemoteStore::new(plain)) as Arc<dyn Store>
    };
    conformance::run(make).await.expect_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_all() {
    conforms(MemoryStore::CAPABILITIES.traits, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_little() {
    let traits = SideTraits {
        mtime_precision: 1_000_000_000,
        modes: false,
        owners: false,
        xattrs: false,
        symlinks: false,
        folds_names: true,
        stable_ids: false,
        ..MemoryStore::CAPABILITIES.traits
    };
    conforms(traits, false).await;
}

#[tokio::test]
async fn what_a_failed_try_has_left_is_not_in_the_way_of_the_next() {
    let memory = MemoryStore::new("plain:");
    let store = RemoteStore::new(Plain { memory: memory.clone(), location: "plain:".into() });
    let (mut written, mut removed) = (0, 0);
    memory.on_call(move |call| {
        let count = match call.name {
            "write" => &mut written,
            "remove" => &mut removed,
            _ => return Fault::None,
        };
        *count += 1;
        match (call.name, *count) {
            ("write", 1) => Fault::LoseReply(ErrorKind::Unreachable),
            ("remove", 1) => Fault::Fail(ErrorKind::Unreachable),
            _ => Fault::None,
        }
    });
    let write = Write {
        path: RelPath::new("f").expect("a valid path"),
        what: What::File(Source::Bytes("x".into())),
        meta: Meta::default(),
        expect: Precondition::Absent,
        displaced: Displaced::Discard,
        temp: ".sitta-tmp-1".into(),
    };
    let cut = store.write(write.clone(), &Arc::default()).await.expect_err("its reply was lost");
    assert_eq!(cut.kind, ErrorKind::Unreachable);
    store.write(write, &Arc::default()).await.expect("the next try");
}
