//! What the system refuses, and what is told of it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use sitta_store::local::LocalStore;
use sitta_store::{Displaced, ErrorKind, Precondition, Store, Write};
use sitta_tree::{Kind, Meta, ProblemKind};

use super::tools::*;

#[tokio::test]
async fn full_disk() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let Some(_mounted) = Mounted::new(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], &home.path().join("m")) else {
        return skipped("full_disk", "mounting needs root");
    };
    let store = LocalStore::open(home.path().join("m")).expect("opened");
    write(&store, new("old", bytes(vec![1; 300_000]))).await.unwrap();
    let expect = Precondition::Version(version(&store, "old").await);
    let writes = vec![
        Write { expect, ..new("old", bytes(vec![2; 900_000])) },
        new_dir("d"),
        new("d/small", bytes("x")),
        new("d/large", bytes(vec![3; 900_000])),
        new("d/after", bytes("x")),
    ];
    let results = store.write_batch(writes, &Arc::default()).await;
    let kinds: Vec<_> = results.iter().map(|r| r.as_ref().err().map(|e| e.kind)).collect();
    assert_eq!(kinds, [Some(ErrorKind::Full), None, None, Some(ErrorKind::Full), None], "{results:?}");
    let error = results[0].as_ref().unwrap_err();
    assert_eq!(error.to_string(), "old: No space left on device");
    assert_eq!(error.problem_kind(true), ProblemKind::Full);
    assert!(std::fs::read(home.path().join("m/old")).unwrap() == vec![1; 300_000], "the old version stands");
    assert!(temps(&home.path().join("m")).is_empty());
}

#[tokio::test]
async fn read_only_mount() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let (dir, view) = (home.path().join("dir"), home.path().join("view"));
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("f"), "x").unwrap();
    let dir_text = dir.to_str().expect("text");
    let Some(_mounted) = Mounted::new(&["-o", "bind,ro", dir_text], &view) else {
        return skipped("read_only_mount", "mounting needs root");
    };
    let store = LocalStore::open(&view).expect("opened");
    assert!(!store.capabilities().writable);
    assert_eq!(write(&store, new("g", bytes("x"))).await.unwrap_err().kind, ErrorKind::ReadOnly);
    assert_eq!(write(&store, new_dir("d")).await.unwrap_err().kind, ErrorKind::ReadOnly);
    let removed = store.remove(&path("f"), Precondition::None, Displaced::Discard).await;
    assert_eq!(removed.unwrap_err().kind, ErrorKind::ReadOnly);
    let renamed = store.rename(&path("f"), &path("g"), Precondition::None).await;
    assert_eq!(renamed.unwrap_err().kind, ErrorKind::ReadOnly);
    let meta = Meta { mode: 0o600, ..Meta::default() };
    let set = store.set_meta(&path("f"), &meta, Precondition::None).await;
    assert_eq!(set.unwrap_err().kind, ErrorKind::ReadOnly);
    assert_eq!(scan(&store).await.len(), 2);
}

#[tokio::test]
async fn other_file_systems_below_the_root() {
    let (home, store) = folder();
    std::fs::write(home.path().join("f"), "x").unwrap();
    let Some(_mounted) = Mounted::new(&["-t", "tmpfs", "tmpfs"], &home.path().join("m")) else {
        return skipped("other_file_systems_below_the_root", "mounting needs root");
    };
    write(&store, new("m/f", bytes("x"))).await.unwrap();
    let tree = scan(&store).await;
    let ids: std::collections::HashSet<_> = tree.ids().map(|id| tree.fingerprint(id).id).collect();
    assert_eq!(ids.len(), tree.len(), "no two entries have one id");
    assert_eq!(tree.fingerprint(tree.find(&path("m/f")).expect("there")), version(&store, "m/f").await);
    store.sync().await.unwrap();
    let across = store.rename(&path("m/f"), &path("g"), Precondition::None).await;
    assert_eq!(across.unwrap_err().kind, ErrorKind::Unsupported);
    let expect = Precondition::Version(version(&store, "m/f").await);
    let displaced = Displaced::MoveTo(path("trash/f"));
    let over = write(&store, Write { expect, displaced, ..new("m/f", bytes("y")) }).await;
    assert_eq!(over.unwrap_err().kind, ErrorKind::Unsupported);
    assert_eq!(std::fs::read(home.path().join("m/f")).unwrap(), b"x");
    assert!(temps(home.path()).is_empty());
}

