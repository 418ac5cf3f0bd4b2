//! What a watched folder tells of.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sitta_store::Store;
use sitta_store::local::LocalStore;
use sitta_store::watch::{Heard, Look, Missed, Watch};
use sitta_tree::RelPath;

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a valid path")
}

async fn watched(root: &Path) -> Watch {
    LocalStore::open(root).expect("a folder").watch().await.expect("it can be watched").expect("folders tell")
}

/// All that is told until nothing more comes.
async fn heard(watch: &Watch) -> Heard {
    let settled = watch.settled(Duration::from_millis(150), Duration::from_secs(5));
    tokio::time::timeout(Duration::from_secs(20), settled).await.expect("something is told");
    watch.take()
}

async fn nothing(watch: &Watch) {
    let settled = watch.settled(Duration::from_millis(50), Duration::from_secs(1));
    let told = tokio::time::timeout(Duration::from_millis(400), settled).await;
    assert!(told.is_err(), "{:?}", watch.take());
}

#[tokio::test]
async fn each_change_is_told_where_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(dir.path().join("d/e")).expect("mkdir");
    fs::write(dir.path().join("d/e/old"), "old").expect("write");
    let watch = watched(dir.path()).await;
    nothing(&watch).await;
    fs::read(dir.path().join("d/e/old")).expect("reading is no change");
    nothing(&watch).await;

    fs::write(dir.path().join("d/e/new"), "new").expect("write");
    assert_eq!(heard(&watch).await.changed.into_iter().collect::<Vec<_>>(), [(path("d/e/new"), Look::Entry)]);
    fs::rename(dir.path().join("d/e/new"), dir.path().join("top")).expect("rename");
    let told = heard(&watch).await;
    assert_eq!(told.changed.into_keys().collect::<Vec<_>>(), [path("d/e/new"), path("top")]);
    fs::remove_file(dir.path().join("top")).expect("remove");
    assert_eq!(heard(&watch).await.changed.into_keys().collect::<Vec<_>>(), [path("top")]);
}

#[tokio::test]
async fn folders_are_watched_as_they_come_move_and_go() {
    let (dir, outside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let at = |name: &str| dir.path().join(name);
    let watch = watched(dir.path()).await;
    fs::create_dir_all(at("a/b/c")).expect("mkdir");
    fs::write(at("a/b/c/f"), "f").expect("write");
    assert_eq!(heard(&watch).await.changed.get(&path("a")), Some(&Look::Below), "with all it holds");
    fs::write(at("a/b/c/g"), "g").expect("write");
    assert!(heard(&watch).await.changed.contains_key(&path("a/b/c/g")), "what comes later, too");

    fs::rename(at("a/b"), at("moved")).expect("rename");
    let told = heard(&watch).await.changed;
    assert_eq!((told.get(&path("moved")), told.contains_key(&path("a/b"))), (Some(&Look::Below), true));
    fs::write(at("moved/c/h"), "h").expect("write");
    let told = heard(&watch).await.changed;
    assert_eq!(told.into_keys().collect::<Vec<_>>(), [path("moved/c/h")], "under its new name only");

    fs::rename(at("moved"), outside.path().join("gone")).expect("rename");
    assert!(heard(&watch).await.changed.contains_key(&path("moved")));
    fs::write(outside.path().join("gone/c/i"), "i").expect("write");
    nothing(&watch).await;
    fs::rename(outside.path().join("gone"), at("back")).expect("rename");
    assert_eq!(heard(&watch).await.changed.get(&path("back")), Some(&Look::Below));
    fs::write(at("back/c/j"), "j").expect("write");
    assert!(heard(&watch).await.changed.contains_key(&path("back/c/j")));
    fs::remove_dir_all(at("back")).expect("remove");
    assert!(heard(&watch).await.changed.contains_key(&path("back")));
}

#[tokio::test]
async fn what_is_ours_is_not_told_and_links_are_not_followed() {
    let (dir, outside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    fs::create_dir(dir.path().join(".sitta")).expect("mkdir");
    std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).expect("a link");
    let watch = watched(dir.path()).await;
    fs::create_dir_all(dir.path().join(".sitta/trash/run")).expect("mkdir");
    fs::write(dir.path().join(".sitta/trash/run/f"), "f").expect("write");
    fs::write(dir.path().join(".sitta-tmp-x"), "x").expect("write");
    fs::write(outside.path().join("elsewhere"), "x").expect("write");
    nothing(&watch).await;
    fs::rename(dir.path().join(".sitta-tmp-x"), dir.path().join("x")).expect("rename");
    assert_eq!(heard(&watch).await.changed.into_keys().collect::<Vec<_>>(), [path("x")]);
}

#[tokio::test]
async fn a_root_that_goes_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().join("root");
    fs::create_dir(&root).expect("mkdir");
    let watch = watched(&root).await;
    fs::rename(&root, dir.path().join("elsewhere")).expect("rename");
    assert_eq!(heard(&watch).await.missed, Some(Missed::Gone));
    fs::create_dir(&root).expect("mkdir");
    let watch = watched(&root).await;
    fs::remove_dir(&root).expect("rmdir");
    assert_eq!(heard(&watch).await.missed, Some(Missed::Gone));
}

#[tokio::test]
async fn many_directories_at_once_are_all_watched() {
    let dir = tempfile::tempdir().expect("a folder");
    let watch = watched(dir.path()).await;
    for n in 0..500 {
        let inside = dir.path().join(format!("t/{}/{n}", n % 7));
        fs::create_dir_all(&inside).expect("mkdir");
        fs::write(inside.join("f"), "f").expect("write");
    }
    heard(&watch).await;
    for n in (0..500).step_by(37) {
        fs::write(dir.path().join(format!("t/{}/{n}/g", n % 7)), "g").expect("write");
    }
    let told = heard(&watch).await;
    for n in (0..500).step_by(37) {
        assert!(told.changed.contains_key(&path(&format!("t/{}/{n}/g", n % 7))), "{n}");
    }
}
