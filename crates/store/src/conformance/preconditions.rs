//! Nothing is touched unless what was expected stands there.

use sitta_tree::Fingerprint;

use super::tools::*;
use crate::{Displaced, ErrorKind, Precondition, What, Write};

fn over(at: &str, expect: Precondition) -> Write {
    Write { expect, ..new(at, bytes("newer")) }
}

/// Versions that are not the one that stands there.
fn others(version: Fingerprint) -> Vec<Precondition> {
    let mut others = vec![
        Fingerprint { size: version.size + 1, ..version },
        Fingerprint { mtime: sitta_tree::Time::new(version.mtime.secs + 10, 0), ..version },
    ];
    if version.id != 0 {
        others.push(Fingerprint { id: version.id + 1, ..version });
    }
    if version.change != 0 {
        others.push(Fingerprint { change: version.change + 1, ..version });
    }
    others.into_iter().map(Precondition::Version).collect()
}

pub(super) async fn absent(store: Subject) {
    put(&store, "f", "old").await;
    dir(&store, "d").await;
    // Where directories are only implied, nothing tells that one stands there.
    let dirs = store.capabilities().traits.dirs;
    for at in if dirs { &["f", "d"][..] } else { &["f"] } {
        for what in if dirs { vec![bytes("new"), What::Dir] } else { vec![bytes("new")] } {
            assert_eq!(refused(write(&store, new(at, what)).await, at), ErrorKind::Changed, "{at}");
        }
        if store.capabilities().traits.symlinks {
            let link = What::Symlink((*b"x").into());
            assert_eq!(refused(write(&store, new(at, link)).await, at), ErrorKind::Changed, "{at}");
        }
    }
    assert_eq!(get(&store, "f").await.unwrap(), b"old");
    write(&store, over("g", Precondition::None)).await.unwrap();
    write(&store, over("f", Precondition::None)).await.unwrap();
    assert_eq!(get(&store, "f").await.unwrap(), b"newer");
}

pub(super) async fn version(store: Subject) {
    let old = put(&store, "f", "old").await;
    for expect in others(old.fingerprint()) {
        assert_eq!(refused(write(&store, over("f", expect)).await, "f"), ErrorKind::Changed, "{expect:?}");
    }
    assert_eq!(get(&store, "f").await.unwrap(), b"old");
    let expect = Precondition::Version(old.fingerprint());
    assert_eq!(refused(write(&store, over("none", expect)).await, "none"), ErrorKind::Changed);
    write(&store, over("f", expect)).await.unwrap();
    assert_eq!(get(&store, "f").await.unwrap(), b"newer");
    let stale = refused(write(&store, over("f", expect)).await, "f");
    assert_eq!(stale, ErrorKind::Changed, "what was true before the write is not after it");
    assert_eq!(paths(&store).await, ["f"]);
}

pub(super) async fn version_without_change(store: Subject) {
    let old = put(&store, "f", "old").await;
    let expect = Precondition::Version(Fingerprint { change: 0, ..old.fingerprint() });
    write(&store, over("f", expect)).await.expect("change is not compared when it is 0");
}

pub(super) async fn of_remove(store: Subject) {
    let old = put(&store, "f", "old").await;
    for expect in others(old.fingerprint()) {
        let refusal = store.remove(&path("f"), expect, Displaced::Discard).await;
        assert_eq!(refused(refusal, "f"), ErrorKind::Changed, "{expect:?}");
        let refusal = store.remove(&path("f"), expect, Displaced::MoveTo(path("t/f"))).await;
        assert_eq!(refused(refusal, "f"), ErrorKind::Changed, "{expect:?}");
    }
    assert_eq!(paths(&store).await, ["f"]);
    let expect = Precondition::Version(old.fingerprint());
    store.remove(&path("f"), expect, Displaced::Discard).await.unwrap();
    let gone = store.remove(&path("f"), expect, Displaced::Discard).await;
    assert_eq!(refused(gone, "f"), ErrorKind::Changed);
    assert_eq!(paths(&store).await, Vec::<String>::new());
}

pub(super) async fn of_rename(store: Subject) {
    let old = put(&store, "f", "old").await;
    put(&store, "taken", "other").await;
    for expect in others(old.fingerprint()) {
        let refusal = store.rename(&path("f"), &path("g"), expect).await;
        assert_eq!(refused(refusal, "f"), ErrorKind::Changed, "{expect:?}");
    }
    let expect = Precondition::Version(old.fingerprint());
    let refusal = store.rename(&path("f"), &path("taken"), expect).await;
    assert_eq!(refused(refusal, "f"), ErrorKind::Changed, "something stands there");
    assert_eq!(get(&store, "taken").await.unwrap(), b"other");
    assert_eq!(paths(&store).await, ["f", "taken"]);
}

pub(super) async fn of_set_meta(store: Subject) {
    let old = put(&store, "f", "old").await;
    let meta = sitta_tree::Meta { mode: 0o600, ..some_meta() };
    for expect in others(old.fingerprint()) {
        let refusal = store.set_meta(&path("f"), &meta, expect).await;
        assert_eq!(refused(refusal, "f"), ErrorKind::Changed, "{expect:?}");
    }
    assert_eq!(stat(&store, "f").await, Some(old));
    let missing = store.set_meta(&path("none"), &meta, Precondition::None).await;
    assert_eq!(refused(missing, "none"), ErrorKind::NotFound);
}

pub(super) async fn racing_creates(store: Subject) {
    for round in 0..20 {
        let at = format!("f{round}");
        let racers = (0..8).map(|n| {
            let mut one = new(&at, bytes(format!("racer {n}")));
            one.temp = format!("{}-{n}", one.temp).into();
            let store = store.clone();
            tokio::spawn(async move { (n, store.write(one, &flow()).await) })
        });
        let mut winners = Vec::new();
        for racer in racers.collect::<Vec<_>>() {
            match racer.await.expect("no panic") {
                (n, Ok(_)) => winners.push(n),
                (_, Err(error)) => assert_eq!(error.kind, ErrorKind::Changed, "{error:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "one of all who expected nothing there");
        assert_eq!(get(&store, &at).await.unwrap(), format!("racer {}", winners[0]).into_bytes());
    }
    assert_eq!(paths(&store).await.len(), 20);
}