#[tokio::test]
async fn names_that_are_too_long() {
    let (_home, store) = folder();
    let one = Write { path: path("n".repeat(256)), ..new("n", bytes("x")) };
    assert_eq!(write(&store, one).await.unwrap_err().kind, ErrorKind::Unsupported);
    let one = Write { path: path("n".repeat(255)), ..new("n", bytes("x")) };
    write(&store, one).await.unwrap();
}

/// What `as_nobody` finds: files and directories that only root may use.
fn locked_up(root: &Path) {
    let set =
        |name: &str, mode| std::fs::set_permissions(root.join(name), PermissionsExt::from_mode(mode)).unwrap();
    for dir in ["open", "closed", "listed", "fixed"] {
        std::fs::create_dir(root.join(dir)).unwrap();
        std::fs::write(root.join(dir).join("f"), "x").unwrap();
    }
    set("open/f", 0o600);
    set("open", 0o777);
    set("closed", 0o700);
    set("listed", 0o744);
    set("fixed", 0o755);
    set(".", 0o777);
}

/// Runs `as_nobody` as a user without rights, who finds the tree in the current directory.
#[test]
fn without_rights() {
    let home = tempfile::tempdir().expect("a temporary folder");
    locked_up(home.path());
    if !rustix::process::geteuid().is_root() {
        return skipped("without_rights", "files of somebody else need root");
    }
    // The test program itself may lie where nobody else may look.
    let program =
        tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir().expect("a folder");
    let program_file = program.path().join("test");
    std::fs::copy(std::env::current_exe().expect("this program"), &program_file).unwrap();
    let run = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program_file)
        .args(["--ignored", "--exact", "refused::as_nobody", "--nocapture"])
        .current_dir(home.path())
        .output();
    let Ok(run) = run else { return skipped("without_rights", "there is no setpriv") };
    let told = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && told.contains("1 passed"), "{told}");
}

#[tokio::test]
#[ignore = "run by without_rights"]
async fn as_nobody() {
    let store = LocalStore::open(".").expect("opened");
    assert!(!store.capabilities().traits.owners);
    let tree = scan(&store).await;
    let find = |at: &str| tree.find(&path(at)).expect("it is seen");
    assert!(!tree.is_complete(find("closed")), "what could not be listed is not empty");
    assert_eq!(tree.kind(find("listed/f")), Kind::Unknown, "a name without facts");
    assert!(tree.is_complete(find("open")));
    assert_eq!(tree.problems.len(), 2, "{:?}", tree.problems);
    assert!(tree.problems.iter().all(|problem| problem.kind == ProblemKind::Unreadable));
    assert_eq!(tree.problems[0].message, "Permission denied");

    let denied = |result: sitta_store::Result<sitta_store::Written>| result.unwrap_err().kind == ErrorKind::Denied;
    assert_eq!(store.read(&path("open/f"), 0..9).await.err().expect("unreadable").kind, ErrorKind::Denied);
    assert!(denied(write(&store, new("fixed/g", bytes("x"))).await));
    assert!(denied(write(&store, new("closed/g", bytes("x"))).await));
    assert!(denied(write(&store, copy_of(&store, "open/f", "copy").await).await));
    let meta = Meta { mode: 0o777, ..Meta::default() };
    assert!(denied(store.set_meta(&path("fixed/f"), &meta, Precondition::None).await));
    assert!(denied(store.rename(&path("fixed/f"), &path("fixed/g"), Precondition::None).await));
    assert_eq!(store.stat(&path("closed/f")).await.unwrap_err().kind, ErrorKind::Denied, "not known to be absent");

    // Directories that their owner may not write to are filled first.
    let locked = |at: &str| Write { meta: Meta { mode: 0o555, ..new_dir(at).meta }, ..new_dir(at) };
    let writes = vec![locked("ro"), new("ro/f", bytes("x")), locked("ro/in"), new("ro/in/f", bytes("x"))];
    for result in store.write_batch(writes, &Arc::default()).await {
        result.unwrap();
    }
    assert_eq!(store.stat(&path("ro")).await.unwrap().expect("made").meta.mode, 0o555);
    assert!(temps(Path::new("open")).is_empty());
    for at in ["ro", "ro/in"] {
        let meta = Meta { mode: 0o755, ..Meta::default() };
        store.set_meta(&path(at), &meta, Precondition::None).await.unwrap();
    }
}
