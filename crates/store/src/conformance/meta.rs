//! Times and permissions, as exact as the store says.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use sitta_tree::{Kind, Meta, RelPath, Time};

use super::tools::*;
use crate::{ByteStream, Change, Maker, Precondition, Result, ScanOptions, Source, What, Write, Xattrs, XattrsOf};

pub(super) async fn times_are_exact(store: Subject) {
    let precision = store.capabilities().traits.mtime_precision;
    let times = [
        Time::new(1_600_000_000, 0),
        Time::new(1_600_000_000, 1),
        Time::new(1_600_000_001, 123_456_789),
        Time::new(1_600_000_001, 999_999_999),
        Time::new(86_400 * 365 * 11, 0),
        Time::new((1 << 31) + 5, 7),
    ];
    for (at, mtime) in times.into_iter().enumerate() {
        let name = format!("f{at}");
        let one = Write { meta: Meta { mtime, ..some_meta() }, ..new(&name, bytes("x")) };
        let entry = write(&store, one).await.unwrap().entry;
        assert!(mtime.same_within(entry.meta.mtime, precision), "{mtime:?} became {:?}", entry.meta.mtime);
        assert_eq!(stat(&store, &name).await, Some(entry));
    }
}

pub(super) async fn modes_are_exact(store: Subject) {
    for mode in [0o600, 0o644, 0o666, 0o640, 0o755, 0o777, 0o444, 0o4755, 0o2755] {
        let name = format!("f{mode:o}");
        let one = Write { meta: Meta { mode, ..some_meta() }, ..new(&name, bytes("x")) };
        assert_eq!(write(&store, one).await.unwrap().entry.meta.mode, mode, "{mode:o}");
        assert_eq!(stat(&store, &name).await.expect("written").meta.mode, mode, "{mode:o}");
    }
    if store.capabilities().traits.dirs {
        for mode in [0o700, 0o755, 0o777, 0o1777, 0o2775] {
            let name = format!("d{mode:o}");
            let one = Write { meta: Meta { mode, ..some_meta() }, ..new(&name, What::Dir) };
            assert_eq!(write(&store, one).await.unwrap().entry.meta.mode, mode, "{mode:o}");
        }
    }
}

async fn set(store: &Subject, at: &str, mode: u32, mtime: Time) -> sitta_tree::Entry {
    let old = stat(store, at).await.expect("it stands there");
    let meta = Meta { mode, mtime, ..old.meta };
    let expect = Precondition::Version(old.fingerprint());
    let entry = store.set_meta(&path(at), &meta, expect).await.unwrap().entry;
    assert_eq!(stat(store, at).await.as_ref(), Some(&entry), "told as stat tells it");
    let traits = store.capabilities().traits;
    if traits.modes && entry.kind != Kind::Symlink {
        assert_eq!(entry.meta.mode, mode);
    }
    // Some servers keep times of files only; what a directory has then is what it had.
    if traits.mtime_precision > 0 && (entry.kind != Kind::Dir || entry.meta.mtime != old.meta.mtime) {
        assert!(mtime.same_within(entry.meta.mtime, traits.mtime_precision), "{:?}", entry.meta.mtime);
    }
    assert_eq!((entry.kind, entry.size, entry.id), (old.kind, old.size, old.id), "it is still the same thing");
    entry
}

pub(super) async fn set_on_files(store: Subject) {
    put(&store, "f", "content").await;
    set(&store, "f", 0o600, Time::new(1_500_000_000, 500_000_000)).await;
    set(&store, "f", 0o755, Time::new(1_500_000_002, 0)).await;
    assert_eq!(get(&store, "f").await.unwrap(), b"content");
}

pub(super) async fn set_on_directories(store: Subject) {
    dir(&store, "d").await;
    put(&store, "d/f", "x").await;
    set(&store, "d", 0o700, Time::new(1_500_000_000, 0)).await;
    assert_eq!(get(&store, "d/f").await.unwrap(), b"x");
}

pub(super) async fn set_on_links(store: Subject) {
    let old = put(&store, "f", "x").await;
    write(&store, new("l", What::Symlink((*b"f").into()))).await.unwrap();
    let entry = set(&store, "l", 0o777, Time::new(1_500_000_000, 0)).await;
    assert_eq!(&*entry.target, b"f");
    assert_eq!(stat(&store, "f").await, Some(old), "what it points to is untouched");
}

pub(super) async fn zero_is_a_value(store: Subject) {
    put(&store, "f", "x").await;
    set(&store, "f", 0, Time::new(0, 0)).await;
    if store.capabilities().traits.dirs {
        dir(&store, "d").await;
        set(&store, "d", 0o700, Time::new(0, 0)).await;
    }
}

pub(super) async fn new_things_get_what_nobody_told(store: Subject) {
    let bare = Write { meta: Meta::default(), ..new("g", bytes("x")) };
    let entry = write(&store, bare).await.unwrap().entry;
    if store.capabilities().traits.modes {
        assert_eq!(entry.meta.mode & 0o600, 0o600, "its owner can use it");
    }
}

/// A file of so many bytes with these attributes.
#[derive(Debug)]
struct Dressed(usize, Xattrs);

#[async_trait]
impl Maker for Dressed {
    async fn make(&self) -> Result<ByteStream> {
        let content = pattern(self.0);
        Ok(stream::once(async { Ok(content.into()) }).boxed())
    }

    async fn xattrs(&self) -> Result<Xattrs> {
        Ok(self.1.clone())
    }

    fn at_most(&self) -> u64 {
        self.0 as u64
    }
}

fn attributes(list: &[(&str, &[u8])]) -> Xattrs {
    list.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect()
}

pub(super) async fn attributes_come_with_a_file_and_change(store: Subject) {
    let first = attributes(&[("user.empty", b""), ("user.odd", b"\0\xff\n"), ("user.text", b"some text")]);
    for (at, size) in [("small", 3), ("large", 3 << 20)] {
        let made = What::File(Source::Made(Arc::new(Dressed(size, first.clone()))));
        let with = Write { meta: Meta { xattrs: 1, ..some_meta() }, ..new(at, made) };
        let written = write(&store, with).await.expect("written");
        assert_ne!(written.entry.meta.xattrs, 0, "what was written is told");
        assert_eq!(store.xattrs(&path(at)).await.unwrap(), first);
        let tree = store.scan(&ScanOptions { xattrs: true, ..ScanOptions::default() }).await.unwrap();
        let seen = tree.ids().find(|id| tree.path(*id) == path(at)).map(|id| tree.entry(id).meta.xattrs);
        assert_eq!(seen, Some(written.entry.meta.xattrs), "as the scan tells it");
    }
    dir(&store, "dir").await;
    let second = attributes(&[("user.other", b"x"), ("user.text", b"another text")]);
    for (at, xattrs) in [("small", second.clone()), ("dir", second), ("small", Xattrs::new())] {
        let meta = stat(&store, at).await.expect("it stands there").meta;
        let set = Some(XattrsOf::These(xattrs.clone()));
        let change = Change::SetMeta { path: path(at), meta, expect: Precondition::None, xattrs: set };
        let beside = new(&format!("beside-{at}-{}", xattrs.len()), bytes("x"));
        let mut results = store.apply(vec![Change::Write(beside), change], &Arc::default()).await;
        results.pop().expect("one result").expect("set");
        assert_eq!(store.xattrs(&path(at)).await.unwrap(), xattrs, "{at}");
    }
    assert_eq!(store.xattrs(&RelPath::root()).await.unwrap(), Xattrs::new());
    assert!(store.xattrs(&path("none")).await.is_err());
}
