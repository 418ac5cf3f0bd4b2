//! What a change displaces is found where it was to go.

use super::tools::*;
use crate::{Displaced, ErrorKind, OWN_DIR, Precondition, What, Write};

fn trash(at: &str) -> String {
    format!("{OWN_DIR}/trash/run/{at}")
}

fn to_trash(at: &str) -> Displaced {
    Displaced::MoveTo(path(trash(at)))
}

pub(super) async fn overwritten(store: Subject) {
    dir(&store, "d").await;
    let old = put(&store, "d/f", "old").await;
    let one = Write {
        expect: Precondition::Version(old.fingerprint()),
        displaced: to_trash("d/f"),
        ..new("d/f", bytes("new"))
    };
    let written = write(&store, one).await.unwrap();
    assert_eq!(stat(&store, "d/f").await, Some(written.entry));
    assert_eq!(get(&store, "d/f").await.unwrap(), b"new");
    assert_eq!(get(&store, &trash("d/f")).await.unwrap(), b"old");
    let kept = stat(&store, &trash("d/f")).await.expect("it is there");
    assert_eq!(kept.meta.mtime, old.meta.mtime, "as it was");
    assert_eq!(paths(&store).await, ["d", "d/f"]);
    let unneeded = Write { displaced: to_trash("g"), ..new("g", bytes("new")) };
    write(&store, unneeded).await.unwrap();
    assert_eq!(stat(&store, &trash("g")).await, None, "nothing was displaced");
}

pub(super) async fn removed(store: Subject) {
    put(&store, "f", "old").await;
    let expect = version(&store, "f").await;
    store.remove(&path("f"), expect, to_trash("f")).await.unwrap();
    assert_eq!(stat(&store, "f").await, None);
    assert_eq!(get(&store, &trash("f")).await.unwrap(), b"old");
    put(&store, "g", "old").await;
    store.remove(&path("g"), Precondition::None, to_trash("g")).await.unwrap();
    assert_eq!(get(&store, &trash("g")).await.unwrap(), b"old");
    assert_eq!(paths(&store).await, Vec::<String>::new());
}

pub(super) async fn directories(store: Subject) {
    dir(&store, "d").await;
    dir(&store, "d/e").await;
    put(&store, "d/e/f", "old").await;
    for at in ["d/e/f", "d/e", "d"] {
        let expect = version(&store, at).await;
        store.remove(&path(at), expect, to_trash(at)).await.unwrap();
    }
    assert_eq!(paths(&store).await, Vec::<String>::new());
    assert_eq!(get(&store, &trash("d/e/f")).await.unwrap(), b"old");
    dir(&store, "empty").await;
    store.remove(&path("empty"), Precondition::None, to_trash("empty")).await.unwrap();
    assert!(stat(&store, &trash("empty")).await.is_some());
}

pub(super) async fn nothing_is_overwritten_in_the_trash(store: Subject) {
    put(&store, "f", "first").await;
    store.remove(&path("f"), Precondition::None, to_trash("f")).await.unwrap();
    put(&store, "f", "second").await;
    let expect = version(&store, "f").await;
    let refusal = store.remove(&path("f"), expect, to_trash("f")).await;
    assert_eq!(refused(refusal, "f"), ErrorKind::Changed);
    let one = Write { expect, displaced: to_trash("f"), ..new("f", bytes("third")) };
    assert_eq!(refused(write(&store, one).await, "f"), ErrorKind::Changed);
    assert_eq!(get(&store, "f").await.unwrap(), b"second");
    assert_eq!(get(&store, &trash("f")).await.unwrap(), b"first");
    assert_eq!(paths(&store).await, ["f"]);
}

pub(super) async fn full_directories_stay(store: Subject) {
    dir(&store, "d").await;
    put(&store, "d/f", "x").await;
    let expect = version(&store, "d").await;
    for displaced in [Displaced::Discard, to_trash("d")] {
        let refusal = store.remove(&path("d"), expect, displaced.clone()).await;
        assert_eq!(refused(refusal, "d"), ErrorKind::NotEmpty);
        let one = Write { expect, displaced, ..new("d", bytes("x")) };
        assert_eq!(refused(write(&store, one).await, "d"), ErrorKind::NotEmpty);
    }
    dir(&store, "e").await;
    let one = Write { expect: version(&store, "e").await, ..new("e", bytes("now a file")) };
    write(&store, one).await.unwrap();
    let one = Write { expect: version(&store, "e").await, ..new("e", What::Dir) };
    write(&store, one).await.unwrap();
    put(&store, "e/f", "x").await;
    assert_eq!(paths(&store).await, ["d", "d/f", "e", "e/f"]);
}
