//! The index itself: bounded, made anew when it is damaged, and no trouble to what it lies in.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sitta_serve::{IndexEvent, IndexOptions};
use tokio::sync::mpsc::unbounded_channel;

use crate::support::Served;
use crate::support::indexed::{Indexed, read_all, write};

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_and_segments_are_put_together() {
    let words: Vec<String> = (0..400_u64).map(|n| format!("{:x}", n * n * 7919)).collect();
    let fill = |root: &Path| {
        for n in 0..400 {
            write(root, &format!("f{n:03}"), words[n / 2..(n / 2 + 100).min(400)].join(" "));
        }
    };
    // Some four files fill it, so that there were a hundred segments.
    let indexed = Indexed::with(fill, |options| options.memory = 16 << 10).await;
    let segments = indexed.segments();
    let number = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<u32>().unwrap();
    assert!(segments.len() < 16, "{segments:?}");
    assert!(segments.iter().map(number).max().unwrap() > 50, "{segments:?}");
    for n in [0, 150, 298] {
        let mut expected = BTreeSet::new();
        read_all(&indexed.at(""), &indexed.at(""), words[n].as_bytes(), &mut expected);
        let found: BTreeSet<_> = indexed.contains(&words[n]).await.into_iter().map(String::into_bytes).collect();
        assert_eq!(found, expected, "{}", words[n]);
        assert!(!found.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_it_yet_is_told_and_found() {
    let fill = |root: &Path| (0..3).for_each(|n| write(root, &format!("f{n}"), format!("word-{n}-")));
    let mut indexed = Indexed::with(fill, |options| options.settle = Duration::from_secs(3600)).await;
    indexed.served.stop().await;
    indexed.start_again().await;
    let told = indexed.told().await;
    assert!(matches!(told, IndexEvent::Ready { files: 0, unread: 3 }), "{told:?}");
    assert_eq!(indexed.contains("word-1-").await, ["f1"]);
}

/// Puts other bytes into the middle of a file.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle - 8..middle + 8].iter_mut().for_each(|byte| *byte ^= 0xff);
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_is_noticed_and_made_anew() {
    let fill = |root: &Path| (0..50).for_each(|n| write(root, &format!("f{n}"), format!("word-{n}- and more")));
    let mut indexed = Indexed::start(fill).await;
    let folder = indexed.served.dir.path().join("index/files");
    let remove: fn(&Path) = |path| fs::remove_file(path).unwrap();
    let cut: fn(&Path) = |path| File::options().write(true).open(path).unwrap().set_len(100).unwrap();
    let scribble: fn(&Path) = |path| fs::write(path, "nonsense that is no database, but long enough").unwrap();
    for (what, harm) in [
        ("segment", remove),
        ("segment", cut),
        ("segment", scribble),
        ("catalogue", cut),
        ("catalogue", scribble),
        ("catalogue", damage),
    ] {
        indexed.served.stop().await;
        let path = match what {
            "segment" => indexed.segments().pop().unwrap(),
            _ => folder.join("catalogue.db"),
        };
        harm(&path);
        indexed.start_again().await;
        let told = indexed.told().await;
        assert!(matches!(told, IndexEvent::Rebuilt { .. }), "{what}: {told:?}");
        assert_eq!(indexed.ready().await, 50, "{what}");
        assert_eq!(indexed.contains("word-33-").await, ["f33"], "{what}");
    }
    // While it is in use: the answer is right at once.
    damage(&indexed.segments().pop().unwrap());
    for n in 0..50 {
        assert_eq!(indexed.contains(&format!("word-{n}-")).await, [format!("f{n}")]);
    }
    assert!(matches!(indexed.told().await, IndexEvent::Rebuilt { .. }));
    assert_eq!(indexed.ready().await, 50);
    // Without its catalogue there is no index; what is left of it goes, and it begins.
    indexed.served.stop().await;
    fs::remove_file(folder.join("catalogue.db")).unwrap();
    indexed.start_again().await;
    assert_eq!(indexed.ready().await, 50);
    assert_eq!(indexed.contains("word-7-").await, ["f7"]);
    assert_eq!(indexed.segments().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overflow_and_another_folder_are_met_by_a_walk() {
    let mut indexed = Indexed::start(|root| write(root, "here", "first")).await;
    let queue: u64 = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    // Faster than the kernel's queue is read.
    let files = ["busy", "other"].map(|name| File::create(indexed.at(name)).unwrap());
    (0..queue * 8).for_each(|n| files[n as usize % 2].set_len(n % 7).unwrap());
    indexed.write("deep/er/late", "written unheard");
    assert_eq!(indexed.contains("written unheard").await, ["deep/er/late"]);
    assert_eq!(indexed.contains("first").await, ["here"]);
    indexed.served.stop().await;
    // Under the same name another folder is shared.
    let (shared, kept) = (indexed.served.shared(), indexed.served.dir.path().join("kept"));
    fs::rename(&shared, &kept).unwrap();
    fs::create_dir(&shared).unwrap();
    indexed.write("here", "other");
    indexed.start_again().await;
    assert_eq!(indexed.ready().await, 1);
    assert_eq!(indexed.contains("first").await, [] as [&str; 0]);
    assert_eq!(indexed.contains("other").await, ["here"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_may_lie_in_what_it_is_of() {
    let mut served = Served::start().await;
    served.stop().await;
    let inside = served.shared().join("cache/index");
    write(&served.shared(), "cache/other", "some text");
    let (sender, notices) = unbounded_channel();
    let options = IndexOptions { settle: Duration::ZERO, ..IndexOptions::new(inside.clone(), sender) };
    served.index = Some(options);
    let mut indexed = Indexed { client: served.client(), served, notices };
    indexed.start_again().await;
    assert_eq!(indexed.ready().await, 1);
    assert_eq!(indexed.contains("some text").await, ["cache/other"]);
    write(&inside, "stray", "some text, too");
    assert_eq!(indexed.contains("some text, too").await, ["cache/index/stray"]);
    // It does not keep itself busy.
    let state = || fs::metadata(inside.join("files/catalogue.db-wal")).unwrap().modified().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = state();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(state(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_found_in_whatever_case() {
    let names = ["Report 2024.TXT", "sub/report.md", "report/other", "\u{c9}t\u{e9}", "x\"y\" and", "ab"];
    let indexed = Indexed::start(|root| names.iter().for_each(|name| write(root, name, "text"))).await;
    symlink("nowhere", indexed.at("report link")).unwrap();
    fs::write(indexed.at(OsStr::from_bytes(b"Report\xff")), "text").unwrap();
    let found = async |dir: &str, name: &str| -> Vec<String> {
        let found = indexed.search(dir, "name", name.as_bytes()).await;
        found.into_iter().map(|path| path.escape_ascii().to_string()).collect()
    };
    let reports = ["Report 2024.TXT", "Report\\xff", "report", "report link", "sub/report.md"];
    assert_eq!(found("", "rePORT").await, reports, "directories and links too, and not what only lies in one");
    assert_eq!(found("sub", "report").await, ["sub/report.md"]);
    assert_eq!(found("", "\u{e9}T\u{c9}").await, ["\\xc3\\x89t\\xc3\\xa9"]);
    assert_eq!(found("", "\"Y\"").await, ["x\\\"y\\\" and"]);
    assert_eq!(found("", "AB").await, ["ab"], "shorter than a trigram");
    assert_eq!(found("", "nothing").await, [] as [&str; 0]);
    fs::rename(indexed.at("ab"), indexed.at("now a report")).unwrap();
    assert_eq!(found("", "a rep").await, ["now a report"]);
    let both = indexed.ask("entries?recursive=true&name=report&contains=text&glob=!sub/&limit=2").await;
    assert_eq!(both["entries"].as_array().unwrap().len(), 2);
    assert_eq!(both["entries"][0]["name"], "Report 2024.TXT");
}
