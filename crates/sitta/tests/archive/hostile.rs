//! Trees of everything that archives find hard to hold.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::*;

/// What fits into any archive, a zip too.
pub fn plain(root: &Path) {
    many(&root.join("many"), 150);
    put(root, "a/empty", "");
    put(root, "one byte", "x");
    put(root, "names/\u{e4}\u{2603}\u{1f426}", "not ASCII");
    put(root, "large", Rng::seeded(1).bytes((5 << 20) + 77));
    put(root, "large text", "all work and no play\n".repeat(300_000));
    // A path of 300 bytes.
    let long = format!("{}/{}/{}", "d".repeat(120), "e".repeat(99), "f".repeat(79));
    put(root, &long, "long");
    put(root, format!("{}/x", "y/".repeat(60)), "deep");
    put(root, "n".repeat(255), "one long name");
    fs::create_dir_all(root.join("empty/dir")).expect("mkdir");
    symlink("large", root.join("link")).expect("a link");
    symlink("no/such/thing", root.join("dangling")).expect("a link");
    symlink("t".repeat(250), root.join("long link")).expect("a link");
    put(root, "tool", "#!/bin/sh\n");
    chmod(&root.join("tool"), 0o755);
    put(root, "secret", "s");
    chmod(&root.join("secret"), 0o600);
}

/// What only a tar can hold.
pub fn odd(root: &Path) {
    plain(root);
    put(root, OsStr::from_bytes(b"raw \xff\xfe name"), "no UTF-8");
    let raw = [vec![b'r'; 150], vec![0xff; 40], b"/".to_vec(), vec![0xfe; 120]].concat();
    put(root, OsStr::from_bytes(&raw), "long, and no UTF-8");
    put(root, "quote\" back\\slash\nnewline", "control");
    symlink(OsStr::from_bytes(&[0xff; 130]), root.join("raw link")).expect("a link");
    put(root, "set-uid", "x");
    chmod(&root.join("set-uid"), 0o4755);
    put(root, "shared/first", "one file, three names");
    for name in ["shared/second", "third"] {
        fs::hard_link(root.join("shared/first"), root.join(name)).expect("a hard link");
    }
    fs::hard_link(root.join("large"), root.join("large too")).expect("a hard link");
    // bsdtar reads fractions of times before 1970 as counting up.
    let times =
        [("before 1970", -1_000_000_000, 0), ("after 2106", 4_500_000_000, 5), ("after 2242", 8_700_000_000, 9)];
    for (name, secs, nanos) in times {
        put(root, name, "time");
        set_mtime(&root.join(name), secs, nanos);
    }
    let attributes = [("user.plain", &b"value"[..]), ("user.raw", b"\0\xff\n=")];
    for (name, value) in attributes {
        // Not every file system has them; then both sides have none.
        let _ = rustix::fs::setxattr(root.join("tool"), name, value, rustix::fs::XattrFlags::empty());
    }
}

/// The attribute of a file, if it has it.
pub fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = Vec::with_capacity(256);
    rustix::fs::getxattr(path, name, rustix::buffer::spare_capacity(&mut value)).ok()?;
    Some(value)
}
