//! Reading files and looking at single entries.

use super::tools::*;
use crate::{ErrorKind, What};

pub(super) async fn whole_and_ranges(store: Subject) {
    put(&store, "f", "0123456789").await;
    assert_eq!(get(&store, "f").await.unwrap(), b"0123456789");
    assert_eq!(read(&store, "f", 0..4).await.unwrap(), b"0123");
    assert_eq!(read(&store, "f", 4..7).await.unwrap(), b"456");
    assert_eq!(read(&store, "f", 7..u64::MAX).await.unwrap(), b"789");
    assert_eq!(read(&store, "f", 3..3).await.unwrap(), b"");
    assert_eq!(read(&store, "f", 10..20).await.unwrap(), b"");
    assert_eq!(read(&store, "f", 99..100).await.unwrap(), b"");
}

pub(super) async fn empty_file(store: Subject) {
    let entry = put(&store, "f", "").await;
    assert_eq!(entry.size, 0);
    assert_eq!(get(&store, "f").await.unwrap(), b"");
}

pub(super) async fn big_file(store: Subject) {
    let content = pattern((5 << 20) + 17);
    let entry = put(&store, "f", content.clone()).await;
    assert_eq!(entry.size, content.len() as u64);
    assert!(get(&store, "f").await.unwrap() == content, "the same bytes");
    let middle = 1_000_001..3_000_003;
    let part = read(&store, "f", middle.start as u64..middle.end as u64).await.unwrap();
    assert!(part == content[middle], "the same part");
}

pub(super) async fn what_is_no_file(store: Subject) {
    dir(&store, "d").await;
    put(&store, "d/f", "x").await;
    put(&store, "f", "x").await;
    assert_eq!(refused(get(&store, "d").await, "d"), ErrorKind::IsADirectory);
    assert_eq!(refused(get(&store, "none").await, "none"), ErrorKind::NotFound);
    assert_eq!(refused(get(&store, "none/f").await, "none/f"), ErrorKind::NotFound);
    let through = refused(get(&store, "f/x").await, "f/x");
    assert!(matches!(through, ErrorKind::NotADirectory | ErrorKind::NotFound), "{through:?}");
}

pub(super) async fn nothing_is_none(store: Subject) {
    put(&store, "f", "x").await;
    for at in ["none", "none/x", "f/x", "f/x/y"] {
        assert_eq!(stat(&store, at).await, None, "{at}");
    }
    assert!(stat(&store, "").await.is_some(), "the root");
}

pub(super) async fn links_are_not_followed(store: Subject) {
    dir(&store, "d").await;
    put(&store, "d/f", "x").await;
    for (at, target) in [("to-dir", "d"), ("to-file", "d/f"), ("out", "/etc"), ("loop", "loop")] {
        write(&store, new(at, What::Symlink(target.as_bytes().into()))).await.unwrap();
    }
    assert_eq!(stat(&store, "to-dir/f").await, None);
    assert_eq!(stat(&store, "out/passwd").await, None);
    let direct = refused(get(&store, "to-file").await, "to-file");
    assert_eq!(direct, ErrorKind::Unsupported, "a link has no bytes to read");
    for at in ["to-dir/f", "out/passwd", "loop/x"] {
        let kind = refused(get(&store, at).await, at);
        assert!(matches!(kind, ErrorKind::NotADirectory | ErrorKind::NotFound), "{at}: {kind:?}");
    }
    let kind = refused(store.list(&path("to-dir")).await, "to-dir");
    assert_eq!(kind, ErrorKind::NotADirectory);
}
