//! Removing, renaming, and many changes in order.

use sitta_tree::RelPath;

use super::tools::*;
use crate::{Change, Displaced, ErrorKind, Precondition, TEMP_PREFIX, What, Write};

pub(super) async fn remove_files_and_directories(store: Subject) {
    dir(&store, "d").await;
    put(&store, "d/f", "x").await;
    let missing = store.remove(&path("none"), Precondition::None, Displaced::Discard).await;
    assert_eq!(refused(missing, "none"), ErrorKind::NotFound);
    store.remove(&path("d/f"), Precondition::None, Displaced::Discard).await.unwrap();
    if store.capabilities().traits.dirs {
        store.remove(&path("d"), Precondition::None, Displaced::Discard).await.unwrap();
    }
    assert_eq!(paths(&store).await, Vec::<String>::new());
}

pub(super) async fn rename_files(store: Subject) {
    dir(&store, "d").await;
    let old = put(&store, "f", "content").await;
    let expect = Precondition::Version(old.fingerprint());
    let written = store.rename(&path("f"), &path("d/g"), expect).await.unwrap();
    assert_eq!(stat(&store, "d/g").await.as_ref(), Some(&written.entry));
    assert_eq!((written.entry.size, written.entry.meta.mtime), (old.size, old.meta.mtime));
    if store.capabilities().traits.stable_ids {
        assert_eq!(written.entry.id, old.id);
        assert!(written.entry.fingerprint().same_file(&old.fingerprint()));
    }
    assert_eq!(get(&store, "d/g").await.unwrap(), b"content");
    assert_eq!(paths(&store).await, ["d", "d/g"]);
    let missing = store.rename(&path("none"), &path("x"), Precondition::None).await;
    assert_eq!(refused(missing, "none"), ErrorKind::NotFound);
    if store.capabilities().traits.dirs {
        let nowhere = store.rename(&path("d/g"), &path("none/x"), Precondition::None).await;
        assert_eq!(nowhere.expect_err("no such directory").kind, ErrorKind::NotFound);
    }
}

pub(super) async fn rename_directories(store: Subject) {
    dir(&store, "d").await;
    dir(&store, "d/e").await;
    put(&store, "d/e/f", "content").await;
    let expect = version(&store, "d").await;
    store.rename(&path("d"), &path("moved"), expect).await.unwrap();
    assert_eq!(paths(&store).await, ["moved", "moved/e", "moved/e/f"]);
    assert_eq!(get(&store, "moved/e/f").await.unwrap(), b"content");
    store.rename(&path("moved"), &path("moved/e/in"), Precondition::None).await.expect_err("into itself");
    assert_eq!(paths(&store).await.len(), 3);
}

pub(super) async fn remove_temp_takes_a_tree(store: Subject) {
    dir(&store, "d").await;
    put(&store, "d/kept", "x").await;
    let refusal = store.remove_temp(&path("d")).await;
    assert_eq!(refused(refusal, "d"), ErrorKind::Unsupported, "not a temporary's name");
    let tree = format!("d/{TEMP_PREFIX}tree");
    dir(&store, &tree).await;
    dir(&store, &format!("{tree}/e")).await;
    put(&store, &format!("{tree}/e/f"), "x").await;
    store.remove_temp(&path(&tree)).await.unwrap();
    assert_eq!(stat(&store, &tree).await, None);
    let file = format!("{TEMP_PREFIX}file");
    put(&store, &file, "x").await;
    store.remove_temp(&path(&file)).await.unwrap();
    store.remove_temp(&path(&file)).await.expect("nothing there is success");
    store.remove_temp(&path(format!("none/{file}"))).await.expect("nothing there is success");
    assert_eq!(paths(&store).await, ["d", "d/kept"]);
}

pub(super) async fn apply_keeps_the_order(store: Subject) {
    put(&store, "a", "first").await;
    let expect = version(&store, "a").await;
    let meta = sitta_tree::Meta { mtime: sitta_tree::Time::new(1_500_000_000, 0), ..some_meta() };
    let changes = vec![
        Change::Write(new("d", What::Dir)),
        Change::Write(new("d/f", bytes("x"))),
        Change::Remove { path: path("a"), expect, displaced: Displaced::Discard },
        Change::Write(Write { temp: format!("{TEMP_PREFIX}2").into(), ..new("a", bytes("second")) }),
        Change::SetMeta { path: path("d/f"), meta, expect: Precondition::None, xattrs: None },
        Change::Remove { path: path("none"), expect: Precondition::None, displaced: Displaced::Discard },
        Change::SetMeta { path: path("a"), meta, expect: Precondition::None, xattrs: None },
    ];
    let results = store.apply(changes, &flow()).await;
    let worked: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(worked, [true, true, true, true, true, false, true], "{results:?}");
    assert_eq!(get(&store, "a").await.unwrap(), b"second");
    assert_eq!(paths(&store).await, ["a", "d", "d/f"]);
    let last = results[6].as_ref().expect("it worked").as_ref().expect("an entry");
    assert_eq!(stat(&store, "a").await.as_ref(), Some(&last.entry));
}

pub(super) async fn sync_works(store: Subject) {
    put(&store, "f", "x").await;
    store.sync().await.unwrap();
    assert_eq!(get(&store, "f").await.unwrap(), b"x");
}

pub(super) async fn rename_respells(store: Subject) {
    put(&store, "name", "x").await;
    let renamed = store.rename(&path("name"), &path("Name"), Precondition::None).await;
    renamed.expect("another spelling of its own name is free, whether the store folds names or not");
    let names: Vec<_> = store.list(&RelPath::root()).await.unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [Box::from(*b"Name")]);
}
