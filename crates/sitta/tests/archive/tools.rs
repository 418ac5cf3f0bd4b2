//! What other programs make of our archives, and what `unpack` makes of them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::hostile::{odd, plain, xattr};
use crate::support::*;

/// Packs the world's source as `name`.
#[track_caller]
fn pack(world: &World, name: &str) -> PathBuf {
    let at = world.path(name);
    world.sitta(&["archive".as_ref(), world.src.as_os_str(), at.as_os_str()]).expect_code(0);
    at
}

/// Runs a program in an empty folder, which is where it unpacks to.
#[track_caller]
fn unpack_by(world: &World, command: &[&str], archive: &Path) -> PathBuf {
    let to = world.path(&format!("by-{}-{}", command[0], archive.file_name().unwrap().to_str().unwrap()));
    fs::create_dir(&to).expect("mkdir");
    let mut program = Command::new(command[0]);
    world.furnish(&mut program);
    program.args(&command[1..]).arg(archive).current_dir(&to);
    let run = finish(start(&mut program));
    assert!(run.status.success(), "{command:?}: {run:?}");
    assert!(!run.err().contains("arning") && !run.out().contains("arning"), "{command:?}: {run:?}");
    to
}

/// The times of links and directories are not every program's business.
fn without_times(tree: &Snapshot, of: fn(&What) -> bool) -> Snapshot {
    let mut tree = tree.clone();
    tree.values_mut().filter(|item| of(&item.what)).for_each(|item| item.mtime = (0, 0));
    tree
}

#[test]
fn tar_programs_unpack_it_exactly() {
    let world = World::new();
    odd(&world.src);
    let there = snapshot(&world.src);
    for name in ["a.tar.zst", "a.tgz"] {
        let archive = pack(&world, name);
        for program in [&["tar", "--xattrs", "-xpf"][..], &["bsdtar", "-xpf"]] {
            let to = unpack_by(&world, program, &archive);
            let is_link = |what: &What| matches!(what, What::Link(_));
            assert_same_snapshots(&without_times(&there, is_link), &without_times(&snapshot(&to), is_link));
            same_extras(&world.src, &to);
        }
    }
}

/// What a snapshot does not tell: hard links and attributes.
#[track_caller]
fn same_extras(src: &Path, to: &Path) {
    let inode = |name: &str| fs::metadata(to.join(name)).expect(name).ino();
    assert_eq!(inode("shared/first"), inode("shared/second"));
    assert_eq!(inode("shared/first"), inode("third"));
    assert_eq!(inode("large"), inode("large too"));
    for name in ["user.plain", "user.raw"] {
        assert_eq!(xattr(&to.join("tool"), name), xattr(&src.join("tool"), name), "{name}");
    }
}

#[test]
fn zip_programs_unpack_it() {
    let world = World::new();
    plain(&world.src);
    let there = snapshot(&world.src);
    let archive = pack(&world, "a.zip");
    for program in [&["unzip", "-q"][..], &["bsdtar", "-xpf"], &["7z", "x", "-snl", "-bd"]] {
        let to = unpack_by(&world, program, &archive);
        let seconds = |tree: &Snapshot| {
            let mut tree = without_times(tree, |what| !matches!(what, What::File(_)));
            tree.values_mut().for_each(|item| item.mtime.1 = 0);
            tree
        };
        assert_same_snapshots(&seconds(&there), &seconds(&snapshot(&to)));
    }
}

fn ticked(root: &Path) -> Snapshot {
    let mut tree = snapshot(root);
    tree.values_mut().for_each(|item| item.mtime.1 -= item.mtime.1 % 100);
    tree
}

#[test]
fn unpack_brings_it_back() {
    for name in ["a.tar.zst", "a.tgz", "a.zip"] {
        let world = World::new();
        if name == "a.zip" {
            plain(&world.src)
        } else {
            odd(&world.src)
        }
        let archive = pack(&world, name);
        let run = world.sitta(&["unpack".as_ref(), archive.as_os_str(), world.dst.as_os_str(), "--json".as_ref()]);
        run.expect_code(0);
        assert_eq!(run.report()["verb"], "unpack");
        match name {
            // Its finest times tick every 100 ns.
            "a.zip" => assert_same_snapshots(&ticked(&world.src), &ticked(&world.dst)),
            _ => {
                assert_same(&world.src, &world.dst);
                same_extras(&world.src, &world.dst);
            }
        }
        let again =
            world.sitta(&["unpack".as_ref(), archive.as_os_str(), world.dst.as_os_str(), "--json".as_ref()]);
        again.expect_counts([0, 0, 0, 0]);
    }
}

#[test]
fn a_part_of_it_is_unpacked() {
    let world = World::new();
    plain(&world.src);
    let archive = pack(&world, "a.tar.zst");
    let part = format!("{}!/many", archive.display());
    world.sitta(&["unpack".as_ref(), part.as_ref(), world.dst.as_os_str()]).expect_code(0);
    assert_same(&world.src.join("many"), &world.dst);
    let other = world.path("other");
    let args = ["unpack".as_ref(), archive.as_os_str(), other.as_os_str(), "--include".as_ref(), "/tool".as_ref()];
    world.sitta(&args).expect_code(0);
    let files = snapshot(&other).into_iter().filter(|(_, item)| !matches!(item.what, What::Dir));
    assert_eq!(files.map(|(path, _)| path).collect::<Vec<_>>(), [b"tool".to_vec()]);
}

#[test]
fn the_same_folder_gives_the_same_archive() {
    let world = World::new();
    plain(&world.src);
    for ending in ["tar.zst", "tgz", "zip"] {
        let [one, two] = ["one", "two"].map(|name| pack(&world, &format!("{name}.{ending}")));
        assert!(fs::read(one).unwrap() == fs::read(two).unwrap(), "{ending}");
    }
}

#[test]
fn one_file_goes_in_under_its_own_name() {
    let world = World::new();
    put(&world.src, "dir/data.sql", "select 1;\n".repeat(500_000));
    put(&world.src, "dir/other", "not meant");
    let file = world.src.join("dir/data.sql");
    for (name, program) in [("a.zip", &["unzip", "-q"][..]), ("a.tgz", &["tar", "-xf"])] {
        let at = world.path(name);
        world.sitta(&["archive".as_ref(), file.as_os_str(), at.as_os_str()]).expect_code(0);
        let to = unpack_by(&world, program, &at);
        assert_eq!(snapshot(&to).into_keys().collect::<Vec<_>>(), [b"data.sql".to_vec()]);
        assert!(fs::read(to.join("data.sql")).unwrap() == fs::read(&file).unwrap());
    }
}

#[test]
fn levels() {
    let world = World::new();
    put(&world.src, "text", (0..400_000).map(|n| format!("line {n}\n")).collect::<String>());
    for (ending, low, high) in [("tar.zst", "1", "19"), ("tgz", "1", "12"), ("zip", "1", "12")] {
        let size = |level: &str| {
            let at = world.path(&format!("{level}.{ending}"));
            let args =
                ["archive".as_ref(), world.src.as_os_str(), at.as_os_str(), "--level".as_ref(), level.as_ref()];
            world.sitta(&args).expect_code(0);
            fs::metadata(at).expect("made").len()
        };
        assert!(size(high) < size(low), "{ending}");
    }
    let at = world.path("x.tgz");
    let args = ["archive".as_ref(), world.src.as_os_str(), at.as_os_str(), "--level".as_ref(), "19".as_ref()];
    let run = world.sitta(&args);
    run.expect_code(2);
    assert!(run.err().contains("from 1 to 12"), "{run:?}");
}
