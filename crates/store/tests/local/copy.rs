//! From folder to folder: the bytes, the holes, the links, the attributes.

use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::sync::Arc;

use sitta_store::{ErrorKind, Precondition, ScanOptions, Store, What, Write};
use sitta_tree::{ContentHash, Kind, Meta};

use super::tools::*;

fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0]).collect()
}

#[tokio::test]
async fn files_of_every_size_arrive_whole() {
    let ((from, source), (to, dest)) = (folder(), folder());
    for size in [0, 1, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (5 << 20) + 3] {
        let (name, content) = (format!("f{size}"), noise(size));
        std::fs::write(from.path().join(&name), &content).unwrap();
        let flow = Arc::default();
        let one = copy_of(&source, &name, &name).await;
        let (mtime, mode) = (one.meta.mtime, one.meta.mode);
        let written = dest.write(one, &flow).await.unwrap();
        assert!(std::fs::read(to.path().join(&name)).unwrap() == content, "{size} bytes");
        assert_eq!((written.entry.meta.mtime, written.entry.meta.mode), (mtime, mode));
        let hash = ContentHash(*blake3::hash(&content).as_bytes());
        assert!(written.content.is_none_or(|told| told == hash), "{size} bytes");
        assert_eq!(flow.bytes(), size as u64);
    }
    assert!(temps(to.path()).is_empty());
}

#[tokio::test]
async fn holes_stay_holes() {
    let ((from, source), (to, dest)) = (folder(), folder());
    for (name, size, at) in [("small", 600_000, 300_000), ("large", 64 << 20, 33 << 20), ("end", 8 << 20, 0)] {
        let file = std::fs::File::create(from.path().join(name)).unwrap();
        file.set_len(size).unwrap();
        file.write_all_at(&noise(5000), at).unwrap();
        drop(file);
        let written = write(&dest, copy_of(&source, name, name).await).await.unwrap();
        let copy = to.path().join(name);
        let content = std::fs::read(&copy).unwrap();
        assert!(content == std::fs::read(from.path().join(name)).unwrap(), "{name}: the same bytes");
        let hash = ContentHash(*blake3::hash(&content).as_bytes());
        assert!(written.content.is_none_or(|told| told == hash), "{name}: none where it was cloned");
        assert!(copy.metadata().unwrap().blocks() * 512 < 100_000, "{name}: {}", copy.metadata().unwrap().blocks());
    }
    let file = std::fs::File::create(from.path().join("huge")).unwrap();
    file.set_len(1 << 40).unwrap();
    let written = write(&dest, copy_of(&source, "huge", "huge").await).await.unwrap();
    assert_eq!((written.entry.size, written.content), (1 << 40, None), "nobody hashes a terabyte of zeros");
}

#[tokio::test]
async fn attributes_are_told_and_copied() {
    let ((from, source), (_to, dest)) = (folder(), folder());
    for name in ["with", "other", "without"] {
        std::fs::write(from.path().join(name), "x").unwrap();
    }
    let set = |name: &str, value: &[u8]| {
        rustix::fs::setxattr(from.path().join(name), "user.tag", value, rustix::fs::XattrFlags::empty())
    };
    if set("with", b"one").is_err() {
        return skipped("attributes_are_told_and_copied", "this file system keeps no extended attributes");
    }
    set("other", b"two").unwrap();
    let options = ScanOptions { xattrs: true, ..ScanOptions::default() };
    let tree = source.scan(&options).await.unwrap();
    let digest = |name: &str| tree.meta(tree.find(&path(name)).expect("there")).xattrs;
    assert!(digest("with") != 0 && digest("with") != digest("other"));
    assert_eq!(digest("without"), 0);
    let mut one = copy_of(&source, "with", "copy").await;
    one.meta.xattrs = digest("with");
    let written = write(&dest, one).await.unwrap();
    assert_eq!(written.entry.meta.xattrs, digest("with"));
    let copied = dest.scan(&options).await.unwrap();
    assert_eq!(copied.meta(copied.find(&path("copy")).expect("there")).xattrs, digest("with"));
    let plain = scan(&source).await;
    assert_eq!(plain.meta(plain.find(&path("with")).expect("there")).xattrs, 0, "not asked for");
}

