//! Killed at any moment: what is visible is whole, and what is not visible can be found and removed.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sitta_store::local::LocalStore;
use sitta_store::{Displaced, Precondition, ScanOptions, Store, TEMP_PREFIX, Write};
use sitta_tree::{Kind, Meta, Time};

use super::tools::*;

const DIRS: usize = 6;
const FILES: usize = 12;

/// All bytes of a version are the same, and its size tells which one it is.
fn content(version: u8) -> Vec<u8> {
    vec![version; 20_000 + usize::from(version) * 100]
}

#[tokio::test]
async fn what_is_visible_is_whole() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let (mut files, mut leftovers, mut trashed) = (0, 0, 0);
    for round in 0..25_u64 {
        let root = home.path().join(round.to_string());
        std::fs::create_dir(&root).unwrap();
        let mut writer = Command::new(std::env::current_exe().expect("this program"))
            .args(["--ignored", "--exact", "killed::writer"])
            .current_dir(&root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        std::thread::sleep(Duration::from_millis(3 + round * 3));
        writer.kill().expect("killed");
        writer.wait().expect("ended");

        let store = LocalStore::open(&root).expect("opened");
        let options = ScanOptions { temps: Some(Arc::default()), ..ScanOptions::default() };
        let tree = store.scan(&options).await.unwrap();
        for id in tree.ids().filter(|id| tree.kind(*id) == Kind::File) {
            let at = tree.path(id);
            let bytes = std::fs::read(root.join(at.to_string())).unwrap();
            assert!(content(bytes[0]) == bytes, "{at} in round {round} is a part");
            trashed += usize::from(at.to_string().starts_with("trash"));
            files += 1;
        }
        let temps = std::mem::take(&mut *options.temps.expect("just made").lock().expect("no panic"));
        leftovers += temps.len();
        for temp in temps {
            store.remove_temp(&temp).await.unwrap();
        }
        assert!(super::tools::temps(&root).is_empty());
    }
    assert!(files > 0 && leftovers > 0, "{files} files, {trashed} in the trash, {leftovers} leftovers");
}

/// Writes a tree, then replaces all of it over and over, until it is killed.
#[tokio::test]
#[ignore = "run by what_is_visible_is_whole"]
async fn writer() {
    let store = LocalStore::open(".").expect("opened");
    for version in 1..=u8::MAX {
        let mut writes = Vec::new();
        for dir in 0..DIRS {
            if version == 1 {
                writes.push(new_dir(&format!("d{dir}")));
            }
            for file in 0..FILES {
                let at = format!("d{dir}/f{file}");
                let one = new(&at, bytes(content(version)));
                let mtime = Time::new(1_600_000_000 + i64::from(version), 0);
                let expect = match store.stat(&path(&at)).await.unwrap() {
                    Some(entry) => Precondition::Version(entry.fingerprint()),
                    None => Precondition::Absent,
                };
                let displaced = match file % 2 {
                    0 => Displaced::Discard,
                    _ => Displaced::MoveTo(path(format!("trash/{version}/{at}"))),
                };
                let temp = format!("{TEMP_PREFIX}{version}-{dir}-{file}").into();
                writes.push(Write { expect, displaced, temp, meta: Meta { mtime, ..one.meta }, ..one });
            }
        }
        for result in store.write_batch(writes, &Arc::default()).await {
            result.unwrap();
        }
    }
}
