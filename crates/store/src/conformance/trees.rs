//! Scans and listings.

use std::sync::Arc;

use sitta_tree::{Filter, Kind, NodeId};

use super::tools::*;
use crate::{ErrorKind, OWN_DIR, ScanOptions, TEMP_PREFIX, What};

pub(super) async fn scan_tells_what_was_written(store: Subject) {
    assert_eq!(paths(&store).await, Vec::<String>::new());
    dir(&store, "d").await;
    dir(&store, "d/e").await;
    put(&store, "d/e/f", "12345").await;
    put(&store, "d-b", "1").await;
    put(&store, "z", "").await;
    let tree = scan(&store).await;
    assert_eq!(tree.kind(NodeId::ROOT), Kind::Dir);
    assert_eq!(paths(&store).await, ["d", "d-b", "d/e", "d/e/f", "z"]);
    for id in tree.ids().skip(1) {
        let at = tree.path(id).to_string();
        let told = stat(&store, &at).await.expect("it is there");
        if told.kind != Kind::Dir || store.capabilities().traits.dirs {
            assert_eq!(tree.entry(id), as_listed(&store, told), "{at}: scan and stat tell the same");
        }
    }
}

pub(super) async fn list_tells_one_directory(store: Subject) {
    dir(&store, "d").await;
    put(&store, "d/f", "12345").await;
    put(&store, "d/g", "1").await;
    dir(&store, "d/sub").await;
    put(&store, "d/sub/deeper", "1").await;
    let mut listed = store.list(&path("d")).await.unwrap();
    listed.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<&[u8]> = listed.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, [&b"f"[..], b"g", b"sub"]);
    let told = stat(&store, "d/f").await.expect("it is there");
    assert_eq!(listed[0].1, as_listed(&store, told));
    assert_eq!(refused(store.list(&path("none")).await, "none"), ErrorKind::NotFound);
    assert_eq!(refused(store.list(&path("d/f")).await, "d/f"), ErrorKind::NotADirectory);
}

pub(super) async fn temporaries_are_left_out(store: Subject) {
    let (file, tree) = (format!("{TEMP_PREFIX}1"), format!("d/{TEMP_PREFIX}2"));
    dir(&store, "d").await;
    put(&store, "d/kept", "x").await;
    put(&store, &file, "half").await;
    dir(&store, &tree).await;
    put(&store, &format!("{tree}/in"), "half").await;
    let options = ScanOptions { temps: Some(Arc::default()), ..ScanOptions::default() };
    let seen = store.scan(&options).await.unwrap();
    assert_eq!(seen.len(), 3, "the root, d and what it keeps");
    let mut temps = std::mem::take(&mut *options.temps.expect("just made").lock().expect("nobody panicked"));
    temps.sort();
    assert_eq!(temps, [path(&file), path(&tree)]);
    assert_eq!(store.list(&path("")).await.unwrap().len(), 1);
    assert_eq!(store.list(&path("d")).await.unwrap().len(), 1);
}

pub(super) async fn our_own_directory_is_left_out(store: Subject) {
    dir(&store, OWN_DIR).await;
    put(&store, &format!("{OWN_DIR}/f"), "x").await;
    dir(&store, "d").await;
    let below = format!("d/{OWN_DIR}");
    dir(&store, &below).await;
    put(&store, &format!("{below}/f"), "x").await;
    assert_eq!(paths(&store).await, ["d".to_owned(), below.clone(), format!("{below}/f")]);
    assert_eq!(store.list(&path("")).await.unwrap().len(), 1);
    assert!(stat(&store, &format!("{OWN_DIR}/f")).await.is_some(), "who asks for it gets it");
}

pub(super) async fn cancelled(store: Subject) {
    put(&store, "f", "x").await;
    let options = ScanOptions::default();
    store.scan(&options).await.unwrap();
    assert!(options.flow.entries() >= 1);
    options.flow.cancel();
    assert_eq!(store.scan(&options).await.unwrap_err().kind, ErrorKind::Cancelled);
}

pub(super) async fn deep_paths(store: Subject) {
    let mut at = String::new();
    for depth in 0..40 {
        at = if at.is_empty() { "directory-0".into() } else { format!("{at}/directory-{depth}") };
        dir(&store, &at).await;
    }
    let file = format!("{at}/f");
    put(&store, &file, "deep").await;
    assert_eq!(get(&store, &file).await.unwrap(), b"deep");
    assert_eq!(paths(&store).await.len(), 41);
    write(&store, new(&format!("{at}/d"), What::Dir)).await.unwrap();
}

pub(super) async fn a_filter_leaves_out_and_says_so(store: Subject) {
    for at in ["keep", "keep/deep", "skip"] {
        dir(&store, at).await;
    }
    for at in ["keep/a.txt", "keep/b.tmp", "keep/deep/c.txt", "skip/d.txt", "big.txt"] {
        put(&store, at, if at == "big.txt" { vec![0; 5000] } else { vec![0; 50] }).await;
    }
    let mut filter = Filter::new();
    filter.exclude("*.tmp").expect("a pattern");
    filter.exclude("/skip/").expect("a pattern");
    let of = |filter: Filter| ScanOptions { filter: Some(Arc::new(filter)), ..ScanOptions::default() };
    let tree = store.scan(&of(filter.clone())).await.unwrap();
    let mut seen: Vec<_> = tree.ids().skip(1).map(|id| tree.path(id).to_string()).collect();
    seen.sort();
    assert_eq!(seen, ["big.txt", "keep", "keep/a.txt", "keep/deep", "keep/deep/c.txt"]);
    let holds = |at: &str| tree.holds_ignored(tree.find(&path(at)).expect("it is there"));
    assert!(holds("") && holds("keep") && !holds("keep/deep"));

    filter.sizes(None, Some(1000));
    let tree = store.scan(&of(filter)).await.unwrap();
    assert!(tree.find(&path("big.txt")).is_none() && tree.find(&path("keep/a.txt")).is_some());
}