#[tokio::test]
async fn modes_and_owners_of_the_source() {
    let ((from, source), (to, dest)) = (folder(), folder());
    for mode in [0o000, 0o400, 0o644, 0o6755, 0o1777] {
        let name = format!("{mode:o}");
        std::fs::write(from.path().join(&name), "x").unwrap();
        std::fs::set_permissions(from.path().join(&name), std::fs::Permissions::from_mode(mode)).unwrap();
        if !rustix::process::geteuid().is_root() && mode & 0o400 == 0 {
            continue;
        }
        let written = write(&dest, copy_of(&source, &name, &name).await).await.unwrap();
        assert_eq!(written.entry.meta.mode, mode);
        assert_eq!(to.path().join(&name).metadata().unwrap().mode() & 0o7777, mode);
    }
    if !dest.capabilities().traits.owners {
        return skipped("modes_and_owners_of_the_source", "owners need root");
    }
    std::fs::write(from.path().join("owned"), "x").unwrap();
    std::os::unix::fs::chown(from.path().join("owned"), Some(1234), Some(2345)).unwrap();
    std::fs::set_permissions(from.path().join("owned"), std::fs::Permissions::from_mode(0o4750)).unwrap();
    let written = write(&dest, copy_of(&source, "owned", "owned").await).await.unwrap();
    let meta = written.entry.meta;
    assert_eq!((meta.uid, meta.gid, meta.mode), (1234, 2345, 0o4750));
}

#[tokio::test]
async fn what_a_directory_imposes_is_put_right() {
    if !rustix::process::geteuid().is_root() {
        return skipped("what_a_directory_imposes_is_put_right", "owners need root");
    }
    let (home, store) = folder();
    std::fs::create_dir(home.path().join("d")).unwrap();
    std::os::unix::fs::chown(home.path().join("d"), None, Some(4321)).unwrap();
    std::fs::set_permissions(home.path().join("d"), std::fs::Permissions::from_mode(0o2777)).unwrap();
    let one = new("d/f", bytes("x"));
    let meta = Meta { uid: 0, gid: 0, mode: 0o2755, ..one.meta };
    let written = write(&store, Write { meta, ..one }).await.unwrap();
    assert_eq!((written.entry.meta.gid, written.entry.meta.mode), (0, 0o2755));
}

#[tokio::test]
async fn a_file_that_replaces_keeps_what_nobody_told() {
    let (home, store) = folder();
    std::fs::write(home.path().join("f"), "old").unwrap();
    std::fs::set_permissions(home.path().join("f"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let expect = Precondition::Version(version(&store, "f").await);
    let one = Write { expect, meta: Meta::default(), ..new("f", bytes("new")) };
    assert_eq!(write(&store, one).await.unwrap().entry.meta.mode, 0o640);
}

#[tokio::test]
async fn hard_links_are_told() {
    let (home, store) = folder();
    std::fs::write(home.path().join("a"), "x").unwrap();
    std::fs::hard_link(home.path().join("a"), home.path().join("b")).unwrap();
    std::fs::write(home.path().join("c"), "x").unwrap();
    let tree = scan(&store).await;
    let linked = |name: &str| tree.is_linked(tree.find(&path(name)).expect("there"));
    assert!(linked("a") && linked("b") && !linked("c"));
    write(&store, new("d", What::Link(path("c")))).await.unwrap();
    assert_eq!(home.path().join("c").metadata().unwrap().nlink(), 2);
}

#[tokio::test]
async fn cancelled_in_the_middle_of_a_large_file() {
    let ((from, source), (to, dest)) = (folder(), folder());
    std::fs::write(from.path().join("f"), noise(48 << 20)).unwrap();
    let flow: Arc<sitta_store::Flow> = Arc::default();
    let one = copy_of(&source, "f", "f").await;
    let copying = tokio::spawn({
        let flow = flow.clone();
        async move { dest.write(one, &flow).await }
    });
    while flow.bytes() == 0 && !copying.is_finished() {
        tokio::task::yield_now().await;
    }
    flow.cancel();
    match copying.await.unwrap() {
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Cancelled);
            assert!(!to.path().join("f").exists());
        }
        Ok(written) => assert_eq!(written.entry.kind, Kind::File, "it was done before"),
    }
    assert!(temps(to.path()).is_empty());
}

#[tokio::test]
async fn one_folder_inside_the_other() {
    let (home, outer) = folder();
    std::fs::create_dir(home.path().join("in")).unwrap();
    std::os::unix::fs::symlink(home.path().join("in"), home.path().join("link")).unwrap();
    let open = |name: &str| sitta_store::local::LocalStore::open(home.path().join(name)).expect("opened");
    for name in ["in", "link", "link/not/yet", ""] {
        assert!(open(name).is_inside(&outer), "{name}");
    }
    assert!(!outer.is_inside(&open("in")) && !open("inner").is_inside(&open("in")));
    assert!(open("link/x").is_inside(&open("in")) && outer.root_identity().await.is_some());
    assert_eq!(open("none").root_identity().await, None);
    assert_eq!(open("none").scan(&ScanOptions::default()).await.unwrap_err().kind, ErrorKind::NotFound);
}
